/* interval.h: a timer that comes again and again, on a grid that does not drift.
 *
 *   bide_interval_start(loop, &self->beat, 10000, BIDE_MISSED_SKIP);
 *   for (;;) {
 *     BIDE_AWAIT(task, bide_interval_next(&self->beat));
 *     if (bide_task_status(task) < 0) break;
 *     ...
 *   }
 *
 * The ticks are due period_us apart, counted from the start, and never early. Who comes late
 * finds out how the ticks that passed meanwhile are dealt with: that is the policy. (The three
 * are those of Tokio's MissedTickBehavior.)
 */
#ifndef BIDE_INTERVAL_H
#define BIDE_INTERVAL_H

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bide_missed {
  BIDE_MISSED_BURST = 0, /* each is made up for, at once one after the other */
  BIDE_MISSED_DELAY,     /* none is, and the grid starts anew: the next is a period away */
  BIDE_MISSED_SKIP       /* none is, and the grid stays: the next is its next point */
} bide_missed;

/* Caller-owned; belongs to the loop while a tick is awaited. */
typedef struct bide_interval {
  /* read-only */
  bide_loop *loop;
  uint64_t period_us;
  uint64_t due_us; /* when the next tick is due, of bide_loop_now_us's clock */
  uint64_t missed; /* ticks that were left out, in all */
  bide_missed policy;
  /* private */
  bide_sleep sleep_;
} bide_interval;

/* The first tick is due period_us from now; one that no clock can show never comes. Returns 0,
 * BIDE_EINVAL for a period of 0 or a policy that is none, or BIDE_ETHREAD: then nothing is
 * changed. The loop's thread. */
BIDE_EXTERN int bide_interval_start(bide_loop *loop, bide_interval *interval,
                                    uint64_t period_us, bide_missed policy);

/* The next tick, to be awaited: resolves with how many were left out before it. One at a time:
 * while it is pending, the same future again. A cancel takes the tick back: it is still to
 * come for the next call. The loop's thread: on another nothing is changed, and the future,
 * which that cannot wait for, is returned all the same. */
BIDE_EXTERN bide_future *bide_interval_next(bide_interval *interval);

#ifdef __cplusplus
}
#endif
#endif
