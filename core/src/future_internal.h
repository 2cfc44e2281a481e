/* future_internal.h: what tasks and dumps may know of futures beyond their header. */
#ifndef BIDE_SRC_FUTURE_INTERNAL_H
#define BIDE_SRC_FUTURE_INTERNAL_H

#include <bide/future.h>

#include "loop_internal.h"

static inline bool bide__future_settled(const bide_future *future) {
  return future->state != BIDE_FUTURE_PENDING;
}

/* waiters_ of a pending future is one of three:
 *   - 0: nobody waits;
 *   - the address of a task's waiter and one: that task waits alone, as nearly always, and
 *     what its waiter would say is known, so that it is not written;
 *   - the address of the last of a ring of waiters, whose next_ is the first: one word gives
 *     both ends, and waiting is O(1) in order. */
enum { BIDE__FUTURE_LONE = 1 };

static inline bool bide__future_has_lone(const bide_future *future) {
  return (future->waiters_ & BIDE__FUTURE_LONE) != 0;
}

static inline bide_waiter *bide__future_lone(const bide_future *future) {
  return (bide_waiter *)(future->waiters_ - BIDE__FUTURE_LONE);
}

/* Adds a task's waiter where nobody waits. */
static inline void bide__future_add_lone(bide_future *future, bide_waiter *waiter) {
  future->waiters_ = (uintptr_t)waiter + BIDE__FUTURE_LONE;
}

/* Makes a ring of a task's waiter that waits alone, if one does: for who adds another, or has
 * the task woken otherwise. */
void bide__future_spell_out(bide_future *future);

/* Adds a waiter to a pending future. */
static inline void bide__future_add(bide_future *future, bide_waiter *waiter) {
  if (bide__future_has_lone(future)) bide__future_spell_out(future);
  bide_waiter *last = (bide_waiter *)future->waiters_;
  if (last == NULL) {
    waiter->next_ = waiter;
  } else {
    waiter->next_ = last->next_;
    last->next_ = waiter;
  }
  future->waiters_ = (uintptr_t)waiter;
}

/* Makes a future that is rejected from its beginning: also where a thread is refused that may
 * settle none. */
static inline void bide__future_refuse(bide_future *future, bide_loop *loop, int error) {
  *future = (bide_future){.loop = loop, .error = error, .state = BIDE_FUTURE_REJECTED};
}

/* bide_future_wait for who knows that the loop is its own and that the waiter waits for nothing. */
int bide__future_wait(bide_future *future, bide_waiter *waiter);

/* bide_future_forget for who knows that the loop is its own. */
void bide__future_forget(bide_future *future, bide_waiter *waiter);

/* task.c's: how a task is woken; and the same by its name, for one that waits alone. */
void bide__task_wake(bide_waiter *waiter, bide_future *future);
void bide__task_wake_lone(bide__loop_head *head, bide_waiter *waiter, int error);

/* What kind of future a pending one is: an operation, a sleep or another. */
void bide__future_describe(const bide_future *future, char *text, size_t bytes);

#endif
