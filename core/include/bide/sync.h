/* sync.h: tasks of one loop that wait for one another.
 *
 * All of it belongs to one loop, is used on its thread alone, and allocates nothing. One
 * waits with a bide_wait, which is yours and belongs to the loop until its future settles:
 *
 *   bide_mutex_lock(&mutex, &wait);
 *   BIDE_AWAIT(task, &wait.future);
 *   if (bide_task_status(task) < 0) ...        // cancelled: the mutex is not ours
 *
 * What can be had at once settles the future at once. Where another thread runs the loop it is
 * rejected with BIDE_ETHREAD, which is also what the functions that return an int return then;
 * else they return 0. All queues are first come, first served, and nobody overtakes who waits. A
 * wait that is cancelled has taken nothing and leaves its place; one that was served before the
 * cancel came keeps what it got, as any settled future does.
 *
 * Whoever frees one of these while somebody waits for it cancels the waits first.
 */
#ifndef BIDE_SYNC_H
#define BIDE_SYNC_H

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_wait {
  bide_future future;
  /* private */
  bide_node node_;
  void *owner_;
  uint32_t need_;
  int32_t error_;
} bide_wait;

/* ---- semaphore ---- */

typedef struct bide_semaphore {
  bide_loop *loop;  /* read-only */
  uint32_t permits; /* read-only: how many are free */
  bide_node waits_; /* private */
} bide_semaphore;

BIDE_EXTERN void bide_semaphore_init(bide_semaphore *semaphore, bide_loop *loop,
                                     uint32_t permits);

/* Waits for `count` permits, all at once. */
BIDE_EXTERN void bide_semaphore_acquire(bide_semaphore *semaphore, bide_wait *wait,
                                        uint32_t count);

/* Returns 0, or BIDE_EAGAIN when there are not so many free or others wait for theirs. */
BIDE_EXTERN int bide_semaphore_try_acquire(bide_semaphore *semaphore, uint32_t count);

/* Gives permits back, or new ones. Those who wait are served first. BIDE_EOVERFLOW for more
 * than a uint32_t holds. */
BIDE_EXTERN int bide_semaphore_release(bide_semaphore *semaphore, uint32_t count);

/* ---- mutex ---- */

typedef struct bide_mutex {
  bide_semaphore semaphore_; /* private: of one permit */
} bide_mutex;

BIDE_EXTERN void bide_mutex_init(bide_mutex *mutex, bide_loop *loop);
BIDE_EXTERN void bide_mutex_lock(bide_mutex *mutex, bide_wait *wait);

/* Returns 0, or BIDE_EAGAIN for one that is locked. */
BIDE_EXTERN int bide_mutex_try_lock(bide_mutex *mutex);

/* Hands it to who waits longest. A mutex knows no holder: whoever has it may have another
 * unlock it. BIDE_EPERM for one that is not locked. */
BIDE_EXTERN int bide_mutex_unlock(bide_mutex *mutex);

BIDE_EXTERN bool bide_mutex_is_locked(const bide_mutex *mutex);

/* ---- read-write lock ---- */

/* Many readers or one writer. Readers who come behind a writer who waits, wait too:
 * neither side starves the other. */
typedef struct bide_rwlock {
  bide_semaphore semaphore_; /* private: a reader takes one permit, a writer all */
} bide_rwlock;

BIDE_EXTERN void bide_rwlock_init(bide_rwlock *lock, bide_loop *loop);
BIDE_EXTERN void bide_rwlock_lock_read(bide_rwlock *lock, bide_wait *wait);
BIDE_EXTERN void bide_rwlock_lock_write(bide_rwlock *lock, bide_wait *wait);

/* BIDE_EPERM for one that is not locked, or not in that way. */
BIDE_EXTERN int bide_rwlock_unlock_read(bide_rwlock *lock);
BIDE_EXTERN int bide_rwlock_unlock_write(bide_rwlock *lock);

/* A writer goes on as a reader without letting another writer in between. BIDE_EPERM as
 * above. */
BIDE_EXTERN int bide_rwlock_downgrade(bide_rwlock *lock);

/* ---- event ---- */

/* A gate: all who wait go through when it is set, and all who come until it is cleared. */
typedef struct bide_event {
  bide_loop *loop;  /* read-only */
  bool is_set;      /* read-only */
  bide_node waits_; /* private */
} bide_event;

BIDE_EXTERN void bide_event_init(bide_event *event, bide_loop *loop);
BIDE_EXTERN void bide_event_wait(bide_event *event, bide_wait *wait);
BIDE_EXTERN int bide_event_set(bide_event *event);
BIDE_EXTERN int bide_event_clear(bide_event *event);

/* ---- condition ---- */

/* Waits for a state that a mutex guards to have changed. */
typedef struct bide_condition {
  bide_mutex *mutex; /* read-only */
  bide_node waits_;  /* private */
} bide_condition;

BIDE_EXTERN void bide_condition_init(bide_condition *condition, bide_mutex *mutex);

/* Unlocks the mutex, waits to be notified, and locks it again. The mutex is locked when the
 * future settles, also when it was cancelled; a cancel that comes while the lock is waited
 * for, after the notification, is spent on nothing. Look at the state again afterwards.
 * Rejected with BIDE_EPERM when the mutex is not locked. */
BIDE_EXTERN void bide_condition_wait(bide_condition *condition, bide_wait *wait);

/* Notifies the `count` that wait longest; BIDE_EPERM when the mutex is not locked. */
BIDE_EXTERN int bide_condition_notify(bide_condition *condition, size_t count);
BIDE_EXTERN int bide_condition_notify_all(bide_condition *condition);

/* ---- barrier ---- */

/* Lets its parties go on when all have come, again and again. */
typedef struct bide_barrier {
  bide_loop *loop;  /* read-only */
  uint32_t parties; /* read-only */
  uint32_t waiting; /* read-only: how many have come */
  bide_node waits_; /* private */
} bide_barrier;

/* BIDE_EINVAL for no parties: then it is for one. */
BIDE_EXTERN int bide_barrier_init(bide_barrier *barrier, bide_loop *loop, uint32_t parties);

/* Resolves with the place of arrival, 0 for the first. One that is cancelled has not
 * come. */
BIDE_EXTERN void bide_barrier_wait(bide_barrier *barrier, bide_wait *wait);

/* ---- notify ---- */

/* Wakes one who waits; with nobody there, whoever comes next. Notifications do not add up. */
typedef struct bide_notify {
  bide_loop *loop;  /* read-only */
  bool notified;    /* read-only: the next to come does not wait */
  bide_node waits_; /* private */
} bide_notify;

BIDE_EXTERN void bide_notify_init(bide_notify *notify, bide_loop *loop);
BIDE_EXTERN void bide_notify_wait(bide_notify *notify, bide_wait *wait);
BIDE_EXTERN int bide_notify_one(bide_notify *notify);

/* Wakes all who wait now, and nobody who comes. */
BIDE_EXTERN int bide_notify_all(bide_notify *notify);

#ifdef __cplusplus
}
#endif
#endif
