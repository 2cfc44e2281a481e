/* ready.c: see ready.h. */
#include "ready.h"

#include "memory.h"

enum { READY_INITIAL = 256 };

int bide__ready_init(bide__ready *ready) {
  ready->entries = bide__alloc(READY_INITIAL * sizeof *ready->entries);
  if (ready->entries == NULL) return BIDE_ENOMEM;
  ready->mask = READY_INITIAL - 1;
  ready->head = ready->tail = 0;
  bide__ready_open(ready);
  return 0;
}

void bide__ready_free(bide__ready *ready) { bide__free(ready->entries); }

/* A call knows its slot, in order to be cancelled. */
static void ready_place(bide__entry *entries, uint32_t slot, bide__entry entry) {
  entries[slot] = entry;
  if (entry != 0 && !bide__entry_is_task(entry)) ((bide_call *)entry)->slot_ = slot;
}

int bide__ready_grow(bide__ready *ready) {
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
  if (ready->room > 0) bide__ready_open(ready);
  return 0;
}

void bide__ready_remove(bide__ready *ready, bide_call *call) {
  assert(ready->entries[call->slot_] == (bide__entry)call);
  ready->entries[call->slot_] = 0;
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

void bide__inbox_push(bide__inbox *inbox, bide_call *call) {
  call->state_ = BIDE__CALL_POSTED;
  bide__stack_push(&inbox->stack, &call->posted_);
}

bide_call *bide__inbox_peek(bide__inbox *inbox) {
  if (inbox->taken == NULL) inbox->taken = bide__stack_take(&inbox->stack);
  if (inbox->taken == NULL) return NULL;
  return BIDE_CONTAINER_OF(inbox->taken, bide_call, posted_);
}

void bide__inbox_drop(bide__inbox *inbox) { inbox->taken = inbox->taken->next; }
