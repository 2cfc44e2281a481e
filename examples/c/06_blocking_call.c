/* A call that blocks its thread blocks the loop, and with it everybody: no reply is read
 * until it returns. The repair is to run it on a thread of a pool and to await its end
 * (run_in_executor elsewhere, bide_offload here). */
#include <stdio.h>
#include <time.h>

#include "fetch.h"

/* Stands for a database driver, a password hash, a library that knows no loop. */
static intptr_t slow_query(bide_offload *offload) {
  (void)offload;
  nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
  return 42;
}

/* Asks the server for a sign of life over and over, and remembers the longest time that
 * went by without one. Ends with the reply after `stop`. */
typedef struct heartbeat {
  bide_task task;
  fetch fetch;
  uint64_t last_us;
  unsigned longest_ms;
  bool stop;
} heartbeat;

static bide_poll heartbeat_poll(bide_task *task) {
  heartbeat *self = BIDE_FRAME(task, heartbeat, task);
  BIDE_ASYNC_BEGIN(task);
  self->stop = false;
  self->longest_ms = 0;
  self->last_us = bide_clock_us();
  while (!self->stop) {
    BIDE_AWAIT(task, fetch_get(task->future.loop, &self->fetch, "/ping?delay_ms=10"));
    if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
    if (elapsed_ms(self->last_us) > self->longest_ms)
      self->longest_ms = elapsed_ms(self->last_us);
    self->last_us = bide_clock_us();
  }
  BIDE_ASYNC_END(task, 0);
}

typedef struct program {
  bide_task task;
  bide_pool *pool;
  bide_offload query;
  int result;
  heartbeat heartbeat;
  bide_sleep moment;
} program;

static bide_poll program_poll(bide_task *task) {
  program *self = BIDE_FRAME(task, program, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);

  /* Wrong: called as it is. */
  bide_task_spawn(loop, &self->heartbeat.task, heartbeat_poll);
  BIDE_AWAIT_SLEEP(task, &self->moment, 50 * 1000);
  self->result = (int)slow_query(NULL);
  BIDE_AWAIT_SLEEP(task, &self->moment, 50 * 1000);
  self->heartbeat.stop = true;
  BIDE_AWAIT(task, &self->heartbeat.task.future);
  printf("called on the loop: silent for %u ms, result %d\n", self->heartbeat.longest_ms,
         self->result);

  /* Right: on a thread of the pool, awaited. */
  bide_task_spawn(loop, &self->heartbeat.task, heartbeat_poll);
  BIDE_AWAIT_SLEEP(task, &self->moment, 50 * 1000);
  bide_offload_start(loop, self->pool, &self->query, slow_query, BIDE_PRIORITY_NORMAL);
  BIDE_AWAIT(task, &self->query.future);
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  BIDE_AWAIT_SLEEP(task, &self->moment, 50 * 1000);
  self->heartbeat.stop = true;
  BIDE_AWAIT(task, &self->heartbeat.task.future);
  printf("run in the executor: silent for %u ms, result %d\n", self->heartbeat.longest_ms,
         (int)self->query.future.value);

  BIDE_ASYNC_END(task, 0);
}

int main(int argc, char **argv) {
  static program self;
  if (bide_pool_new(NULL, &self.pool) < 0) return 1;
  int status = run_program(argc, argv, &self.task, program_poll);
  bide_pool_free(self.pool);
  return status;
}
