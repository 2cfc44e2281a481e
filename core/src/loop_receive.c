/* loop_receive.c: what multishot receives hand out, pooled buffers or the right to receive. */
#include <assert.h>

#include "loop_struct.h"

void bide_buffer_release(bide_loop *loop, uint16_t buffer_id) {
  assert(bide__loop_is_ours(loop));
  loop->backend->class->release_buffer(loop->backend, buffer_id);
  if (bide__loop_is_parked(&loop->head) && loop->backend->class->peek(loop->backend))
    bide__loop_unpark(loop);
}

int bide_receive(bide_op *op, void *base, size_t len) {
  assert(bide__loop_is_ours(op->loop_) && (op->flags & BIDE_OP_READY) != 0);
  return op->loop_->backend->class->receive(op->loop_->backend, op, base, len);
}

void *bide_buffer_data(const bide_loop *loop, uint16_t buffer_id) {
  return bide__buffers_data(&loop->backend->buffers, buffer_id);
}
