/* cancel.h: a deadline over anything that is a future.
 *
 *   bide_timeout_start(loop, &limit, &child.task.future, 500000);
 *   BIDE_AWAIT(task, &child.task.future);
 *   if (bide_timeout_end(loop, &limit)) { ... the child was cancelled, and has ended }
 */
#ifndef BIDE_CANCEL_H
#define BIDE_CANCEL_H

#include "future.h"
#include "task.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Caller-owned; belongs to the loop from start until end. */
typedef struct bide_timeout {
  /* read-only */
  bide_future *target;
  bool expired;
  /* private */
  bide_timer timer_;
} bide_timeout;

/* Cancels target if it is still pending timeout_us from now. target must live until
 * bide_timeout_end. The loop's thread. */
BIDE_EXTERN void bide_timeout_start(bide_loop *loop, bide_timeout *timeout,
                                    bide_future *target, uint64_t timeout_us);

/* Stops it. True when it expired and the target did end cancelled: a target that
 * succeeded in spite of the cancel counts as success. */
BIDE_EXTERN bool bide_timeout_end(bide_loop *loop, bide_timeout *timeout);

#ifdef __cplusplus
}
#endif
#endif
