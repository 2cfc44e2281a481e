/* task_frames.h: the tasks that the tests of tasks and of their cancellation share. */
#ifndef BIDE_TESTS_TASK_FRAMES_H
#define BIDE_TESTS_TASK_FRAMES_H

#include "harness_loop.h"

typedef struct adder {
  bide_task task;
  bide_sleep nap;
  int a;
  int b;
} adder;

static inline bide_poll adder_poll(bide_task *task) {
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

static inline bide_poll awaiter_poll(bide_task *task) {
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

static inline void awaiter_spawn(bide_loop *loop, awaiter *self, bide_future *future) {
  self->first = future;
  CHECK_INT(bide_task_spawn(loop, &self->task, awaiter_poll), 0);
}

/* Dispatches until nothing is ready. */
static inline void run_ready(bide_loop *loop) {
  do {
    REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  } while (bide_loop_timeout(loop) == 0);
}

typedef struct receiver {
  bide_task task;
  bide_io io;
  int fd;
  char bytes[16];
} receiver;

static inline bide_poll receiver_poll(bide_task *task) {
  receiver *self = BIDE_FRAME(task, receiver, task);
  BIDE_ASYNC_BEGIN(task);
  bide_prep_recv(&self->io.op, self->fd, self->bytes, sizeof self->bytes, 0);
  BIDE_AWAIT_IO(task, &self->io);
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  BIDE_ASYNC_END(task, self->io.op.result);
}

static inline void socket_pair(int pair[2]) {
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
}

static inline void socket_pair_close(bide_loop *loop, int pair[2]) {
  bide_loop_close_fd(loop, pair[0]);
  bide_loop_close_fd(loop, pair[1]);
}

typedef struct yielder {
  bide_task task;
  size_t left;
  size_t turn; /* of the one before, to see that they take turns */
  struct yielder *other;
  bool unfair;
  int status;
} yielder;

static inline bide_poll yielder_poll(bide_task *task) {
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

#endif
