/* ready.h: the ready queue: a ring of pointers to calls.
 *
 * A ring beats a linked list here: the next calls are known ahead and can be prefetched,
 * which matters once they no longer fit the cache. It grows by doubling and never
 * shrinks. A cancelled call leaves NULL in its slot. */
#ifndef BIDE_SRC_READY_H
#define BIDE_SRC_READY_H

#include <bide/loop.h>
#include <stdatomic.h>

/* bide_call.state_ */
enum { BIDE__CALL_IDLE = 0, BIDE__CALL_QUEUED, BIDE__CALL_POSTED };

/* head and tail count for ever; slot = count & mask. tail - head calls wait. */
typedef struct bide__ready {
  bide_call **calls;
  uint32_t mask, head, tail;
} bide__ready;

int bide__ready_init(bide__ready *ready);
void bide__ready_free(bide__ready *ready);
int bide__ready_push(bide__ready *ready, bide_call *call);
void bide__ready_remove(bide__ready *ready, bide_call *call);

/* The next call, taken off, or NULL for one that was cancelled. Not on an empty ring.
 * offset: how far behind the head to pick it from (a hook's choice; 0: the head). */
bide_call *bide__ready_take(bide__ready *ready, uint32_t offset);

static inline uint32_t bide__ready_count(const bide__ready *ready) {
  return ready->tail - ready->head;
}

/* The calls that other threads post: a stack that the loop takes whole (Treiber, 1986;
 * taken whole, it knows no ABA). */
typedef struct bide__inbox {
  _Atomic(bide_call *) top;
} bide__inbox;

void bide__inbox_push(bide__inbox *inbox, bide_call *call);

/* All that was posted, oldest first, linked by next_. */
bide_call *bide__inbox_take(bide__inbox *inbox);

static inline bool bide__inbox_empty(const bide__inbox *inbox) {
  return atomic_load_explicit(&inbox->top, memory_order_relaxed) == NULL;
}

#endif
