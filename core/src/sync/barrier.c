/* barrier.c: see sync.h. */
#include <assert.h>

#include "wait.h"

void bide_barrier_init(bide_barrier *barrier, bide_loop *loop, uint32_t parties) {
  assert(parties > 0);
  barrier->loop = loop;
  barrier->parties = parties;
  barrier->waiting = 0;
  bide__list_init(&barrier->waits_);
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
  bide__wait_init(wait, barrier->loop, barrier, barrier_cancel);
  wait->need_ = 1;
  bide__wait_enqueue(&barrier->waits_, wait);
  if (++barrier->waiting < barrier->parties) return;
  barrier->waiting = 0;
  for (bide_node *n = barrier->waits_.next; n != &barrier->waits_; n = n->next)
    bide__wait_of_node(n)->need_ = 0;
  bide__wait_finish_all(&barrier->waits_);
}
