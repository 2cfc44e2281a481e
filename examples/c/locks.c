/* Tasks of one loop that wait for one another:
 *
 *   - a mutex around what takes several awaits, and a condition to wait for its change;
 *   - a read-write lock, whose readers go together and whose writer is not starved;
 *   - a semaphore that lets two of five in at a time;
 *   - a barrier at which all meet, an event that lets all go, a notify that wakes one.
 *
 * Each queue is first come, first served. */
#include <bide.h>
#include <stdio.h>

enum { GUESTS = 5, ROUNDS = 3 };

typedef struct house {
  bide_mutex mutex;
  bide_condition filled;
  bide_rwlock book;
  bide_semaphore seats;
  bide_barrier table;
  bide_event dinner;
  bide_notify bell;
  int cups, seated, most_seated, reading, most_reading, arrived_last;
} house;

typedef struct guest {
  bide_child child;
  bide_wait wait;
  house *house;
  int number, served;
} guest;

/* ---- a mutex and a condition ---- */

static bide_poll drinker_poll(bide_task *task) {
  guest *self = BIDE_FRAME(task, guest, child.task);
  house *home = self->house;
  BIDE_ASYNC_BEGIN(task);
  bide_mutex_lock(&home->mutex, &self->wait);
  BIDE_AWAIT(task, &self->wait.future);
  while (home->cups == 0) {
    bide_condition_wait(&home->filled, &self->wait);
    BIDE_AWAIT(task, &self->wait.future);
  }
  home->cups--;
  bide_mutex_unlock(&home->mutex);
  self->served = 1;
  BIDE_ASYNC_END(task, 0);
}

static bide_poll host_poll(bide_task *task) {
  guest *self = BIDE_FRAME(task, guest, child.task);
  house *home = self->house;
  BIDE_ASYNC_BEGIN(task);
  while (self->served++ < GUESTS - 1) {
    bide_mutex_lock(&home->mutex, &self->wait);
    BIDE_AWAIT(task, &self->wait.future);
    BIDE_YIELD(
        task); /* filling a cup takes a while; nobody else has the mutex meanwhile */
    home->cups++;
    bide_condition_notify(&home->filled, 1);
    bide_mutex_unlock(&home->mutex);
  }
  BIDE_ASYNC_END(task, 0);
}

/* ---- a read-write lock ---- */

static bide_poll reader_poll(bide_task *task) {
  guest *self = BIDE_FRAME(task, guest, child.task);
  house *home = self->house;
  BIDE_ASYNC_BEGIN(task);
  bide_rwlock_lock_read(&home->book, &self->wait);
  BIDE_AWAIT(task, &self->wait.future);
  if (++home->reading > home->most_reading) home->most_reading = home->reading;
  BIDE_YIELD(task);
  home->reading--;
  bide_rwlock_unlock_read(&home->book);
  BIDE_ASYNC_END(task, 0);
}

static bide_poll writer_poll(bide_task *task) {
  guest *self = BIDE_FRAME(task, guest, child.task);
  house *home = self->house;
  BIDE_ASYNC_BEGIN(task);
  bide_rwlock_lock_write(&home->book, &self->wait);
  BIDE_AWAIT(task, &self->wait.future);
  printf("the writer is alone with %d readers\n", home->reading);
  bide_rwlock_downgrade(&home->book); /* and reads what it wrote, with the others */
  bide_rwlock_unlock_read(&home->book);
  BIDE_ASYNC_END(task, 0);
}

/* ---- a semaphore, a barrier, an event and a notify ---- */

static bide_poll diner_poll(bide_task *task) {
  guest *self = BIDE_FRAME(task, guest, child.task);
  house *home = self->house;
  BIDE_ASYNC_BEGIN(task);

  bide_semaphore_acquire(&home->seats, &self->wait, 1);
  BIDE_AWAIT(task, &self->wait.future);
  if (++home->seated > home->most_seated) home->most_seated = home->seated;
  BIDE_YIELD(task);
  home->seated--;
  bide_semaphore_release(&home->seats, 1);

  bide_barrier_wait(&home->table, &self->wait);
  BIDE_AWAIT(task, &self->wait.future);
  if (self->wait.future.value == GUESTS - 1) home->arrived_last = self->number;

  bide_event_wait(&home->dinner, &self->wait);
  BIDE_AWAIT(task, &self->wait.future);
  bide_notify_one(&home->bell);
  BIDE_ASYNC_END(task, 0);
}

/* ---- all of it ---- */

typedef struct evening {
  bide_task task;
  bide_scope scope;
  bide_wait wait;
  house house;
  guest guests[GUESTS];
  int round;
} evening;

static void evening_open(house *home, bide_loop *loop) {
  bide_mutex_init(&home->mutex, loop);
  bide_condition_init(&home->filled, &home->mutex);
  bide_rwlock_init(&home->book, loop);
  bide_semaphore_init(&home->seats, loop, 2);
  bide_barrier_init(&home->table, loop, GUESTS);
  bide_event_init(&home->dinner, loop);
  bide_notify_init(&home->bell, loop);
}

/* Which of the guests does what, round by round; the last of the first two is another. */
static void evening_invite(evening *self, bide_loop *loop) {
  static const bide_task_fn most[ROUNDS] = {drinker_poll, reader_poll, diner_poll};
  static const bide_task_fn last[ROUNDS] = {host_poll, writer_poll, diner_poll};
  bide_scope_init(&self->scope, loop);
  for (int i = 0; i < GUESTS; i++) {
    bide_task_fn poll = (i < GUESTS - 1 ? most : last)[self->round];
    self->guests[i] = (guest){.house = &self->house, .number = i};
    if (bide_scope_spawn(&self->scope, &self->guests[i].child, poll) < 0)
      bide_scope_cancel(&self->scope);
  }
}

static bide_poll evening_poll(bide_task *task) {
  evening *self = BIDE_FRAME(task, evening, task);
  house *home = &self->house;
  BIDE_ASYNC_BEGIN(task);
  evening_open(home, task->future.loop);
  for (; self->round < ROUNDS - 1; self->round++) {
    evening_invite(self, task->future.loop);
    BIDE_AWAIT(task, bide_scope_end(&self->scope));
  }
  printf("%d cups are left, up to %d read together\n", home->cups, home->most_reading);

  evening_invite(self, task->future.loop);
  bide_event_set(&home->dinner);
  bide_notify_wait(&home->bell, &self->wait);
  BIDE_AWAIT(task, &self->wait.future);
  BIDE_AWAIT(task, bide_scope_end(&self->scope));
  printf("%d seated at most, guest %d was the last at the table\n", home->most_seated,
         home->arrived_last + 1);
  BIDE_ASYNC_END(task, 0);
}

int main(void) {
  static evening self;
  bide_loop *loop;
  int error = bide_loop_new(NULL, &loop);
  if (error == 0) error = bide_task_spawn(loop, &self.task, evening_poll);
  if (error == 0) error = bide_block_on(&self.task.future);
  if (error == 0) error = bide_loop_close(loop);
  if (error < 0) fprintf(stderr, "locks: %s\n", bide_error_text(error));
  return error < 0;
}
