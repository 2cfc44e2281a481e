#include <bide/offload.h>

#include "future_internal.h"
#include "loop_internal.h"

static void offload_run(bide_work *work) {
  bide_offload *offload = BIDE_CONTAINER_OF(work, bide_offload, work_);
  offload->value_ = offload->fn_(offload);
}

/* Still on the worker. The post is its last touch: the loop may settle the future, and
 * its owner free all of it, before this returns. */
static void offload_done(bide_work *work) {
  bide_offload *offload = BIDE_CONTAINER_OF(work, bide_offload, work_);
  bide_post(work->data, &offload->call_);
}

/* On the loop's thread, whether the job ran or was taken back: each submit has its done. */
static void offload_release(bide_offload *offload) {
  bide_loop *loop = offload->future.loop;
  BIDE__TRACE(bide__loop_trace(loop), BIDE_TRACE_OFFLOAD_DONE, &offload->work_, 0);
  bide__loop_release(loop);
}

static void offload_settle(bide_call *call) {
  bide_offload *offload = BIDE_CONTAINER_OF(call, bide_offload, call_);
  offload_release(offload);
  bide_future_resolve(&offload->future, offload->value_);
}

static void offload_cancel(bide_future *future) {
  bide_offload *offload = BIDE_CONTAINER_OF(future, bide_offload, future);
  if (bide_pool_cancel(offload->pool_, &offload->work_) < 0) return;
  offload_release(offload);
  bide_future_reject(future, BIDE_ECANCELED);
}

int bide_offload_start(bide_loop *loop, bide_pool *pool, bide_offload *offload,
                       bide_offload_fn fn, bide_priority priority) {
  bide_future_init(&offload->future, loop);
  offload->future.cancel = offload_cancel;
  offload->fn_ = fn;
  offload->pool_ = pool;
  offload->work_ = (bide_work){.run = offload_run, .done = offload_done, .data = loop};
  offload->call_ = (bide_call){.cb = offload_settle};
  int result = BIDE__MISUSE(fn == NULL) ? BIDE_EINVAL : bide__loop_admit(loop);
  if (result == 0) result = bide_pool_submit(pool, &offload->work_, priority);
  if (result < 0) {
    bide__future_refuse(&offload->future, loop, result);
    return result;
  }
  bide__loop_hold(loop);
  BIDE__TRACE(bide__loop_trace(loop), BIDE_TRACE_OFFLOAD_SUBMIT, &offload->work_, 0);
  return 0;
}
