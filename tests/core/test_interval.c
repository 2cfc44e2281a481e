/* Intervals and virtual time. What fails here lets a metronome drift, or a test of a timeout
 * take as long as the timeout. */
#include "task_frames.h"

static bide_loop *virtual_loop(bide_virtual *time) {
  bide_virtual_init(time, 1000);
  return harness_loop_hooked(&time->hooks);
}

typedef struct ticker {
  bide_task task;
  bide_interval interval;
  bide_virtual *time;
  uint64_t late_us; /* how long the second tick's work takes */
  uint64_t at_us[6];
  intptr_t missed[6];
  int ticks;
} ticker;

static bide_poll ticker_poll(bide_task *task) {
  ticker *self = BIDE_FRAME(task, ticker, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->ticks < 6) {
    BIDE_AWAIT(task, bide_interval_next(&self->interval));
    if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
    self->at_us[self->ticks] = self->time->now_us - 1001;
    self->missed[self->ticks] = self->interval.sleep_.future.value;
    if (++self->ticks == 2) BIDE_SLEEP(task, self->late_us);
  }
  BIDE_ASYNC_END(task, 0);
}

/* Ticks of 100 us; the work of the second, at 200, takes 331 us: those of 300, 400 and 500 are
 * missed by the time that it looks again. */
static void interval_check(bide_missed policy, const uint64_t expected_us[6],
                           intptr_t left_out) {
  bide_virtual time;
  bide_loop *loop = virtual_loop(&time);
  ticker ticks = {.time = &time, .late_us = 330};
  CHECK_INT(bide_interval_start(loop, &ticks.interval, 100, policy), 0);
  REQUIRE(bide_task_spawn(loop, &ticks.task, ticker_poll) == 0);
  CHECK_INT(bide_virtual_run(loop, &time, &ticks.task.future), 0);
  for (int i = 0; i < 6; i++) CHECK_INT(ticks.at_us[i], expected_us[i]);
  CHECK_INT(ticks.missed[2], left_out);
  CHECK_INT(ticks.interval.missed, left_out);
  harness_loop_close(loop);
}

static void interval_makes_up_for_missed_ticks(void) {
  static const uint64_t at_us[] = {100, 200, 531, 531, 531, 600};
  interval_check(BIDE_MISSED_BURST, at_us, 0);
}

static void interval_delays_after_missed_ticks(void) {
  static const uint64_t at_us[] = {100, 200, 531, 631, 731, 831};
  interval_check(BIDE_MISSED_DELAY, at_us, 2);
}

static void interval_skips_missed_ticks(void) {
  static const uint64_t at_us[] = {100, 200, 531, 600, 700, 800};
  interval_check(BIDE_MISSED_SKIP, at_us, 2);
}

/* What would be due after the last moment of the clock is not due at its first. */
static void interval_does_not_come_round(void) {
  bide_virtual time;
  bide_interval interval;
  bide_virtual_init(&time, UINT64_MAX - 5000);
  bide_loop *loop = harness_loop_hooked(&time.hooks);
  CHECK_INT(bide_interval_start(loop, &interval, UINT64_MAX, BIDE_MISSED_BURST), 0);
  CHECK(interval.due_us == UINT64_MAX);
  CHECK_INT(bide_interval_start(loop, &interval, 3000, BIDE_MISSED_BURST), 0);
  bide_future *tick = bide_interval_next(&interval);
  CHECK_INT(bide_virtual_run(loop, &time, tick), 0);
  CHECK(bide_interval_next(&interval) == tick && interval.due_us == UINT64_MAX);
  CHECK_INT(bide_virtual_advance(loop, &time, 1000), 0);
  CHECK_INT(tick->state, BIDE_FUTURE_PENDING);
  CHECK_INT(bide_virtual_advance(loop, &time, UINT64_MAX), 0);
  CHECK(time.now_us == UINT64_MAX);
  CHECK_INT(tick->state, BIDE_FUTURE_RESOLVED);
  harness_loop_close(loop);
}

static void interval_gives_a_cancelled_tick_again(void) {
  bide_virtual time;
  bide_loop *loop = virtual_loop(&time);
  bide_interval interval;
  CHECK_INT(bide_interval_start(loop, &interval, 0, BIDE_MISSED_SKIP), BIDE_EINVAL);
  CHECK_INT(bide_interval_start(loop, &interval, 5, (bide_missed)3), BIDE_EINVAL);
  CHECK_INT(bide_interval_start(loop, &interval, 100, BIDE_MISSED_SKIP), 0);
  uint64_t due_us = interval.due_us;
  bide_future *tick = bide_interval_next(&interval);
  CHECK(bide_interval_next(&interval) == tick);
  CHECK_INT(bide_future_cancel(tick), 0);
  CHECK_INT(tick->state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(bide_virtual_run(loop, &time, bide_interval_next(&interval)), 0);
  CHECK_INT(time.now_us, due_us);
  CHECK_INT(interval.due_us, due_us + 100);
  harness_loop_close(loop);
}

/* On the machine's clock: never early, whatever the load. */
static void interval_is_never_early(void) {
  bide_loop *loop = harness_loop_new();
  bide_interval interval;
  CHECK_INT(bide_interval_start(loop, &interval, 500, BIDE_MISSED_BURST), 0);
  for (int i = 0; i < 5; i++) {
    uint64_t due_us = interval.due_us;
    CHECK_INT(bide_block_on(bide_interval_next(&interval)), 0);
    CHECK(bide_loop_now_us(loop) >= due_us);
  }
  harness_loop_close(loop);
}

/* ---- virtual time ---- */

static void virtual_week_passes_at_once(void) {
  bide_virtual time;
  bide_loop *loop = virtual_loop(&time);
  bide_sleep naps[3];
  const uint64_t day_us = UINT64_C(86400000000);
  uint64_t started_us = harness_now_us();
  for (unsigned i = 0; i < 3; i++) bide_sleep_start(loop, &naps[i], (7 - 3 * i) * day_us);
  CHECK_INT(bide_virtual_run(loop, &time, &naps[1].future), 0);
  CHECK_INT(time.now_us, 1001 + 4 * day_us);
  CHECK_INT(naps[2].future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(naps[0].future.state, BIDE_FUTURE_PENDING);
  CHECK_INT(bide_virtual_advance(loop, &time, 3 * day_us - 1), 0);
  CHECK_INT(naps[0].future.state, BIDE_FUTURE_PENDING);
  CHECK_INT(bide_virtual_advance(loop, &time, 1), 0);
  CHECK_INT(naps[0].future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(time.now_us, 1001 + 7 * day_us);
  CHECK(harness_now_us() - started_us < 60000000);
  harness_loop_close(loop);
}

/* A test that would wait for ever is told so instead. */
static void virtual_time_finds_a_deadlock(void) {
  bide_virtual time;
  bide_loop *loop = virtual_loop(&time);
  bide_future never;
  bide_future_init(&never, loop);
  CHECK_INT(bide_virtual_run(loop, &time, &never), BIDE_EDEADLK);
  CHECK_INT(time.now_us, 1000);
  harness_loop_close(loop);
}

static void virtual_time_waits_for_operations_without_timers(void) {
  bide_virtual time;
  bide_loop *loop = virtual_loop(&time);
  int pair[2];
  socket_pair(pair);
  receiver receives = {.fd = pair[0]};
  REQUIRE(bide_task_spawn(loop, &receives.task, receiver_poll) == 0);
  CHECK(write(pair[1], "late", 4) == 4);
  CHECK_INT(bide_virtual_run(loop, &time, &receives.task.future), 0);
  CHECK_INT(receives.task.future.value, 4);
  CHECK_INT(time.now_us, 1000);
  socket_pair_close(loop, pair);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(interval_makes_up_for_missed_ticks),
    HARNESS_TEST(interval_delays_after_missed_ticks),
    HARNESS_TEST(interval_skips_missed_ticks),
    HARNESS_TEST(interval_does_not_come_round),
    HARNESS_TEST(interval_gives_a_cancelled_tick_again),
    HARNESS_TEST(interval_is_never_early),
    HARNESS_TEST(virtual_week_passes_at_once),
    HARNESS_TEST(virtual_time_finds_a_deadlock),
    HARNESS_TEST(virtual_time_waits_for_operations_without_timers),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
