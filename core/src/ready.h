/* ready.h: the ready queue: a ring of pointers to calls.
 *
 * A ring beats a linked list here: the next calls are known ahead and can be prefetched,
 * which matters once they no longer fit the cache. It grows by doubling and never
 * shrinks. A cancelled call leaves an empty slot.
 *
 * A task that was woken is nothing but its address: most of what runs are those, none is ever
 * taken off the ring, and what runs them all is the same. It is the calls that are marked. */
#ifndef BIDE_SRC_READY_H
#define BIDE_SRC_READY_H

#include <assert.h>
#include <bide/errno.h>
#include <bide/loop.h>

#include "hints.h"
#include "stack.h"

/* bide_call.state_ */
enum { BIDE__CALL_IDLE = 0, BIDE__CALL_QUEUED, BIDE__CALL_POSTED };

enum { BIDE__READY_PREFETCH = 4 }; /* calls ahead */

/* The address of a task, or that of a call and one; one alone where a call was cancelled. */
typedef uintptr_t bide__entry;

enum { BIDE__READY_CALL = 1 };

/* head and tail count for ever; slot = count & mask. tail - head calls wait. limit: where the
 * tail must not go on without a look, since the ring may be full, or the loop is parked and
 * somebody must be told. It may lie nearer than that: the head moves without it. */
typedef struct bide__ready {
  bide__entry *entries;
  uint32_t mask, head, tail, limit;
  bool parked;
} bide__ready;

int bide__ready_init(bide__ready *ready);
void bide__ready_free(bide__ready *ready);
void bide__ready_remove(bide__ready *ready, bide_call *call);

/* Where the tail has come to the limit: moves that, for one more at least, and for that doubles
 * a ring that is full. Returns 0 or BIDE_ENOMEM. */
int bide__ready_make_room(bide__ready *ready);

/* Brings the call that waits so far behind the head to the head: a hook's choice. */
void bide__ready_pick(bide__ready *ready, uint32_t offset);

static inline uint32_t bide__ready_count(const bide__ready *ready) {
  return ready->tail - ready->head;
}

/* Before a put. */
static inline bool bide__ready_takes(const bide__ready *ready) {
  return ready->tail != ready->limit;
}

static inline void bide__ready_park(bide__ready *ready) {
  ready->parked = true;
  ready->limit = ready->tail;
}

static inline void bide__ready_unpark(bide__ready *ready) {
  ready->parked = false;
  ready->limit = ready->head + ready->mask + 1;
}

/* Inline, as is take: a task's step is little more. */
static inline void bide__ready_put_task(bide__ready *ready, bide_task *task) {
  ready->entries[ready->tail++ & ready->mask] = (bide__entry)task;
}

/* Returns 0 or BIDE_ENOMEM. */
static inline int bide__ready_push(bide__ready *ready, bide_call *call) {
  if (!bide__ready_takes(ready) && bide__ready_make_room(ready) < 0) return BIDE_ENOMEM;
  uint32_t slot = ready->tail++ & ready->mask;
  call->slot_ = slot;
  call->state_ = BIDE__CALL_QUEUED;
  ready->entries[slot] = (bide__entry)call | BIDE__READY_CALL;
  return 0;
}

/* The next entry, taken off. Not on an empty ring. head: the ring's, which whoever looked for
 * an end has at hand. Few are in the cache still. */
static inline bide__entry bide__ready_take(bide__ready *ready, uint32_t head) {
  assert(bide__ready_count(ready) > 0);
  if (ready->tail - head > BIDE__READY_PREFETCH) {
    bide__entry ahead = ready->entries[(head + BIDE__READY_PREFETCH) & ready->mask];
    __builtin_prefetch((const void *)ahead);
  }
  ready->head = head + 1;
  return ready->entries[head & ready->mask];
}

static inline bool bide__entry_is_task(bide__entry entry) {
  return (entry & BIDE__READY_CALL) == 0;
}

static inline bide_task *bide__entry_task(bide__entry entry) {
  return (bide_task *)entry;
}

/* The call of an entry that is no task, which is idle from here on; NULL for none. */
static inline bide_call *bide__entry_call(bide__entry entry) {
  bide_call *call = (bide_call *)(entry - BIDE__READY_CALL);
  if (call != NULL) call->state_ = BIDE__CALL_IDLE;
  return call;
}

/* The calls that other threads post, linked by posted_. `taken` is the loop's own: what it has
 * taken off the stack and not used yet, oldest first.
 *
 * The bell: what the top of an empty stack may be instead of NULL. Whoever posts onto it must
 * look whether the loop sleeps; whoever posts onto anything else is done with the push, and
 * touches nothing of a loop that its call may have ended. That suffices: the loop puts the bell
 * onto the empty stack before it sleeps, once the waker is armed, so that a push before that
 * fails it and keeps the loop awake; and the top of a sleeping loop's stack is the bell, or
 * what was pushed since, whose oldest was pushed onto the bell by one who wakes the loop. */
typedef struct bide__inbox {
  char before_[BIDE__LINE_BYTES];
  bide__stack stack;
  char behind_[BIDE__LINE_BYTES];
  bide_node *taken;
} bide__inbox;

/* Any thread. False, with the call not pushed, where the bell is the top and on_bell is not
 * set, as whoever will then tell the loop sets it. */
bool bide__inbox_push(bide__inbox *inbox, bide_call *call, bool on_bell);

/* The oldest call, which stays, or NULL; and takes it off. The loop's thread, as below. */
bide_call *bide__inbox_peek(bide__inbox *inbox);
void bide__inbox_drop(bide__inbox *inbox);

/* The waker is armed and a sleep comes: puts the bell where nothing is. False if something has
 * come. The bell stays until the first push: there is one to put for each that came. */
bool bide__inbox_arm(bide__inbox *inbox);

/* Its address alone. */
static inline bide_node *bide__inbox_bell(const bide__inbox *inbox) {
  return (bide_node *)(uintptr_t)inbox;
}

static inline bool bide__inbox_empty(const bide__inbox *inbox) {
  if (inbox->taken != NULL) return false;
  bide_node *top = atomic_load_explicit(&inbox->stack.top, memory_order_relaxed);
  return top == NULL || top == bide__inbox_bell(inbox);
}

#endif
