/* tellers.c: see tellers.h. */
#include "tellers.h"

#include <errno.h>
#include <poll.h>

#include "../list.h"
#include "direct.h"

enum { TELLERS_LOOK = 64 };

void bide__tellers_init(bide__tellers *tellers, bide__backend *backend) {
  tellers->backend = backend;
  bide__list_init(&tellers->again);
}

void bide__tellers_handed_out(bide__tellers *tellers, bide_op *op) {
  op->phase_ = BIDE__PHASE_AGAIN;
  bide__scratch_of(op)->as.wait = (bide_node){NULL, NULL};
  bide__list_push(&tellers->again, &bide__scratch_of(op)->as.wait);
}

void bide__tellers_withdraw(bide_op *op) {
  if (op->phase_ == BIDE__PHASE_AGAIN)
    bide__list_remove(&bide__scratch_of(op)->as.wait);
  else if (op->phase_ == BIDE__PHASE_DONE)
    bide__list_remove(&bide__scratch_of(op)->done);
  op->phase_ = BIDE__PHASE_KERNEL;
}

static void tellers_look_at_some(bide__tellers *tellers) {
  struct pollfd polls[TELLERS_LOOK];
  bide_op *ops[TELLERS_LOOK];
  int count = 0;
  bide_node *node;
  while (count < TELLERS_LOOK && (node = bide__list_pop(&tellers->again)) != NULL) {
    ops[count] = bide__op_of_wait(node);
    ops[count]->phase_ = BIDE__PHASE_KERNEL;
    polls[count] = (struct pollfd){ops[count]->fd, POLLIN, 0};
    count++;
  }
  /* A poll that does not wait fails for want of memory alone: then all are told. */
  int found = poll(polls, (nfds_t)count, 0);
  if (found == 0) return;
  for (int i = 0; i < count; i++)
    if (found < 0 || polls[i].revents != 0)
      bide__backend_done(tellers->backend, ops[i], 0, BIDE_OP_MORE | BIDE_OP_READY);
}

void bide__tellers_look(bide__tellers *tellers) {
  while (!bide__list_empty(&tellers->again)) tellers_look_at_some(tellers);
}

int bide__tellers_receive(bide_op *op, void *base, size_t len) {
  int result = bide__direct_receive(op->fd, base, len);
  if (result == -EAGAIN && op->phase_ == BIDE__PHASE_AGAIN) bide__tellers_withdraw(op);
  return result;
}

void bide__tellers_forget(bide__tellers *tellers, int fd) {
  bide_node *node = tellers->again.next;
  while (node != &tellers->again) {
    bide_op *op = bide__op_of_wait(node);
    node = node->next;
    if (op->fd == fd) bide__tellers_withdraw(op);
  }
}
