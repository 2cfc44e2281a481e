/* Tokens and deadlines. What fails here leaves work running that its owner has given up, or
 * cancels what was another's. */
#include "task_frames.h"

static void token_cancels_what_is_bound_below_it(void) {
  bide_loop *loop = harness_loop_new();
  bide_token root, middle, leaf, other;
  bide_future futures[4];
  bide_token_link links[4];
  bide_token_init(&root, loop, NULL);
  bide_token_init(&middle, loop, &root);
  bide_token_init(&leaf, loop, &middle);
  bide_token_init(&other, loop, &root);
  bide_token *bound[] = {&root, &middle, &leaf, &other};
  for (int i = 0; i < 4; i++) {
    bide_future_init(&futures[i], loop);
    bide_token_bind(bound[i], &links[i], &futures[i]);
  }
  CHECK_INT(bide_token_free(&middle), BIDE_EBUSY); /* leaf hangs on it */
  CHECK_INT(bide_token_cancel(&middle), 0);
  CHECK_INT(bide_token_cancel(&middle), BIDE_EALREADY);
  CHECK_INT(futures[0].state, BIDE_FUTURE_PENDING);
  CHECK_INT(futures[1].state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(futures[2].state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(futures[3].state, BIDE_FUTURE_PENDING);
  CHECK_INT(leaf.reason, BIDE_ECANCELED);
  CHECK_INT(root.reason, 0);
  CHECK_INT(bide_token_cancel(&root), 0);
  CHECK_INT(futures[0].state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(futures[3].state, BIDE_FUTURE_CANCELLED);
  for (int i = 0; i < 4; i++) CHECK_INT(bide_token_free(bound[i]), 0);
  harness_loop_close(loop);
}

/* What comes too late is cancelled all the same: there is no moment to slip through. */
static void token_that_is_cancelled_cancels_what_comes_later(void) {
  bide_loop *loop = harness_loop_new();
  bide_token root, late;
  bide_future future;
  bide_token_link link;
  bide_token_init(&root, loop, NULL);
  bide_token_cancel_at(&root, bide_loop_now_us(loop));
  run_ready(loop);
  CHECK_INT(root.reason, BIDE_ETIME);
  bide_token_init(&late, loop, &root);
  CHECK_INT(late.reason, BIDE_ETIME);
  bide_future_init(&future, loop);
  bide_token_bind(&late, &link, &future);
  CHECK_INT(future.state, BIDE_FUTURE_CANCELLED);
  bide_token_unbind(&link);
  bide_token_cancel_at(&late, 0);
  CHECK_INT(bide_loop_timeout(loop), -1);
  harness_loop_close(loop);
}

static void token_lets_go_of_what_has_settled_or_was_unbound(void) {
  bide_loop *loop = harness_loop_new();
  bide_token token;
  bide_future futures[3];
  bide_token_link links[3];
  bide_token_init(&token, loop, NULL);
  for (int i = 0; i < 3; i++) {
    bide_future_init(&futures[i], loop);
    bide_token_bind(&token, &links[i], &futures[i]);
  }
  bide_future_resolve(&futures[0], 7);
  bide_token_unbind(&links[0]);
  bide_token_unbind(&links[1]);
  bide_token_unbind(&links[1]);
  CHECK_INT(bide_token_cancel(&token), 0);
  CHECK_INT(futures[0].value, 7);
  CHECK_INT(futures[1].state, BIDE_FUTURE_PENDING);
  CHECK_INT(futures[2].state, BIDE_FUTURE_CANCELLED);

  bide_token_init(&token, loop, NULL);
  bide_token_bind(&token, &links[1], &futures[1]);
  bide_token_cancel_at(&token, bide_loop_now_us(loop) + 1000000);
  CHECK_INT(bide_token_free(&token), 0);
  CHECK_INT(bide_loop_timeout(loop), -1); /* the deadline went with it */
  bide_future_resolve(&futures[1], 8);    /* and touches no link */
  harness_loop_close(loop);
}

typedef struct remover {
  bide_waiter waiter;
  bide_token_link *link;
  bide_token *freed;
} remover;

static void remover_woken(bide_waiter *waiter, bide_future *future) {
  remover *self = BIDE_CONTAINER_OF(waiter, remover, waiter);
  (void)future;
  bide_token_unbind(self->link);
  CHECK_INT(bide_token_free(self->freed), 0);
  memset(self->freed, 0xa5, sizeof *self->freed);
}

/* Who is cancelled first takes the next off the list and frees the token under the walk. */
static void token_survives_those_it_cancels(void) {
  bide_loop *loop = harness_loop_new();
  bide_token root, below;
  bide_future futures[3];
  bide_token_link links[3];
  bide_token_init(&root, loop, NULL);
  bide_token_init(&below, loop, &root);
  for (int i = 0; i < 3; i++) {
    bide_future_init(&futures[i], loop);
    bide_token_bind(i < 2 ? &root : &below, &links[i], &futures[i]);
  }
  remover first = {.waiter = {.wake = remover_woken}, .link = &links[1], .freed = &below};
  REQUIRE(bide_future_wait(&futures[0], &first.waiter) == 0);
  CHECK_INT(bide_token_cancel(&root), 0);
  CHECK_INT(futures[1].state, BIDE_FUTURE_PENDING);
  CHECK_INT(futures[2].state, BIDE_FUTURE_CANCELLED);
  harness_loop_close(loop);
}

static void token_tree_may_be_deep(void) {
  enum { DEEP = 200000 }; /* a walk by recursion would not have the stack for it */
  bide_loop *loop = harness_loop_new();
  bide_token *tokens = calloc(DEEP, sizeof *tokens);
  bide_future future;
  bide_token_link link;
  REQUIRE(tokens != NULL);
  for (int i = 0; i < DEEP; i++)
    bide_token_init(&tokens[i], loop, i > 0 ? &tokens[i - 1] : NULL);
  bide_future_init(&future, loop);
  bide_token_bind(&tokens[DEEP - 1], &link, &future);
  CHECK_INT(bide_token_cancel(&tokens[0]), 0);
  CHECK_INT(future.state, BIDE_FUTURE_CANCELLED);
  free(tokens);
  harness_loop_close(loop);
}

/* The nearest deadline above counts, and a task under it ends with its operation. */
static void token_deadlines_nest(void) {
  bide_loop *loop = harness_loop_new();
  bide_token outer, inner;
  bide_token_link link;
  int pair[2];
  socket_pair(pair);
  receiver receives = {.fd = pair[0]};
  REQUIRE(bide_task_spawn(loop, &receives.task, receiver_poll) == 0);
  bide_token_init(&outer, loop, NULL);
  bide_token_init(&inner, loop, &outer);
  uint64_t deadline_us = bide_loop_now_us(loop) + 2000;
  bide_token_cancel_at(&inner, deadline_us + 3600000000);
  bide_token_cancel_at(&outer, deadline_us);
  bide_token_bind(&inner, &link, &receives.task.future);
  CHECK_INT(bide_block_on(&receives.task.future), BIDE_ECANCELED);
  CHECK(bide_loop_now_us(loop) >= deadline_us);
  CHECK_INT(inner.reason, BIDE_ETIME);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  CHECK_INT(bide_loop_timeout(loop), -1);
  socket_pair_close(loop, pair);
  harness_loop_close(loop);
}

static void deadline_is_shared_by_several_steps(void) {
  bide_loop *loop = harness_loop_new();
  bide_timeout limit;
  bide_future step;
  uint64_t deadline_us = bide_loop_now_us(loop) + 1000;
  int steps = 0;
  do {
    bide_future_init(&step, loop);
    bide_timeout_start_at(loop, &limit, &step, deadline_us);
    if (steps++ == 0) bide_future_resolve(&step, 0);
    (void)bide_block_on(&step);
  } while (!bide_timeout_end(loop, &limit));
  CHECK_INT(steps, 2);
  CHECK(bide_loop_now_us(loop) >= deadline_us);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(token_cancels_what_is_bound_below_it),
    HARNESS_TEST(token_that_is_cancelled_cancels_what_comes_later),
    HARNESS_TEST(token_lets_go_of_what_has_settled_or_was_unbound),
    HARNESS_TEST(token_survives_those_it_cancels),
    HARNESS_TEST(token_tree_may_be_deep),
    HARNESS_TEST(token_deadlines_nest),
    HARNESS_TEST(deadline_is_shared_by_several_steps),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
