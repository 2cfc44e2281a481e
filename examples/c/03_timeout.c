/* A fetch with a time limit. When the limit passes, the fetch is cancelled: its pending
 * receive ends, it closes its connection, and only then does our await return. Nothing of
 * it goes on behind our back. */
#include <stdio.h>

#include "fetch.h"

typedef struct program {
  bide_task task;
  uint64_t started_us;
  fetch fetch;
  bide_timeout limit;
} program;

static bide_poll program_poll(bide_task *task) {
  program *self = BIDE_FRAME(task, program, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);

  self->started_us = bide_clock_us();
  fetch_get(loop, &self->fetch, "/user/ada?delay_ms=5000");
  bide_timeout_start(loop, &self->limit, &self->fetch.task.future, 100 * 1000);
  BIDE_AWAIT(task, &self->fetch.task.future);
  if (!bide_timeout_end(loop, &self->limit))
    BIDE_RETURN_ERROR(task, BIDE_EPROTO); /* 5000 ms cannot have been quicker */
  printf("a reply of 5000 ms: timed out after %u ms\n", elapsed_ms(self->started_us));

  /* A fetch that is quicker than its limit does not notice it. */
  self->started_us = bide_clock_us();
  fetch_get(loop, &self->fetch, "/user/ada?delay_ms=20");
  bide_timeout_start(loop, &self->limit, &self->fetch.task.future, 5000 * 1000);
  BIDE_AWAIT(task, &self->fetch.task.future);
  bide_timeout_end(loop, &self->limit);
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  printf("a reply of 20 ms: user %d after %u ms\n", fetch_number(&self->fetch, "id"),
         elapsed_ms(self->started_us));

  BIDE_ASYNC_END(task, 0);
}

int main(int argc, char **argv) {
  static program self;
  return run_program(argc, argv, &self.task, program_poll);
}
