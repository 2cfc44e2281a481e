/* A user and their orders, neither of which needs the other: first one after the other,
 * then together. Waiting adds up when each await stands before the next start; started
 * first and awaited afterwards, the times overlap, and the longest is all that counts. */
#include <stdio.h>

#include "fetch.h"

#define USER "/user/ada?delay_ms=150"
#define ORDERS "/orders/7?delay_ms=200"

typedef struct program {
  bide_task task;
  uint64_t started_us;
  fetch user;
  fetch orders;
} program;

static bide_poll program_poll(bide_task *task) {
  program *self = BIDE_FRAME(task, program, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);

  self->started_us = bide_clock_us();
  BIDE_AWAIT(task, fetch_get(loop, &self->user, USER));
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  BIDE_AWAIT(task, fetch_get(loop, &self->orders, ORDERS));
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  printf("one after the other: %u ms, the sum of 150 and 200\n",
         elapsed_ms(self->started_us));

  /* Both are under way before the first await. Both are awaited before either error is
   * looked at: their frames lie in ours, so we must not end before they do. */
  self->started_us = bide_clock_us();
  fetch_get(loop, &self->user, USER);
  fetch_get(loop, &self->orders, ORDERS);
  BIDE_AWAIT(task, &self->user.task.future);
  BIDE_AWAIT(task, &self->orders.task.future);
  if (self->user.task.future.error < 0)
    BIDE_RETURN_ERROR(task, self->user.task.future.error);
  if (self->orders.task.future.error < 0)
    BIDE_RETURN_ERROR(task, self->orders.task.future.error);
  printf("together: %u ms, the longer of 150 and 200\n", elapsed_ms(self->started_us));

  BIDE_ASYNC_END(task, 0);
}

int main(int argc, char **argv) {
  static program self;
  return run_program(argc, argv, &self.task, program_poll);
}
