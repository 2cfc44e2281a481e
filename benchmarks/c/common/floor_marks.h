/* What the least that does the same costs, written for nothing else. */
#pragma once

/* Two functions that take turns through a ring: each waits until the other has set its flag. */
double marks_await_floor_ns(long steps);

/* What a timer's start writes, into each of so many, and what a stop reads and writes, in no
 * order; without a wheel. */
typedef struct marks_timers {
  double start_ns, stop_ns;
} marks_timers;

marks_timers marks_timer_floor(unsigned count);
