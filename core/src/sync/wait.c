/* wait.c: see wait.h. */
#include "wait.h"

#include "../future_internal.h"

static void wait_cancel(bide_future *future) {
  bide__list_remove(&bide__wait_of_future(future)->node_);
  bide_future_reject(future, BIDE_ECANCELED);
}

bool bide__wait_init(bide_wait *wait, bide_loop *loop, void *owner,
                     void (*cancel)(bide_future *future)) {
  *wait = (bide_wait){.owner_ = owner};
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) {
    bide__future_refuse(&wait->future, loop, BIDE_ETHREAD);
    return false;
  }
  bide_future_init(&wait->future, loop);
  wait->future.cancel = cancel != NULL ? cancel : wait_cancel;
  return true;
}

void bide__wait_enqueue(bide_node *queue, bide_wait *wait) {
  bide__list_push(queue, &wait->node_);
}

bide_wait *bide__wait_dequeue(bide_node *queue) {
  bide_node *node = bide__list_pop(queue);
  return node != NULL ? bide__wait_of_node(node) : NULL;
}

void bide__wait_finish(bide_wait *wait, intptr_t value) {
  if (wait->error_ < 0)
    bide_future_reject(&wait->future, wait->error_);
  else
    bide_future_resolve(&wait->future, value);
}

void bide__wait_finish_all(bide_node *queue) {
  bide_node leaving;
  bide__list_init(&leaving);
  bide__list_splice(&leaving, queue);
  bide_wait *wait;
  for (intptr_t index = 0; (wait = bide__wait_dequeue(&leaving)) != NULL; index++)
    bide__wait_finish(wait, index);
}

void bide__wait_fail_all(bide_node *queue, int error) {
  for (bide_node *n = queue->next; n != queue; n = n->next)
    bide__wait_of_node(n)->error_ = error;
  bide__wait_finish_all(queue);
}
