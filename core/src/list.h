/* list.h: circular doubly linked lists of bide_node.
 *
 * A head is a bide_node that points to itself when the list is empty. A node that is
 * zeroed is on no list. */
#ifndef BIDE_SRC_LIST_H
#define BIDE_SRC_LIST_H

#include <assert.h>
#include <bide/base.h>

static inline void bide__list_init(bide_node *head) { head->next = head->prev = head; }

static inline bool bide__list_empty(const bide_node *head) { return head->next == head; }

static inline bool bide__list_linked(const bide_node *node) { return node->next != NULL; }

static inline void bide__list_push(bide_node *head, bide_node *node) {
  assert(!bide__list_linked(node));
  node->next = head;
  node->prev = head->prev;
  head->prev->next = node;
  head->prev = node;
}

static inline void bide__list_remove(bide_node *node) {
  assert(bide__list_linked(node));
  node->prev->next = node->next;
  node->next->prev = node->prev;
  node->next = node->prev = NULL;
}

/* The first node, taken off; NULL from an empty list. */
static inline bide_node *bide__list_pop(bide_node *head) {
  bide_node *node = head->next;
  if (node == head) return NULL;
  bide__list_remove(node);
  return node;
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void bide__list_splice(bide_node *to, bide_node *from) {
  if (bide__list_empty(from)) return;
  from->next->prev = to->prev;
  from->prev->next = to;
  to->prev->next = from->next;
  to->prev = from->prev;
  bide__list_init(from);
}

#endif
