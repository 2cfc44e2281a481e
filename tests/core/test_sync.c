/* Locks, gates and the like. What fails here lets two tasks into what one should have, or
 * forgets one who waits. */
#include <bide.h>

#include "harness_loop.h"

enum { WAITS = 4 };

static void sync_check_states(const bide_wait *waits, const char *expected) {
  for (int i = 0; expected[i] != '\0'; i++) {
    char state = "prxc"[waits[i].future.state];
    if (state != expected[i]) printf("wait %d is %c, not %c\n", i, state, expected[i]);
    CHECK(state == expected[i]);
  }
}

/* ---- semaphore ---- */

static void sync_semaphore_serves_in_order(void) {
  bide_loop *loop = harness_loop_new();
  bide_semaphore semaphore;
  bide_wait waits[WAITS];
  bide_semaphore_init(&semaphore, loop, 2);
  bide_semaphore_acquire(&semaphore, &waits[0], 1);
  bide_semaphore_acquire(&semaphore, &waits[1], 2);
  bide_semaphore_acquire(&semaphore, &waits[2], 1);
  sync_check_states(waits, "rpp"); /* the third does not overtake the second */
  CHECK_INT(bide_semaphore_try_acquire(&semaphore, 1), BIDE_EAGAIN);
  bide_semaphore_release(&semaphore, 1);
  sync_check_states(waits, "rrp");
  bide_semaphore_release(&semaphore, 2);
  sync_check_states(waits, "rrr");
  CHECK_INT(semaphore.permits, 1);
  CHECK_INT(bide_semaphore_try_acquire(&semaphore, 1), 0);
  CHECK_INT(bide_semaphore_try_acquire(&semaphore, 1), BIDE_EAGAIN);
  harness_loop_close(loop);
}

/* Who leaves the queue holds nobody up, and takes nothing along. */
static void sync_semaphore_cancel_lets_the_next_in(void) {
  bide_loop *loop = harness_loop_new();
  bide_semaphore semaphore;
  bide_wait waits[WAITS];
  bide_semaphore_init(&semaphore, loop, 1);
  bide_semaphore_acquire(&semaphore, &waits[0], 2);
  bide_semaphore_acquire(&semaphore, &waits[1], 1);
  bide_semaphore_acquire(&semaphore, &waits[2], 1);
  sync_check_states(waits, "ppp");
  CHECK_INT(bide_future_cancel(&waits[0].future), 0);
  sync_check_states(waits, "crp");
  CHECK_INT(bide_future_cancel(&waits[1].future), BIDE_EALREADY); /* it has its permit */
  bide_semaphore_release(&semaphore, 1);
  sync_check_states(waits, "crr");
  bide_semaphore_release(&semaphore, 1);
  CHECK_INT(semaphore.permits, 1);
  harness_loop_close(loop);
}

/* ---- tasks that share ---- */

typedef struct sharer {
  bide_task task;
  bide_wait wait;
  bide_mutex *mutex;
  int *inside, *done;
  int left;
} sharer;

static bide_poll sharer_poll(bide_task *task) {
  sharer *self = BIDE_FRAME(task, sharer, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    bide_mutex_lock(self->mutex, &self->wait);
    BIDE_AWAIT(task, &self->wait.future);
    if (bide_task_status(task) < 0) continue;
    CHECK_INT(++*self->inside, 1);
    BIDE_YIELD(task);
    --*self->inside;
    ++*self->done;
    bide_mutex_unlock(self->mutex);
  }
  BIDE_ASYNC_END(task, 0);
}

/* A hundred tasks, some cancelled while they wait: never two inside, none forgotten. */
static void sync_mutex_lets_one_in(void) {
  enum { TASKS = 100, ROUNDS = 50 };
  static sharer sharers[TASKS];
  bide_loop *loop = harness_loop_new();
  bide_mutex mutex;
  int inside = 0, done = 0;
  memset(sharers, 0, sizeof sharers);
  bide_mutex_init(&mutex, loop);
  CHECK_INT(bide_mutex_try_lock(&mutex), 0);
  CHECK_INT(bide_mutex_try_lock(&mutex), BIDE_EAGAIN);
  for (int i = 0; i < TASKS; i++) {
    sharers[i].mutex = &mutex;
    sharers[i].inside = &inside;
    sharers[i].done = &done;
    sharers[i].left = ROUNDS;
    REQUIRE(bide_task_spawn(loop, &sharers[i].task, sharer_poll) == 0);
  }
  REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  int cancelled = 0;
  for (int i = 0; i < TASKS; i += 3) cancelled += bide_task_cancel(&sharers[i].task) == 0;
  bide_mutex_unlock(&mutex);
  for (int i = 0; i < TASKS; i++) CHECK_INT(bide_block_on(&sharers[i].task.future), 0);
  CHECK_INT(done, TASKS * ROUNDS - cancelled);
  CHECK(!bide_mutex_is_locked(&mutex));
  harness_loop_close(loop);
}

/* ---- read-write lock ---- */

static void sync_rwlock_is_fair_to_both(void) {
  bide_loop *loop = harness_loop_new();
  bide_rwlock lock;
  bide_wait waits[WAITS];
  bide_rwlock_init(&lock, loop);
  bide_rwlock_lock_read(&lock, &waits[0]);
  bide_rwlock_lock_read(&lock, &waits[1]);
  bide_rwlock_lock_write(&lock, &waits[2]);
  bide_rwlock_lock_read(&lock, &waits[3]);
  sync_check_states(waits, "rrpp"); /* a reader does not pass the writer who waits */
  bide_rwlock_unlock_read(&lock);
  sync_check_states(waits, "rrpp");
  bide_rwlock_unlock_read(&lock);
  sync_check_states(waits, "rrrp");
  bide_rwlock_downgrade(&lock);
  sync_check_states(waits, "rrrr"); /* who waited to read reads beside it */
  bide_rwlock_unlock_read(&lock);
  bide_rwlock_unlock_read(&lock);
  bide_rwlock_lock_write(&lock, &waits[0]);
  sync_check_states(waits, "r");
  bide_rwlock_unlock_write(&lock);
  harness_loop_close(loop);
}

/* ---- event ---- */

static void sync_event_opens_and_closes(void) {
  bide_loop *loop = harness_loop_new();
  bide_event event;
  bide_wait waits[WAITS];
  bide_event_init(&event, loop);
  for (int i = 0; i < 3; i++) bide_event_wait(&event, &waits[i]);
  CHECK_INT(bide_future_cancel(&waits[1].future), 0);
  sync_check_states(waits, "pcp");
  bide_event_set(&event);
  bide_event_wait(&event, &waits[3]);
  sync_check_states(waits, "rcrr");
  bide_event_clear(&event);
  bide_event_wait(&event, &waits[0]);
  sync_check_states(waits, "p");
  bide_future_cancel(&waits[0].future);
  harness_loop_close(loop);
}

typedef struct canceller {
  bide_waiter waiter;
  bide_wait *victim;
} canceller;

static void sync_cancel_victim(bide_waiter *waiter, bide_future *future) {
  (void)future;
  bide_future_cancel(&BIDE_CONTAINER_OF(waiter, canceller, waiter)->victim->future);
}

/* The first to be woken cancels the next, who is being woken in the same call. */
static void sync_event_survives_a_cancel_from_within(void) {
  bide_loop *loop = harness_loop_new();
  bide_event event;
  bide_wait waits[WAITS];
  bide_event_init(&event, loop);
  for (int i = 0; i < 3; i++) bide_event_wait(&event, &waits[i]);
  canceller first = {.waiter = {.wake = sync_cancel_victim}, .victim = &waits[1]};
  REQUIRE(bide_future_wait(&waits[0].future, &first.waiter) == 0);
  bide_event_set(&event);
  sync_check_states(waits, "rcr");
  harness_loop_close(loop);
}

/* ---- condition ---- */

static void sync_condition_gives_the_lock_back(void) {
  bide_loop *loop = harness_loop_new();
  bide_mutex mutex;
  bide_condition condition;
  bide_wait waits[3];
  bide_mutex_init(&mutex, loop);
  bide_condition_init(&condition, &mutex);
  for (int i = 0; i < 3; i++) {
    CHECK_INT(bide_mutex_try_lock(&mutex), 0);
    bide_condition_wait(&condition, &waits[i]);
    CHECK(!bide_mutex_is_locked(&mutex));
  }
  CHECK_INT(bide_mutex_try_lock(&mutex), 0);
  bide_condition_notify(&condition, 1);
  CHECK_INT(bide_future_cancel(&waits[1].future), 0);
  sync_check_states(waits, "ppp"); /* neither has the lock yet */
  bide_mutex_unlock(&mutex);
  sync_check_states(waits, "rpp");
  CHECK_INT(bide_future_cancel(&waits[1].future), 0); /* spent: it comes out soon */
  bide_mutex_unlock(&mutex);
  sync_check_states(waits, "rcp");
  CHECK(bide_mutex_is_locked(&mutex)); /* by the cancelled one */
  bide_condition_notify_all(&condition);
  bide_mutex_unlock(&mutex);
  sync_check_states(waits, "rcr");
  bide_mutex_unlock(&mutex);
  CHECK(!bide_mutex_is_locked(&mutex));
  harness_loop_close(loop);
}

/* ---- barrier ---- */

static void sync_barrier_lets_its_parties_go_together(void) {
  bide_loop *loop = harness_loop_new();
  bide_barrier barrier;
  bide_wait waits[WAITS];
  bide_barrier_init(&barrier, loop, 3);
  for (int round = 0; round < 2; round++) {
    bide_barrier_wait(&barrier, &waits[0]);
    bide_barrier_wait(&barrier, &waits[1]);
    CHECK_INT(bide_future_cancel(&waits[0].future), 0);
    CHECK_INT(barrier.waiting, 1);
    bide_barrier_wait(&barrier, &waits[2]);
    sync_check_states(waits, "cpp");
    bide_barrier_wait(&barrier, &waits[3]);
    sync_check_states(waits, "crrr");
    for (int i = 1; i < 4; i++) CHECK_INT(waits[i].future.value, i - 1);
    CHECK_INT(barrier.waiting, 0);
  }
  harness_loop_close(loop);
}

static void sync_barrier_survives_a_cancel_from_within(void) {
  bide_loop *loop = harness_loop_new();
  bide_barrier barrier;
  bide_wait waits[WAITS];
  bide_barrier_init(&barrier, loop, 3);
  bide_barrier_wait(&barrier, &waits[0]);
  bide_barrier_wait(&barrier, &waits[1]);
  canceller first = {.waiter = {.wake = sync_cancel_victim}, .victim = &waits[1]};
  REQUIRE(bide_future_wait(&waits[0].future, &first.waiter) == 0);
  bide_barrier_wait(&barrier, &waits[2]);
  sync_check_states(waits, "rcr");
  CHECK_INT(barrier.waiting, 0);
  harness_loop_close(loop);
}

/* ---- notify ---- */

static void sync_notify_is_kept_for_who_comes_next(void) {
  bide_loop *loop = harness_loop_new();
  bide_notify notify;
  bide_wait waits[WAITS];
  bide_notify_init(&notify, loop);
  bide_notify_one(&notify);
  bide_notify_one(&notify); /* does not add up */
  bide_notify_wait(&notify, &waits[0]);
  bide_notify_wait(&notify, &waits[1]);
  bide_notify_wait(&notify, &waits[2]);
  sync_check_states(waits, "rpp");
  bide_notify_one(&notify);
  sync_check_states(waits, "rrp");
  bide_notify_wait(&notify, &waits[3]);
  bide_notify_all(&notify);
  sync_check_states(waits, "rrrr");
  bide_notify_wait(&notify, &waits[0]);
  sync_check_states(waits, "p");
  bide_future_cancel(&waits[0].future);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(sync_semaphore_serves_in_order),
    HARNESS_TEST(sync_semaphore_cancel_lets_the_next_in),
    HARNESS_TEST(sync_mutex_lets_one_in),
    HARNESS_TEST(sync_rwlock_is_fair_to_both),
    HARNESS_TEST(sync_event_opens_and_closes),
    HARNESS_TEST(sync_event_survives_a_cancel_from_within),
    HARNESS_TEST(sync_condition_gives_the_lock_back),
    HARNESS_TEST(sync_barrier_lets_its_parties_go_together),
    HARNESS_TEST(sync_barrier_survives_a_cancel_from_within),
    HARNESS_TEST(sync_notify_is_kept_for_who_comes_next),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
