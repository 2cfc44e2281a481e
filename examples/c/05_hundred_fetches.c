/* A hundred fetches at the same time, on one thread. A task that waits holds no thread:
 * it is a frame of a few hundred bytes and an entry in the kernel's list of things to
 * wait for. While all hundred wait, the thread sleeps. */
#include <stdio.h>

#include "fetch.h"

enum { FETCHES = 100 };

typedef struct program {
  bide_task task;
  uint64_t started_us;
  int next;
  int replies;
  fetch fetches[FETCHES];
} program;

static bide_poll program_poll(bide_task *task) {
  program *self = BIDE_FRAME(task, program, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);

  self->started_us = bide_clock_us();
  for (int i = 0; i < FETCHES; i++)
    fetch_get(loop, &self->fetches[i], "/page/%d?delay_ms=200", i);

  /* In whatever order they end: an await of what has ended returns at once. */
  for (self->next = 0; self->next < FETCHES; self->next++) {
    BIDE_AWAIT(task, &self->fetches[self->next].task.future);
    if (bide_task_status(task) == 0 &&
        fetch_number(&self->fetches[self->next], "page") == self->next)
      self->replies++;
  }
  printf("%d fetches of 200 ms on one thread: %d replies after %u ms\n", FETCHES,
         self->replies, elapsed_ms(self->started_us));

  BIDE_ASYNC_END(task, 0);
}

int main(int argc, char **argv) {
  static program self;
  return run_program(argc, argv, &self.task, program_poll);
}
