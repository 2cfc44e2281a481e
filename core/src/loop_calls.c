/* loop_calls.c: calls that are made ready, by the loop's thread or by another. */
#include "loop_struct.h"

int bide_loop_call_soon(bide_loop *loop, bide_call *call) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  return call->state_ == BIDE__CALL_IDLE ? bide__loop_make_ready(loop, call) : 0;
}

int bide_call_cancel(bide_loop *loop, bide_call *call) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  if (call->state_ == BIDE__CALL_QUEUED) bide__ready_remove(&loop->head.ready, call);
  return 0;
}

/* A call that were posted twice would be on the stack twice. */
int bide_post(bide_loop *loop, bide_call *call) {
  uint32_t state = __atomic_load_n(&call->state_, __ATOMIC_RELAXED);
  if (BIDE__MISUSE(state != BIDE__CALL_IDLE)) return BIDE_EALREADY;
  if (bide__inbox_push(&loop->inbox, call, false)) return 0;
  bide__waker *waker = &loop->backend->waker;
  bide__waker_enter(waker);
  (void)bide__inbox_push(&loop->inbox, call, true);
  bide__waker_tell(waker);
  return 0;
}

void bide_wake(bide_loop *loop) {
  bide__waker_enter(&loop->backend->waker);
  bide__waker_notify(&loop->backend->waker);
}
