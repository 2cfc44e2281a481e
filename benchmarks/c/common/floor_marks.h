/* What the least that does the same costs, written for nothing else. */
#pragma once

/* Two functions that take turns through a ring: each waits until the other has set its flag. */
double marks_await_floor_ns(long steps);

/* One of them fills in another, which sets its flag, and waits for that. */
double marks_spawn_floor_ns(long steps);

/* A system call that does nothing, by which one machine's figures are compared to another's. */
double marks_syscall_ns(long count);

/* A function called for each of `count` jobs by another thread, `lanes` of them in flight: through
 * a ring that way and one back, while both threads look for work without a pause. Of wall time. */
double marks_offload_floor_ns(int lanes, long count);

/* What a timer's start writes, into each of so many, and what a stop reads and writes, in no
 * order; without a wheel. */
typedef struct marks_timers {
  double start_ns, stop_ns;
} marks_timers;

marks_timers marks_timer_floor(unsigned count);
