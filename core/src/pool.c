/* Jobs go in without a lock, onto a stack that whoever holds the lock takes whole, oldest
 * first, into the queues. A worker takes several under one lock, into slots of its own (its
 * claim), and works those off without it; a worker that finds nothing else takes from the
 * claims of others, so that no job waits behind one that blocks while a thread is idle.
 *
 * Who is woken, as in the schedulers of Go and Tokio: a worker without a job searches before
 * it sleeps. A job that comes meanwhile needs no wake; a worker whose search has ended wakes
 * the next if there is more. So a burst costs the one who submits it one system call. */
#include <bide/pool.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "hints.h"
#include "list.h"
#include "memory.h"
#include "misuse.h"
#include "stack.h"

enum {
  POOL_THREADS_LEAST = 2,
  POOL_THREADS_MOST = 32, /* of the default; an explicit threads_max may be larger */
  POOL_NAME_BYTES = 16,   /* the kernel's limit for a thread's name, with its NUL */
  POOL_CLAIM = 16,        /* jobs that a worker takes at once, at most */
  POOL_SPIN_US = 20,      /* about what a sleep and a wake cost */
  POOL_SPIN_LEAST_US = 4,
  POOL_LOOKS = 16 /* at the stack, between two at the clock */
};

/* bide_work.state_. QUEUED: on one of the queues, or on the stack before them. CLAIMED: it
 * was put into a worker's slot; whether it has left that the slot tells. */
enum { POOL_WORK_IDLE = 0, POOL_WORK_QUEUED, POOL_WORK_CLAIMED, POOL_WORK_STARTED };

/* Its claim are the slots from `next` to `end` that are not NULL. The owner fills them under
 * the lock and empties them without it; whoever takes a job exchanges it for NULL. */
typedef struct pool_worker {
  bide_pool *pool;
  pthread_t thread;
  bool searching; /* it is one of pool->searching */
  bool spun;      /* since it last had a job */
  atomic_uint next, end;
  _Atomic(uint64_t) done;
  _Atomic(bide_work *) claim[POOL_CLAIM];
  char behind_[BIDE__LINE_BYTES];
} pool_worker;

/* `queued` counts the jobs on `queues`. A worker has a job, is searching or is sleeping; one
 * that is woken is searching at once, and `wakes` counts those that have not noticed. `idle`
 * counts all without a job. `threads` only grows, and not any more once `ending` is set.
 *
 * While jobs wait anywhere and a worker sleeps or could be started, one is searching, or
 * somebody who has just submitted is about to see that none is: `unattended` says so. Both
 * sides write before they read (the job and this, this and the jobs), in one total order. */
struct bide_pool {
  char name[POOL_NAME_BYTES];
  pthread_attr_t attributes;
  uint32_t queue_max, threads_max;
  unsigned fork_generation;
  atomic_bool unattended;
  atomic_bool urgent; /* a job of high priority has come, which goes before the claims */
  atomic_bool ending;
  char before_incoming_[BIDE__LINE_BYTES];
  bide__stack incoming; /* linked by queue_ */
  char before_lock_[BIDE__LINE_BYTES];
  pthread_mutex_t lock; /* guards all below, and changes of the three flags above */
  pthread_cond_t work_came;
  bide_node queues[BIDE_PRIORITY_COUNT];
  uint64_t queued;
  uint32_t threads;
  uint32_t searching, sleeping, wakes, idle;
  uint32_t
      spin_us;   /* for how long to look again before a sleep: what was worth it lately */
  bool spinning; /* somebody does: one is enough */
  bool alone;    /* on one processor a spin keeps away what it waits for */
  pool_worker workers[];
};

static int pool_processors(void) {
  cpu_set_t allowed;
  return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

static uint32_t pool_default_threads(void) {
  int count = pool_processors();
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
  memset(pool, 0, sizeof *pool + (size_t)threads_max * sizeof pool->workers[0]);
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
  pool->alone = pool_processors() < 2;
  atomic_init(&pool->unattended, true);
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
  if (threads_max > UINT16_MAX) return BIDE_EINVAL;
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

/* ---- the queues, under the lock ---- */

static void pool_enqueue(bide_pool *pool, bide_work *work) {
  work->queue_ = (bide_node){NULL, NULL};
  bide__list_push(&pool->queues[work->priority_], &work->queue_);
  pool->queued++;
}

static void pool_dequeue(bide_pool *pool, bide_work *work) {
  bide__list_remove(&work->queue_);
  work->state_ = POOL_WORK_IDLE;
  pool->queued--;
}

/* From the stack to the queues. */
static void pool_drain(bide_pool *pool) {
  if (!bide__stack_has_come(&pool->incoming)) return;
  for (bide_node *node = bide__stack_take(&pool->incoming), *after; node != NULL;
       node = after) {
    after = node->next;
    pool_enqueue(pool, BIDE_CONTAINER_OF(node, bide_work, queue_));
  }
}

static bide_work *pool_take(bide_pool *pool, bide_priority priority) {
  bide_node *queue = &pool->queues[priority];
  if (bide__list_empty(queue)) return NULL;
  bide_work *work = BIDE_CONTAINER_OF(queue->next, bide_work, queue_);
  work->state_ = POOL_WORK_STARTED;
  bide__list_remove(&work->queue_);
  pool->queued--;
  return work;
}

/* ---- claims ---- */

static unsigned pool_claim_next(const pool_worker *worker) {
  return atomic_load_explicit(&worker->next, memory_order_relaxed);
}

static unsigned pool_claim_end(const pool_worker *worker) {
  return atomic_load_explicit(&worker->end, memory_order_relaxed);
}

/* The next job of one's own claim, taken off, or NULL. */
static bide_work *pool_take_claimed(pool_worker *self) {
  bide_work *work = NULL;
  unsigned next = pool_claim_next(self), end = pool_claim_end(self);
  if (next == end) return NULL;
  while (work == NULL && next < end) work = atomic_exchange(&self->claim[next++], NULL);
  atomic_store_explicit(&self->next, next, memory_order_relaxed);
  return work;
}

/* Takes a job of normal priority to begin with, and a share of the rest as the claim, which
 * is empty. A bounded queue counts all that have not begun: there none is claimed ahead. */
static bide_work *pool_take_and_claim(pool_worker *self) {
  bide_pool *pool = self->pool;
  bide_work *first = pool_take(pool, BIDE_PRIORITY_NORMAL), *work;
  uint64_t share = pool->queue_max != 0 ? 0 : pool->queued / pool->threads;
  unsigned count = 0;
  while (count < POOL_CLAIM && count < share &&
         (work = pool_take(pool, BIDE_PRIORITY_NORMAL)) != NULL) {
    work->state_ = POOL_WORK_CLAIMED;
    work->worker_ = (uint16_t)(self - pool->workers);
    work->slot_ = (uint8_t)count;
    atomic_store_explicit(&self->claim[count++], work, memory_order_relaxed);
  }
  atomic_store_explicit(&self->next, 0, memory_order_relaxed);
  atomic_store_explicit(&self->end, count, memory_order_relaxed);
  return first;
}

/* A job that another worker has claimed and not begun, or NULL. */
static bide_work *pool_steal(pool_worker *self) {
  bide_pool *pool = self->pool;
  for (uint32_t i = 0; i < pool->threads; i++) {
    pool_worker *other = &pool->workers[i];
    for (unsigned slot = pool_claim_next(other); slot < pool_claim_end(other); slot++) {
      bide_work *work = atomic_exchange(&other->claim[slot], NULL);
      if (work != NULL) return work;
    }
  }
  return NULL;
}

static uint64_t pool_count_claimed(const bide_pool *pool) {
  uint64_t count = 0;
  for (uint32_t i = 0; i < pool->threads; i++) {
    const pool_worker *worker = &pool->workers[i];
    for (unsigned slot = pool_claim_next(worker); slot < pool_claim_end(worker); slot++)
      count += atomic_load_explicit(&worker->claim[slot], memory_order_relaxed) != NULL;
  }
  return count;
}

/* ---- who searches, under the lock ---- */

static void *pool_work(void *argument);

static void pool_tell(bide_pool *pool) {
  bool more = pool->threads < pool->threads_max && !atomic_load(&pool->ending);
  atomic_store(&pool->unattended, pool->searching == 0 && (pool->sleeping > 0 || more));
}

/* Signals are the program's: a worker is born with all of them blocked. */
static int pool_start_worker(bide_pool *pool) {
  sigset_t all;
  sigset_t before;
  pool_worker *worker = &pool->workers[pool->threads];
  worker->pool = pool;
  worker->searching = true;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&worker->thread, &pool->attributes, pool_work, worker);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error != 0) return -error;
  pool->threads++;
  pool->searching++;
  return 0;
}

/* Sends somebody to search, if nobody does. Fails only if there is no worker at all. */
static int pool_summon(bide_pool *pool) {
  if (!atomic_load(&pool->unattended)) return 0;
  int result = 0;
  if (pool->sleeping > 0) {
    pool->sleeping--;
    pool->searching++;
    pool->wakes++;
    pthread_cond_signal(&pool->work_came);
  } else {
    result = pool_start_worker(pool);
  }
  pool_tell(pool);
  return pool->threads == 0 ? result : 0;
}

static void pool_begin_search(pool_worker *self) {
  if (self->searching) return;
  self->searching = true;
  self->pool->searching++;
  pool_tell(self->pool);
}

/* Who leaves the search sees to it that another goes on if there is more. */
static void pool_end_search(pool_worker *self) {
  bide_pool *pool = self->pool;
  self->spun = false;
  if (!self->searching) return;
  self->searching = false;
  pool->searching--;
  pool_tell(pool);
  if (pool->queued > 0 || bide__stack_has_come(&pool->incoming) ||
      pool_count_claimed(pool) > 0)
    (void)pool_summon(pool);
}

/* ---- a worker ---- */

/* Without the lock. What comes soon is cheaper awaited than slept for: a wake costs the one
 * who submits a system call, and the job the time that the thread takes to run again. */
static void pool_look_again(bide_pool *pool, uint64_t until_us) {
  do {
    for (int i = 0; i < POOL_LOOKS; i++) {
      if (!bide__stack_empty(&pool->incoming) ||
          atomic_load_explicit(&pool->ending, memory_order_relaxed))
        return;
      bide__relax();
    }
  } while (bide_clock_us() < until_us);
}

static void pool_spin(pool_worker *self) {
  bide_pool *pool = self->pool;
  uint64_t until_us = bide_clock_us() + pool->spin_us;
  self->spun = pool->spinning = true;
  pthread_mutex_unlock(&pool->lock);
  pool_look_again(pool, until_us);
  pthread_mutex_lock(&pool->lock);
  pool->spinning = false;
  if (bide__stack_has_come(&pool->incoming)) return;
  pool->spin_us = pool->spin_us / 2 < POOL_SPIN_LEAST_US ? 0 : pool->spin_us / 2;
}

static void pool_sleep(pool_worker *self) {
  bide_pool *pool = self->pool;
  uint64_t began_us = bide_clock_us();
  self->searching = false;
  pool->searching--;
  pool->sleeping++;
  pool_tell(pool);
  bool came = bide__stack_has_come(&pool->incoming);
  while (!came && pool->wakes == 0 && !atomic_load(&pool->ending))
    pthread_cond_wait(&pool->work_came, &pool->lock);
  if (!came && pool->wakes > 0) {
    pool->wakes--;
    self->searching = true;
  } else {
    pool->sleeping--;
    pool_begin_search(self);
  }
  if (!pool->alone && bide_clock_us() - began_us < POOL_SPIN_US)
    pool->spin_us = POOL_SPIN_US;
}

/* A job from wherever there is one. */
static bide_work *pool_find(pool_worker *self) {
  bide_pool *pool = self->pool;
  pool_drain(pool);
  if (atomic_load(&pool->urgent)) atomic_store(&pool->urgent, false);
  bide_work *work = pool_take(pool, BIDE_PRIORITY_HIGH);
  if (!bide__list_empty(&pool->queues[BIDE_PRIORITY_HIGH]))
    atomic_store(&pool->urgent, true);
  if (work == NULL) work = pool_take_claimed(self);
  if (work == NULL) work = pool_take_and_claim(self);
  if (work == NULL) work = pool_steal(self);
  if (work == NULL) work = pool_take(pool, BIDE_PRIORITY_LOW);
  return work;
}

/* The next job; NULL when the pool ends and none is left. */
static bide_work *pool_next(pool_worker *self) {
  bide_pool *pool = self->pool;
  bide_work *work = NULL;
  if (!atomic_load_explicit(&pool->urgent, memory_order_relaxed))
    work = pool_take_claimed(self);
  if (work != NULL) return work;
  pthread_mutex_lock(&pool->lock);
  while ((work = pool_find(self)) == NULL && !atomic_load(&pool->ending)) {
    pool->idle++;
    pool_begin_search(self);
    if (!self->spun && !pool->spinning && pool->spin_us > 0)
      pool_spin(self);
    else
      pool_sleep(self);
    pool->idle--;
  }
  pool_end_search(self);
  pthread_mutex_unlock(&pool->lock);
  return work;
}

static void *pool_work(void *argument) {
  pool_worker *self = argument;
  pthread_setname_np(pthread_self(), self->pool->name);
  for (bide_work *work; (work = pool_next(self)) != NULL;) {
    work->run(work);
    work->done(work);
    atomic_store_explicit(&self->done,
                          atomic_load_explicit(&self->done, memory_order_relaxed) + 1,
                          memory_order_relaxed);
  }
  return NULL;
}

/* ---- what others ask ---- */

/* Behind the push the job may have ended and be gone. */
static void pool_push(bide_pool *pool, bide_work *work) {
  bool high = work->priority_ == BIDE_PRIORITY_HIGH;
  bide__stack_push(&pool->incoming, &work->queue_);
  if (high) atomic_store(&pool->urgent, true);
}

/* Somebody must come for it. Where there is no worker nobody else can have taken it. */
static int pool_submit_unattended(bide_pool *pool, bide_work *work) {
  pthread_mutex_lock(&pool->lock);
  int result = pool_summon(pool);
  if (result < 0) {
    pool_drain(pool);
    pool_dequeue(pool, work);
  }
  pthread_mutex_unlock(&pool->lock);
  return result;
}

static int pool_submit_bounded(bide_pool *pool, bide_work *work) {
  pthread_mutex_lock(&pool->lock);
  int result = BIDE_EQUEUEFULL;
  if (pool->queued < pool->queue_max) {
    pool_enqueue(pool, work);
    result = pool_summon(pool);
    if (result < 0) pool_dequeue(pool, work);
  }
  pthread_mutex_unlock(&pool->lock);
  return result;
}

int bide_pool_submit(bide_pool *pool, bide_work *work, bide_priority priority) {
  if (BIDE__MISUSE(work->run == NULL || work->done == NULL)) return BIDE_EINVAL;
  if (BIDE__MISUSE((unsigned)priority >= BIDE_PRIORITY_COUNT)) return BIDE_EINVAL;
  if (pool_is_foreign(pool)) return BIDE_EFORKED;
  work->state_ = POOL_WORK_QUEUED;
  work->priority_ = (uint8_t)priority;
  if (pool->queue_max != 0) return pool_submit_bounded(pool, work);
  pool_push(pool, work);
  return atomic_load(&pool->unattended) ? pool_submit_unattended(pool, work) : 0;
}

static bool pool_take_back(bide_pool *pool, bide_work *work) {
  pool_drain(pool);
  if (work->state_ == POOL_WORK_QUEUED) {
    pool_dequeue(pool, work);
    return true;
  }
  if (work->state_ != POOL_WORK_CLAIMED) return false;
  bide_work *expected = work;
  _Atomic(bide_work *) *slot = &pool->workers[work->worker_].claim[work->slot_];
  if (!atomic_compare_exchange_strong(slot, &expected, NULL)) return false;
  work->state_ = POOL_WORK_IDLE;
  return true;
}

int bide_pool_cancel(bide_pool *pool, bide_work *work) {
  if (pool_is_foreign(pool)) return BIDE_EFORKED;
  pthread_mutex_lock(&pool->lock);
  int result = pool_take_back(pool, work) ? 0 : BIDE_EALREADY;
  pthread_mutex_unlock(&pool->lock);
  return result;
}

/* Whether it is one of the pool's own workers that calls. */
static bool pool_is_worker(bide_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  uint32_t i = 0;
  while (i < pool->threads && !pthread_equal(pool->workers[i].thread, pthread_self()))
    i++;
  bool worker = i < pool->threads;
  pthread_mutex_unlock(&pool->lock);
  return worker;
}

static void pool_join(bide_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  atomic_store(&pool->ending, true);
  pool_tell(pool);
  pthread_cond_broadcast(&pool->work_came);
  pthread_mutex_unlock(&pool->lock);
  for (uint32_t i = 0; i < pool->threads; i++)
    pthread_join(pool->workers[i].thread, NULL);
  pthread_cond_destroy(&pool->work_came);
  pthread_mutex_destroy(&pool->lock);
}

int bide_pool_free(bide_pool *pool) {
  if (pool == NULL) return 0;
  if (!pool_is_foreign(pool)) {
    if (BIDE__MISUSE(pool_is_worker(pool))) return BIDE_EDEADLK;
    pool_join(pool);
  }
  pthread_attr_destroy(&pool->attributes);
  bide__free(pool);
  return 0;
}

void bide_pool_stats_get(bide_pool *pool, bide_pool_stats *stats) {
  *stats = (bide_pool_stats){0};
  if (pool_is_foreign(pool)) return;
  pthread_mutex_lock(&pool->lock);
  pool_drain(pool);
  stats->threads = pool->threads;
  stats->idle = pool->idle;
  stats->queued = pool->queued + pool_count_claimed(pool);
  for (uint32_t i = 0; i < pool->threads; i++)
    stats->done += atomic_load_explicit(&pool->workers[i].done, memory_order_relaxed);
  pthread_mutex_unlock(&pool->lock);
}
