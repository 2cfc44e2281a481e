/* Cancellation of tasks: a cancel that is lost never ends its program, one that does not
 * wait frees memory under the kernel, one that drops a result drops a user's bytes. */
#include "task_frames.h"

static void cancel_ends_the_awaited_operation(void) {
  bide_loop *loop = harness_loop_new();
  int pair[2];
  socket_pair(pair);
  receiver receives = {.fd = pair[0]};
  bide_task_spawn(loop, &receives.task, receiver_poll);
  run_ready(loop);
  CHECK_INT(bide_loop_in_flight(loop), 1);
  CHECK_INT(bide_task_cancel(&receives.task), 0);
  CHECK_INT(bide_block_on(&receives.task.future), BIDE_ECANCELED);
  CHECK_INT(receives.task.future.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  socket_pair_close(loop, pair);
  harness_loop_close(loop);
}

/* Bytes that had come when the cancel was asked for are the task's, not nobody's. */
static void cancel_that_loses_to_success_keeps_the_result(void) {
  bide_loop *loop = harness_loop_new();
  int pair[2];
  socket_pair(pair);
  receiver receives = {.fd = pair[0]};
  bide_task_spawn(loop, &receives.task, receiver_poll);
  run_ready(loop);
  CHECK(write(pair[1], "kept", 4) == 4);
  CHECK_INT(harness_loop_wait(loop), 0); /* it has completed, nobody was told */
  bide_task_cancel(&receives.task);
  int result = bide_block_on(&receives.task.future);
  if (result == 0) {
    CHECK_INT(receives.task.future.value, 4);
  } else {
    /* Then the bytes must still be in the socket. */
    CHECK_INT(result, BIDE_ECANCELED);
    CHECK_INT(read(pair[0], receives.bytes, sizeof receives.bytes), 4);
  }
  CHECK(memcmp(receives.bytes, "kept", 4) == 0);
  socket_pair_close(loop, pair);
  harness_loop_close(loop);
}

/* What the awaited one achieved is the task's; what it was asked is not forgotten over it,
 * or a task that always finds something outlives its program's shutdown. */
static void ignore_cancel(bide_future *future) { (void)future; }

static void cancel_that_loses_to_success_comes_at_the_next_await(void) {
  bide_loop *loop = harness_loop_new();
  bide_future first, second;
  bide_future_init(&first, loop);
  bide_future_init(&second, loop);
  first.cancel = ignore_cancel;
  awaiter inner = {.polled = false}, outer = {.second = &second};
  awaiter_spawn(loop, &inner, &first);
  awaiter_spawn(loop, &outer, &inner.task.future);
  run_ready(loop);
  CHECK_INT(bide_task_cancel(&outer.task), 0);
  bide_future_resolve(&first, 7);
  run_ready(loop);
  CHECK_INT(inner.task.future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(outer.first_status, 0);
  CHECK_INT(outer.second_status, BIDE_ECANCELED);
  CHECK_INT(second.state, BIDE_FUTURE_CANCELLED);
  harness_loop_close(loop);
}

/* Delivered once, it does not come again: the awaits of a clean-up are not ended by it. */
static void cancel_that_was_caught_does_not_come_again(void) {
  bide_loop *loop = harness_loop_new();
  bide_future first, second;
  bide_future_init(&first, loop);
  bide_future_init(&second, loop);
  awaiter waits = {.second = &second};
  awaiter_spawn(loop, &waits, &first);
  run_ready(loop);
  CHECK_INT(bide_task_cancel(&waits.task), 0);
  run_ready(loop);
  CHECK_INT(waits.first_status, BIDE_ECANCELED);
  CHECK_INT(second.state, BIDE_FUTURE_PENDING);
  bide_future_resolve(&second, 1);
  run_ready(loop);
  CHECK_INT(waits.second_status, 0);
  harness_loop_close(loop);
}

static void cancel_before_the_first_poll_comes_at_the_first_await(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_future_init(&future, loop);
  awaiter waits = {.polled = false};
  awaiter_spawn(loop, &waits, &future);
  CHECK_INT(bide_task_cancel(&waits.task), 0);
  CHECK_INT(bide_task_cancel(&waits.task), 0);
  run_ready(loop);
  CHECK(waits.polled);
  CHECK_INT(waits.first_status, BIDE_ECANCELED);
  CHECK_INT(future.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(waits.task.future.state, BIDE_FUTURE_CANCELLED);
  harness_loop_close(loop);
}

/* The first future has settled, its result is delivered; the cancel waits for the next. */
static void cancel_of_a_ready_task_comes_at_its_next_await(void) {
  bide_loop *loop = harness_loop_new();
  bide_future first;
  bide_future second;
  bide_future_init(&first, loop);
  bide_future_init(&second, loop);
  awaiter waits = {.second = &second};
  awaiter_spawn(loop, &waits, &first);
  run_ready(loop);
  bide_future_resolve(&first, 1);
  CHECK_INT(bide_task_cancel(&waits.task), 0);
  run_ready(loop);
  CHECK_INT(waits.first_status, 0);
  CHECK_INT(waits.second_status, BIDE_ECANCELED);
  CHECK_INT(second.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(waits.task.future.state, BIDE_FUTURE_RESOLVED); /* it caught the cancel */
  harness_loop_close(loop);
}

static void cancel_passes_over_settled_futures(void) {
  bide_loop *loop = harness_loop_new();
  bide_future settled;
  bide_future pending;
  bide_future_init(&settled, loop);
  bide_future_init(&pending, loop);
  bide_future_resolve(&settled, 5);
  awaiter waits = {.second = &pending};
  awaiter_spawn(loop, &waits, &settled);
  bide_task_cancel(&waits.task);
  run_ready(loop);
  CHECK_INT(waits.first_status, 0);
  CHECK_INT(waits.second_status, BIDE_ECANCELED);
  harness_loop_close(loop);
}

static void cancel_goes_down_a_chain_of_tasks(void) {
  enum { DEEP = 100000 }; /* a cancel by recursion would not have the stack for it */
  static awaiter chain[DEEP];
  memset(chain, 0, sizeof chain);
  bide_loop *loop = harness_loop_new();
  bide_future never;
  bide_future_init(&never, loop);
  for (int i = 0; i < DEEP; i++) {
    awaiter_spawn(loop, &chain[i], i == 0 ? &never : &chain[i - 1].task.future);
  }
  run_ready(loop);
  CHECK_INT(bide_task_cancel(&chain[DEEP - 1].task), 0);
  CHECK_INT(never.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(bide_block_on(&chain[DEEP - 1].task.future), BIDE_ECANCELED);
  for (int i = 0; i < DEEP; i++) REQUIRE(chain[i].first_status == BIDE_ECANCELED);
  harness_loop_close(loop);
}

typedef struct canceller {
  bide_call call;
  bide_task *task;
} canceller;

static void canceller_cancels(bide_call *call) {
  CHECK_INT(bide_task_cancel(BIDE_CONTAINER_OF(call, canceller, call)->task), 0);
}

/* The parent awaits the child, then comes the cancel, then the child's first poll: it
 * takes the cancel at its own first await. */
static void cancel_reaches_a_child_that_has_not_started(void) {
  bide_loop *loop = harness_loop_new();
  bide_future never;
  bide_future_init(&never, loop);
  awaiter parent = {.polled = false};
  awaiter child = {.polled = false};
  canceller cancels = {.call = {.cb = canceller_cancels}, .task = &parent.task};
  awaiter_spawn(loop, &parent, &child.task.future);
  bide_loop_call_soon(loop, &cancels.call);
  awaiter_spawn(loop, &child, &never);
  run_ready(loop);
  CHECK_INT(child.first_status, BIDE_ECANCELED);
  CHECK_INT(never.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(parent.first_status, BIDE_ECANCELED);
  harness_loop_close(loop);
}

static void cancel_of_a_yielding_task_ends_it(void) {
  bide_loop *loop = harness_loop_new();
  yielder yields = {.left = SIZE_MAX};
  bide_task_spawn(loop, &yields.task, yielder_poll);
  bide_loop_run(loop, BIDE_RUN_NOWAIT);
  CHECK_INT(yields.status, 0);
  CHECK_INT(bide_task_cancel(&yields.task), 0);
  CHECK_INT(bide_block_on(&yields.task.future), BIDE_ECANCELED);
  harness_loop_close(loop);
}

/* At that yield, not at a later one: there may be none. */
static void cancel_comes_at_the_yield_the_task_stands_at(void) {
  bide_loop *loop = harness_loop_new();
  yielder yields = {.left = 1};
  bide_task_spawn(loop, &yields.task, yielder_poll);
  bide_loop_run(loop, BIDE_RUN_NOWAIT);
  CHECK_INT(yields.left, 0);
  bide_task_cancel(&yields.task);
  CHECK_INT(bide_block_on(&yields.task.future), BIDE_ECANCELED);
  harness_loop_close(loop);
}

static void cancel_leaves_a_shielded_future_alone(void) {
  bide_loop *loop = harness_loop_new();
  for (int started = 0; started < 2; started++) {
    bide_future future;
    bide_future_init(&future, loop);
    awaiter waits = {.shielded = true};
    awaiter_spawn(loop, &waits, &future);
    if (started) run_ready(loop);
    CHECK_INT(bide_task_cancel(&waits.task), 0);
    run_ready(loop);
    CHECK_INT(waits.task.future.state, BIDE_FUTURE_CANCELLED);
    CHECK(!bide_future_is_settled(&future));
    bide_future_resolve(&future, 1); /* wakes nobody */
    run_ready(loop);
  }
  harness_loop_close(loop);
}

static void cancel_leaves_a_shielded_task_alone(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_future_init(&future, loop);
  awaiter child = {.polled = false};
  awaiter parent = {.shielded = true};
  awaiter_spawn(loop, &child, &future);
  awaiter_spawn(loop, &parent, &child.task.future);
  run_ready(loop);
  bide_task_cancel(&parent.task);
  run_ready(loop);
  CHECK_INT(parent.task.future.state, BIDE_FUTURE_CANCELLED);
  bide_future_resolve(&future, 6);
  run_ready(loop);
  CHECK_INT(child.task.future.value, 6);
  harness_loop_close(loop);
}

/* The shield is the first await's alone. */
static void cancel_reaches_the_await_after_a_shielded_one(void) {
  bide_loop *loop = harness_loop_new();
  bide_future first;
  bide_future second;
  bide_future_init(&first, loop);
  bide_future_init(&second, loop);
  awaiter waits = {.shielded = true, .second = &second};
  awaiter_spawn(loop, &waits, &first);
  run_ready(loop);
  bide_future_resolve(&first, 1);
  run_ready(loop);
  bide_task_cancel(&waits.task);
  run_ready(loop);
  CHECK_INT(second.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(waits.second_status, BIDE_ECANCELED);
  harness_loop_close(loop);
}

/* A shield in the middle of a chain takes the cancel that comes from above. */
static void cancel_from_above_stops_at_a_shield(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_future_init(&future, loop);
  awaiter middle = {.shielded = true};
  awaiter top = {.polled = false};
  awaiter_spawn(loop, &middle, &future);
  awaiter_spawn(loop, &top, &middle.task.future);
  run_ready(loop);
  bide_task_cancel(&top.task);
  run_ready(loop);
  CHECK_INT(top.task.future.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(middle.task.future.state, BIDE_FUTURE_CANCELLED);
  CHECK(!bide_future_is_settled(&future));
  harness_loop_close(loop);
}

/* Tasks 0, 1, 2 ... each await the next, and the last awaits task `tail`. */
static void check_circle(bide_loop *loop, int count, int tail) {
  awaiter tasks[12];
  memset(tasks, 0, sizeof tasks);
  for (int i = 0; i < count; i++) {
    awaiter_spawn(loop, &tasks[i], &tasks[i + 1 < count ? i + 1 : tail].task.future);
  }
  run_ready(loop);
  CHECK_INT(bide_task_cancel(&tasks[0].task), 0);
  run_ready(loop);
  for (int i = 0; i < count; i++) {
    CHECK_INT(tasks[i].task.future.state, BIDE_FUTURE_CANCELLED);
  }
}

/* A deadlock of the caller's making, which a cancel must still get out of. */
static void cancel_opens_a_circle_of_tasks(void) {
  bide_loop *loop = harness_loop_new();
  for (int size = 2; size <= 9; size++) {
    for (int tail = 0; tail < 3; tail++) check_circle(loop, size + tail, tail);
  }
  harness_loop_close(loop);
}

/* A producer whose cancel asks the very task that waits for it. */
typedef struct mirror {
  bide_future future;
  bide_task *task;
} mirror;

static void mirror_cancel(bide_future *future) {
  bide_task_cancel(BIDE_CONTAINER_OF(future, mirror, future)->task);
}

static void cancel_that_comes_back_ends_the_wait(void) {
  bide_loop *loop = harness_loop_new();
  awaiter waits = {.polled = false};
  mirror mirrors = {.task = &waits.task};
  bide_future_init(&mirrors.future, loop);
  mirrors.future.cancel = mirror_cancel;
  awaiter_spawn(loop, &waits, &mirrors.future);
  run_ready(loop);
  CHECK_INT(bide_task_cancel(&waits.task), 0);
  run_ready(loop);
  CHECK_INT(waits.task.future.state, BIDE_FUTURE_CANCELLED);
  bide_future_resolve(&mirrors.future, 0);
  run_ready(loop);
  harness_loop_close(loop);
}

/* Catches each cancel and cleans up with an await of its own. */
typedef struct cleaner {
  bide_task task;
  bide_sleep nap;
  bide_sleep cleanup;
  int nap_status;
  int cleanup_status;
} cleaner;

static bide_poll cleaner_poll(bide_task *task) {
  cleaner *self = BIDE_FRAME(task, cleaner, task);
  BIDE_ASYNC_BEGIN(task);
  BIDE_AWAIT_SLEEP(task, &self->nap, 3600000000);
  self->nap_status = bide_task_status(task);
  BIDE_AWAIT_SLEEP(task, &self->cleanup, 1000);
  self->cleanup_status = bide_task_status(task);
  BIDE_RETURN_ERROR(task, self->nap_status);
  BIDE_ASYNC_END(task, 0);
}

static void cancel_may_be_followed_by_awaits_that_clean_up(void) {
  bide_loop *loop = harness_loop_new();
  cleaner cleans = {.cleanup_status = 1};
  bide_task_spawn(loop, &cleans.task, cleaner_poll);
  run_ready(loop);
  bide_task_cancel(&cleans.task);
  CHECK_INT(bide_block_on(&cleans.task.future), BIDE_ECANCELED);
  CHECK_INT(cleans.nap_status, BIDE_ECANCELED);
  CHECK_INT(cleans.cleanup_status, 0); /* one cancel is delivered once */
  cleaner twice = {.cleanup_status = 1};
  bide_task_spawn(loop, &twice.task, cleaner_poll);
  run_ready(loop);
  bide_task_cancel(&twice.task);
  bide_task_cancel(&twice.task); /* a second one hits the cleanup */
  bide_block_on(&twice.task.future);
  CHECK_INT(twice.nap_status, BIDE_ECANCELED);
  CHECK_INT(twice.cleanup_status, BIDE_ECANCELED);
  harness_loop_close(loop);
}

/* Cancels itself, which comes at its next await. */
static bide_poll self_canceller_poll(bide_task *task) {
  adder *self = BIDE_FRAME(task, adder, task);
  BIDE_ASYNC_BEGIN(task);
  CHECK_INT(bide_task_cancel(task), 0);
  BIDE_AWAIT_SLEEP(task, &self->nap, 3600000000);
  BIDE_RETURN_ERROR(task, bide_task_status(task));
  BIDE_ASYNC_END(task, 0);
}

static void cancel_of_the_running_task_by_itself(void) {
  bide_loop *loop = harness_loop_new();
  adder self = {.a = 0};
  bide_task_spawn(loop, &self.task, self_canceller_poll);
  CHECK_INT(bide_block_on(&self.task.future), BIDE_ECANCELED);
  harness_loop_close(loop);
}

/* ---- shields ---- */

/* Cleans up under a shield, then goes on without one. */
typedef struct shielded {
  bide_task task;
  bide_sleep nap;
  bide_future *awaited;
  bool before;
  int status[4];
} shielded;

static bide_poll shielded_poll(bide_task *task) {
  shielded *self = BIDE_FRAME(task, shielded, task);
  BIDE_ASYNC_BEGIN(task);
  self->before = bide_task_shield(task, true);
  CHECK(bide_task_shield(task, true)); /* nested */
  BIDE_AWAIT(task, self->awaited);
  self->status[0] = bide_task_status(task);
  BIDE_YIELD(task);
  self->status[1] = bide_task_status(task);
  BIDE_AWAIT_SLEEP(task, &self->nap, 100);
  self->status[2] = bide_task_status(task);
  bide_task_shield(task, self->before);
  BIDE_AWAIT_SLEEP(task, &self->nap, 3600000000);
  self->status[3] = bide_task_status(task);
  BIDE_ASYNC_END(task, 0);
}

static void shield_keeps_a_cancel_for_later(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_future_init(&future, loop);
  shielded guarded = {.awaited = &future, .status = {1, 1, 1, 1}};
  awaiter outer = {0};
  REQUIRE(bide_task_spawn(loop, &guarded.task, shielded_poll) == 0);
  awaiter_spawn(loop, &outer, &guarded.task.future);
  run_ready(loop);
  CHECK_INT(bide_task_cancel(&outer.task), 0); /* stops at the shield, and is not lost */
  CHECK_INT(future.state, BIDE_FUTURE_PENDING);
  CHECK_INT(outer.task.future.state, BIDE_FUTURE_PENDING);
  bide_future_resolve(&future, 0);
  CHECK_INT(bide_block_on(&outer.task.future), 0);
  for (int i = 0; i < 3; i++) CHECK_INT(guarded.status[i], 0);
  CHECK_INT(guarded.status[3], BIDE_ECANCELED);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(cancel_ends_the_awaited_operation),
    HARNESS_TEST(cancel_that_loses_to_success_keeps_the_result),
    HARNESS_TEST(cancel_that_loses_to_success_comes_at_the_next_await),
    HARNESS_TEST(cancel_that_was_caught_does_not_come_again),
    HARNESS_TEST(cancel_before_the_first_poll_comes_at_the_first_await),
    HARNESS_TEST(cancel_of_a_ready_task_comes_at_its_next_await),
    HARNESS_TEST(cancel_passes_over_settled_futures),
    HARNESS_TEST(cancel_goes_down_a_chain_of_tasks),
    HARNESS_TEST(cancel_reaches_a_child_that_has_not_started),
    HARNESS_TEST(cancel_of_a_yielding_task_ends_it),
    HARNESS_TEST(cancel_comes_at_the_yield_the_task_stands_at),
    HARNESS_TEST(cancel_leaves_a_shielded_future_alone),
    HARNESS_TEST(cancel_leaves_a_shielded_task_alone),
    HARNESS_TEST(cancel_reaches_the_await_after_a_shielded_one),
    HARNESS_TEST(cancel_from_above_stops_at_a_shield),
    HARNESS_TEST(cancel_opens_a_circle_of_tasks),
    HARNESS_TEST(cancel_that_comes_back_ends_the_wait),
    HARNESS_TEST(cancel_may_be_followed_by_awaits_that_clean_up),
    HARNESS_TEST(cancel_of_the_running_task_by_itself),
    HARNESS_TEST(shield_keeps_a_cancel_for_later),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
