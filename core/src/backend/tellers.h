/* tellers.h: receives on a ring that do not take the bytes: a multishot poll tells of them,
 * and the callback takes what it wants (bide_prep_recv_ready).
 *
 * The kernel tells of what comes, not of what was left. So each that was handed out is
 * looked at before the next wait, all of them by one call, but for those who took all there
 * was. Poll knows the end of a stream, and what lies behind urgent data, which a count of
 * bytes does not. */
#ifndef BIDE_SRC_BACKEND_TELLERS_H
#define BIDE_SRC_BACKEND_TELLERS_H

#include "backend.h"

/* again: those handed out since the last look. While the kernel has a teller's poll it is
 * KERNEL, AGAIN (on the list) or DONE (looked at, and to be handed out). */
typedef struct bide__tellers {
  bide__backend *backend;
  bide_node again;
} bide__tellers;

static inline bool bide__tells(const bide_op *op) {
  return op->kind == BIDE_OP_RECV_MULTI && op->args.recv_multi.ready;
}

void bide__tellers_init(bide__tellers *tellers, bide__backend *backend);

/* op was handed out, and the kernel has its poll. */
void bide__tellers_handed_out(bide__tellers *tellers, bide_op *op);

/* The kernel's poll has ended, or is going to: op is on no list. */
void bide__tellers_withdraw(bide_op *op);

/* Finishes those of whom something was left. */
void bide__tellers_look(bide__tellers *tellers);

/* See bide_receive. */
int bide__tellers_receive(bide_op *op, void *base, size_t len);

/* fd is about to be closed: nobody looks at it any more. */
void bide__tellers_forget(bide__tellers *tellers, int fd);

#endif
