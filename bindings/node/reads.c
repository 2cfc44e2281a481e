/* reads.c: the queue of whole files, and its two readers. */
#include "reads.h"

#include <sched.h>

#include "addon.h"

enum {
  /* As much of a turn of bide's is spent on reading. */
  READS_US_MAX = 200,
  HELP_LEAST = 8, /* fewer are read sooner than another thread wakes */
  /* So many are worth a delivery. What JS does with a file takes longer than to read it: while
   * it has them the helper, if there is one, reads the next. */
  BATCH = 16,
};

/* ---- the lists ---- */

static void list_init(addon_read_list *list) {
  list->first = NULL;
  list->end = &list->first;
  list->count = 0;
}

static void list_push(addon_read_list *list, addon_request *request) {
  request->as.cached.next = NULL;
  *list->end = request;
  list->end = &request->as.cached.next;
  list->count++;
}

/* NULL of an empty one. */
static addon_request *list_pop(addon_read_list *list) {
  addon_request *request = list->first;
  if (request == NULL) return NULL;
  list->first = request->as.cached.next;
  if (list->first == NULL) list->end = &list->first;
  list->count--;
  return request;
}

/* All of them, which are linked. */
static addon_request *list_take(addon_read_list *list) {
  addon_request *first = list->first;
  list_init(list);
  return first;
}

static addon_request *pop_waiting(addon_reads *reads) {
  pthread_mutex_lock(&reads->lock);
  addon_request *request = list_pop(&reads->waiting);
  pthread_mutex_unlock(&reads->lock);
  return request;
}

/* For the environment's thread, which has read so many in this turn. */
static addon_request *pop_unless_ready(addon_reads *reads, size_t read) {
  addon_request *request = NULL;
  pthread_mutex_lock(&reads->lock);
  if (!reads->helping || read + reads->tried.count < BATCH)
    request = list_pop(&reads->waiting);
  pthread_mutex_unlock(&reads->lock);
  return request;
}

void addon_reads_init(addon_reads *reads) {
  pthread_mutex_init(&reads->lock, NULL);
  list_init(&reads->waiting);
  list_init(&reads->tried);
}

void addon_reads_destroy(addon_reads *reads) {
  bide_pool_free(reads->pool);
  pthread_mutex_destroy(&reads->lock);
}

/* ---- the helper ---- */

/* On its thread. */
static intptr_t help_run(bide_offload *offload) {
  addon_reads *reads = offload->data;
  addon_request *request = pop_waiting(reads);
  while (request != NULL) {
    addon_cached_read_try(&request->as.cached.file, request->path);
    pthread_mutex_lock(&reads->lock);
    list_push(&reads->tried, request);
    request = list_pop(&reads->waiting);
    pthread_mutex_unlock(&reads->lock);
  }
  return 0;
}

static void help_ended(bide_waiter *waiter, bide_future *future) {
  addon_reads *reads = BIDE_CONTAINER_OF(waiter, addon_reads, waiter);
  (void)future;
  reads->helping = false;
}

static bool helper_open(addon_reads *reads) {
  bide_pool_options options = BIDE_POOL_OPTIONS_INIT;
  cpu_set_t allowed;
  if (reads->pool != NULL) return true;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) {
    return false;
  }
  options.threads_max = 1;
  options.name = "bide-read";
  return bide_pool_new(&options, &reads->pool) == 0;
}

static void help(addon_env *env) {
  addon_reads *reads = &env->reads;
  if (!helper_open(reads)) return;
  reads->helping = true;
  reads->offload.data = reads;
  reads->waiter = (bide_waiter){.wake = help_ended};
  bide_offload_start(env->loop, reads->pool, &reads->offload, help_run,
                     BIDE_PRIORITY_NORMAL);
  /* One that could not be started has settled already. */
  if (bide_future_wait(&reads->offload.future, &reads->waiter) < 0)
    reads->helping = false;
}

/* What it has tried, and what needs more than that: room, for which JS is asked, or the
 * core. */
static void finish_tried(addon_env *env) {
  addon_reads *reads = &env->reads;
  pthread_mutex_lock(&reads->lock);
  addon_request *request = list_take(&reads->tried);
  pthread_mutex_unlock(&reads->lock);
  while (request != NULL) {
    addon_request *next = request->as.cached.next;
    bool again = !request->cancelled &&
                 request->as.cached.file.outcome == ADDON_CACHED_NO_ROOM &&
                 addon_read_make_room(request);
    if (again) {
      addon_reads_push(env, request);
    } else {
      addon_read_finish(request);
    }
    request = next;
  }
}

/* ---- the environment's thread ---- */

void addon_reads_push(addon_env *env, addon_request *request) {
  addon_reads *reads = &env->reads;
  pthread_mutex_lock(&reads->lock);
  list_push(&reads->waiting, request);
  bool many = reads->waiting.count >= HELP_LEAST;
  pthread_mutex_unlock(&reads->lock);
  if (many && !reads->helping) help(env);
}

bool addon_reads_wait(addon_env *env) {
  addon_reads *reads = &env->reads;
  pthread_mutex_lock(&reads->lock);
  bool wait = reads->waiting.first != NULL || reads->tried.first != NULL;
  pthread_mutex_unlock(&reads->lock);
  return wait;
}

void addon_reads_run(addon_env *env) {
  uint64_t end_us = bide_clock_us() + READS_US_MAX;
  size_t read = 0;
  for (addon_request *request; (request = pop_unless_ready(&env->reads, read)) != NULL;
       read++) {
    if (!request->cancelled) addon_read_try(request);
    addon_read_finish(request);
    if (bide_clock_us() >= end_us) break;
  }
  finish_tried(env);
}

void addon_reads_end(addon_env *env) {
  finish_tried(env);
  for (addon_request *request; (request = pop_waiting(&env->reads)) != NULL;) {
    addon_read_finish(request);
  }
}
