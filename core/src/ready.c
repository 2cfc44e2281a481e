/* ready.c: see ready.h. */
#include "ready.h"

#include "memory.h"

enum { READY_INITIAL = 256 };

int bide__ready_init(bide__ready *ready) {
  ready->calls = bide__alloc(READY_INITIAL * sizeof *ready->calls);
  if (ready->calls == NULL) return BIDE_ENOMEM;
  ready->mask = READY_INITIAL - 1;
  ready->head = ready->tail = 0;
  return 0;
}

void bide__ready_free(bide__ready *ready) { bide__free(ready->calls); }

int bide__ready_grow(bide__ready *ready) {
  uint32_t capacity = ready->mask + 1;
  if (capacity > UINT32_MAX / 2) return BIDE_ENOMEM;
  bide_call **calls = bide__alloc((size_t)capacity * 2 * sizeof *calls);
  if (calls == NULL) return BIDE_ENOMEM;
  uint32_t mask = capacity * 2 - 1;
  for (uint32_t i = ready->head; i != ready->tail; i++) {
    bide_call *call = ready->calls[i & ready->mask];
    calls[i & mask] = call;
    if (call != NULL) call->slot_ = i & mask;
  }
  bide__free(ready->calls);
  ready->calls = calls;
  ready->mask = mask;
  return 0;
}

void bide__ready_remove(bide__ready *ready, bide_call *call) {
  assert(ready->calls[call->slot_] == call);
  ready->calls[call->slot_] = NULL;
  call->state_ = BIDE__CALL_IDLE;
}

static void ready_swap(bide__ready *ready, uint32_t a, uint32_t b) {
  bide_call **first = &ready->calls[a & ready->mask];
  bide_call **second = &ready->calls[b & ready->mask];
  bide_call *call = *first;
  *first = *second;
  *second = call;
  if (*first != NULL) (*first)->slot_ = a & ready->mask;
  if (*second != NULL) (*second)->slot_ = b & ready->mask;
}

void bide__ready_pick(bide__ready *ready, uint32_t offset) {
  assert(offset < bide__ready_count(ready));
  if (offset != 0) ready_swap(ready, ready->head, ready->head + offset);
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
