/* ready.c: see ready.h. */
#include "ready.h"

#include "memory.h"

enum { READY_INITIAL = 256 };

int bide__ready_init(bide__ready *ready) {
  ready->entries = bide__alloc(READY_INITIAL * sizeof *ready->entries);
  if (ready->entries == NULL) return BIDE_ENOMEM;
  ready->mask = READY_INITIAL - 1;
  ready->head = ready->tail = 0;
  bide__ready_unpark(ready);
  return 0;
}

void bide__ready_free(bide__ready *ready) { bide__free(ready->entries); }

/* A call knows its slot, in order to be cancelled. */
static void ready_place(bide__entry *entries, uint32_t slot, bide__entry entry) {
  entries[slot] = entry;
  if (bide__entry_is_task(entry) || entry == BIDE__READY_CALL) return;
  ((bide_call *)(entry - BIDE__READY_CALL))->slot_ = slot;
}

/* Doubles the ring. */
static int ready_grow(bide__ready *ready) {
  uint32_t capacity = ready->mask + 1;
  if (capacity > UINT32_MAX / 2) return BIDE_ENOMEM;
  bide__entry *entries = bide__alloc((size_t)capacity * 2 * sizeof *entries);
  if (entries == NULL) return BIDE_ENOMEM;
  uint32_t mask = capacity * 2 - 1;
  for (uint32_t i = ready->head; i != ready->tail; i++)
    ready_place(entries, i & mask, ready->entries[i & ready->mask]);
  bide__free(ready->entries);
  ready->entries = entries;
  ready->mask = mask;
  return 0;
}

int bide__ready_make_room(bide__ready *ready) {
  if (bide__ready_count(ready) > ready->mask && ready_grow(ready) < 0) return BIDE_ENOMEM;
  ready->limit = ready->parked ? ready->tail + 1 : ready->head + ready->mask + 1;
  return 0;
}

void bide__ready_remove(bide__ready *ready, bide_call *call) {
  assert(ready->entries[call->slot_] == ((bide__entry)call | BIDE__READY_CALL));
  ready->entries[call->slot_] = BIDE__READY_CALL;
  call->state_ = BIDE__CALL_IDLE;
}

void bide__ready_pick(bide__ready *ready, uint32_t offset) {
  assert(offset < bide__ready_count(ready));
  uint32_t first = ready->head & ready->mask;
  uint32_t picked = (ready->head + offset) & ready->mask;
  bide__entry entry = ready->entries[picked];
  ready_place(ready->entries, picked, ready->entries[first]);
  ready_place(ready->entries, first, entry);
}

bool bide__inbox_push(bide__inbox *inbox, bide_call *call, bool on_bell) {
  bide_node *node = &call->posted_, *bell = bide__inbox_bell(inbox);
  bide_node *top = atomic_load_explicit(&inbox->stack.top, memory_order_relaxed);
  __atomic_store_n(&call->state_, BIDE__CALL_POSTED, __ATOMIC_RELAXED);
  do {
    if (top == bell && !on_bell) return false;
    node->next = top == bell ? NULL : top;
  } while (!atomic_compare_exchange_weak(&inbox->stack.top, &top, node));
  return true;
}

bool bide__inbox_arm(bide__inbox *inbox) {
  if (inbox->taken != NULL) return false;
  bide_node *bell = bide__inbox_bell(inbox), *top = atomic_load(&inbox->stack.top);
  if (top == NULL && atomic_compare_exchange_strong(&inbox->stack.top, &top, bell))
    return true;
  return top == bell;
}

bide_call *bide__inbox_peek(bide__inbox *inbox) {
  if (bide__inbox_empty(inbox)) return NULL;
  if (inbox->taken == NULL) inbox->taken = bide__stack_take(&inbox->stack);
  return BIDE_CONTAINER_OF(inbox->taken, bide_call, posted_);
}

void bide__inbox_drop(bide__inbox *inbox) { inbox->taken = inbox->taken->next; }
