/* Synchronous code that needs something asynchronous: it runs the loop until the future
 * is settled (bide_block_on). That is for code outside the loop. A callback or a task is
 * inside it already; there bide_block_on would wait for a loop that waits for its caller,
 * and is refused: await instead. */
#include <stdio.h>

#include "fetch.h"

/* An ordinary function, for callers who know nothing of tasks. Returns the number of
 * orders, or an error. */
static int count_orders(bide_loop *loop, const char *name) {
  static fetch user, orders;
  int error = bide_block_on(fetch_get(loop, &user, "/user/%s?delay_ms=50", name));
  if (error < 0) return error;
  error = bide_block_on(
      fetch_get(loop, &orders, "/orders/%d?delay_ms=50", fetch_number(&user, "id")));
  return error < 0 ? error : fetch_number(&orders, "count");
}

typedef struct program {
  bide_task task;
  fetch fetch;
} program;

static bide_poll program_poll(bide_task *task) {
  program *self = BIDE_FRAME(task, program, task);
  BIDE_ASYNC_BEGIN(task);

  fetch_get(task->future.loop, &self->fetch, "/user/ada?delay_ms=50");
  int error = bide_block_on(&self->fetch.task.future);
  printf("from inside the loop: refused, %s\n", bide_error_text(error));

  BIDE_AWAIT(task, &self->fetch.task.future);
  printf("with await instead: user %d\n", fetch_number(&self->fetch, "id"));
  BIDE_ASYNC_END(task, 0);
}

int main(int argc, char **argv) {
  static program self;
  bide_loop *loop;
  fetch_server(argc, argv);
  if (bide_loop_new(NULL, &loop) < 0) return 1;

  uint64_t started_us = bide_clock_us();
  int count = count_orders(loop, "ada");
  if (count < 0) {
    fprintf(stderr, "%s: %s\n", argv[0], bide_error_text(count));
    return 1;
  }
  printf("from synchronous code: user 7 has %d orders, after %u ms\n", count,
         elapsed_ms(started_us));

  bide_task_spawn(loop, &self.task, program_poll);
  bide_block_on(&self.task.future);
  return bide_loop_close(loop) < 0;
}
