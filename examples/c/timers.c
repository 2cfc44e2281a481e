/* Timers and intervals, tested under virtual time: an hour passes in a moment, and each run
 * does the same to the microsecond.
 *
 *   - three intervals of a second whose reader is late by three and a half: the policy says
 *     what becomes of the ticks that passed;
 *   - a deadline an hour away, which is kept and never early;
 *   - a timer that is set and stopped, which costs a few nanoseconds and no system call. */
#include <bide.h>
#include <inttypes.h>
#include <stdio.h>

enum { SECOND_US = 1000 * 1000, TICKS = 4 };

typedef struct reader {
  bide_task task;
  bide_interval beat;
  const char *name;
  uint64_t began_us;
  int ticks;
} reader;

static bide_poll reader_poll(bide_task *task) {
  reader *self = BIDE_FRAME(task, reader, task);
  BIDE_ASYNC_BEGIN(task);
  BIDE_SLEEP(task, 4 * SECOND_US + SECOND_US / 2); /* three and a half after the first */
  printf("%s:", self->name);
  for (; self->ticks < TICKS; self->ticks++) {
    BIDE_AWAIT(task, bide_interval_next(&self->beat));
    printf(" %.1f", (double)(bide_loop_now_us(task->future.loop) - self->began_us) / 1e6);
  }
  printf(" s, %" PRIu64 " left out\n", self->beat.missed);
  BIDE_ASYNC_END(task, 0);
}

static int read_late(bide_loop *loop, bide_virtual *time, const char *name,
                     bide_missed policy) {
  reader self = {.name = name, .began_us = bide_loop_now_us(loop)};
  int error = bide_interval_start(loop, &self.beat, SECOND_US, policy);
  if (error == 0) error = bide_task_spawn(loop, &self.task, reader_poll);
  return error == 0 ? bide_virtual_run(loop, time, &self.task.future) : error;
}

/* ---- a deadline ---- */

static bide_poll forever_poll(bide_task *task) {
  BIDE_ASYNC_BEGIN(task);
  while (bide_task_status(task) == 0) BIDE_SLEEP(task, 7 * SECOND_US);
  BIDE_RETURN_ERROR(task, bide_task_status(task));
  BIDE_ASYNC_END(task, 0);
}

static int end_at_a_deadline(bide_loop *loop, bide_virtual *time) {
  bide_task task = {.finished = NULL};
  bide_timeout limit;
  uint64_t deadline_us = bide_loop_now_us(loop) + UINT64_C(3600) * SECOND_US;
  int error = bide_task_spawn(loop, &task, forever_poll);
  if (error < 0) return error;
  bide_timeout_start_at(loop, &limit, &task.future, deadline_us);
  error = bide_virtual_run(loop, time, &task.future);
  if (!bide_timeout_end(loop, &limit) || error != BIDE_ECANCELED) return BIDE_EIO;
  printf("the deadline ended it %d us late\n",
         (int)(bide_loop_now_us(loop) - deadline_us));
  return 0;
}

/* ---- a timer that never fires ---- */

static void never(bide_timer *timer) { (void)timer, printf("it fired\n"); }

static int stop_in_time(bide_loop *loop, bide_virtual *time) {
  bide_timer timer = {.cb = never};
  bide_timer_start(loop, &timer, SECOND_US);
  bide_timer_stop(loop, &timer);
  int error = bide_virtual_advance(loop, time, UINT64_C(3600) * SECOND_US);
  if (error == 0) printf("what was stopped did not fire\n");
  return error;
}

int main(void) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  bide_virtual time;
  bide_loop *loop;
  bide_virtual_init(&time, 0);
  options.hooks = &time.hooks;
  int error = bide_loop_new(&options, &loop);
  if (error == 0) error = read_late(loop, &time, "burst", BIDE_MISSED_BURST);
  if (error == 0) error = read_late(loop, &time, "delay", BIDE_MISSED_DELAY);
  if (error == 0) error = read_late(loop, &time, "skip", BIDE_MISSED_SKIP);
  if (error == 0) error = end_at_a_deadline(loop, &time);
  if (error == 0) error = stop_in_time(loop, &time);
  if (error == 0) error = bide_loop_close(loop);
  if (error < 0) fprintf(stderr, "timers: %s\n", bide_error_text(error));
  return error < 0;
}
