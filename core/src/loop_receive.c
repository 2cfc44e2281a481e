/* loop_receive.c: what multishot receives hand out, pooled buffers or the right to receive. */
#include "loop_struct.h"

int bide_buffer_release(bide_loop *loop, uint16_t buffer_id) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  if (BIDE__MISUSE(!bide__buffers_is_out(&loop->backend->buffers, buffer_id)))
    return BIDE_EINVAL;
  loop->backend->buffers.out[buffer_id] = false;
  loop->backend->class->release_buffer(loop->backend, buffer_id);
  if (bide__loop_is_parked(&loop->head) && loop->backend->class->peek(loop->backend))
    bide__loop_unpark(loop);
  return 0;
}

int bide_receive(bide_op *op, void *base, size_t len) {
  if (BIDE__MISUSE((op->flags & BIDE_OP_READY) == 0)) return BIDE_EINVAL;
  if (BIDE__MISUSE(!bide__loop_is_ours(op->loop_))) return BIDE_ETHREAD;
  return op->loop_->backend->class->receive(op->loop_->backend, op, base, len);
}

void *bide_buffer_data(const bide_loop *loop, uint16_t buffer_id) {
  const bide__buffers *buffers = &loop->backend->buffers;
  if (BIDE__MISUSE(!bide__buffers_is_out(buffers, buffer_id))) return NULL;
  return bide__buffers_data(buffers, buffer_id);
}
