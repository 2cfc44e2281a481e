/* rwlock.c: see sync.h. */
#include <bide/errno.h>
#include <bide/sync.h>

#include "../misuse.h"

enum { RWLOCK_ALL = INT32_MAX };

void bide_rwlock_init(bide_rwlock *lock, bide_loop *loop) {
  bide_semaphore_init(&lock->semaphore_, loop, RWLOCK_ALL);
}

void bide_rwlock_lock_read(bide_rwlock *lock, bide_wait *wait) {
  bide_semaphore_acquire(&lock->semaphore_, wait, 1);
}

void bide_rwlock_lock_write(bide_rwlock *lock, bide_wait *wait) {
  bide_semaphore_acquire(&lock->semaphore_, wait, RWLOCK_ALL);
}

/* A writer has all the permits. */
static bool rwlock_is_written(const bide_rwlock *lock) {
  return lock->semaphore_.permits == 0;
}

static bool rwlock_is_read(const bide_rwlock *lock) {
  return lock->semaphore_.permits > 0 && lock->semaphore_.permits < RWLOCK_ALL;
}

int bide_rwlock_unlock_read(bide_rwlock *lock) {
  if (BIDE__MISUSE(!rwlock_is_read(lock))) return BIDE_EPERM;
  return bide_semaphore_release(&lock->semaphore_, 1);
}

int bide_rwlock_unlock_write(bide_rwlock *lock) {
  if (BIDE__MISUSE(!rwlock_is_written(lock))) return BIDE_EPERM;
  return bide_semaphore_release(&lock->semaphore_, RWLOCK_ALL);
}

int bide_rwlock_downgrade(bide_rwlock *lock) {
  if (BIDE__MISUSE(!rwlock_is_written(lock))) return BIDE_EPERM;
  return bide_semaphore_release(&lock->semaphore_, RWLOCK_ALL - 1);
}
