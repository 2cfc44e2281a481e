/* test_sync_model.c: random tasks, cancels and orders on the locks and the channel, against
 * a model in which all that counts is who came when. What fails here is a permit or an item
 * lost or had twice, or a task that waits for ever. */
#include "harness_loop.h"

static uint32_t model_seed;

static uint32_t model_random(uint32_t below) {
  model_seed = model_seed * 1664525u + 1013904223u;
  return (model_seed >> 8) % below;
}

enum { MODEL_WAITS = 24, MODEL_ROUNDS = 300, MODEL_STEPS = 400 };

/* What the model knows of a wait. */
typedef enum model_state {
  MODEL_IDLE,
  MODEL_QUEUED,
  MODEL_HELD,
  MODEL_CANCELLED
} model_state;

typedef struct model_wait {
  bide_wait wait;
  model_state state;
  uint32_t need;
  uint64_t arrival;
} model_wait;

typedef struct semaphore_model {
  uint32_t permits;
  uint64_t arrivals;
  model_wait waits[MODEL_WAITS];
} semaphore_model;

static model_wait *model_first(semaphore_model *model) {
  model_wait *first = NULL;
  for (int i = 0; i < MODEL_WAITS; i++) {
    model_wait *wait = &model->waits[i];
    if (wait->state != MODEL_QUEUED) continue;
    if (first == NULL || wait->arrival < first->arrival) first = wait;
  }
  return first;
}

static void model_serve(semaphore_model *model) {
  model_wait *first;
  while ((first = model_first(model)) != NULL && first->need <= model->permits) {
    model->permits -= first->need;
    first->state = MODEL_HELD;
  }
}

static void model_compare(const semaphore_model *model, uint32_t permits) {
  static const int states[] = {-1, BIDE_FUTURE_PENDING, BIDE_FUTURE_RESOLVED,
                               BIDE_FUTURE_CANCELLED};
  REQUIRE(permits == model->permits);
  for (int i = 0; i < MODEL_WAITS; i++)
    if (model->waits[i].state != MODEL_IDLE)
      REQUIRE(model->waits[i].wait.future.state == states[model->waits[i].state]);
}

/* One step with one wait: what its state allows. */
static void semaphore_step(bide_semaphore *semaphore, semaphore_model *model,
                           uint32_t need_max) {
  model_wait *wait = &model->waits[model_random(MODEL_WAITS)];
  switch (wait->state) {
    case MODEL_QUEUED:
      if (model_random(2) == 0) return;
      wait->state = MODEL_CANCELLED;
      model_serve(model);
      REQUIRE(bide_future_cancel(&wait->wait.future) == 0);
      break;
    case MODEL_HELD:
      wait->state = MODEL_IDLE;
      model->permits += wait->need;
      model_serve(model);
      REQUIRE(bide_future_cancel(&wait->wait.future) == BIDE_EALREADY);
      bide_semaphore_release(semaphore, wait->need);
      break;
    default:
      wait->need = model_random(4) == 0 ? need_max : model_random(need_max + 1);
      wait->state = MODEL_QUEUED;
      wait->arrival = model->arrivals++;
      model_serve(model);
      bide_semaphore_acquire(semaphore, &wait->wait, wait->need);
  }
}

static void sync_semaphore_follows_its_model(void) {
  bide_loop *loop = harness_loop_new();
  for (uint32_t round = 0; round < MODEL_ROUNDS; round++) {
    model_seed = round;
    static semaphore_model model;
    uint32_t permits = 1 + round % 9;
    model = (semaphore_model){.permits = permits};
    bide_semaphore semaphore;
    bide_semaphore_init(&semaphore, loop, permits);
    for (int step = 0; step < MODEL_STEPS; step++) {
      semaphore_step(&semaphore, &model, permits);
      model_compare(&model, semaphore.permits);
    }
  }
  harness_loop_close(loop);
}

/* ---- tasks that take a lock, hold it over other awaits and are cancelled at any of them ---- */

enum { CROWD_TASKS = 40, CROWD_ROUNDS = 60 };

typedef enum crowd_kind {
  CROWD_MUTEX,
  CROWD_READ,
  CROWD_WRITE,
  CROWD_CONDITION
} crowd_kind;

typedef struct crowd {
  bide_mutex mutex;
  bide_condition condition;
  bide_rwlock lock;
  int in_mutex, readers, writers, ended, changes;
} crowd;

typedef struct crowd_task {
  bide_task task;
  crowd *crowd;
  bide_wait wait;
  int kind, left, seen;
} crowd_task;

static void crowd_enter(crowd_task *self) {
  crowd *all = self->crowd;
  if (self->kind == CROWD_READ)
    bide_rwlock_lock_read(&all->lock, &self->wait);
  else if (self->kind == CROWD_WRITE)
    bide_rwlock_lock_write(&all->lock, &self->wait);
  else
    bide_mutex_lock(&all->mutex, &self->wait);
}

/* Counts who is inside, by steps of 1 or -1. */
static void crowd_count(crowd_task *self, int step) {
  crowd *all = self->crowd;
  int *place = self->kind == CROWD_READ    ? &all->readers
               : self->kind == CROWD_WRITE ? &all->writers
                                           : &all->in_mutex;
  *place += step;
  REQUIRE(all->in_mutex == 0 || all->in_mutex == 1);
  REQUIRE(all->writers == 0 || (all->writers == 1 && all->readers == 0));
}

static void crowd_leave(crowd_task *self) {
  crowd *all = self->crowd;
  crowd_count(self, -1);
  if (self->kind == CROWD_READ) {
    bide_rwlock_unlock_read(&all->lock);
  } else if (self->kind == CROWD_WRITE && model_random(2) == 0) {
    bide_rwlock_downgrade(&all->lock);
    bide_rwlock_unlock_read(&all->lock);
  } else if (self->kind == CROWD_WRITE) {
    bide_rwlock_unlock_write(&all->lock);
  } else {
    all->changes++;
    bide_condition_notify(&all->condition, model_random(3));
    bide_mutex_unlock(&all->mutex);
  }
}

static bide_poll crowd_poll(bide_task *task) {
  crowd_task *self = BIDE_FRAME(task, crowd_task, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    crowd_enter(self);
    BIDE_AWAIT(task, &self->wait.future);
    if (bide_task_status(task) < 0) continue;
    crowd_count(self, 1);
    BIDE_YIELD(task);
    if (self->kind == CROWD_CONDITION) {
      crowd_count(self, -1);
      bide_condition_wait(&self->crowd->condition, &self->wait);
      BIDE_AWAIT(task, &self->wait.future);
      crowd_count(self, 1);
    }
    crowd_leave(self);
  }
  self->crowd->ended++;
  BIDE_ASYNC_END(task, 0);
}

/* Cancels at random for a while; then whoever is left must come to an end: those who wait to
 * be notified are. */
static void crowd_run(bide_loop *loop, uint32_t seed) {
  static crowd_task tasks[CROWD_TASKS];
  crowd all = {0};
  model_seed = seed;
  memset(tasks, 0, sizeof tasks);
  bide_mutex_init(&all.mutex, loop);
  bide_condition_init(&all.condition, &all.mutex);
  bide_rwlock_init(&all.lock, loop);
  for (int i = 0; i < CROWD_TASKS; i++) {
    tasks[i].crowd = &all;
    tasks[i].kind = (int)model_random(4);
    tasks[i].left = 1 + (int)model_random(20);
    REQUIRE(bide_task_spawn(loop, &tasks[i].task, crowd_poll) == 0);
  }
  for (int turn = 0; turn < 100000 && all.ended < CROWD_TASKS; turn++) {
    REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
    if (turn < 200) (void)bide_task_cancel(&tasks[model_random(CROWD_TASKS)].task);
    if (bide_mutex_try_lock(&all.mutex) < 0) continue;
    if (turn >= 200) bide_condition_notify_all(&all.condition);
    bide_mutex_unlock(&all.mutex);
  }
  CHECK_INT(all.ended, CROWD_TASKS);
  CHECK(!bide_mutex_is_locked(&all.mutex));
  bide_wait last;
  bide_rwlock_lock_write(&all.lock, &last);
  CHECK_INT(last.future.state, BIDE_FUTURE_RESOLVED);
}

static void sync_crowd_loses_no_lock(void) {
  bide_loop *loop = harness_loop_new();
  for (uint32_t seed = 0; seed < CROWD_ROUNDS; seed++) crowd_run(loop, seed);
  harness_loop_close(loop);
}

/* ---- a channel, against a queue ---- */

enum { PIPE_TASKS = 12, PIPE_ITEMS = 40 };

typedef struct pipe_task {
  bide_task task;
  bide_channel *channel;
  bide_passage passage;
  uint32_t item, sent, number;
  uint8_t *received; /* by item: how often */
} pipe_task;

static bide_poll pipe_send(bide_task *task) {
  pipe_task *self = BIDE_FRAME(task, pipe_task, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->sent < PIPE_ITEMS) {
    self->item = self->number * PIPE_ITEMS + self->sent;
    bide_channel_send(self->channel, &self->passage, &self->item);
    BIDE_AWAIT(task, &self->passage.future);
    if (bide_task_status(task) == 0) self->sent++;
    if (model_random(4) == 0) BIDE_YIELD(task);
  }
  BIDE_ASYNC_END(task, 0);
}

static bide_poll pipe_receive(bide_task *task) {
  pipe_task *self = BIDE_FRAME(task, pipe_task, task);
  BIDE_ASYNC_BEGIN(task);
  while (true) {
    bide_channel_recv(self->channel, &self->passage, &self->item);
    BIDE_AWAIT(task, &self->passage.future);
    if (bide_task_status(task) == BIDE_EOF) break;
    if (bide_task_status(task) < 0) continue;
    self->received[self->item]++;
    if (model_random(4) == 0) BIDE_YIELD(task);
  }
  BIDE_ASYNC_END(task, 0);
}

static void pipe_run(bide_loop *loop, bide_channel *channel, uint32_t seed) {
  static pipe_task tasks[PIPE_TASKS];
  static uint8_t received[PIPE_TASKS * PIPE_ITEMS];
  uint32_t senders = 1 + seed % (PIPE_TASKS - 1);
  model_seed = seed;
  memset(tasks, 0, sizeof tasks);
  memset(received, 0, sizeof received);
  for (uint32_t i = 0; i < PIPE_TASKS; i++) {
    tasks[i].channel = channel;
    tasks[i].number = i;
    tasks[i].received = received;
    REQUIRE(bide_task_spawn(loop, &tasks[i].task,
                            i < senders ? pipe_send : pipe_receive) == 0);
  }
  bool sending = true;
  for (int turn = 0; turn < 100000 && sending; turn++) {
    REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
    if (turn % 3 != 0) (void)bide_task_cancel(&tasks[model_random(PIPE_TASKS)].task);
    sending = false;
    for (uint32_t i = 0; i < senders; i++)
      sending |= !bide_future_is_settled(&tasks[i].task.future);
  }
  CHECK(!sending);
  while (channel->count > 0) REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  bide_channel_close(channel);
  for (uint32_t i = 0; i < PIPE_TASKS; i++)
    CHECK_INT(bide_block_on(&tasks[i].task.future), 0);
  for (uint32_t i = 0; i < senders * PIPE_ITEMS; i++) REQUIRE(received[i] == 1);
}

/* Each item that a send says was handed over is received once, and no other is. */
static void sync_channel_loses_nothing(void) {
  bide_loop *loop = harness_loop_new();
  uint32_t storage[8];
  for (uint32_t seed = 0; seed < 120; seed++) {
    bide_channel channel;
    if (seed % 4 == 3)
      bide_channel_init_unbounded(&channel, loop, sizeof *storage);
    else
      bide_channel_init(&channel, loop, storage, sizeof *storage, seed % 9);
    pipe_run(loop, &channel, seed);
    bide_channel_free(&channel);
  }
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(sync_semaphore_follows_its_model),
    HARNESS_TEST(sync_crowd_loses_no_lock),
    HARNESS_TEST(sync_channel_loses_nothing),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
