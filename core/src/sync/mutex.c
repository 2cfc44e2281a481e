/* mutex.c: see sync.h. */
#include <bide/errno.h>
#include <bide/sync.h>

#include "../misuse.h"

void bide_mutex_init(bide_mutex *mutex, bide_loop *loop) {
  bide_semaphore_init(&mutex->semaphore_, loop, 1);
}

void bide_mutex_lock(bide_mutex *mutex, bide_wait *wait) {
  bide_semaphore_acquire(&mutex->semaphore_, wait, 1);
}

int bide_mutex_try_lock(bide_mutex *mutex) {
  return bide_semaphore_try_acquire(&mutex->semaphore_, 1);
}

int bide_mutex_unlock(bide_mutex *mutex) {
  if (BIDE__MISUSE(!bide_mutex_is_locked(mutex))) return BIDE_EPERM;
  return bide_semaphore_release(&mutex->semaphore_, 1);
}

bool bide_mutex_is_locked(const bide_mutex *mutex) {
  return mutex->semaphore_.permits == 0;
}
