/* runtime.c: see runtime.h. The threads, from their start to the shutdown. */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "memory.h"
#include "misuse.h"
#include "runtime_struct.h"

enum {
  RUNTIME_LOOPS_MAX = 1024,
  RUNTIME_NAME_BYTES = 16 /* the kernel's limit for a thread's name, with its NUL */
};

static _Thread_local bide__worker *runtime_current;

bide__worker *bide__runtime_current(void) { return runtime_current; }

/* ---- who is in it ---- */

bool bide__runtime_enter(bide_runtime *runtime) {
  atomic_fetch_add(&runtime->live, 1);
  if (!atomic_load(&runtime->closing)) return true;
  bide__runtime_leave(runtime);
  return false;
}

void bide__runtime_leave(bide_runtime *runtime) {
  size_t live = atomic_load(&runtime->live);
  while (live > 1) {
    if (atomic_compare_exchange_weak(&runtime->live, &live, live - 1)) return;
  }
  pthread_mutex_lock(&runtime->lock);
  if (atomic_fetch_sub(&runtime->live, 1) == 1) pthread_cond_broadcast(&runtime->changed);
  pthread_mutex_unlock(&runtime->lock);
}

/* ---- the threads ---- */

/* The index-th of the processors that the process may use, counted round. */
static void runtime_pin(uint32_t index) {
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  uint32_t left = index % (uint32_t)CPU_COUNT(&allowed);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &allowed) || left-- > 0) cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void runtime_name_thread(const bide__worker *worker) {
  const char *name = worker->runtime->options.name;
  char text[RUNTIME_NAME_BYTES];
  snprintf(text, sizeof text, "%.10s-%u", name != NULL ? name : "bide",
           worker->index % 1000);
  pthread_setname_np(pthread_self(), text);
}

static int runtime_make_loop(bide__worker *worker) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  if (worker->runtime->options.loop != NULL) options = *worker->runtime->options.loop;
  options.flags |= BIDE_LOOP_OWNS_THREAD;
  return bide_loop_new(&options, &worker->loop);
}

static void runtime_report(bide__worker *worker, int error) {
  bide_runtime *runtime = worker->runtime;
  pthread_mutex_lock(&runtime->lock);
  worker->error = error;
  worker->reported = true;
  pthread_cond_broadcast(&runtime->changed);
  pthread_mutex_unlock(&runtime->lock);
}

static void *runtime_thread(void *argument) {
  bide__worker *worker = argument;
  runtime_name_thread(worker);
  if ((worker->runtime->options.flags & BIDE_RUNTIME_PINNED) != 0)
    runtime_pin(worker->index);
  int error = runtime_make_loop(worker);
  bide_loop *loop = worker->loop;
  runtime_current = worker;
  runtime_report(worker, error);
  if (error < 0) return NULL;
  error = bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED);
  assert(error == 0);
  error = bide_loop_drain(loop);
  assert(error == 0);
  error = bide_loop_close(loop);
  assert(error == 0);
  return NULL;
}

static void runtime_stop(bide_call *call) {
  bide_loop_stop(BIDE_CONTAINER_OF(call, bide__worker, stop)->loop);
}

static int runtime_start(bide_runtime *runtime, uint32_t index) {
  bide__worker *worker = &runtime->workers[index];
  sigset_t all, before;
  bide__worker_init(worker, runtime, index);
  worker->stop = (bide_call){.cb = runtime_stop};
  /* Signals are the program's: a worker is born with all of them blocked. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&worker->thread, NULL, runtime_thread, worker);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -error;
}

/* Waits until each of the first `count` runs or has failed. Returns 0 or the first error. */
static int runtime_await_start(bide_runtime *runtime, uint32_t count) {
  int error = 0;
  pthread_mutex_lock(&runtime->lock);
  for (uint32_t i = 0; i < count; i++) {
    while (!runtime->workers[i].reported)
      pthread_cond_wait(&runtime->changed, &runtime->lock);
    if (error == 0) error = runtime->workers[i].error;
  }
  pthread_mutex_unlock(&runtime->lock);
  return error;
}

/* Ends the first `count` threads, on which nothing lives, and frees all. A worker may look into
 * another's queue until it has ended: the locks outlast them all. */
static void runtime_end(bide_runtime *runtime, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    bide__worker *worker = &runtime->workers[i];
    if (worker->error == 0) bide_post(worker->loop, &worker->stop);
  }
  for (uint32_t i = 0; i < count; i++) pthread_join(runtime->workers[i].thread, NULL);
  for (uint32_t i = 0; i < count; i++) pthread_mutex_destroy(&runtime->workers[i].lock);
  pthread_cond_destroy(&runtime->changed);
  pthread_mutex_destroy(&runtime->lock);
  bide__free(runtime);
}

/* ---- life ---- */

static int runtime_count_loops(const bide_runtime_options *options) {
  cpu_set_t allowed;
  if (options->size != sizeof *options) return BIDE_EINVAL;
  if ((options->flags & ~(uint32_t)BIDE_RUNTIME_PINNED) != 0) return BIDE_EINVAL;
  if (options->loops > RUNTIME_LOOPS_MAX) return BIDE_EINVAL;
  if (options->loops > 0) return (int)options->loops;
  return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

static void runtime_init(bide_runtime *runtime, const bide_runtime_options *options,
                         uint32_t count) {
  pthread_condattr_t attributes;
  memset(runtime, 0, sizeof *runtime);
  pthread_mutex_init(&runtime->lock, NULL);
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&runtime->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  atomic_init(&runtime->live, 1);
  runtime->options = *options;
  runtime->count = count;
}

int bide_runtime_new(const bide_runtime_options *options, bide_runtime **runtime) {
  static const bide_runtime_options defaults = BIDE_RUNTIME_OPTIONS_INIT;
  if (options == NULL) options = &defaults;
  int count = runtime_count_loops(options);
  if (count < 0) return count;
  bide_runtime *made =
      bide__zalloc(sizeof *made + (size_t)count * sizeof made->workers[0]);
  if (made == NULL) return BIDE_ENOMEM;
  runtime_init(made, options, (uint32_t)count);
  int error = 0;
  uint32_t started = 0;
  while (error == 0 && started < made->count) {
    error = runtime_start(made, started);
    if (error == 0) started++;
  }
  int made_error = runtime_await_start(made, started);
  if (error == 0) error = made_error;
  if (error < 0) {
    runtime_end(made, started);
    return error;
  }
  *runtime = made;
  return 0;
}

uint32_t bide_runtime_count(const bide_runtime *runtime) { return runtime->count; }

bide_loop *bide_runtime_loop(const bide_runtime *runtime, uint32_t index) {
  if (BIDE__MISUSE(index >= runtime->count)) return NULL;
  return runtime->workers[index].loop;
}

/* ---- the shutdown ---- */

static struct timespec runtime_deadline(uint64_t timeout_us) {
  struct timespec deadline;
  uint64_t at_us = bide_clock_us() + 1 + timeout_us;
  if (at_us < timeout_us || at_us > (uint64_t)INT64_MAX) at_us = (uint64_t)INT64_MAX;
  deadline.tv_sec = (time_t)(at_us / 1000000);
  deadline.tv_nsec = (long)(at_us % 1000000) * 1000;
  return deadline;
}

/* Under the lock: waits until nothing lives. Returns 0, or BIDE_ETIME at the deadline, which
 * may be NULL for none. */
static int runtime_await_end(bide_runtime *runtime, const struct timespec *deadline) {
  while (atomic_load(&runtime->live) > 0) {
    if (deadline == NULL)
      pthread_cond_wait(&runtime->changed, &runtime->lock);
    else if (pthread_cond_timedwait(&runtime->changed, &runtime->lock, deadline) ==
             ETIMEDOUT)
      return BIDE_ETIME;
  }
  return 0;
}

int bide_runtime_shutdown(bide_runtime *runtime, uint64_t timeout_us) {
  if (runtime_current != NULL && runtime_current->runtime == runtime) return BIDE_EDEADLK;
  struct timespec deadline = runtime_deadline(timeout_us);
  atomic_store(&runtime->closing, true);
  bide__runtime_leave(runtime);
  pthread_mutex_lock(&runtime->lock);
  int result = runtime_await_end(runtime, &deadline);
  if (result == BIDE_ETIME && atomic_load(&runtime->live) > 0) {
    atomic_store(&runtime->cancelling, true);
    for (uint32_t i = 0; i < runtime->count; i++)
      bide_post(runtime->workers[i].loop, &runtime->workers[i].cancel_all);
    runtime_await_end(runtime, NULL);
  }
  pthread_mutex_unlock(&runtime->lock);
  runtime_end(runtime, runtime->count);
  return result;
}
