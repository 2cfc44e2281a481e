/* Load A, then B that depends on A: the orders of a user whose number only the first
 * reply tells.
 *
 * Twice: with the macros of task.h, and as the state machine that a compiler of
 * async/await would make of it, written by hand. Both are the same thing: a frame that
 * holds what must outlive an await, a number that says where to go on, and a poll
 * function that the loop calls again each time what it waited for is there. */
#include <stdio.h>

#include "fetch.h"

/* ---- with await ---- */

typedef struct orders_of {
  bide_task task;
  fetch user;
  fetch orders;
} orders_of;

static bide_poll orders_of_poll(bide_task *task) {
  orders_of *self = BIDE_FRAME(task, orders_of, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);

  BIDE_AWAIT(task, fetch_get(loop, &self->user, "/user/ada?delay_ms=50"));
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));

  BIDE_AWAIT(task, fetch_get(loop, &self->orders, "/orders/%d?delay_ms=50",
                             fetch_number(&self->user, "id")));
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));

  BIDE_ASYNC_END(task, fetch_number(&self->orders, "count"));
}

/* ---- by hand ---- */

typedef struct orders_by_hand {
  bide_task task; /* first, so that a pointer to it is a pointer to the frame */
  enum { START, USER_LOADED, ORDERS_LOADED } state;
  fetch user;
  fetch orders;
} orders_by_hand;

static bide_poll orders_by_hand_poll(bide_task *task) {
  orders_by_hand *self = (orders_by_hand *)(void *)task;
  bide_loop *loop = task->future.loop;
  bide_future *awaited = NULL;

  /* One turn a state. bide_task_await makes the future call us again, and says whether
   * it has to: a future that is settled already lets us go straight on. */
  for (;;) {
    if (self->state != START && bide_task_status(task) < 0)
      return bide_task_return(task, 0, bide_task_status(task));

    switch (self->state) {
      case START:
        awaited = fetch_get(loop, &self->user, "/user/ada?delay_ms=50");
        self->state = USER_LOADED;
        break;
      case USER_LOADED:
        awaited = fetch_get(loop, &self->orders, "/orders/%d?delay_ms=50",
                            fetch_number(&self->user, "id"));
        self->state = ORDERS_LOADED;
        break;
      case ORDERS_LOADED:
        return bide_task_return(task, fetch_number(&self->orders, "count"), 0);
    }
    if (bide_task_await(task, awaited)) return BIDE_POLL_PENDING;
  }
}

/* ---- the program ---- */

typedef struct program {
  bide_task task;
  uint64_t started_us;
  orders_of await;
  orders_by_hand hand;
} program;

static bide_poll program_poll(bide_task *task) {
  program *self = BIDE_FRAME(task, program, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);

  self->started_us = bide_clock_us();
  bide_task_spawn(loop, &self->await.task, orders_of_poll);
  BIDE_AWAIT(task, &self->await.task.future);
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  printf("with await: user 7 has %d orders, after %u ms\n",
         (int)self->await.task.future.value, elapsed_ms(self->started_us));

  self->started_us = bide_clock_us();
  bide_task_spawn(loop, &self->hand.task, orders_by_hand_poll);
  BIDE_AWAIT(task, &self->hand.task.future);
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  printf("by hand: user 7 has %d orders, after %u ms\n",
         (int)self->hand.task.future.value, elapsed_ms(self->started_us));

  BIDE_ASYNC_END(task, 0);
}

int main(int argc, char **argv) {
  static program self;
  return run_program(argc, argv, &self.task, program_poll);
}
