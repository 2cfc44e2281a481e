/* offload.h: blocking work on a pool, its end on a loop (run_in_executor).
 */
#ifndef BIDE_OFFLOAD_H
#define BIDE_OFFLOAD_H

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_offload bide_offload;

/* Runs on a worker thread. Its return value resolves the future; a negative value
 * is a value like any other. */
typedef intptr_t (*bide_offload_fn)(bide_offload *offload);

/* Caller-owned; it belongs to pool and loop until its future settles. Meanwhile the
 * loop cannot be closed. */
struct bide_offload {
  bide_future future;
  void *data; /* public */
  /* private: what a worker looks at comes together */
  bide_pool *pool_;
  bide_offload_fn fn_;
  bide_work work_;
  bide_call call_;
  intptr_t value_;
};

/* Queues fn. Results come back in batches, with one wake a batch. Cancelling the
 * future takes back what no worker has started; what runs, runs to its end and
 * resolves. The pool must live until the future has settled. Returns 0; on an error
 * (those of bide_pool_submit, BIDE_EINVAL without an fn, BIDE_EFORKED) the future is
 * rejected with it too. data may be set before. The loop's thread. */
BIDE_EXTERN int bide_offload_start(bide_loop *loop, bide_pool *pool,
                                   bide_offload *offload, bide_offload_fn fn,
                                   bide_priority priority);

#ifdef __cplusplus
}
#endif
#endif
