/* loop_struct.h: the loop itself, for the files that it is made of, loop.c
 * and loop_*.c. */
#ifndef BIDE_SRC_LOOP_STRUCT_H
#define BIDE_SRC_LOOP_STRUCT_H

#include <bide/metrics.h>
#include <stdatomic.h>

#include "backend/backend.h"
#include "choose.h"
#include "loop_internal.h"
#include "ready.h"
#include "wheel.h"

enum { BIDE__LOOP_BATCH = 256 };

/* in_flight lists the operations from submit to their last completion; head.in_flight
 * counts them and the holds. batch[batch_next .. batch_count) was reaped and not yet
 * delivered. firing: timers taken from the wheel that have not fired yet; a timer that a
 * callback starts with a deadline in the past goes to the wheel, and so to the next
 * dispatch. */
struct bide_loop {
  bide__loop_head head;
  bide__backend *backend;
  bide__inbox inbox;
  bide__wheel wheel;
  bide_node firing;
  bide_node in_flight;
  int batch_next, batch_count;
  bide_completion batch[BIDE__LOOP_BATCH];

  uint32_t turn_end;  /* where the turn under way ends on the ready ring's tail */
  uint64_t now_us;    /* the clock when it was last read */
  uint64_t looked_us; /* when the kernel was last asked */
  uint32_t check;     /* where on the ready ring's head the clock is read next */
  uint32_t stride;

  uint32_t spin_us, spin_left_us;
  bide_metrics metrics;          /* its histograms are not used */
  struct bide__timings *timings; /* NULL until they were asked for */

  bool stopping, interrupted;
  bool look;            /* the next wait asks the kernel in any case */
  bool timer_started;   /* since the clock was last read: it may be due already */
  unsigned dispatching; /* dispatches under way, one in another's callback */
  char reason[BIDE__REASON_BYTES];
};

/* Reads the clock into now_us. */
static inline uint64_t bide__loop_clock(bide_loop *loop) {
  loop->now_us = bide_loop_now_us(loop);
  return loop->now_us;
}

/* loop_spin.c: looks for work for a while. True when there is some, or a wait will tell of an
 * error: do not sleep. And what a wait that has ended says of the next spin. */
bool bide__loop_spin(bide_loop *loop, int64_t timeout_us);
void bide__loop_waited(bide_loop *loop, uint64_t began_us);

/* loop_metrics.c: the clock at a turn's begin, and what it took. Only with timings. */
typedef struct bide__timings bide__timings;
uint64_t bide__loop_begin_timing(bide_loop *loop);
void bide__loop_end_timing(bide_loop *loop, uint64_t began_us);
void bide__loop_free_timings(bide_loop *loop);

/* What became of an operation, which may be the one that is sampled. Only with timings. */
void bide__loop_begin_operation(bide_loop *loop, const bide_op *op);
void bide__loop_end_operation(bide_loop *loop, const bide_op *op);

/* loop_timer.c: timeouts are operations that the loop's own wheel completes. */
void bide__loop_submit_timeout(bide_loop *loop, bide_op *op);

/* Completes those that are due; other timers call back, and are left to a dispatch. */
void bide__loop_end_timeouts(bide_loop *loop);

/* Calls back the timers that are due. Returns how many. */
int bide__loop_dispatch_timers(bide_loop *loop);

#endif
