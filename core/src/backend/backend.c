/* backend.c: what the two backends share. */
#include "backend.h"

#include <assert.h>
#include <bide/errno.h>
#include <errno.h>
#include <sys/socket.h>

#include "../list.h"

int bide__backend_init(bide__backend *backend, const bide__backend_class *class,
                       const bide__backend_config *config) {
  backend->class = class;
  bide__list_init(&backend->done);
  backend->buffers = (bide__buffers){
      .count = config->buffer_count,
      .bytes = config->buffer_bytes,
  };
  return bide__waker_open(&backend->waker);
}

void bide__backend_destroy(bide__backend *backend, bool forked) {
  bide__waker_close(&backend->waker, forked);
  bide__buffers_close(&backend->buffers);
}

bide_op *bide__op_of_wait(bide_node *node) {
  bide__scratch *scratch = BIDE_CONTAINER_OF(node, bide__scratch, as.wait);
  return BIDE_CONTAINER_OF(scratch, bide_op, scratch_);
}

bide_op *bide__op_of_done(bide_node *node) {
  bide__scratch *scratch = BIDE_CONTAINER_OF(node, bide__scratch, done);
  return BIDE_CONTAINER_OF(scratch, bide_op, scratch_);
}

void bide__backend_done(bide__backend *backend, bide_op *op, int32_t result,
                        unsigned flags) {
  bide__scratch *scratch = bide__scratch_of(op);
  scratch->as.outcome = (bide__outcome){result, (uint16_t)flags, 0};
  op->phase_ = BIDE__PHASE_DONE;
  bide__list_push(&backend->done, &scratch->done);
}

bide_op *bide__backend_take_done(bide__backend *backend, bide_completion *completion) {
  bide_node *node = bide__list_pop(&backend->done);
  if (node == NULL) return NULL;
  bide_op *op = bide__op_of_done(node);
  op->phase_ = BIDE__PHASE_NONE;
  const bide__outcome *outcome = &bide__scratch_of(op)->as.outcome;
  *completion =
      (bide_completion){op, outcome->result, outcome->flags, outcome->buffer_id};
  return op;
}

bool bide__backend_at_once(bide__backend *backend, bide_op *op) {
  int32_t result = 0;
  switch (op->kind) {
    case BIDE_OP_NOP:
      break;
    case BIDE_OP_SHUTDOWN:
      /* The ring hands a shutdown to a kernel worker, which costs far more than this
       * call, and the call does not block. */
      if (shutdown(op->fd, op->args.shutdown.how) < 0) result = -errno;
      break;
    default:
      return false;
  }
  bide__backend_done(backend, op, result, 0);
  return true;
}
