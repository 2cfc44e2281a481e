/* Futures are what all three doors wait on: a waiter that is not woken is a program that
 * hangs, one that is woken after it forgot is a use of freed memory. */
#include <fcntl.h>

#include "harness_loop.h"

typedef struct listener {
  bide_waiter waiter;
  struct listener *forgets; /* which other waiter to take off when woken */
  int *counter;
  int order; /* 0: not woken, else the how manieth */
  int state;
} listener;

static void listener_woken(bide_waiter *waiter, bide_future *future) {
  listener *self = BIDE_CONTAINER_OF(waiter, listener, waiter);
  self->order = ++*self->counter;
  self->state = future->state;
  if (self->forgets != NULL) bide_future_forget(future, &self->forgets->waiter);
}

static void listeners_wait(listener *listeners, int count, int *counter,
                           bide_future *future) {
  for (int i = 0; i < count; i++) {
    listeners[i] = (listener){.waiter = {.wake = listener_woken}, .counter = counter};
    CHECK_INT(bide_future_wait(future, &listeners[i].waiter), 0);
  }
}

static void future_settles_once(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_future_init(&future, loop);
  CHECK(!bide_future_is_settled(&future));
  CHECK_INT(bide_future_resolve(&future, -7), 0);
  CHECK(bide_future_is_settled(&future));
  CHECK_INT(bide_future_resolve(&future, 8), BIDE_EALREADY);
  CHECK_INT(bide_future_reject(&future, BIDE_EIO), BIDE_EALREADY);
  CHECK_INT(bide_future_cancel(&future), BIDE_EALREADY);
  CHECK_INT(future.value, -7);
  CHECK_INT(future.error, 0);
  CHECK_INT(future.state, BIDE_FUTURE_RESOLVED);
  harness_loop_close(loop);
}

static void future_tells_rejected_from_cancelled(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  bide_future_init(&future, loop);
  CHECK_INT(bide_future_reject(&future, BIDE_EIO), 0);
  CHECK_INT(future.state, BIDE_FUTURE_REJECTED);
  CHECK_INT(future.error, BIDE_EIO);
  bide_future_init(&future, loop);
  CHECK_INT(bide_future_reject(&future, BIDE_ECANCELED), 0);
  CHECK_INT(future.state, BIDE_FUTURE_CANCELLED);
  bide_future_init(&future, loop);
  CHECK_INT(bide_future_cancel(&future), 0); /* it has no producer to wait for */
  CHECK_INT(future.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(future.error, BIDE_ECANCELED);
  harness_loop_close(loop);
}

static void future_wakes_many_waiters_in_order(void) {
  enum { MANY = 1000 };
  static listener listeners[MANY];
  bide_loop *loop = harness_loop_new();
  bide_future future;
  int counter = 0;
  bide_future_init(&future, loop);
  listeners_wait(listeners, MANY, &counter, &future);
  bide_future_resolve(&future, 1);
  for (int i = 0; i < MANY; i++) {
    CHECK_INT(listeners[i].order, i + 1);
    CHECK_INT(listeners[i].state, BIDE_FUTURE_RESOLVED);
  }
  listener late = {.waiter = {.wake = listener_woken}, .counter = &counter};
  CHECK_INT(bide_future_wait(&future, &late.waiter), BIDE_EALREADY);
  CHECK_INT(late.order, 0);
  harness_loop_close(loop);
}

/* Whichever is taken off, the others keep their order, and a waiter may come again. */
static void future_forgets_any_waiter(void) {
  bide_loop *loop = harness_loop_new();
  for (int gone = 0; gone < 3; gone++) {
    listener listeners[3];
    bide_future future;
    int counter = 0;
    bide_future_init(&future, loop);
    listeners_wait(listeners, 3, &counter, &future);
    bide_future_forget(&future, &listeners[gone].waiter);
    bide_future_forget(&future, &listeners[gone].waiter); /* harmless */
    CHECK_INT(bide_future_wait(&future, &listeners[gone].waiter), 0);
    bide_future_resolve(&future, 1);
    CHECK_INT(listeners[gone].order, 3);
    CHECK_INT(listeners[gone == 0 ? 1 : 0].order, 1);
    CHECK_INT(counter, 3);
  }
  harness_loop_close(loop);
}

static void future_forgets_only_its_own(void) {
  bide_loop *loop = harness_loop_new();
  listener only, elsewhere;
  bide_future future, other;
  int counter = 0;
  bide_future_init(&future, loop);
  bide_future_init(&other, loop);
  bide_future_forget(&future, &only.waiter);
  listeners_wait(&only, 1, &counter, &future);
  listeners_wait(&elsewhere, 1, &counter, &other);
  bide_future_forget(&future, &elsewhere.waiter);
  bide_future_resolve(&other, 1);
  CHECK_INT(counter, 1);
  bide_future_forget(&future, &only.waiter);
  bide_future_resolve(&future, 1);
  CHECK_INT(counter, 1);
  harness_loop_close(loop);
}

static void future_waiter_may_forget_others_while_woken(void) {
  bide_loop *loop = harness_loop_new();
  listener listeners[4];
  bide_future future;
  int counter = 0;
  bide_future_init(&future, loop);
  listeners_wait(listeners, 4, &counter, &future);
  listeners[0].forgets = &listeners[1];
  listeners[2].forgets = &listeners[3]; /* the last one */
  bide_future_resolve(&future, 1);
  CHECK_INT(listeners[0].order, 1);
  CHECK_INT(listeners[1].order, 0);
  CHECK_INT(listeners[2].order, 2);
  CHECK_INT(listeners[3].order, 0);
  harness_loop_close(loop);
}

static void block_on_returns_when_it_settles(void) {
  bide_loop *loop = harness_loop_new();
  bide_sleep nap;
  uint64_t began_us = bide_loop_now_us(loop);
  bide_sleep_start(loop, &nap, 5000);
  CHECK_INT(bide_block_on(&nap.future), 0);
  CHECK(bide_loop_now_us(loop) >= began_us + 5000); /* never early */
  CHECK_INT(bide_block_on(&nap.future), 0);         /* settled: at once */
  bide_future failed;
  bide_future_init(&failed, loop);
  bide_future_reject(&failed, BIDE_EIO);
  CHECK_INT(bide_block_on(&failed), BIDE_EIO);
  harness_loop_close(loop);
}

typedef struct stopper {
  bide_call call;
  bide_loop *loop;
  bide_future *future;
  int result;
} stopper;

static void stopper_stops(bide_call *call) {
  bide_loop_stop(BIDE_CONTAINER_OF(call, stopper, call)->loop);
}

static void block_on_ends_with_a_stop(void) {
  bide_loop *loop = harness_loop_new();
  stopper stops = {.call = {.cb = stopper_stops}, .loop = loop};
  bide_future future;
  bide_future_init(&future, loop);
  bide_loop_call_soon(loop, &stops.call);
  CHECK_INT(bide_block_on(&future), BIDE_EINTR);
  CHECK(!bide_future_is_settled(&future));
  bide_future_resolve(&future, 3); /* wakes nobody: the caller's waiter is gone */
  CHECK_INT(bide_block_on(&future), 0);
  harness_loop_close(loop);
}

static void stopper_blocks(bide_call *call) {
  stopper *self = BIDE_CONTAINER_OF(call, stopper, call);
  self->result = bide_block_on(self->future);
  bide_loop_stop(self->loop);
}

static void block_on_from_inside_a_callback_is_refused(void) {
  bide_loop *loop = harness_loop_new();
  bide_future future;
  for (int settled = 0; settled < 2; settled++) {
    bide_future_init(&future, loop);
    if (settled) bide_future_resolve(&future, 1);
    stopper blocks = {.call = {.cb = stopper_blocks}, .loop = loop, .future = &future};
    bide_loop_call_soon(loop, &blocks.call);
    CHECK_INT(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), 0);
    CHECK_INT(blocks.result, BIDE_ERUNNING);
  }
  harness_loop_close(loop);
}

static void sleep_cancel_settles_at_once(void) {
  bide_loop *loop = harness_loop_new();
  bide_sleep nap;
  bide_sleep_start(loop, &nap, 3600000000);
  CHECK_INT(bide_future_cancel(&nap.future), 0);
  CHECK_INT(nap.future.state, BIDE_FUTURE_CANCELLED);
  CHECK(!bide_timer_is_active(&nap.timer));
  CHECK_INT(bide_block_on(&nap.future), BIDE_ECANCELED);
  harness_loop_close(loop);
}

static void io_resolves_with_the_result(void) {
  bide_loop *loop = harness_loop_new();
  int pair[2];
  char bytes[8];
  bide_io receive = {0};
  bide_io send_hello = {0};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
  bide_prep_recv(&receive.op, pair[0], bytes, sizeof bytes, 0);
  bide_io_start(loop, &receive);
  bide_prep_send(&send_hello.op, pair[1], "hello", 5, 0);
  bide_io_start(loop, &send_hello);
  CHECK_INT(bide_block_on(&receive.future), 0);
  CHECK_INT(receive.future.value, 5);
  CHECK(memcmp(bytes, "hello", 5) == 0);
  CHECK_INT(bide_block_on(&send_hello.future), 0);
  CHECK_INT(send_hello.future.value, 5);
  bide_loop_close_fd(loop, pair[0]);
  bide_loop_close_fd(loop, pair[1]);
  harness_loop_close(loop);
}

static void io_rejects_with_the_error(void) {
  bide_loop *loop = harness_loop_new();
  bide_io opening = {0};
  bide_prep_openat(&opening.op, AT_FDCWD, "/no/such/file", O_RDONLY, 0);
  bide_io_start(loop, &opening);
  CHECK_INT(bide_block_on(&opening.future), BIDE_ENOENT);
  CHECK_INT(opening.future.state, BIDE_FUTURE_REJECTED);
  bide_io unprepared = {.op = {.kind = BIDE_OP_KIND_COUNT}};
  bide_io_start(loop, &unprepared);
  CHECK_INT(unprepared.future.error, BIDE_EINVAL);
  harness_loop_close(loop);
}

/* The buffer is the kernel's until the op has completed: a cancel must not settle first. */
static void io_cancel_waits_for_the_completion(void) {
  bide_loop *loop = harness_loop_new();
  int pair[2];
  char bytes[8];
  bide_io receive = {0};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
  bide_prep_recv(&receive.op, pair[0], bytes, sizeof bytes, 0);
  bide_io_start(loop, &receive);
  bide_loop_run(loop, BIDE_RUN_NOWAIT);
  CHECK_INT(bide_future_cancel(&receive.future), 0);
  CHECK(!bide_future_is_settled(&receive.future));
  CHECK_INT(bide_future_cancel(&receive.future), 0); /* again: harmless */
  CHECK_INT(bide_block_on(&receive.future), BIDE_ECANCELED);
  CHECK_INT(receive.future.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  bide_loop_close_fd(loop, pair[0]);
  bide_loop_close_fd(loop, pair[1]);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(future_settles_once),
    HARNESS_TEST(future_tells_rejected_from_cancelled),
    HARNESS_TEST(future_wakes_many_waiters_in_order),
    HARNESS_TEST(future_forgets_any_waiter),
    HARNESS_TEST(future_forgets_only_its_own),
    HARNESS_TEST(future_waiter_may_forget_others_while_woken),
    HARNESS_TEST(block_on_returns_when_it_settles),
    HARNESS_TEST(block_on_ends_with_a_stop),
    HARNESS_TEST(block_on_from_inside_a_callback_is_refused),
    HARNESS_TEST(sleep_cancel_settles_at_once),
    HARNESS_TEST(io_resolves_with_the_result),
    HARNESS_TEST(io_rejects_with_the_error),
    HARNESS_TEST(io_cancel_waits_for_the_completion),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
