/* future.h: a value that is not there yet.
 *
 *   pending --resolve--> resolved   (value)
 *           --reject---> rejected   (error)
 *           --cancel---> cancelled  (error BIDE_ECANCELED)
 *
 * Futures are caller-owned and intrusive, belong to one loop and are used on its
 * thread alone. Any number of waiters; waiting allocates nothing. A future must
 * outlive its settling, and must not be freed from inside a waiter's callback.
 */
#ifndef BIDE_FUTURE_H
#define BIDE_FUTURE_H

#include "loop.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bide_future_state {
  BIDE_FUTURE_PENDING = 0,
  BIDE_FUTURE_RESOLVED,
  BIDE_FUTURE_REJECTED,
  BIDE_FUTURE_CANCELLED
} bide_future_state;

typedef struct bide_waiter bide_waiter;

/* One who waits. On the future's list from bide_future_wait until it is woken or
 * bide_future_forget. Zero it before its first use. */
struct bide_waiter {
  /* public: called once, inside the call that settles the future, in the order of
   * the waits. Keep it short: make something ready. */
  void (*wake)(bide_waiter *waiter, bide_future *future);
  /* private */
  bide_waiter *next_;
};

/* What only a pending future needs and what only a settled one has share their room, since
 * programs have a great many: a task that sleeps is 96 bytes, its future 32 of them. */
struct bide_future {
  /* read-only */
  bide_loop *loop;
  union {
    intptr_t value; /* once resolved */
    /* While it is pending, for those who make producers: asks the producer to end early;
     * the future settles when it has. NULL: a cancel settles the future at once. */
    void (*cancel)(bide_future *future);
  };
  int32_t error; /* once settled: 0, or the negative code */
  uint8_t state;
  /* private */
  uint8_t flags_; /* the task's that it belongs to, as is resume_ */
  uint16_t resume_;
  uintptr_t waiters_;
};

/* Makes a pending future. Any storage; it owns nothing. */
BIDE_EXTERN void bide_future_init(bide_future *future, bide_loop *loop);

/* Each returns 0, or BIDE_EALREADY, changing nothing, for a future that is settled.
 * reject takes a negative code, BIDE_EINVAL for another; with BIDE_ECANCELED the state is
 * cancelled. */
BIDE_EXTERN int bide_future_resolve(bide_future *future, intptr_t value);
BIDE_EXTERN int bide_future_reject(bide_future *future, int error);

/* Asks for the future's end. With a producer (a task, an operation, a sleep, an
 * offload) it settles once the producer has stopped, perhaps with its success.
 * Returns 0, BIDE_EALREADY for a settled future, or BIDE_EINVAL for one without a loop. */
BIDE_EXTERN int bide_future_cancel(bide_future *future);

BIDE_EXTERN bool bide_future_is_settled(const bide_future *future);

/* Adds a waiter. Returns 0, BIDE_EALREADY for a settled future: the waiter is not called
 * then; or BIDE_EINVAL for one that waits already, or has no `wake`. */
BIDE_EXTERN int bide_future_wait(bide_future *future, bide_waiter *waiter);

/* Takes a waiter off; harmless if it is not on the list. O(waiters). The loop's thread: on
 * another it does nothing. */
BIDE_EXTERN void bide_future_forget(bide_future *future, bide_waiter *waiter);

/* Runs the future's loop until it settles: how synchronous code calls async code.
 * Returns 0 when it resolved, its error when not, BIDE_ERUNNING from inside a
 * callback (also for a settled future), or an error of the wait. A bide_loop_stop
 * meanwhile ends it with BIDE_EINTR, the future still pending. */
BIDE_EXTERN int bide_block_on(bide_future *future);

/* ---- an operation as a future ---- */

/* Prepare io->op with a bide_prep function, then start it. The future resolves with
 * the result or is rejected with it; cancelling it cancels the op and settles when
 * the op has completed. Single-shot kinds only. Owns the op's cb and data. Zero it before its
 * first use. */
typedef struct bide_io {
  bide_future future;
  bide_op op;
} bide_io;

/* Submits. Returns 0 or the submit's error, BIDE_EINVAL for a multishot kind: then the future
 * is rejected with it. BIDE_EBUSY while it is in flight: then nothing is changed. */
BIDE_EXTERN int bide_io_start(bide_loop *loop, bide_io *io);

/* ---- a sleep as a future ---- */

typedef struct bide_sleep {
  bide_future future; /* resolves with 0, never early */
  bide_timer timer;
} bide_sleep;

/* Returns 0. */
BIDE_EXTERN int bide_sleep_start(bide_loop *loop, bide_sleep *sleep, uint64_t timeout_us);

#ifdef __cplusplus
}
#endif
#endif
