/* sqe.h: how an operation is put to io_uring. */
#ifndef BIDE_SRC_BACKEND_SQE_H
#define BIDE_SRC_BACKEND_SQE_H

#include <bide/op.h>

#include "ring.h"

/* Fills in a zeroed submission, but for user_data. */
void bide__sqe_fill(ring_sqe *sqe, const bide_op *op);

/* The same for a poll of the op's fd, after an EAGAIN. */
void bide__sqe_fill_poll(ring_sqe *sqe, const bide_op *op);

#endif
