/* condition.c: see sync.h. */
#include "semaphore.h"
#include "wait.h"

void bide_condition_init(bide_condition *condition, bide_mutex *mutex) {
  condition->mutex = mutex;
  bide__list_init(&condition->waits_);
}

/* The mutex will be had, cancelled or not: whoever waited unlocks it afterwards. */
static void condition_cancel_nothing(bide_future *future) { (void)future; }

/* Goes from the condition's queue to the mutex's. */
static void condition_relock(bide_condition *condition, bide_wait *wait) {
  wait->future.cancel = condition_cancel_nothing;
  bide__semaphore_enter(&condition->mutex->semaphore_, wait, 1);
}

static void condition_cancel(bide_future *future) {
  bide_wait *wait = bide__wait_of_future(future);
  bide__list_remove(&wait->node_);
  wait->error_ = BIDE_ECANCELED;
  condition_relock(wait->owner_, wait);
}

void bide_condition_wait(bide_condition *condition, bide_wait *wait) {
  if (!bide__wait_init(wait, condition->mutex->semaphore_.loop, condition,
                       condition_cancel))
    return;
  if (BIDE__MISUSE(!bide_mutex_is_locked(condition->mutex))) {
    bide_future_reject(&wait->future, BIDE_EPERM);
    return;
  }
  bide__wait_enqueue(&condition->waits_, wait);
  bide_mutex_unlock(condition->mutex);
}

int bide_condition_notify(bide_condition *condition, size_t count) {
  if (BIDE__MISUSE(!bide__loop_is_ours(condition->mutex->semaphore_.loop)))
    return BIDE_ETHREAD;
  if (BIDE__MISUSE(!bide_mutex_is_locked(condition->mutex))) return BIDE_EPERM;
  for (; count > 0 && !bide__list_empty(&condition->waits_); count--)
    condition_relock(condition, bide__wait_dequeue(&condition->waits_));
  return 0;
}

int bide_condition_notify_all(bide_condition *condition) {
  return bide_condition_notify(condition, SIZE_MAX);
}
