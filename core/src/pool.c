/* One mutex guards all of a pool. A job takes it twice, on its way in and out, which is
 * little beside the blocking work that pools are for. */
#include <bide/pool.h>

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "list.h"
#include "memory.h"

enum {
  POOL_THREADS_LEAST = 2,
  POOL_THREADS_MOST = 32, /* of the default; an explicit threads_max may be larger */
  POOL_NAME_BYTES = 16    /* the kernel's limit for a thread's name, with its NUL */
};

enum { POOL_WORK_IDLE = 0, POOL_WORK_QUEUED, POOL_WORK_STARTED };

/* A job is on one of `queues` exactly while its state_ is QUEUED; `queued` counts those.
 * `idle` counts the workers inside pthread_cond_wait, woken ones that do not yet hold the
 * lock included: as long as queued <= idle, each job has a worker of its own on the way.
 * `threads` only grows, and not any more once `ending` is set. */
struct bide_pool {
  pthread_mutex_t lock;
  pthread_cond_t work_came;
  pthread_attr_t attributes;
  bide_node queues[BIDE_PRIORITY_COUNT];
  uint64_t queued;
  uint64_t done;
  uint32_t queue_max;
  uint32_t threads_max;
  uint32_t threads;
  uint32_t idle;
  unsigned fork_generation;
  bool ending;
  char name[POOL_NAME_BYTES];
  pthread_t workers[];
};

static uint32_t pool_default_threads(void) {
  cpu_set_t allowed;
  int count = POOL_THREADS_LEAST;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) count = CPU_COUNT(&allowed);
  if (count < POOL_THREADS_LEAST) return POOL_THREADS_LEAST;
  return count > POOL_THREADS_MOST ? POOL_THREADS_MOST : (uint32_t)count;
}

/* The pool was made by a parent process: its threads are not here, and its lock may have
 * been held by one of them at the fork. */
static bool pool_is_foreign(const bide_pool *pool) {
  return pool->fork_generation != bide__fork_generation();
}

/* On Linux the pthread initialisers cannot fail with default arguments; the stack's size
 * is the caller's. */
static int pool_init(bide_pool *pool, const bide_pool_options *options,
                     uint32_t threads_max) {
  memset(pool, 0, sizeof *pool);
  pthread_attr_init(&pool->attributes);
  if (options->stack_bytes != 0 &&
      pthread_attr_setstacksize(&pool->attributes, options->stack_bytes) != 0) {
    pthread_attr_destroy(&pool->attributes);
    return BIDE_EINVAL;
  }
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work_came, NULL);
  for (int i = 0; i < BIDE_PRIORITY_COUNT; i++) bide__list_init(&pool->queues[i]);
  pool->queue_max = options->queue_max;
  pool->threads_max = threads_max;
  pool->fork_generation = bide__fork_generation();
  snprintf(pool->name, sizeof pool->name, "%s",
           options->name != NULL ? options->name : "bide");
  return 0;
}

int bide_pool_new(const bide_pool_options *options, bide_pool **pool) {
  static const bide_pool_options defaults = BIDE_POOL_OPTIONS_INIT;
  if (options == NULL) options = &defaults;
  if (options->size != sizeof *options) return BIDE_EINVAL;
  if (options->name != NULL && strlen(options->name) >= POOL_NAME_BYTES) {
    return BIDE_EINVAL;
  }
  uint32_t threads_max =
      options->threads_max != 0 ? options->threads_max : pool_default_threads();
  bide_pool *made =
      bide__alloc(sizeof *made + (size_t)threads_max * sizeof made->workers[0]);
  if (made == NULL) return BIDE_ENOMEM;
  int result = pool_init(made, options, threads_max);
  if (result < 0) {
    bide__free(made);
    return result;
  }
  *pool = made;
  return 0;
}

static bide_work *pool_take(bide_pool *pool) {
  for (int i = 0; i < BIDE_PRIORITY_COUNT; i++) {
    bide_node *node = bide__list_pop(&pool->queues[i]);
    if (node == NULL) continue;
    pool->queued--;
    bide_work *work = BIDE_CONTAINER_OF(node, bide_work, queue_);
    work->state_ = POOL_WORK_STARTED;
    return work;
  }
  return NULL;
}

static void pool_wait(bide_pool *pool) {
  pool->idle++;
  pthread_cond_wait(&pool->work_came, &pool->lock);
  pool->idle--;
}

static void *pool_worker(void *argument) {
  bide_pool *pool = argument;
  pthread_setname_np(pthread_self(), pool->name);
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    bide_work *work = pool_take(pool);
    if (work != NULL) {
      pthread_mutex_unlock(&pool->lock);
      work->run(work);
      work->done(work);
      pthread_mutex_lock(&pool->lock);
      pool->done++;
    } else if (pool->ending) {
      break;
    } else {
      pool_wait(pool);
    }
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

/* Signals are the program's: a worker is born with all of them blocked. */
static int pool_start_worker(bide_pool *pool) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error =
      pthread_create(&pool->workers[pool->threads], &pool->attributes, pool_worker, pool);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error != 0) return -error;
  pool->threads++;
  return 0;
}

static void pool_enqueue(bide_pool *pool, bide_work *work, bide_priority priority) {
  work->queue_ = (bide_node){NULL, NULL};
  work->state_ = POOL_WORK_QUEUED;
  work->priority_ = (uint8_t)priority;
  bide__list_push(&pool->queues[priority], &work->queue_);
  pool->queued++;
}

static void pool_dequeue(bide_pool *pool, bide_work *work) {
  bide__list_remove(&work->queue_);
  work->state_ = POOL_WORK_IDLE;
  pool->queued--;
}

static int pool_submit_locked(bide_pool *pool, bide_work *work, bide_priority priority) {
  if (pool->queue_max != 0 && pool->queued >= pool->queue_max) return BIDE_EQUEUEFULL;
  pool_enqueue(pool, work, priority);
  if (pool->queued > pool->idle && pool->threads < pool->threads_max && !pool->ending) {
    int result = pool_start_worker(pool);
    if (result < 0 && pool->threads == 0) {
      pool_dequeue(pool, work);
      return result;
    }
  }
  if (pool->idle > 0) pthread_cond_signal(&pool->work_came);
  return 0;
}

int bide_pool_submit(bide_pool *pool, bide_work *work, bide_priority priority) {
  assert(work->run != NULL);
  assert(work->done != NULL);
  assert((unsigned)priority < BIDE_PRIORITY_COUNT);
  if (pool_is_foreign(pool)) return BIDE_EFORKED;
  pthread_mutex_lock(&pool->lock);
  int result = pool_submit_locked(pool, work, priority);
  pthread_mutex_unlock(&pool->lock);
  return result;
}

int bide_pool_cancel(bide_pool *pool, bide_work *work) {
  if (pool_is_foreign(pool)) return BIDE_EFORKED;
  int result = BIDE_EALREADY;
  pthread_mutex_lock(&pool->lock);
  if (work->state_ == POOL_WORK_QUEUED) {
    pool_dequeue(pool, work);
    result = 0;
  }
  pthread_mutex_unlock(&pool->lock);
  return result;
}

static void pool_join(bide_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->ending = true;
  pthread_cond_broadcast(&pool->work_came);
  pthread_mutex_unlock(&pool->lock);
  for (uint32_t i = 0; i < pool->threads; i++) {
    int error = pthread_join(pool->workers[i], NULL);
    assert(error == 0); /* EDEADLK: a worker frees its own pool */
    (void)error;
  }
  pthread_cond_destroy(&pool->work_came);
  pthread_mutex_destroy(&pool->lock);
}

void bide_pool_free(bide_pool *pool) {
  if (pool == NULL) return;
  if (!pool_is_foreign(pool)) pool_join(pool);
  pthread_attr_destroy(&pool->attributes);
  bide__free(pool);
}

void bide_pool_stats_get(bide_pool *pool, bide_pool_stats *stats) {
  *stats = (bide_pool_stats){0};
  if (pool_is_foreign(pool)) return;
  pthread_mutex_lock(&pool->lock);
  stats->threads = pool->threads;
  stats->idle = pool->idle;
  stats->queued = pool->queued;
  stats->done = pool->done;
  pthread_mutex_unlock(&pool->lock);
}
