/* rwlock.c: see sync.h. */
#include <assert.h>
#include <bide/sync.h>

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

void bide_rwlock_unlock_read(bide_rwlock *lock) {
  assert(lock->semaphore_.permits < RWLOCK_ALL);
  bide_semaphore_release(&lock->semaphore_, 1);
}

void bide_rwlock_unlock_write(bide_rwlock *lock) {
  assert(lock->semaphore_.permits == 0);
  bide_semaphore_release(&lock->semaphore_, RWLOCK_ALL);
}

void bide_rwlock_downgrade(bide_rwlock *lock) {
  assert(lock->semaphore_.permits == 0);
  bide_semaphore_release(&lock->semaphore_, RWLOCK_ALL - 1);
}
