/* virtual.c: see virtual.h. */
#include <bide/virtual.h>

#include "loop_internal.h"

static uint64_t virtual_clock(void *user) { return ((const bide_virtual *)user)->now_us; }

void bide_virtual_init(bide_virtual *time, uint64_t start_us) {
  *time = (bide_virtual){.hooks = {.user = time, .clock_us = virtual_clock},
                         .now_us = start_us};
}

/* Runs what is ready at this moment, until nothing is. */
static int virtual_run_ready(bide_loop *loop) {
  int error;
  do {
    error = bide_loop_run(loop, BIDE_RUN_NOWAIT);
  } while (error == 0 && bide_loop_timeout(loop) == 0);
  return error;
}

int bide_virtual_advance(bide_loop *loop, bide_virtual *time, uint64_t duration_us) {
  uint64_t end_us = bide__later_us(time->now_us, duration_us);
  for (;;) {
    int error = virtual_run_ready(loop);
    if (error < 0) return error;
    if (time->now_us == end_us) return 0;
    /* Never later than the next timer; it may be earlier, and is asked for again. */
    int64_t next_us = bide_loop_timeout(loop);
    uint64_t left_us = end_us - time->now_us;
    time->now_us +=
        next_us < 0 || (uint64_t)next_us > left_us ? left_us : (uint64_t)next_us;
  }
}

/* One step towards what comes next. */
static int virtual_step(bide_loop *loop, bide_virtual *time) {
  int64_t next_us = bide_loop_timeout(loop);
  if (next_us >= 0) {
    time->now_us += (uint64_t)next_us;
    return bide_loop_run(loop, BIDE_RUN_NOWAIT);
  }
  if (bide_loop_in_flight(loop) == 0) return BIDE_EDEADLK;
  return bide_loop_run(loop, BIDE_RUN_ONCE);
}

int bide_virtual_run(bide_loop *loop, bide_virtual *time, bide_future *future) {
  if (bide_loop_is_running(loop)) return BIDE_ERUNNING;
  int error = bide_loop_run(loop, BIDE_RUN_NOWAIT);
  while (error == 0 && !bide_future_is_settled(future)) error = virtual_step(loop, time);
  return error == 0 ? future->error : error;
}
