/* Tasks are the C door's async/await: a resume that is lost hangs its program, a frame
 * that is used after its end corrupts it. */
#include "task_frames.h"

/* ---- spawn, await, return ---- */

static void task_spawn_only_makes_ready(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  awaiter waits = {.polled = false};
  bide_future_init(&future, loop);
  awaiter_spawn(loop, &waits, &future);
  CHECK(!waits.polled);
  run_ready(loop);
  CHECK(waits.polled);
  CHECK(!bide_future_is_settled(&waits.task.future));
  bide_future_resolve(&future, 42);
  CHECK(!bide_future_is_settled(&waits.task.future)); /* in its turn, not at once */
  run_ready(loop);
  CHECK_INT(waits.task.future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(waits.task.future.value, 42);
  CHECK_INT(bide_task_cancel(&waits.task), BIDE_EALREADY);
  harness_loop_close(loop);
}

static void task_gives_results_and_errors(void) {
  static const struct {
    int a, b, result, value;
  } rows[] = {{2, 3, 0, 5}, {2, 0, BIDE_EDOM, 0}, {0, 1, 0, -1}};
  bide_loop *loop = harness_loop_new();
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    adder adds = {.a = rows[i].a, .b = rows[i].b};
    CHECK_INT(bide_task_spawn(loop, &adds.task, adder_poll), 0);
    CHECK_INT(bide_block_on(&adds.task.future), rows[i].result);
    CHECK_INT(adds.task.future.value, rows[i].value);
  }
  harness_loop_close(loop);
}

static void task_await_of_a_settled_future_does_not_suspend(void) {
  bide_loop *loop = harness_loop_new();
  bide_future resolved;
  bide_future rejected;
  bide_future_init(&resolved, loop);
  bide_future_init(&rejected, loop);
  bide_future_resolve(&resolved, 9);
  bide_future_reject(&rejected, BIDE_EPIPE);
  awaiter waits = {.second = &rejected};
  awaiter_spawn(loop, &waits, &resolved);
  bide_loop_run(loop, BIDE_RUN_NOWAIT); /* one turn for both awaits */
  CHECK_INT(waits.task.future.value, 9);
  CHECK_INT(waits.first_status, 0);
  CHECK_INT(waits.second_status, BIDE_EPIPE);
  harness_loop_close(loop);
}

static void task_many_await_one_future_in_order(void) {
  enum { MANY = 100 };
  static awaiter waits[MANY];
  bide_loop *loop = harness_loop_new();
  bide_future future;
  int order = 0;
  bide_future_init(&future, loop);
  memset(waits, 0, sizeof waits);
  for (int i = 0; i < MANY; i++) {
    waits[i].order = &order;
    awaiter_spawn(loop, &waits[i], &future);
  }
  run_ready(loop);
  bide_future_resolve(&future, 1);
  run_ready(loop);
  for (int i = 0; i < MANY; i++) CHECK_INT(waits[i].ended, i + 1);
  harness_loop_close(loop);
}

static int woken;

static void count_wake(bide_waiter *waiter, bide_future *future) {
  (void)waiter;
  (void)future;
  woken++;
}

/* The future keeps a task that waits alone otherwise than several that wait. */
static void task_awaits_alone_and_beside_others(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_waiter stranger = {.wake = count_wake}, leaves = stranger, stays = stranger;
  awaiter waits = {.polled = false};
  woken = 0;
  bide_future_init(&future, loop);
  awaiter_spawn(loop, &waits, &future);
  run_ready(loop);
  bide_future_forget(&future, &stranger); /* which does not wait */
  CHECK_INT(bide_future_wait(&future, &leaves), 0);
  CHECK_INT(bide_future_wait(&future, &stays), 0);
  bide_future_forget(&future, &stranger);
  bide_future_forget(&future, &leaves);
  bide_future_resolve(&future, 42);
  CHECK_INT(woken, 1);
  run_ready(loop);
  CHECK_INT(waits.task.future.value, 42);
  harness_loop_close(loop);
}

typedef struct resolver {
  bide_call call;
  bide_future *future;
} resolver;

static void resolve_it(bide_call *call) {
  bide_future_resolve(BIDE_CONTAINER_OF(call, resolver, call)->future, 42);
}

/* A program with two loops on one thread: what one of them runs may settle what belongs to the
 * other. */
static void task_is_woken_from_another_loop_of_its_thread(void) {
  bide_loop *loop = harness_loop_new(), *other = harness_loop_new();
  bide_future future;
  resolver resolves = {.call = {.cb = resolve_it}, .future = &future};
  awaiter waits = {.polled = false};
  bide_future_init(&future, loop);
  awaiter_spawn(loop, &waits, &future);
  run_ready(loop);
  bide_loop_call_soon(other, &resolves.call);
  run_ready(other);
  CHECK(!bide_future_is_settled(&waits.task.future));
  CHECK_INT(bide_block_on(&waits.task.future), 0);
  CHECK_INT(waits.task.future.value, 42);
  harness_loop_close(other);
  harness_loop_close(loop);
}

/* An error comes up through a chain of tasks, each awaiting the next. */
static void task_chain_passes_an_error_up(void) {
  enum { DEEP = 50 };
  static awaiter chain[DEEP];
  bide_loop *loop = harness_loop_new();
  adder fails = {.a = 1, .b = 0};
  memset(chain, 0, sizeof chain);
  bide_task_spawn(loop, &fails.task, adder_poll);
  for (int i = 0; i < DEEP; i++) {
    awaiter_spawn(loop, &chain[i],
                  i == 0 ? &fails.task.future : &chain[i - 1].task.future);
  }
  CHECK_INT(bide_block_on(&chain[DEEP - 1].task.future), BIDE_EDOM);
  harness_loop_close(loop);
}

static void task_awaits_an_operation(void) {
  bide_loop *loop = harness_loop_new();
  int pair[2];
  socket_pair(pair);
  receiver receives = {.fd = pair[0]};
  bide_task_spawn(loop, &receives.task, receiver_poll);
  run_ready(loop);
  CHECK(write(pair[1], "bytes", 5) == 5);
  CHECK_INT(bide_block_on(&receives.task.future), 0);
  CHECK_INT(receives.task.future.value, 5);
  CHECK(memcmp(receives.bytes, "bytes", 5) == 0);
  socket_pair_close(loop, pair);
  harness_loop_close(loop);
}

/* ---- yield ---- */

static void task_yields_a_million_times(void) {
  bide_loop *loop = harness_loop_new();
  size_t count = harness_scale(1000000);
  yielder yields = {.left = count};
  bide_task_spawn(loop, &yields.task, yielder_poll);
  CHECK_INT(bide_block_on(&yields.task.future), 0);
  CHECK_INT(yields.task.future.value, count);
  harness_loop_close(loop);
}

static void task_yield_lets_others_run(void) {
  bide_loop *loop = harness_loop_new();
  yielder first = {.left = 100};
  yielder second = {.left = 100, .other = &first};
  first.other = &second;
  bide_task_spawn(loop, &first.task, yielder_poll);
  bide_task_spawn(loop, &second.task, yielder_poll);
  bide_block_on(&second.task.future);
  CHECK(!first.unfair);
  CHECK(!second.unfair);
  CHECK(bide_future_is_settled(&first.task.future));
  harness_loop_close(loop);
}

/* ---- finished ---- */

typedef struct spark {
  bide_task task;
  size_t *alive;
} spark;

static bide_poll spark_poll(bide_task *task) {
  BIDE_ASYNC_BEGIN(task);
  BIDE_YIELD(task);
  BIDE_ASYNC_END(task, 0);
}

static void spark_finished(bide_task *task) {
  spark *self = BIDE_FRAME(task, spark, task);
  --*self->alive;
  free(self);
}

/* Fire and forget: nobody keeps the frame, so the task's end must be its last use. */
static void task_may_be_freed_in_finished(void) {
  bide_loop *loop = harness_loop_new();
  size_t alive = 0;
  for (int i = 0; i < 1000; i++) {
    spark *made = calloc(1, sizeof *made);
    made->task.finished = spark_finished;
    made->alive = &alive;
    alive++;
    CHECK_INT(bide_task_spawn(loop, &made->task, spark_poll), 0);
  }
  run_ready(loop);
  CHECK_INT(alive, 0);
  harness_loop_close(loop);
}

typedef struct last_word {
  awaiter waits;
  int *order;
  int finished;
} last_word;

static void last_word_finished(bide_task *task) {
  last_word *self = BIDE_FRAME(task, last_word, waits.task);
  self->finished = ++*self->order;
}

typedef struct order_waiter {
  bide_waiter waiter;
  int *order;
  int woken;
} order_waiter;

static void order_waiter_woken(bide_waiter *waiter, bide_future *future) {
  (void)future;
  order_waiter *self = BIDE_CONTAINER_OF(waiter, order_waiter, waiter);
  self->woken = ++*self->order;
}

static void task_finished_comes_after_its_waiters(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  int order = 0;
  bide_future_init(&future, loop);
  last_word last = {.waits.task.finished = last_word_finished, .order = &order};
  order_waiter waiter = {.waiter.wake = order_waiter_woken, .order = &order};
  awaiter_spawn(loop, &last.waits, &future);
  bide_future_wait(&last.waits.task.future, &waiter.waiter);
  run_ready(loop);
  bide_future_resolve(&future, 1);
  run_ready(loop);
  CHECK_INT(waiter.woken, 1);
  CHECK_INT(last.finished, 2);
  harness_loop_close(loop);
}

/* ---- memory ---- */

static bool memory_ended;

static void *memory_reallocate(void *user, void *pointer, size_t bytes) {
  (void)user;
  if (bytes == 0) {
    free(pointer);
    return NULL;
  }
  return memory_ended ? NULL : realloc(pointer, bytes);
}

/* Tasks that the ready queue has no room for: a spawn says so, a wake is not lost. */
static void task_survives_a_full_ready_queue(void) {
  enum { MANY = 20000 };
  static awaiter waits[MANY];
  memset(waits, 0, sizeof waits);
  REQUIRE(bide_set_allocator(memory_reallocate, NULL) == 0);
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_future_init(&future, loop);
  for (int i = 0; i < MANY; i++) {
    awaiter_spawn(loop, &waits[i], &future);
    if (i % 50 == 49) run_ready(loop); /* in small lots: the queue stays small */
  }
  memory_ended = true;
  bide_future_resolve(&future, 7);
  awaiter extra = {.first = &future};
  CHECK_INT(bide_task_spawn(loop, &extra.task, awaiter_poll), BIDE_ENOMEM);
  CHECK_INT(extra.task.future.error, BIDE_ENOMEM);
  run_ready(loop);
  memory_ended = false;
  CHECK(!extra.polled);
  for (int i = 0; i < MANY; i++) CHECK_INT(waits[i].task.future.value, 7);
  harness_loop_close(loop);
  CHECK_INT(bide_set_allocator(NULL, NULL), 0);
}

/* ---- trace ---- */

static void task_traces_its_life(void) {
  static const bide_trace_kind expected[] = {
      BIDE_TRACE_TASK_SPAWN, BIDE_TRACE_TASK_RESUME, BIDE_TRACE_CANCEL,
      BIDE_TRACE_TASK_RESUME, BIDE_TRACE_TASK_DONE};
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_trace_event events[256];
  awaiter waits = {.polled = false};
  bide_future_init(&future, loop);
  CHECK_INT(bide_trace_start(loop, 256), 0);
  awaiter_spawn(loop, &waits, &future);
  run_ready(loop);
  bide_task_cancel(&waits.task);
  run_ready(loop);
  size_t count = bide_trace_read(loop, events, 256, NULL);
  size_t seen = 0;
  for (size_t i = 0; i < count; i++) {
    if (events[i].id != (uintptr_t)&waits.task) continue;
    if (seen < 5) CHECK_INT(events[i].kind, expected[seen]);
    if (events[i].kind == BIDE_TRACE_TASK_DONE) CHECK_INT(events[i].argument, 1);
    seen++;
  }
  CHECK_INT(seen, 5);
  bide_trace_stop(loop);
  harness_loop_close(loop);
}

/* ---- sleeping without a future ---- */

typedef struct sleeper {
  bide_task task;
  uint64_t timeout_us;
  int status;
} sleeper;

static bide_poll sleeper_poll(bide_task *task) {
  sleeper *self = BIDE_FRAME(task, sleeper, task);
  BIDE_ASYNC_BEGIN(task);
  BIDE_SLEEP(task, self->timeout_us);
  self->status = bide_task_status(task);
  BIDE_ASYNC_END(task, 7);
}

static void task_sleeps_and_is_never_early(void) {
  bide_loop *loop = harness_loop_new();
  sleeper sleeps = {.timeout_us = 2000, .status = 1};
  uint64_t started_us = bide_loop_now_us(loop);
  REQUIRE(bide_task_spawn(loop, &sleeps.task, sleeper_poll) == 0);
  CHECK_INT(bide_block_on(&sleeps.task.future), 0);
  CHECK(bide_loop_now_us(loop) >= started_us + 2000);
  CHECK_INT(sleeps.status, 0);
  CHECK_INT(sleeps.task.future.value, 7);
  harness_loop_close(loop);
}

/* A cancel ends the sleep at once, and one that came before lets it not begin. */
static void task_sleep_is_cancelled(void) {
  bide_loop *loop = harness_loop_new();
  for (int early = 0; early < 2; early++) {
    sleeper sleeps = {.timeout_us = 3600000000, .status = 1};
    REQUIRE(bide_task_spawn(loop, &sleeps.task, sleeper_poll) == 0);
    if (!early) run_ready(loop);
    CHECK_INT(bide_task_cancel(&sleeps.task), 0);
    run_ready(loop);
    CHECK_INT(sleeps.status, BIDE_ECANCELED);
    CHECK_INT(bide_loop_timeout(loop), -1);
  }
  harness_loop_close(loop);
}

static size_t task_resident_bytes(void) {
  unsigned long total = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  REQUIRE(file != NULL && fscanf(file, "%lu %lu", &total, &resident) == 2);
  fclose(file);
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* A server that holds a connection each in a task counts on what one costs. */
static void task_that_sleeps_takes_no_more_than_its_frame(void) {
  const size_t count = harness_scale(200000);
  bide_loop *loop = harness_loop_new();
  size_t before = task_resident_bytes();
  sleeper *sleepers = malloc(count * sizeof *sleepers);
  REQUIRE(sleepers != NULL);
  for (size_t i = 0; i < count; i++) {
    sleepers[i].task.finished = NULL;
    sleepers[i].timeout_us = 3600000000 + i;
    REQUIRE(bide_task_spawn(loop, &sleepers[i].task, sleeper_poll) == 0);
    if (i % 200 == 0) REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  }
  run_ready(loop);
  size_t grown = task_resident_bytes() - before;
  if (!harness_is_slow()) CHECK_RANGE(grown / count, 96, 96 + 16 + 8);
  for (size_t i = 0; i < count; i++) bide_task_cancel(&sleepers[i].task);
  run_ready(loop);
  for (size_t i = 0; i < count; i++) REQUIRE(sleepers[i].status == BIDE_ECANCELED);
  free(sleepers);
  harness_loop_close(loop);
}

/* ---- the budget ---- */

/* Awaits what has settled, again and again, until another has come to its turn. */
typedef struct greedy {
  bide_task task;
  bide_future settled;
  bool *others_ran;
  int awaits;
  bool wrong;
} greedy;

static bide_poll greedy_poll(bide_task *task) {
  greedy *self = BIDE_FRAME(task, greedy, task);
  BIDE_ASYNC_BEGIN(task);
  while (!*self->others_ran && self->awaits < 100000) {
    self->awaits++;
    BIDE_AWAIT(task, &self->settled);
    if (bide_task_status(task) != BIDE_EDOM) self->wrong = true;
  }
  BIDE_ASYNC_END(task, 0);
}

static void task_that_always_finds_work_lets_others_run(void) {
  bide_loop *loop = harness_loop_new();
  awaiter other = {0};
  greedy takes = {.others_ran = &other.polled};
  bide_future_init(&takes.settled, loop);
  bide_future_reject(&takes.settled, BIDE_EDOM);
  REQUIRE(bide_task_spawn(loop, &takes.task, greedy_poll) == 0);
  awaiter_spawn(loop, &other, &takes.settled);
  CHECK_INT(bide_block_on(&takes.task.future), 0);
  CHECK_INT(takes.awaits, BIDE_TASK_BUDGET);
  CHECK(!takes.wrong); /* the turn in between does not touch the result */
  harness_loop_close(loop);
}

static bide_poll cancelled_greedy_poll(bide_task *task) {
  greedy *self = BIDE_FRAME(task, greedy, task);
  BIDE_ASYNC_BEGIN(task);
  for (; self->awaits < BIDE_TASK_BUDGET; self->awaits++) {
    BIDE_AWAIT(task, &self->settled);
    if (bide_task_status(task) != 0) self->wrong = true;
  }
  BIDE_SLEEP(task, 3600000000);
  BIDE_RETURN_ERROR(task, bide_task_status(task));
  BIDE_ASYNC_END(task, 0);
}

/* A cancel that comes while the task waits for its next turn is kept for the next await. */
static void task_out_of_budget_keeps_a_cancel(void) {
  bide_loop *loop = harness_loop_new();
  greedy takes = {.awaits = 0};
  bide_future_init(&takes.settled, loop);
  bide_future_resolve(&takes.settled, 0);
  REQUIRE(bide_task_spawn(loop, &takes.task, cancelled_greedy_poll) == 0);
  REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  CHECK_INT(takes.awaits, BIDE_TASK_BUDGET - 1);
  CHECK_INT(bide_task_cancel(&takes.task), 0);
  CHECK_INT(bide_block_on(&takes.task.future), BIDE_ECANCELED);
  CHECK_INT(takes.awaits, BIDE_TASK_BUDGET);
  CHECK(!takes.wrong);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(task_spawn_only_makes_ready),
    HARNESS_TEST(task_gives_results_and_errors),
    HARNESS_TEST(task_await_of_a_settled_future_does_not_suspend),
    HARNESS_TEST(task_many_await_one_future_in_order),
    HARNESS_TEST(task_awaits_alone_and_beside_others),
    HARNESS_TEST(task_is_woken_from_another_loop_of_its_thread),
    HARNESS_TEST(task_chain_passes_an_error_up),
    HARNESS_TEST(task_awaits_an_operation),
    HARNESS_TEST(task_yields_a_million_times),
    HARNESS_TEST(task_yield_lets_others_run),
    HARNESS_TEST(task_may_be_freed_in_finished),
    HARNESS_TEST(task_finished_comes_after_its_waiters),
    HARNESS_TEST(task_survives_a_full_ready_queue),
    HARNESS_TEST(task_traces_its_life),
    HARNESS_TEST(task_sleeps_and_is_never_early),
    HARNESS_TEST(task_sleep_is_cancelled),
    HARNESS_TEST(task_that_sleeps_takes_no_more_than_its_frame),
    HARNESS_TEST(task_that_always_finds_work_lets_others_run),
    HARNESS_TEST(task_out_of_budget_keeps_a_cancel),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
