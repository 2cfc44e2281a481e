/* barrier.c: see sync.h. */
#include "wait.h"

int bide_barrier_init(bide_barrier *barrier, bide_loop *loop, uint32_t parties) {
  bool nobody = BIDE__MISUSE(parties == 0);
  barrier->loop = loop;
  barrier->parties = nobody ? 1 : parties;
  barrier->waiting = 0;
  bide__list_init(&barrier->waits_);
  return nobody ? BIDE_EINVAL : 0;
}

static void barrier_cancel(bide_future *future) {
  bide_wait *wait = bide__wait_of_future(future);
  bide_barrier *barrier = wait->owner_;
  bide__list_remove(&wait->node_);
  /* Those whom the barrier is letting go are not waiting any more. */
  if (wait->need_ != 0) barrier->waiting--;
  bide_future_reject(future, BIDE_ECANCELED);
}

void bide_barrier_wait(bide_barrier *barrier, bide_wait *wait) {
  if (!bide__wait_init(wait, barrier->loop, barrier, barrier_cancel)) return;
  wait->need_ = 1;
  bide__wait_enqueue(&barrier->waits_, wait);
  if (++barrier->waiting < barrier->parties) return;
  barrier->waiting = 0;
  for (bide_node *n = barrier->waits_.next; n != &barrier->waits_; n = n->next)
    bide__wait_of_node(n)->need_ = 0;
  bide__wait_finish_all(&barrier->waits_);
}
