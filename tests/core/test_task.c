/* Tasks are the C door's async/await. A resume that is lost hangs its program, a cancel
 * that is lost never ends it, and one that drops a result drops a user's bytes. */
#include "harness_loop.h"

/* ---- frames ---- */

typedef struct adder {
  bide_task task;
  bide_sleep nap;
  int a;
  int b;
} adder;

static bide_poll adder_poll(bide_task *task) {
  adder *self = BIDE_FRAME(task, adder, task);
  BIDE_ASYNC_BEGIN(task);
  BIDE_AWAIT_SLEEP(task, &self->nap, 500);
  if (self->b == 0) BIDE_RETURN_ERROR(task, BIDE_EDOM);
  if (self->a == 0) BIDE_RETURN(task, -1);
  BIDE_ASYNC_END(task, self->a + self->b);
}

/* Awaits one future, shielded or not, and keeps what it saw. */
typedef struct awaiter {
  bide_task task;
  bide_future *first;
  bide_future *second; /* awaited after the first; may be NULL */
  bool shielded;
  bool polled;
  int first_status;
  int second_status;
  int *order; /* where to note when it ended; may be NULL */
  int ended;
} awaiter;

static bide_poll awaiter_poll(bide_task *task) {
  awaiter *self = BIDE_FRAME(task, awaiter, task);
  BIDE_ASYNC_BEGIN(task);
  self->polled = true;
  if (self->shielded) {
    BIDE_AWAIT_SHIELDED(task, self->first);
  } else {
    BIDE_AWAIT(task, self->first);
  }
  self->first_status = bide_task_status(task);
  if (self->second != NULL) {
    BIDE_AWAIT(task, self->second);
    self->second_status = bide_task_status(task);
  }
  if (self->order != NULL) self->ended = ++*self->order;
  if (self->first_status < 0) BIDE_RETURN_ERROR(task, self->first_status);
  BIDE_ASYNC_END(task, self->first->value);
}

static void awaiter_spawn(bide_loop *loop, awaiter *self, bide_future *future) {
  self->first = future;
  CHECK_INT(bide_task_spawn(loop, &self->task, awaiter_poll), 0);
}

/* Dispatches until nothing is ready. */
static void run_ready(bide_loop *loop) {
  do {
    REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  } while (bide_loop_timeout(loop) == 0);
}

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

/* An error comes up through a chain of tasks, each awaiting the next. */
static void task_chain_passes_an_error_up(void) {
  enum { DEEP = 50 };
  static awaiter chain[DEEP];
  bide_loop *loop = harness_loop_new();
  adder fails = {.a = 1, .b = 0};
  memset(chain, 0, sizeof chain);
  bide_task_spawn(loop, &fails.task, adder_poll);
  for (int i = 0; i < DEEP; i++) {
    awaiter_spawn(loop, &chain[i], i == 0 ? &fails.task.future : &chain[i - 1].task.future);
  }
  CHECK_INT(bide_block_on(&chain[DEEP - 1].task.future), BIDE_EDOM);
  harness_loop_close(loop);
}

/* ---- operations ---- */

typedef struct receiver {
  bide_task task;
  bide_io io;
  int fd;
  char bytes[16];
} receiver;

static bide_poll receiver_poll(bide_task *task) {
  receiver *self = BIDE_FRAME(task, receiver, task);
  BIDE_ASYNC_BEGIN(task);
  bide_prep_recv(&self->io.op, self->fd, self->bytes, sizeof self->bytes, 0);
  BIDE_AWAIT_IO(task, &self->io);
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  BIDE_ASYNC_END(task, self->io.op.result);
}

static void socket_pair(int pair[2]) {
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
}

static void socket_pair_close(bide_loop *loop, int pair[2]) {
  bide_loop_close_fd(loop, pair[0]);
  bide_loop_close_fd(loop, pair[1]);
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

typedef struct yielder {
  bide_task task;
  size_t left;
  size_t turn; /* of the one before, to see that they take turns */
  struct yielder *other;
  bool unfair;
  int status;
} yielder;

static bide_poll yielder_poll(bide_task *task) {
  yielder *self = BIDE_FRAME(task, yielder, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left > 0) {
    self->left--;
    self->turn++;
    if (self->other != NULL && self->turn > self->other->turn + 1) self->unfair = true;
    BIDE_YIELD(task);
    self->status = bide_task_status(task);
    if (self->status < 0) BIDE_RETURN_ERROR(task, self->status);
  }
  BIDE_ASYNC_END(task, self->turn);
}

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

/* ---- cancel ---- */

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
  CHECK_INT(bide_loop_wait(loop, -1), 0); /* it has completed, nobody was told */
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

/* ---- trace ---- */

static void task_traces_its_life(void) {
  static const bide_trace_kind expected[] = {BIDE_TRACE_TASK_SPAWN, BIDE_TRACE_TASK_RESUME,
                                             BIDE_TRACE_CANCEL, BIDE_TRACE_TASK_RESUME,
                                             BIDE_TRACE_TASK_DONE};
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

static const harness_test tests[] = {
    HARNESS_TEST(task_spawn_only_makes_ready),
    HARNESS_TEST(task_gives_results_and_errors),
    HARNESS_TEST(task_await_of_a_settled_future_does_not_suspend),
    HARNESS_TEST(task_many_await_one_future_in_order),
    HARNESS_TEST(task_chain_passes_an_error_up),
    HARNESS_TEST(task_awaits_an_operation),
    HARNESS_TEST(task_yields_a_million_times),
    HARNESS_TEST(task_yield_lets_others_run),
    HARNESS_TEST(task_may_be_freed_in_finished),
    HARNESS_TEST(task_finished_comes_after_its_waiters),
    HARNESS_TEST(task_survives_a_full_ready_queue),
    HARNESS_TEST(cancel_ends_the_awaited_operation),
    HARNESS_TEST(cancel_that_loses_to_success_keeps_the_result),
    HARNESS_TEST(cancel_before_the_first_poll_comes_at_the_first_await),
    HARNESS_TEST(cancel_of_a_ready_task_comes_at_its_next_await),
    HARNESS_TEST(cancel_passes_over_settled_futures),
    HARNESS_TEST(cancel_goes_down_a_chain_of_tasks),
    HARNESS_TEST(cancel_reaches_a_child_that_has_not_started),
    HARNESS_TEST(cancel_of_a_yielding_task_ends_it),
    HARNESS_TEST(cancel_leaves_a_shielded_future_alone),
    HARNESS_TEST(cancel_from_above_stops_at_a_shield),
    HARNESS_TEST(cancel_opens_a_circle_of_tasks),
    HARNESS_TEST(cancel_that_comes_back_ends_the_wait),
    HARNESS_TEST(cancel_may_be_followed_by_awaits_that_clean_up),
    HARNESS_TEST(cancel_of_the_running_task_by_itself),
    HARNESS_TEST(task_traces_its_life),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
