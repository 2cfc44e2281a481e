/* future.c: see future.h; future_internal.h says how the waiters are kept. */
#include <bide/future.h>

#include <stdio.h>

#include "future_internal.h"
#include "loop_internal.h"

void bide_future_init(bide_future *future, bide_loop *loop) {
  *future = (bide_future){.loop = loop, .state = BIDE_FUTURE_PENDING};
}

bool bide_future_is_settled(const bide_future *future) {
  return future->state != BIDE_FUTURE_PENDING;
}

/* The last of the ring, or NULL. */
static bide_waiter *future_last(const bide_future *future) {
  assert(!bide__future_has_lone(future));
  return (bide_waiter *)future->waiters_;
}

static void future_set_last(bide_future *future, const bide_waiter *last) {
  future->waiters_ = (uintptr_t)last;
}

void bide__future_spell_out(bide_future *future) {
  if (!bide__future_has_lone(future)) return;
  bide_waiter *lone = bide__future_lone(future);
  *lone = (bide_waiter){.wake = bide__task_wake, .next_ = lone};
  future_set_last(future, lone);
}

static bide_waiter *future_take_waiter(bide_future *future) {
  bide_waiter *last = future_last(future);
  if (last == NULL) return NULL;
  bide_waiter *first = last->next_;
  if (first == last) {
    future_set_last(future, NULL);
  } else {
    last->next_ = first->next_;
  }
  first->next_ = NULL;
  return first;
}

/* One at a time from the list, since a waiter that is woken may forget others. */
static BIDE__SELDOM void future_wake_all(bide_future *future) {
  for (bide_waiter *waiter; (waiter = future_take_waiter(future)) != NULL;) {
    waiter->wake(waiter, future);
  }
}

/* Most have one waiter. */
static BIDE__APART void future_wake_ring(bide_future *future) {
  bide_waiter *last = future_last(future);
  if (last->next_ != last) {
    future_wake_all(future);
    return;
  }
  future_set_last(future, NULL);
  last->next_ = NULL;
  last->wake(last, future);
}

/* Who is woken cannot wait for the same future again. head: its loop's. */
static inline int future_settle_on(bide__loop_head *head, bide_future *future,
                                   bide_future_state state, intptr_t value, int error) {
  if (bide_future_is_settled(future)) return BIDE_EALREADY;
  future->value = value;
  /* A task's flags and place are not needed any more: one word is one store. */
  future->error = error;
  future->state = (uint8_t)state;
  future->flags_ = 0;
  future->resume_ = 0;
  if (bide__future_has_lone(future)) {
    bide_waiter *lone = bide__future_lone(future);
    future->waiters_ = 0;
    bide__task_wake_lone(head, lone, error);
  } else if (future->waiters_ != 0) {
    future_wake_ring(future);
  }
  return 0;
}

/* The loop is not the one that this thread runs. */
static BIDE__APART int future_settle_apart(bide_future *future, bide_future_state state,
                                           intptr_t value, int error) {
  if (BIDE__MISUSE(!bide__loop_is_ours(future->loop))) return BIDE_ETHREAD;
  return future_settle_on(bide__loop_head_of(future->loop), future, state, value, error);
}

static inline int future_settle(bide_future *future, bide_future_state state,
                                intptr_t value, int error) {
  bide_loop *running = bide__running;
  if (__builtin_expect(future->loop != running, 0))
    return future_settle_apart(future, state, value, error);
  return future_settle_on(bide__loop_head_of(running), future, state, value, error);
}

int bide_future_resolve(bide_future *future, intptr_t value) {
  return future_settle(future, BIDE_FUTURE_RESOLVED, value, 0);
}

int bide_future_reject(bide_future *future, int error) {
  if (BIDE__MISUSE(error >= 0)) return BIDE_EINVAL;
  return future_settle(
      future, error == BIDE_ECANCELED ? BIDE_FUTURE_CANCELLED : BIDE_FUTURE_REJECTED, 0,
      error);
}

int bide_future_cancel(bide_future *future) {
  if (BIDE__MISUSE(future->loop == NULL)) return BIDE_EINVAL;
  if (BIDE__MISUSE(!bide__loop_is_ours(future->loop))) return BIDE_ETHREAD;
  if (bide_future_is_settled(future)) return BIDE_EALREADY;
  if (future->cancel == NULL) return bide_future_reject(future, BIDE_ECANCELED);
  future->cancel(future);
  return 0;
}

int bide_future_wait(bide_future *future, bide_waiter *waiter) {
  if (BIDE__MISUSE(!bide__loop_is_ours(future->loop))) return BIDE_ETHREAD;
  if (BIDE__MISUSE(waiter->wake == NULL || waiter->next_ != NULL)) return BIDE_EINVAL;
  return bide__future_wait(future, waiter);
}

int bide__future_wait(bide_future *future, bide_waiter *waiter) {
  if (bide_future_is_settled(future)) {
    bide__debug *debug = bide__loop_head_of(future->loop)->debug;
    if (debug != NULL) debug->taken(debug, future);
    return BIDE_EALREADY;
  }
  bide__future_add(future, waiter);
  return 0;
}

/* One of several, or of none. */
static BIDE__SELDOM void future_forget_among(bide_future *future, bide_waiter *waiter) {
  bide_waiter *last = future_last(future), *before = last;
  while (before->next_ != waiter) {
    before = before->next_;
    if (before == last) return;
  }
  before->next_ = waiter->next_;
  if (waiter == last) future_set_last(future, before);
  waiter->next_ = NULL;
}

void bide_future_forget(bide_future *future, bide_waiter *waiter) {
  if (!BIDE__MISUSE(!bide__loop_is_ours(future->loop)))
    bide__future_forget(future, waiter);
}

void bide__future_forget(bide_future *future, bide_waiter *waiter) {
  if (bide__future_has_lone(future)) {
    if (bide__future_lone(future) == waiter) future->waiters_ = 0;
    return;
  }
  bide_waiter *last = future_last(future);
  if (last == NULL) return;
  if (last == waiter && waiter->next_ == waiter) {
    future_set_last(future, NULL);
    waiter->next_ = NULL;
  } else {
    future_forget_among(future, waiter);
  }
}

static void future_stop_loop(bide_waiter *waiter, bide_future *future) {
  (void)waiter;
  bide_loop_stop(future->loop);
}

int bide_block_on(bide_future *future) {
  int result = bide__loop_check(future->loop);
  if (result < 0) return result;
  /* Also for a settled future, so that the mistake shows whatever the timing. */
  if (bide_loop_is_running(future->loop)) return BIDE_ERUNNING;
  bide_waiter waiter = {.wake = future_stop_loop};
  if (bide_future_wait(future, &waiter) == 0) {
    result = bide_loop_run(future->loop, BIDE_RUN_UNTIL_STOPPED);
    if (!bide_future_is_settled(future)) {
      bide__future_forget(future, &waiter);
      return result < 0 ? result : BIDE_EINTR;
    }
  }
  return future->error;
}

static void future_io_completed(bide_op *op) {
  bide_io *io = BIDE_CONTAINER_OF(op, bide_io, op);
  if (op->result < 0) {
    bide_future_reject(&io->future, op->result);
  } else {
    bide_future_resolve(&io->future, op->result);
  }
}

static void future_io_cancel(bide_future *future) {
  bide_io *io = BIDE_CONTAINER_OF(future, bide_io, future);
  bide_loop_cancel(future->loop, &io->op);
}

static bool future_is_multishot(const bide_op *op) {
  return op->kind == BIDE_OP_ACCEPT_MULTI || op->kind == BIDE_OP_RECV_MULTI ||
         op->kind == BIDE_OP_POLL_MULTI;
}

int bide_io_start(bide_loop *loop, bide_io *io) {
  if (BIDE__MISUSE(io->op.state == BIDE_OP_SUBMITTED ||
                   io->op.state == BIDE_OP_CANCELLING))
    return BIDE_EBUSY;
  bide_future_init(&io->future, loop);
  io->future.cancel = future_io_cancel;
  io->op.cb = future_io_completed;
  int result = BIDE__MISUSE(future_is_multishot(&io->op))
                   ? BIDE_EINVAL
                   : bide_loop_submit(loop, &io->op);
  if (result < 0) bide__future_refuse(&io->future, loop, result);
  return result;
}

static void future_sleep_ended(bide_timer *timer) {
  bide_future_resolve(&BIDE_CONTAINER_OF(timer, bide_sleep, timer)->future, 0);
}

static void future_sleep_cancel(bide_future *future) {
  bide_timer_stop(future->loop, &BIDE_CONTAINER_OF(future, bide_sleep, future)->timer);
  bide_future_reject(future, BIDE_ECANCELED);
}

int bide_sleep_start(bide_loop *loop, bide_sleep *sleep, uint64_t timeout_us) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) {
    bide__future_refuse(&sleep->future, loop, BIDE_ETHREAD);
    return BIDE_ETHREAD;
  }
  bide_future_init(&sleep->future, loop);
  sleep->future.cancel = future_sleep_cancel;
  sleep->timer = (bide_timer){.cb = future_sleep_ended};
  return bide_timer_start(loop, &sleep->timer, timeout_us);
}

void bide__future_describe(const bide_future *future, char *text, size_t bytes) {
  if (future->cancel == future_io_cancel) {
    const bide_op *op = &BIDE_CONTAINER_OF(future, bide_io, future)->op;
    snprintf(text, bytes, "waits for the operation %s on fd %d",
             bide_op_kind_name(op->kind), op->fd);
  } else if (future->cancel == future_sleep_cancel) {
    snprintf(text, bytes, "waits for a sleep");
  } else {
    snprintf(text, bytes, "waits for the future %p", (const void *)future);
  }
}
