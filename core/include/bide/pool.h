/* pool.h: a bounded pool of worker threads for blocking work.
 *
 * A pool is an explicit object: make as many as there are kinds of work, so that
 * slow ones never starve others. It knows no loop; offload.h brings results back
 * to one. Threads start as work arrives and stay until bide_pool_free.
 *
 * Batching never serialises: a worker may set several jobs aside for itself, but
 * others take from those before they would be idle, so 64 jobs of 0.1 s on n threads
 * take ceil(64 / n) x 0.1 s.
 *
 * Where jobs come less than 20 us apart, one worker that has none looks for the next
 * for so long before it sleeps (not on a single processor): a job that comes then
 * begins without a wake. A pool whose jobs come seldom does not spin.
 */
#ifndef BIDE_POOL_H
#define BIDE_POOL_H

#include "errno.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bide_priority {
  BIDE_PRIORITY_HIGH = 0,
  BIDE_PRIORITY_NORMAL = 1,
  BIDE_PRIORITY_LOW = 2,
  BIDE_PRIORITY_COUNT
} bide_priority;

typedef struct bide_pool_options {
  uint32_t size;         /* sizeof(bide_pool_options), for newer libraries */
  uint32_t threads_max;  /* 0: the processors this process may use, 2 to 32 */
  uint32_t queue_max;    /* jobs that may wait; 0: no bound */
  uint32_t stack_bytes;  /* 0: the system's default */
  const char *name;      /* of the threads, 15 bytes at most; NULL: "bide" */
} bide_pool_options;

#define BIDE_POOL_OPTIONS_INIT {sizeof(bide_pool_options), 0, 0, 0, NULL}

/* A job. Caller-owned and intrusive; it belongs to the pool from submit until
 * `done` is called or a cancel succeeds. */
struct bide_work {
  /* public */
  void (*run)(bide_work *work);  /* on a worker thread */
  void (*done)(bide_work *work); /* on the same worker thread, after run; the
                                  * last touch by the pool: it may free work */
  void *data;
  /* private */
  bide_node queue_;
  uint8_t state_;
  uint8_t priority_;
  uint8_t slot_;
  uint16_t worker_;
};

/* options may be NULL. Returns 0, BIDE_EINVAL for a bad size or name or more than
 * 65,535 threads, or BIDE_ENOMEM. Any thread. */
BIDE_EXTERN int bide_pool_new(const bide_pool_options *options, bide_pool **pool);

/* Lets the jobs that wait and those that run finish, then joins the threads and
 * frees the pool. NULL is harmless. Returns 0, or BIDE_EDEADLK, doing nothing, on a worker of
 * the pool. Any other thread, while no other call on the pool is under way. In a child after
 * fork it only frees: the threads are the parent's. */
BIDE_EXTERN int bide_pool_free(bide_pool *pool);

/* Returns 0, BIDE_EQUEUEFULL when queue_max jobs wait, BIDE_EINVAL without a run or a
 * done or for a priority that is none, or the code of pthread_create when there is no
 * worker at all and none can be started. Any thread. In a child after fork: BIDE_EFORKED. */
BIDE_EXTERN int bide_pool_submit(bide_pool *pool, bide_work *work,
                                 bide_priority priority);

/* Takes back a job that no worker has started: returns 0, and neither run nor
 * done will be called. BIDE_EALREADY once it runs or has run, BIDE_EFORKED in a
 * child after fork. Any thread; the caller makes sure that work has not been freed. */
BIDE_EXTERN int bide_pool_cancel(bide_pool *pool, bide_work *work);

typedef struct bide_pool_stats {
  uint32_t threads; /* started */
  uint32_t idle;    /* of them, waiting for work */
  uint64_t queued;  /* jobs that wait */
  uint64_t done;    /* jobs that ended since the pool began */
} bide_pool_stats;

/* All zero in a child after fork. Any thread. */
BIDE_EXTERN void bide_pool_stats_get(bide_pool *pool, bide_pool_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
