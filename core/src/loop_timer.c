/* loop_timer.c: the loop's timers, and the operations that are timeouts. */
#include "list.h"
#include "loop_struct.h"

static bide_op *loop_timer_op(bide_timer *timer) {
  bide__scratch *scratch = BIDE_CONTAINER_OF(timer, bide__scratch, as.timer);
  return BIDE_CONTAINER_OF(scratch, bide_op, scratch_);
}

static void loop_timer_timed_out(bide_timer *timer) {
  bide_op *op = loop_timer_op(timer);
  bide__backend_done(op->loop_->backend, op, BIDE_ETIME, 0);
}

void bide__loop_submit_timeout(bide_loop *loop, bide_op *op) {
  bide__scratch *scratch = bide__scratch_of(op);
  scratch->done = (bide_node){NULL, NULL};
  scratch->as.timer = (bide_timer){.cb = loop_timer_timed_out};
  op->phase_ = BIDE__PHASE_TIMER;
  bide_timer_start(loop, &scratch->as.timer, op->args.timeout.timeout_us);
}

/* Moves the timers that are due to `firing`. */
static void loop_timer_take_due(bide_loop *loop, uint64_t now_us) {
  bide__wheel_advance(&loop->wheel, now_us);
  bide__list_splice(&loop->firing, &loop->wheel.due);
}

void bide__loop_end_timeouts(bide_loop *loop) {
  if (loop->wheel.count == 0) return;
  loop_timer_take_due(loop, bide__loop_clock(loop));
  bide_node *node = loop->firing.next;
  while (node != &loop->firing) {
    bide_timer *timer = BIDE_CONTAINER_OF(node, bide_timer, slot_);
    node = node->next;
    if (timer->cb != loop_timer_timed_out) continue;
    bide__wheel_remove(&loop->wheel, timer);
    loop_timer_timed_out(timer);
  }
}

int bide__loop_dispatch_timers(bide_loop *loop) {
  int made = 0;
  if (loop->wheel.count == 0) return 0;
  /* With work ready the turn's own clock will do. */
  uint64_t now_us =
      bide__ready_count(&loop->head.ready) > 0 ? loop->now_us : bide__loop_clock(loop);
  loop_timer_take_due(loop, now_us);
  while (!bide__list_empty(&loop->firing) && !loop->interrupted) {
    bide_timer *timer = BIDE_CONTAINER_OF(loop->firing.next, bide_timer, slot_);
    bide__wheel_remove(&loop->wheel, timer);
    BIDE__TRACE(loop->head.trace, BIDE_TRACE_TIMER_FIRE, timer, 0);
    bide_timer_cb cb = timer->cb;
    uint64_t began_us = bide__loop_before_call(loop);
    cb(timer);
    bide__loop_after_call(loop, (void (*)(void))cb, began_us);
    made++;
  }
  loop->metrics.timers += (uint64_t)made;
  return made;
}

/* What there is to do beside it, now and then. */
static BIDE__SELDOM void loop_timer_tell_start(bide_loop *loop, bide_timer *timer) {
  bide__loop_unpark(loop);
  BIDE__TRACE(loop->head.trace, BIDE_TRACE_TIMER_START, timer, 0);
}

static BIDE__SELDOM void loop_timer_take_off(bide_loop *loop, bide_timer *timer) {
  bide__wheel_remove(&loop->wheel, timer);
}

int bide_timer_start_at(bide_loop *loop, bide_timer *timer, uint64_t deadline_us) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  if (bide_timer_is_active(timer)) loop_timer_take_off(loop, timer);
  timer->deadline_us = deadline_us;
  loop->timer_started = true;
  bide__wheel_add(&loop->wheel, timer);
  if (bide__loop_is_parked(&loop->head) || loop->head.observed)
    loop_timer_tell_start(loop, timer);
  return 0;
}

int bide_timer_start(bide_loop *loop, bide_timer *timer, uint64_t timeout_us) {
  /* The clock rounds down: one more, or the timer could be early by what it lost. */
  uint64_t from_us = bide_loop_now_us(loop) + (timeout_us > 0);
  return bide_timer_start_at(loop, timer, bide__later_us(from_us, timeout_us));
}

int bide_timer_stop(bide_loop *loop, bide_timer *timer) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  if (!bide_timer_is_active(timer)) return 0;
  bide__wheel_remove(&loop->wheel, timer);
  BIDE__TRACE(loop->head.trace, BIDE_TRACE_TIMER_STOP, timer, 0);
  return 0;
}

bool bide_timer_is_active(const bide_timer *timer) { return timer->slot_.next != NULL; }
