/* timer.h: one-shot timers in microseconds, never early.
 *
 * Timers live in a hierarchical wheel (Varghese and Lauck, 1987): start and stop
 * are O(1) whatever the number of timers, and neither allocates. Timers fire in
 * the order of their deadlines, equal deadlines in the order of their starts.
 */
#ifndef BIDE_TIMER_H
#define BIDE_TIMER_H

#include "errno.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*bide_timer_cb)(bide_timer *timer);

/* Caller-owned; belongs to the loop from start until it fires or is stopped.
 * Zero it before the first use. */
struct bide_timer {
  /* public */
  bide_timer_cb cb; /* on the loop's thread; may start the timer again */
  /* read-only */
  uint64_t deadline_us; /* of bide_loop_now_us's clock */
  /* private */
  bide_node slot_; /* zeroed when the timer is not running */
};

/* Fires once, timeout_us from now or later (the clock is read anew: never
 * early). A running timer is moved. Returns 0. The loop's thread. */
BIDE_EXTERN int bide_timer_start(bide_loop *loop, bide_timer *timer, uint64_t timeout_us);

/* The same with an absolute deadline. */
BIDE_EXTERN int bide_timer_start_at(bide_loop *loop, bide_timer *timer,
                                    uint64_t deadline_us);

/* After this the callback will not be called. Harmless on a timer that does not
 * run. Returns 0. The loop's thread. */
BIDE_EXTERN int bide_timer_stop(bide_loop *loop, bide_timer *timer);

/* True from start until it fires or is stopped. The loop's thread. */
BIDE_EXTERN bool bide_timer_is_active(const bide_timer *timer);

#ifdef __cplusplus
}
#endif
#endif
