/* list.h: circular doubly linked lists over the core's bide_node.
 *
 * A head points to itself when the list is empty; a zeroed node is on no list. */
#ifndef BIDE_PYTHON_LIST_H
#define BIDE_PYTHON_LIST_H

#include <bide/base.h>

static inline void list_init(bide_node *head) { head->next = head->prev = head; }

static inline bool list_empty(const bide_node *head) { return head->next == head; }

static inline bool list_linked(const bide_node *node) { return node->next != NULL; }

static inline void list_push(bide_node *head, bide_node *node) {
  node->next = head;
  node->prev = head->prev;
  head->prev->next = node;
  head->prev = node;
}

static inline void list_remove(bide_node *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  node->next = node->prev = NULL;
}

/* Moves all nodes of `from` to `to`, which is empty. */
static inline void list_move(bide_node *to, bide_node *from) {
  if (list_empty(from)) return;
  *to = *from;
  to->next->prev = to->prev->next = to;
  list_init(from);
}

#endif
