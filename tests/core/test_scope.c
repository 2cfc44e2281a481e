/* Scopes, and what tasks carry with them. What fails here leaves a child running in a frame
 * that is gone, or loses the error that ended its siblings. */
#include "task_frames.h"

/* Receives until it is cancelled or fails at once, and may take a while to clean up. */
typedef struct member {
  bide_child child;
  bide_io io;
  bide_sleep nap;
  int fd;
  int error;      /* to end with at once, 0: waits */
  bool cleans_up; /* sleeps on its way out */
  bool cleaned;
} member;

static bide_poll member_poll(bide_task *task) {
  member *self = BIDE_FRAME(task, member, child.task);
  static char byte;
  BIDE_ASYNC_BEGIN(task);
  bide_task_shield(task, true);
  BIDE_YIELD(task);
  bide_task_shield(task, false);
  if (self->error < 0) BIDE_RETURN_ERROR(task, self->error);
  if (self->error > 0) BIDE_RETURN(task, self->error);
  bide_prep_recv(&self->io.op, self->fd, &byte, 1, 0);
  BIDE_AWAIT_IO(task, &self->io);
  if (self->cleans_up) {
    bide_task_shield(task, true);
    BIDE_AWAIT_SLEEP(task, &self->nap, 1000);
    self->cleaned = bide_task_status(task) == 0;
  }
  if (self->io.op.result < 0) BIDE_RETURN_ERROR(task, self->io.op.result);
  BIDE_ASYNC_END(task, 0);
}

typedef struct family {
  bide_task task;
  bide_scope scope;
  member members[4];
  int status;
} family;

static bide_poll family_poll(bide_task *task) {
  family *self = BIDE_FRAME(task, family, task);
  BIDE_ASYNC_BEGIN(task);
  bide_scope_init(&self->scope, task->future.loop);
  for (int i = 0; i < 4; i++)
    CHECK_INT(bide_scope_spawn(&self->scope, &self->members[i].child, member_poll), 0);
  BIDE_AWAIT(task, bide_scope_end(&self->scope));
  self->status = bide_task_status(task);
  CHECK_INT(self->scope.running, 0);
  if (self->status < 0) BIDE_RETURN_ERROR(task, self->status);
  BIDE_ASYNC_END(task, self->scope.future.value);
}

static void scope_ends_when_all_have_ended(void) {
  bide_loop *loop = harness_loop_new();
  family parent = {.status = 1};
  for (int i = 0; i < 4; i++) parent.members[i].error = i + 1;
  REQUIRE(bide_task_spawn(loop, &parent.task, family_poll) == 0);
  CHECK_INT(bide_block_on(&parent.task.future), 0);
  CHECK_INT(parent.task.future.value, 4);
  CHECK_INT(parent.members[3].child.task.future.value, 4);
  harness_loop_close(loop);
}

/* The first error ends the others; the scope waits for their cleaning up. */
static void scope_ends_its_children_at_the_first_error(void) {
  bide_loop *loop = harness_loop_new();
  int pair[2];
  socket_pair(pair);
  family parent = {.status = 1};
  for (int i = 0; i < 4; i++) parent.members[i].fd = pair[0];
  parent.members[1].error = BIDE_EDOM;
  parent.members[2].cleans_up = true;
  REQUIRE(bide_task_spawn(loop, &parent.task, family_poll) == 0);
  CHECK_INT(bide_block_on(&parent.task.future), BIDE_EDOM);
  CHECK_INT(parent.members[0].child.task.future.error, BIDE_ECANCELED);
  CHECK(parent.members[2].cleaned);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  socket_pair_close(loop, pair);
  harness_loop_close(loop);
}

/* A cancel of the parent goes through its scope to the children's operations. */
static void scope_passes_a_cancel_on(void) {
  bide_loop *loop = harness_loop_new();
  int pair[2];
  socket_pair(pair);
  family parent = {.status = 1};
  for (int i = 0; i < 4; i++) parent.members[i].fd = pair[0];
  parent.members[3].cleans_up = true;
  REQUIRE(bide_task_spawn(loop, &parent.task, family_poll) == 0);
  run_ready(loop);
  CHECK_INT(parent.scope.running, 4);
  CHECK_INT(bide_task_cancel(&parent.task), 0);
  CHECK_INT(bide_task_cancel(&parent.task), 0); /* disturbs nobody who cleans up */
  CHECK_INT(bide_block_on(&parent.task.future), BIDE_ECANCELED);
  CHECK(parent.members[3].cleaned);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  CHECK_INT(bide_scope_cancel(&parent.scope), BIDE_EALREADY);
  socket_pair_close(loop, pair);
  harness_loop_close(loop);
}

static void scope_outlives_a_child_that_was_cancelled_alone(void) {
  bide_loop *loop = harness_loop_new();
  bide_scope scope;
  bide_member members[3];
  bide_future futures[3];
  bide_scope_init(&scope, loop);
  for (int i = 0; i < 3; i++) {
    bide_future_init(&futures[i], loop);
    CHECK_INT(bide_scope_add(&scope, &members[i], &futures[i]), 0);
  }
  bide_future_cancel(&futures[0]);
  CHECK_INT(futures[1].state, BIDE_FUTURE_PENDING);
  bide_future_resolve(&futures[1], 0);
  bide_future_resolve(&futures[2], 0);
  CHECK_INT(scope.future.state, BIDE_FUTURE_PENDING); /* more may be added */
  CHECK_INT(bide_scope_end(&scope)->state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(scope.future.value, 2);
  CHECK_INT(bide_scope_add(&scope, &members[0], &futures[0]), BIDE_EALREADY);
  harness_loop_close(loop);
}

/* What is added to a scope that ends is ended, and waited for; a task is not begun. */
static void scope_that_was_cancelled_takes_nobody_on(void) {
  bide_loop *loop = harness_loop_new();
  bide_scope scope;
  bide_member members[2];
  bide_future futures[2];
  member late = {.fd = -1};
  bide_scope_init(&scope, loop);
  bide_future_init(&futures[0], loop);
  bide_future_init(&futures[1], loop);
  CHECK_INT(bide_scope_add(&scope, &members[0], &futures[0]), 0);
  CHECK_INT(bide_scope_cancel(&scope), 0);
  CHECK_INT(futures[0].state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(bide_scope_spawn(&scope, &late.child, member_poll), BIDE_ECANCELED);
  CHECK_INT(late.child.task.future.error, BIDE_ECANCELED);
  CHECK_INT(bide_scope_add(&scope, &members[1], &futures[1]), 0);
  CHECK_INT(futures[1].state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(bide_scope_end(&scope)->error, BIDE_ECANCELED);
  CHECK_INT(bide_scope_spawn(&scope, &late.child, member_poll), BIDE_EALREADY);
  harness_loop_close(loop);
}

/* A member whose end cancels the next one within the walk that cancels them all. */
typedef struct chained {
  bide_waiter waiter;
  bide_future *next;
} chained;

static void chained_cancels_next(bide_waiter *waiter, bide_future *future) {
  (void)future;
  bide_future_cancel(BIDE_CONTAINER_OF(waiter, chained, waiter)->next);
}

static void scope_survives_members_that_end_each_other(void) {
  bide_loop *loop = harness_loop_new();
  bide_scope scope;
  bide_member members[3];
  bide_future futures[3];
  chained chain[2];
  bide_scope_init(&scope, loop);
  for (int i = 0; i < 3; i++) {
    bide_future_init(&futures[i], loop);
    CHECK_INT(bide_scope_add(&scope, &members[i], &futures[i]), 0);
  }
  for (int i = 0; i < 2; i++) {
    chain[i] =
        (chained){.waiter = {.wake = chained_cancels_next}, .next = &futures[i + 1]};
    CHECK_INT(bide_future_wait(&futures[i], &chain[i].waiter), 0);
  }
  bide_scope_end(&scope);
  CHECK_INT(bide_scope_cancel(&scope), 0);
  CHECK_INT(scope.future.error, BIDE_ECANCELED);
  CHECK_INT(scope.running, 0);
  harness_loop_close(loop);
}

/* What was achieved in spite of a cancel is success. */
static void scope_cancel_that_loses_to_success_is_no_error(void) {
  bide_loop *loop = harness_loop_new();
  bide_scope scope;
  member stubborn = {.error = 5};
  bide_scope_init(&scope, loop);
  CHECK_INT(bide_scope_spawn(&scope, &stubborn.child, member_poll), 0);
  bide_scope_end(&scope);
  CHECK_INT(bide_scope_cancel(&scope), 0);
  CHECK_INT(bide_block_on(&scope.future), 0);
  CHECK_INT(scope.future.value, 1);
  harness_loop_close(loop);
}

/* Takes what comes, for ever. */
typedef struct server {
  bide_child child;
  bide_future request;
  int served;
} server;

static bide_poll server_poll(bide_task *task) {
  server *self = BIDE_FRAME(task, server, child.task);
  BIDE_ASYNC_BEGIN(task);
  for (;;) {
    BIDE_AWAIT(task, &self->request);
    if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
    self->served++;
    bide_future_init(&self->request, task->future.loop);
  }
  BIDE_ASYNC_END(task, 0);
}

static void request_goes_on(bide_future *future) { (void)future; }

/* The request that came first is served; the scope that is ending does not wait for the
 * next ones, which may never end. */
static void scope_ends_a_child_whose_await_won_against_its_cancel(void) {
  bide_loop *loop = harness_loop_new();
  bide_scope scope;
  server serves = {.served = 0};
  bide_future_init(&serves.request, loop);
  serves.request.cancel = request_goes_on;
  bide_scope_init(&scope, loop);
  CHECK_INT(bide_scope_spawn(&scope, &serves.child, server_poll), 0);
  run_ready(loop);
  bide_scope_end(&scope);
  CHECK_INT(bide_scope_cancel(&scope), 0);
  bide_future_resolve(&serves.request, 0);
  run_ready(loop);
  CHECK_INT(serves.served, 1);
  CHECK_INT(scope.running, 0);
  CHECK_INT(scope.future.error, BIDE_ECANCELED);
  harness_loop_close(loop);
}

/* ---- what tasks carry ---- */

static const char local_user, local_request;

static void local_values_are_found_and_inherited(void) {
  bide_loop *loop = harness_loop_new();
  awaiter parent = {0}, child = {0}, stranger = {0};
  bide_future never;
  bide_local locals[6];
  int ada, bob;
  bide_future_init(&never, loop);
  awaiter_spawn(loop, &parent, &never);
  awaiter_spawn(loop, &child, &never);
  awaiter_spawn(loop, &stranger, &never);
  CHECK_STR(bide_task_name(&parent.task), "");
  bide_task_set_name(&parent.task, &locals[0], "parent");
  bide_local_set(&parent.task, &locals[1], &local_user, &ada);
  bide_local_inherit(&child.task, &parent.task);
  bide_local_set(&parent.task, &locals[2], &local_user, &bob);
  bide_local_set(&child.task, &locals[3], &local_request, &child);
  CHECK(bide_local_get(&parent.task, &local_user) == &bob);
  CHECK(bide_local_get(&child.task, &local_user) == &ada); /* as it was then */
  CHECK(bide_local_get(&child.task, &local_request) == &child);
  CHECK(bide_local_get(&parent.task, &local_request) == NULL);
  CHECK(bide_local_get(&stranger.task, &local_user) == NULL);
  CHECK_STR(bide_task_name(&child.task), "parent");
  bide_task_set_name(&child.task, &locals[4], "child");
  CHECK_STR(bide_task_name(&child.task), "child");
  CHECK_STR(bide_task_name(&parent.task), "parent");
  run_ready(loop);
  bide_future_resolve(&never, 0);
  run_ready(loop);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(scope_ends_when_all_have_ended),
    HARNESS_TEST(scope_ends_its_children_at_the_first_error),
    HARNESS_TEST(scope_passes_a_cancel_on),
    HARNESS_TEST(scope_outlives_a_child_that_was_cancelled_alone),
    HARNESS_TEST(scope_that_was_cancelled_takes_nobody_on),
    HARNESS_TEST(scope_survives_members_that_end_each_other),
    HARNESS_TEST(scope_cancel_that_loses_to_success_is_no_error),
    HARNESS_TEST(scope_ends_a_child_whose_await_won_against_its_cancel),
    HARNESS_TEST(local_values_are_found_and_inherited),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
