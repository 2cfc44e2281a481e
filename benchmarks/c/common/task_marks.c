#include "task_marks.h"

#include "marks.h"

/* ---- a yield: let others run, and go on ---- */

typedef struct counter {
  bide_task task;
  long left;
} counter;

static bide_poll yielding_poll(bide_task *task) {
  counter *self = BIDE_FRAME(task, counter, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) BIDE_YIELD(task);
  BIDE_ASYNC_END(task, 0);
}

double marks_yield_ns(bide_loop *loop, long steps) {
  counter self = {.left = steps};
  double started_ns = marks_cpu_ns();
  bide_task_spawn(loop, &self.task, yielding_poll);
  bide_block_on(&self.task.future);
  return (marks_cpu_ns() - started_ns) / (double)steps;
}

/* ---- a ready await: the future has settled before ---- */

typedef struct taker {
  bide_task task;
  bide_future settled;
  long left;
} taker;

static bide_poll taker_poll(bide_task *task) {
  taker *self = BIDE_FRAME(task, taker, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) BIDE_AWAIT(task, &self->settled);
  BIDE_ASYNC_END(task, 0);
}

double marks_ready_ns(bide_loop *loop, long steps) {
  taker self = {.left = steps};
  bide_future_init(&self.settled, loop);
  bide_future_resolve(&self.settled, 0);
  double started_ns = marks_cpu_ns();
  bide_task_spawn(loop, &self.task, taker_poll);
  bide_block_on(&self.task.future);
  return (marks_cpu_ns() - started_ns) / (double)steps;
}

/* ---- an await: suspend, be woken by another task, resume ---- */

/* Two players. Each await suspends until the other resolves its future. */
typedef struct player {
  bide_task task;
  bide_future ball;
  struct player *other;
  long left;
} player;

static bide_poll player_poll(bide_task *task) {
  player *self = BIDE_FRAME(task, player, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    BIDE_AWAIT(task, &self->ball);
    bide_future_init(&self->ball, task->future.loop);
    bide_future_resolve(&self->other->ball, 0);
  }
  BIDE_ASYNC_END(task, 0);
}

/* Spawns both and runs them to their ends. */
static void run_two(bide_loop *loop, bide_task *one, bide_task *two, bide_task_fn poll) {
  bide_task_spawn(loop, one, poll);
  bide_task_spawn(loop, two, poll);
  bide_block_on(&one->future);
  bide_block_on(&two->future);
}

double marks_await_ns(bide_loop *loop, long steps) {
  player one = {.left = steps / 2}, two = {.left = steps / 2};
  one.other = &two;
  two.other = &one;
  bide_future_init(&one.ball, loop);
  bide_future_init(&two.ball, loop);
  bide_future_resolve(&one.ball, 0);
  double started_ns = marks_cpu_ns();
  run_two(loop, &one.task, &two.task, player_poll);
  return (marks_cpu_ns() - started_ns) / (double)steps;
}

/* ---- a spawn: start a child and await its end ---- */

typedef struct parent {
  bide_task task;
  bide_task child;
  long left;
} parent;

static bide_poll child_poll(bide_task *task) { return bide_task_return(task, 0, 0); }

static bide_poll parent_poll(bide_task *task) {
  parent *self = BIDE_FRAME(task, parent, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    bide_task_spawn(task->future.loop, &self->child, child_poll);
    BIDE_AWAIT(task, &self->child.future);
  }
  BIDE_ASYNC_END(task, 0);
}

double marks_spawn_ns(bide_loop *loop, long steps) {
  parent self = {.left = steps};
  double started_ns = marks_cpu_ns();
  bide_task_spawn(loop, &self.task, parent_poll);
  bide_block_on(&self.task.future);
  return (marks_cpu_ns() - started_ns) / (double)steps;
}

/* ---- a channel ---- */

typedef struct hopper {
  bide_task task;
  bide_passage passage;
  bide_channel *from, *to;
  long left;
  int item;
} hopper;

static bide_poll hopper_poll(bide_task *task) {
  hopper *self = BIDE_FRAME(task, hopper, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    bide_channel_recv(self->from, &self->passage, &self->item);
    BIDE_AWAIT(task, &self->passage.future);
    (void)bide_channel_try_send(self->to, &self->item);
  }
  BIDE_ASYNC_END(task, 0);
}

double marks_channel_ns(bide_loop *loop, long steps) {
  int storage[2], item = 1;
  bide_channel there, back;
  bide_channel_init(&there, loop, &storage[0], sizeof item, 1);
  bide_channel_init(&back, loop, &storage[1], sizeof item, 1);
  hopper one = {.from = &there, .to = &back, .left = steps / 2};
  hopper two = {.from = &back, .to = &there, .left = steps / 2};
  (void)bide_channel_try_send(&there, &item);
  double started_ns = marks_cpu_ns();
  run_two(loop, &one.task, &two.task, hopper_poll);
  return (marks_cpu_ns() - started_ns) / (double)steps;
}

/* ---- a mutex: who unlocks it hands it to the other, and queues again ---- */

typedef struct locker {
  bide_task task;
  bide_wait wait;
  bide_mutex *mutex;
  long left;
} locker;

static bide_poll locker_poll(bide_task *task) {
  locker *self = BIDE_FRAME(task, locker, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    bide_mutex_lock(self->mutex, &self->wait);
    BIDE_AWAIT(task, &self->wait.future);
    bide_mutex_unlock(self->mutex);
  }
  BIDE_ASYNC_END(task, 0);
}

/* Locked until both wait for it, or the first would find it free time and again. */
double marks_mutex_ns(bide_loop *loop, long steps) {
  bide_mutex mutex;
  bide_mutex_init(&mutex, loop);
  locker one = {.mutex = &mutex, .left = steps / 2};
  locker two = {.mutex = &mutex, .left = steps / 2};
  marks_check(bide_mutex_try_lock(&mutex), "mutex");
  double started_ns = marks_cpu_ns();
  bide_task_spawn(loop, &one.task, locker_poll);
  bide_task_spawn(loop, &two.task, locker_poll);
  bide_loop_run(loop, BIDE_RUN_NOWAIT);
  bide_mutex_unlock(&mutex);
  bide_block_on(&one.task.future);
  bide_block_on(&two.task.future);
  return (marks_cpu_ns() - started_ns) / (double)steps;
}

/* ---- a select: eight futures, one of which another task resolves each time ---- */

enum { CHOICES = 8 };

typedef struct chooser {
  bide_task task, decider;
  bide_combination select;
  bide_branch branches[CHOICES];
  bide_future futures[CHOICES];
  long left;
} chooser;

static bide_poll chooser_poll(bide_task *task) {
  chooser *self = BIDE_FRAME(task, chooser, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left > 0) {
    bide_select_start(task->future.loop, &self->select, self->branches, CHOICES);
    BIDE_AWAIT(task, &self->select.future);
    bide_future_init(&self->futures[self->select.future.value], task->future.loop);
    self->left--;
  }
  BIDE_ASYNC_END(task, 0);
}

static bide_poll decider_poll(bide_task *task) {
  chooser *self = BIDE_FRAME(task, chooser, decider);
  BIDE_ASYNC_BEGIN(task);
  while (self->left > 0) {
    bide_future_resolve(&self->futures[self->left % CHOICES], 0);
    BIDE_YIELD(task);
  }
  BIDE_ASYNC_END(task, 0);
}

double marks_select_ns(bide_loop *loop, long steps) {
  chooser self = {.left = steps};
  for (int i = 0; i < CHOICES; i++) {
    bide_future_init(&self.futures[i], loop);
    self.branches[i].future = &self.futures[i];
  }
  double started_ns = marks_cpu_ns();
  bide_task_spawn(loop, &self.task, chooser_poll);
  bide_task_spawn(loop, &self.decider, decider_poll);
  bide_block_on(&self.task.future);
  double took_ns = marks_cpu_ns() - started_ns;
  bide_block_on(&self.decider.future);
  return took_ns / (double)steps;
}
