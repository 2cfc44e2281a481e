/* op.c: preparing operations. */
#include <bide/op.h>
#include <fcntl.h>
#include <string.h>

#include "misuse.h"

/* One that is in flight stays as it is; its submit will refuse it. */
static bool op_prepare(bide_op *op, bide_op_kind kind, int fd) {
  if (BIDE__MISUSE(op->state == BIDE_OP_SUBMITTED || op->state == BIDE_OP_CANCELLING))
    return false;
  op->result = 0;
  op->flags = 0;
  op->buffer_id = 0;
  op->buffer = NULL;
  op->kind = (uint8_t)kind;
  op->state = BIDE_OP_IDLE;
  op->phase_ = 0;
  op->fd = fd;
  return true;
}

static void op_prepare_io(bide_op *op, bide_op_kind kind, int fd, const void *base,
                          size_t len, int64_t offset, int flags) {
  if (!op_prepare(op, kind, fd)) return;
  op->args.io.base = (void *)(uintptr_t)base;
  op->args.io.len = len;
  op->args.io.offset = offset;
  op->args.io.flags = flags;
}

void bide_prep_nop(bide_op *op) { (void)op_prepare(op, BIDE_OP_NOP, -1); }

void bide_prep_accept(bide_op *op, int fd, struct sockaddr *addr, socklen_t *addrlen) {
  if (!op_prepare(op, BIDE_OP_ACCEPT, fd)) return;
  op->args.accept.addr = addr;
  op->args.accept.addrlen = addrlen;
}

void bide_prep_accept_multi(bide_op *op, int fd) {
  if (!op_prepare(op, BIDE_OP_ACCEPT_MULTI, fd)) return;
  op->args.accept.addr = NULL;
  op->args.accept.addrlen = NULL;
}

void bide_prep_connect(bide_op *op, int fd, const struct sockaddr *addr,
                       socklen_t addrlen) {
  if (!op_prepare(op, BIDE_OP_CONNECT, fd)) return;
  op->args.connect.addr = addr;
  op->args.connect.addrlen = addrlen;
}

void bide_prep_recv(bide_op *op, int fd, void *base, size_t len, int flags) {
  op_prepare_io(op, BIDE_OP_RECV, fd, base, len, 0, flags);
}

void bide_prep_recv_multi(bide_op *op, int fd) {
  op_prepare_io(op, BIDE_OP_RECV_MULTI, fd, NULL, 0, 0, 0);
}

void bide_prep_recv_ready(bide_op *op, int fd) {
  bide_prep_recv_multi(op, fd);
  if (op->state == BIDE_OP_IDLE) op->args.recv_multi.ready = true;
}

void bide_prep_send(bide_op *op, int fd, const void *base, size_t len, int flags) {
  op_prepare_io(op, BIDE_OP_SEND, fd, base, len, 0, flags | MSG_NOSIGNAL);
}

static void op_prepare_msg(bide_op *op, bide_op_kind kind, int fd,
                           const struct msghdr *msg, int flags) {
  if (!op_prepare(op, kind, fd)) return;
  op->args.msg.msg = (struct msghdr *)(uintptr_t)msg;
  op->args.msg.flags = flags;
}

void bide_prep_sendmsg(bide_op *op, int fd, const struct msghdr *msg, int flags) {
  op_prepare_msg(op, BIDE_OP_SENDMSG, fd, msg, flags | MSG_NOSIGNAL);
}

void bide_prep_recvmsg(bide_op *op, int fd, struct msghdr *msg, int flags) {
  op_prepare_msg(op, BIDE_OP_RECVMSG, fd, msg, flags);
}

void bide_prep_shutdown(bide_op *op, int fd, int how) {
  if (!op_prepare(op, BIDE_OP_SHUTDOWN, fd)) return;
  op->args.shutdown.how = how;
}

void bide_prep_close(bide_op *op, int fd) { (void)op_prepare(op, BIDE_OP_CLOSE, fd); }

void bide_prep_read(bide_op *op, int fd, void *base, size_t len, int64_t offset) {
  op_prepare_io(op, BIDE_OP_READ, fd, base, len, offset, 0);
}

void bide_prep_write(bide_op *op, int fd, const void *base, size_t len, int64_t offset) {
  op_prepare_io(op, BIDE_OP_WRITE, fd, base, len, offset, 0);
}

void bide_prep_openat(bide_op *op, int dirfd, const char *path, int flags,
                      unsigned mode) {
  if (!op_prepare(op, BIDE_OP_OPENAT, dirfd)) return;
  op->args.open.path = path;
  op->args.open.flags = flags | O_CLOEXEC;
  op->args.open.mode = mode;
}

void bide_prep_statx(bide_op *op, int dirfd, const char *path, int flags, unsigned mask,
                     struct statx *out) {
  if (!op_prepare(op, BIDE_OP_STATX, dirfd)) return;
  op->args.statx.path = path;
  op->args.statx.flags = flags;
  op->args.statx.mask = mask;
  op->args.statx.out = out;
}

void bide_prep_fsync(bide_op *op, int fd, bool data_only) {
  if (!op_prepare(op, BIDE_OP_FSYNC, fd)) return;
  op->args.fsync.data_only = data_only;
}

void bide_prep_poll(bide_op *op, int fd, unsigned events) {
  if (!op_prepare(op, BIDE_OP_POLL, fd)) return;
  op->args.poll.events = events;
  op->args.poll.foreign = false;
}

void bide_prep_poll_foreign(bide_op *op, int fd, unsigned events) {
  bide_prep_poll(op, fd, events);
  if (op->state == BIDE_OP_IDLE) op->args.poll.foreign = true;
}

void bide_prep_poll_multi(bide_op *op, int fd, unsigned events) {
  if (!op_prepare(op, BIDE_OP_POLL_MULTI, fd)) return;
  op->args.poll.events = events;
  op->args.poll.foreign = true;
}

void bide_prep_timeout(bide_op *op, uint64_t timeout_us) {
  if (!op_prepare(op, BIDE_OP_TIMEOUT, -1)) return;
  op->args.timeout.timeout_us = timeout_us;
}

const char *bide_op_kind_name(unsigned kind) {
  static const char *const names[] = {
#define OP_NAME(name) #name,
      BIDE_OP_KINDS(OP_NAME)
#undef OP_NAME
  };
  return kind < BIDE_OP_KIND_COUNT ? names[kind] : "?";
}
