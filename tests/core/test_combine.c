/* Futures made of futures. What fails here leaves work running behind a combination that
 * has settled, or lets it wait for ever. */
#include "task_frames.h"

enum { BRANCHES = 3 };

typedef void (*combine_start)(bide_loop *loop, bide_combination *combination,
                              bide_branch *branches, size_t count);

/* Three futures that settle at once when they are cancelled. */
typedef struct trio {
  bide_loop *loop;
  bide_future futures[BRANCHES];
  bide_branch branches[BRANCHES];
  bide_combination combination;
} trio;

static void trio_init(trio *self, bide_loop *loop) {
  self->loop = loop;
  for (int i = 0; i < BRANCHES; i++) {
    bide_future_init(&self->futures[i], loop);
    self->branches[i].future = &self->futures[i];
  }
}

static void trio_start(trio *self, bide_loop *loop, combine_start start) {
  trio_init(self, loop);
  start(loop, &self->combination, self->branches, BRANCHES);
}

static void trio_check(const trio *self, bide_future_state state, intptr_t value,
                       int error) {
  CHECK_INT(self->combination.future.state, state);
  CHECK_INT(self->combination.future.value, value);
  CHECK_INT(self->combination.future.error, error);
}

static void trio_check_all_settled(const trio *self) {
  for (int i = 0; i < BRANCHES; i++) CHECK(bide_future_is_settled(&self->futures[i]));
}

static void combine_all_waits_for_every_branch(void) {
  bide_loop *loop = harness_loop_new();
  trio three;
  trio_start(&three, loop, bide_all_start);
  bide_future_resolve(&three.futures[1], 7);
  bide_future_resolve(&three.futures[0], 7);
  CHECK_INT(three.combination.future.state, BIDE_FUTURE_PENDING);
  bide_future_resolve(&three.futures[2], 7);
  trio_check(&three, BIDE_FUTURE_RESOLVED, 0, 0);
  harness_loop_close(loop);
}

static void combine_all_cancels_the_rest_after_an_error(void) {
  bide_loop *loop = harness_loop_new();
  trio three;
  trio_start(&three, loop, bide_all_start);
  bide_future_reject(&three.futures[1], BIDE_EPIPE);
  trio_check(&three, BIDE_FUTURE_REJECTED, 0, BIDE_EPIPE);
  CHECK_INT(three.futures[0].state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(three.futures[2].state, BIDE_FUTURE_CANCELLED);
  harness_loop_close(loop);
}

static void combine_all_settled_counts_successes(void) {
  bide_loop *loop = harness_loop_new();
  trio three;
  trio_start(&three, loop, bide_all_settled_start);
  bide_future_resolve(&three.futures[2], 0);
  bide_future_reject(&three.futures[0], BIDE_EPIPE);
  CHECK_INT(three.combination.future.state, BIDE_FUTURE_PENDING);
  bide_future_resolve(&three.futures[1], 0);
  trio_check(&three, BIDE_FUTURE_RESOLVED, 2, 0);
  harness_loop_close(loop);
}

static void combine_any_takes_the_first_success(void) {
  bide_loop *loop = harness_loop_new();
  trio three;
  trio_start(&three, loop, bide_any_start);
  bide_future_reject(&three.futures[0], BIDE_EPIPE);
  CHECK_INT(three.combination.future.state, BIDE_FUTURE_PENDING);
  bide_future_resolve(&three.futures[2], 0);
  trio_check(&three, BIDE_FUTURE_RESOLVED, 2, 0);
  CHECK_INT(three.futures[1].state, BIDE_FUTURE_CANCELLED);
  trio_start(&three, loop, bide_any_start);
  bide_future_reject(&three.futures[2], BIDE_EIO);
  bide_future_reject(&three.futures[1], BIDE_EPIPE);
  bide_future_reject(&three.futures[0], BIDE_EPIPE);
  trio_check(&three, BIDE_FUTURE_REJECTED, 0, BIDE_EIO);
  harness_loop_close(loop);
}

static void combine_race_takes_the_first_of_all(void) {
  bide_loop *loop = harness_loop_new();
  trio three;
  trio_start(&three, loop, bide_race_start);
  bide_future_resolve(&three.futures[1], 0);
  trio_check(&three, BIDE_FUTURE_RESOLVED, 1, 0);
  trio_check_all_settled(&three);
  trio_start(&three, loop, bide_race_start);
  bide_future_reject(&three.futures[2], BIDE_EPIPE);
  trio_check(&three, BIDE_FUTURE_REJECTED, 0, BIDE_EPIPE);
  trio_check_all_settled(&three);
  harness_loop_close(loop);
}

static void combine_select_leaves_the_others_running(void) {
  bide_loop *loop = harness_loop_new();
  trio three;
  trio_start(&three, loop, bide_select_start);
  bide_future_reject(&three.futures[1], BIDE_EPIPE);
  trio_check(&three, BIDE_FUTURE_RESOLVED, 1, 0);
  CHECK_INT(three.futures[0].state, BIDE_FUTURE_PENDING);
  /* Selected from again: what settled before comes at once, the first in the array. */
  bide_future_resolve(&three.futures[2], 0);
  bide_select_start(loop, &three.combination, three.branches, BRANCHES);
  trio_check(&three, BIDE_FUTURE_RESOLVED, 1, 0);
  bide_select_start(loop, &three.combination, three.branches, 1);
  bide_future_cancel(&three.combination.future);
  trio_check(&three, BIDE_FUTURE_CANCELLED, 0, BIDE_ECANCELED);
  CHECK_INT(three.futures[0].state, BIDE_FUTURE_PENDING);
  bide_future_resolve(&three.futures[0], 0); /* nobody is told twice */
  harness_loop_close(loop);
}

/* A channel, an operation and a timer are futures like any other. What the select does not
 * take goes on, and what that brings is not lost. */
static void combine_select_takes_channels_operations_and_timers(void) {
  enum { CHANNEL, PIPE, TIMER, WAYS };
  bide_loop *loop = harness_loop_new();
  int storage, item = 0, ends[2];
  char byte = 0;
  bide_channel channel;
  bide_passage passage;
  bide_io read = {.op.fd = -1};
  bide_sleep sleep;
  bide_combination select;
  CHECK_INT(pipe(ends), 0);
  bide_channel_init(&channel, loop, &storage, sizeof item, 1);
  bide_channel_recv(&channel, &passage, &item);
  bide_prep_read(&read.op, ends[0], &byte, 1, -1);
  bide_io_start(loop, &read);
  bide_sleep_start(loop, &sleep, 3600000000);
  bide_branch branches[WAYS] = {
      {.future = &passage.future}, {.future = &read.future}, {.future = &sleep.future}};

  bide_select_start(loop, &select, branches, WAYS);
  CHECK_INT(write(ends[1], "x", 1), 1);
  CHECK_INT(bide_block_on(&select.future), 0);
  CHECK_INT(select.future.value, PIPE);
  CHECK_INT(byte, 'x');
  CHECK_INT(bide_channel_try_send(&channel, &(int){42}), 0);
  CHECK_INT(item, 42);

  bide_select_start(loop, &select, branches, 1);
  CHECK_INT(bide_block_on(&select.future), 0);
  CHECK_INT(select.future.value, CHANNEL);
  bide_select_start(loop, &select, &branches[TIMER], 1);
  CHECK_INT(select.future.state, BIDE_FUTURE_PENDING);
  bide_future_cancel(&sleep.future);
  CHECK_INT(bide_block_on(&select.future), 0);
  close(ends[0]);
  close(ends[1]);
  harness_loop_close(loop);
}

/* What had settled when the combination began counts, and decides at once. */
static void combine_takes_what_has_settled(void) {
  static const struct {
    combine_start start;
    bide_future_state state;
    intptr_t value;
    int error;
  } rows[] = {
      {bide_all_start, BIDE_FUTURE_REJECTED, 0, BIDE_EPIPE},
      {bide_any_start, BIDE_FUTURE_RESOLVED, 2, 0},
      {bide_race_start, BIDE_FUTURE_REJECTED, 0, BIDE_EPIPE},
      {bide_select_start, BIDE_FUTURE_RESOLVED, 1, 0},
  };
  bide_loop *loop = harness_loop_new();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    trio three;
    trio_init(&three, loop);
    bide_future_reject(&three.futures[1], BIDE_EPIPE);
    bide_future_resolve(&three.futures[2], 0);
    rows[i].start(loop, &three.combination, three.branches, BRANCHES);
    trio_check(&three, rows[i].state, rows[i].value, rows[i].error);
  }
  harness_loop_close(loop);
}

static void combine_of_nothing(void) {
  bide_loop *loop = harness_loop_new();
  bide_combination none;
  bide_all_start(loop, &none, NULL, 0);
  CHECK_INT(none.future.state, BIDE_FUTURE_RESOLVED);
  bide_all_settled_start(loop, &none, NULL, 0);
  CHECK_INT(none.future.state, BIDE_FUTURE_RESOLVED);
  combine_start others[] = {bide_any_start, bide_race_start, bide_select_start};
  for (int i = 0; i < 3; i++) {
    others[i](loop, &none, NULL, 0);
    CHECK_INT(none.future.error, BIDE_EINVAL);
  }
  harness_loop_close(loop);
}

/* One future in several branches settles each of them. */
static void combine_takes_a_future_twice(void) {
  bide_loop *loop = harness_loop_new();
  trio three;
  trio_init(&three, loop);
  three.branches[1].future = &three.futures[0];
  bide_all_start(loop, &three.combination, three.branches, BRANCHES);
  bide_future_resolve(&three.futures[0], 0);
  CHECK_INT(three.combination.future.state, BIDE_FUTURE_PENDING);
  bide_future_resolve(&three.futures[2], 0);
  trio_check(&three, BIDE_FUTURE_RESOLVED, 0, 0);
  harness_loop_close(loop);
}

/* ---- branches that take their time to end ---- */

/* Sleeps; once cancelled it cleans up for a while, and counts the cancels. */
typedef struct cleaner {
  bide_task task;
  bide_sleep nap;
  int cancels;
  bool cleaned;
} cleaner;

static bide_poll cleaner_poll(bide_task *task) {
  cleaner *self = BIDE_FRAME(task, cleaner, task);
  BIDE_ASYNC_BEGIN(task);
  BIDE_AWAIT_SLEEP(task, &self->nap, 60000000);
  self->cancels += bide_task_status(task) == BIDE_ECANCELED;
  BIDE_AWAIT_SLEEP(task, &self->nap, 2000);
  self->cancels += bide_task_status(task) == BIDE_ECANCELED;
  self->cleaned = true;
  if (self->cancels > 0) BIDE_RETURN_ERROR(task, BIDE_ECANCELED);
  BIDE_ASYNC_END(task, 0);
}

/* The combination settles after the last clean-up, and interrupts none of them. */
static void combine_waits_for_the_clean_up(void) {
  bide_loop *loop = harness_loop_new();
  cleaner cleaners[2] = {{.cancels = 0}, {.cancels = 0}};
  bide_future failing;
  bide_future_init(&failing, loop);
  for (int i = 0; i < 2; i++)
    REQUIRE(bide_task_spawn(loop, &cleaners[i].task, cleaner_poll) == 0);
  bide_branch branches[] = {{.future = &cleaners[0].task.future},
                            {.future = &failing},
                            {.future = &cleaners[1].task.future}};
  bide_combination all;
  bide_all_start(loop, &all, branches, BRANCHES);
  run_ready(loop);
  bide_future_reject(&failing, BIDE_EPIPE);
  CHECK_INT(all.future.state, BIDE_FUTURE_PENDING);
  CHECK_INT(bide_block_on(&all.future), BIDE_EPIPE);
  for (int i = 0; i < 2; i++) {
    CHECK(cleaners[i].cleaned);
    CHECK_INT(cleaners[i].cancels, 1);
  }
  harness_loop_close(loop);
}

/* A task that awaits a combination is cancelled: the branches end first. */
static void combine_passes_a_cancel_down(void) {
  bide_loop *loop = harness_loop_new();
  cleaner cleaners[2] = {{.cancels = 0}, {.cancels = 0}};
  bide_branch branches[2];
  for (int i = 0; i < 2; i++) {
    REQUIRE(bide_task_spawn(loop, &cleaners[i].task, cleaner_poll) == 0);
    branches[i] = (bide_branch){.future = &cleaners[i].task.future};
  }
  bide_combination all;
  bide_all_start(loop, &all, branches, 2);
  awaiter waits = {.polled = false};
  awaiter_spawn(loop, &waits, &all.future);
  run_ready(loop);
  CHECK_INT(bide_task_cancel(&waits.task), 0);
  CHECK_INT(bide_block_on(&waits.task.future), BIDE_ECANCELED);
  for (int i = 0; i < 2; i++) {
    CHECK(cleaners[i].cleaned);
    CHECK_INT(cleaners[i].cancels, 1);
  }
  harness_loop_close(loop);
}

/* Who cancels is not told of a failure that would not have ended the wait; a success that
 * came all the same is kept. */
static void combine_cancelled_says_so(void) {
  bide_loop *loop = harness_loop_new();
  trio three;
  trio_start(&three, loop, bide_any_start);
  bide_future_reject(&three.futures[0], BIDE_EPIPE);
  bide_future_cancel(&three.combination.future);
  trio_check(&three, BIDE_FUTURE_CANCELLED, 0, BIDE_ECANCELED);
  trio_start(&three, loop, bide_all_settled_start);
  bide_future_reject(&three.futures[0], BIDE_EPIPE);
  bide_future_resolve(&three.futures[1], 0);
  bide_future_cancel(&three.combination.future);
  trio_check(&three, BIDE_FUTURE_RESOLVED, 1, 0);
  trio_check_all_settled(&three);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(combine_all_waits_for_every_branch),
    HARNESS_TEST(combine_all_cancels_the_rest_after_an_error),
    HARNESS_TEST(combine_all_settled_counts_successes),
    HARNESS_TEST(combine_any_takes_the_first_success),
    HARNESS_TEST(combine_race_takes_the_first_of_all),
    HARNESS_TEST(combine_select_leaves_the_others_running),
    HARNESS_TEST(combine_select_takes_channels_operations_and_timers),
    HARNESS_TEST(combine_takes_what_has_settled),
    HARNESS_TEST(combine_of_nothing),
    HARNESS_TEST(combine_takes_a_future_twice),
    HARNESS_TEST(combine_waits_for_the_clean_up),
    HARNESS_TEST(combine_passes_a_cancel_down),
    HARNESS_TEST(combine_cancelled_says_so),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
