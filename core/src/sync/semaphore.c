/* semaphore.c: see sync.h. */
#include "semaphore.h"
#include "wait.h"

void bide_semaphore_init(bide_semaphore *semaphore, bide_loop *loop, uint32_t permits) {
  semaphore->loop = loop;
  semaphore->permits = permits;
  bide__list_init(&semaphore->waits_);
}

/* Serves from the front for as long as the first can be: nobody overtakes who needs more. */
static void semaphore_serve(bide_semaphore *semaphore) {
  while (!bide__list_empty(&semaphore->waits_)) {
    bide_wait *first = bide__wait_of_node(semaphore->waits_.next);
    if (first->need_ > semaphore->permits) return;
    semaphore->permits -= first->need_;
    bide__list_remove(&first->node_);
    bide__wait_finish(first, 0);
  }
}

/* Those behind may have waited only for this one's turn. */
static void semaphore_cancel(bide_future *future) {
  bide_wait *wait = bide__wait_of_future(future);
  bide_semaphore *semaphore = wait->owner_;
  bide__list_remove(&wait->node_);
  bide_future_reject(future, BIDE_ECANCELED);
  semaphore_serve(semaphore);
}

void bide_semaphore_acquire(bide_semaphore *semaphore, bide_wait *wait, uint32_t count) {
  if (bide__wait_init(wait, semaphore->loop, semaphore, semaphore_cancel))
    bide__semaphore_enter(semaphore, wait, count);
}

void bide__semaphore_enter(bide_semaphore *semaphore, bide_wait *wait, uint32_t count) {
  wait->need_ = count;
  bide__wait_enqueue(&semaphore->waits_, wait);
  semaphore_serve(semaphore);
}

int bide_semaphore_try_acquire(bide_semaphore *semaphore, uint32_t count) {
  if (BIDE__MISUSE(!bide__loop_is_ours(semaphore->loop))) return BIDE_ETHREAD;
  if (!bide__list_empty(&semaphore->waits_) || semaphore->permits < count)
    return BIDE_EAGAIN;
  semaphore->permits -= count;
  return 0;
}

int bide_semaphore_release(bide_semaphore *semaphore, uint32_t count) {
  if (BIDE__MISUSE(!bide__loop_is_ours(semaphore->loop))) return BIDE_ETHREAD;
  if (BIDE__MISUSE(semaphore->permits > UINT32_MAX - count)) return BIDE_EOVERFLOW;
  semaphore->permits += count;
  semaphore_serve(semaphore);
  return 0;
}
