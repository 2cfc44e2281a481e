/* wait.h: the queues of those who wait, for all that is in sync/. */
#ifndef BIDE_SRC_SYNC_WAIT_H
#define BIDE_SRC_SYNC_WAIT_H

#include <bide/errno.h>
#include <bide/sync.h>

#include "../list.h"
#include "../loop_internal.h"

static inline bide_wait *bide__wait_of_node(bide_node *node) {
  return BIDE_CONTAINER_OF(node, bide_wait, node_);
}

static inline bide_wait *bide__wait_of_future(bide_future *future) {
  return BIDE_CONTAINER_OF(future, bide_wait, future);
}

/* Makes it pending. `cancel` may be NULL for a wait that leaves its queue and that is all. False
 * where another thread runs the loop: then it is rejected. */
bool bide__wait_init(bide_wait *wait, bide_loop *loop, void *owner,
                     void (*cancel)(bide_future *future));

void bide__wait_enqueue(bide_node *queue, bide_wait *wait);

/* The first of the queue, taken off, or NULL. Whoever is woken may cancel others of the
 * queue: look at it anew after each. */
bide_wait *bide__wait_dequeue(bide_node *queue);

/* Settles it with its error, or with value. */
void bide__wait_finish(bide_wait *wait, intptr_t value);

/* Wakes all of the queue, each with its index; who comes meanwhile is not among them. */
void bide__wait_finish_all(bide_node *queue);

/* The same with an error. */
void bide__wait_fail_all(bide_node *queue, int error);

#endif
