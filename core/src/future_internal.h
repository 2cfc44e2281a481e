/* future_internal.h: what tasks and dumps may know of futures beyond their header. */
#ifndef BIDE_SRC_FUTURE_INTERNAL_H
#define BIDE_SRC_FUTURE_INTERNAL_H

#include <bide/future.h>

static inline bool bide__future_settled(const bide_future *future) {
  return future->state != BIDE_FUTURE_PENDING;
}

/* Adds a waiter to a pending future. The waiters form a ring: waiters_ is the last of them and
 * its next_ the first, so that one pointer gives both ends and waiting is O(1) in order. */
static inline void bide__future_add(bide_future *future, bide_waiter *waiter) {
  bide_waiter *last = future->waiters_;
  if (last == NULL) {
    waiter->next_ = waiter;
  } else {
    waiter->next_ = last->next_;
    last->next_ = waiter;
  }
  future->waiters_ = waiter;
}

/* Makes a future that is rejected from its beginning: also where a thread is refused that may
 * settle none. */
static inline void bide__future_refuse(bide_future *future, bide_loop *loop, int error) {
  *future = (bide_future){.loop = loop, .error = error, .state = BIDE_FUTURE_REJECTED};
}

/* bide_future_wait for who knows that the loop is its own and that the waiter waits for nothing. */
int bide__future_wait(bide_future *future, bide_waiter *waiter);

/* task.c's: how a task is woken, as nearly all that wait are tasks: by its name it is no call. */
void bide__task_wake(bide_waiter *waiter, bide_future *future);

/* What kind of future a pending one is: an operation, a sleep or another. */
void bide__future_describe(const bide_future *future, char *text, size_t bytes);

#endif
