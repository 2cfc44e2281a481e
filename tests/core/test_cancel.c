/* A timeout that does not cancel leaks what it gave up on; one that throws away a success
 * loses its bytes. */
#include "harness_loop.h"

typedef struct limited {
  bide_task task;
  bide_sleep nap;
  bide_timeout limit;
  uint64_t nap_us;
  uint64_t limit_us;
  bool timed_out;
} limited;

static bide_poll limited_poll(bide_task *task) {
  limited *self = BIDE_FRAME(task, limited, task);
  BIDE_ASYNC_BEGIN(task);
  bide_sleep_start(task->future.loop, &self->nap, self->nap_us);
  bide_timeout_start(task->future.loop, &self->limit, &self->nap.future, self->limit_us);
  BIDE_AWAIT(task, &self->nap.future);
  self->timed_out = bide_timeout_end(task->future.loop, &self->limit);
  BIDE_ASYNC_END(task, bide_task_status(task));
}

static void timeout_cancels_what_takes_too_long(void) {
  bide_loop *loop = harness_loop_new();
  limited slow = {.nap_us = 3600000000, .limit_us = 2000};
  uint64_t began_us = bide_loop_now_us(loop);
  bide_task_spawn(loop, &slow.task, limited_poll);
  CHECK_INT(bide_block_on(&slow.task.future), 0);
  CHECK(bide_loop_now_us(loop) - began_us >= 2000);
  CHECK(slow.timed_out);
  CHECK(slow.limit.expired);
  CHECK_INT(slow.task.future.value, BIDE_ECANCELED);
  harness_loop_close(loop);
}

static void timeout_leaves_what_is_in_time_alone(void) {
  bide_loop *loop = harness_loop_new();
  limited quick = {.nap_us = 1000, .limit_us = 3600000000};
  bide_task_spawn(loop, &quick.task, limited_poll);
  CHECK_INT(bide_block_on(&quick.task.future), 0);
  CHECK(!quick.timed_out);
  CHECK(!quick.limit.expired);
  CHECK_INT(quick.task.future.value, 0);
  CHECK_INT(bide_loop_timeout(loop), -1); /* its timer is gone */
  harness_loop_close(loop);
}

static void stubborn_cancel(bide_future *future) { bide_future_resolve(future, 11); }

/* Runs the loop until the timeout's timer has fired. */
static void wait_for_expiry(bide_loop *loop, const bide_timeout *timeout) {
  while (!timeout->expired) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
}

static void timeout_counts_a_success_in_spite_of_it(void) {
  bide_loop *loop = harness_loop_new();
  bide_future stubborn;
  bide_timeout limit;
  bide_future_init(&stubborn, loop);
  stubborn.cancel = stubborn_cancel;
  bide_timeout_start(loop, &limit, &stubborn, 1000);
  wait_for_expiry(loop, &limit);
  CHECK(!bide_timeout_end(loop, &limit));
  CHECK_INT(stubborn.value, 11);
  harness_loop_close(loop);
}

static void timeout_after_the_end_does_nothing(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_timeout limit;
  bide_sleep later;
  bide_future_init(&future, loop);
  bide_future_resolve(&future, 1);
  bide_timeout_start(loop, &limit, &future, 0);
  bide_sleep_start(loop, &later, 1000);
  CHECK_INT(bide_block_on(&later.future), 0);
  CHECK(!limit.expired);
  CHECK(!bide_timeout_end(loop, &limit));
  CHECK_INT(future.state, BIDE_FUTURE_RESOLVED);
  harness_loop_close(loop);
}

/* The example of cancel.h: the limited thing is a task, with a sleep under it. */
static void timeout_over_a_task_ends_what_it_awaits(void) {
  bide_loop *loop = harness_loop_new();
  limited child = {.nap_us = 3600000000, .limit_us = 3600000000};
  bide_timeout limit;
  bide_task_spawn(loop, &child.task, limited_poll);
  bide_timeout_start(loop, &limit, &child.task.future, 1000);
  CHECK_INT(bide_block_on(&child.task.future), 0); /* it caught the cancel */
  CHECK_INT(child.task.future.value, BIDE_ECANCELED);
  CHECK(!child.timed_out); /* not by its own limit */
  CHECK(limit.expired);
  CHECK(!bide_timeout_end(loop, &limit));
  CHECK_INT(bide_loop_timeout(loop), -1);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(timeout_cancels_what_takes_too_long),
    HARNESS_TEST(timeout_leaves_what_is_in_time_alone),
    HARNESS_TEST(timeout_counts_a_success_in_spite_of_it),
    HARNESS_TEST(timeout_after_the_end_does_nothing),
    HARNESS_TEST(timeout_over_a_task_ends_what_it_awaits),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
