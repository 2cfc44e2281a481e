/* stack.h: a stack onto which threads push and that its owner takes whole, oldest first.
 *
 * Taken whole it knows no ABA, which a stack that is popped does (Treiber, 1986). The nodes are
 * linked by `next` alone. */
#ifndef BIDE_SRC_STACK_H
#define BIDE_SRC_STACK_H

#include <bide/base.h>
#include <stdatomic.h>

/* top: the newest. Zeroed it is empty. */
typedef struct bide__stack {
  _Atomic(bide_node *) top;
} bide__stack;

/* Any thread, and signal handlers. Behind the push the node may be gone. One total order holds
 * it and what the pusher reads next, as bide__stack_has_come and what the owner wrote before. */
static inline void bide__stack_push(bide__stack *stack, bide_node *node) {
  bide_node *top = atomic_load_explicit(&stack->top, memory_order_relaxed);
  do {
    node->next = top;
  } while (!atomic_compare_exchange_weak(&stack->top, &top, node));
}

/* All of it: the oldest, with a NULL behind the newest, or NULL. */
static inline bide_node *bide__stack_take(bide__stack *stack) {
  bide_node *oldest = NULL;
  bide_node *node = atomic_exchange_explicit(&stack->top, NULL, memory_order_acquire);
  while (node != NULL) {
    bide_node *before = node->next;
    node->next = oldest;
    oldest = node;
    node = before;
  }
  return oldest;
}

/* For a look now and then. */
static inline bool bide__stack_empty(const bide__stack *stack) {
  return atomic_load_explicit(&stack->top, memory_order_relaxed) == NULL;
}

/* For the last look before a sleep: who pushes and then finds the sleeper awake is seen. */
static inline bool bide__stack_has_come(const bide__stack *stack) {
  return atomic_load(&stack->top) != NULL;
}

#endif
