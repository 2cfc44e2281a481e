/* sqe.c: see sqe.h. */
#include "sqe.h"

#include <assert.h>
#include <poll.h>
#include <sys/socket.h>

enum { SQE_LEN_MAX = 0x7ffff000 }; /* the most that one read or write moves */

static void sqe_fill_io(ring_sqe *sqe, const bide_op *op, uint8_t opcode) {
  size_t len = op->args.io.len;
  sqe->opcode = opcode;
  sqe->addr = (uint64_t)(uintptr_t)op->args.io.base;
  sqe->len = (uint32_t)(len < SQE_LEN_MAX ? len : SQE_LEN_MAX);
  sqe->off = (uint64_t)op->args.io.offset;
  sqe->op_flags = (uint32_t)op->args.io.flags;
}

static void sqe_fill_msg(ring_sqe *sqe, const bide_op *op, uint8_t opcode) {
  sqe->opcode = opcode;
  sqe->addr = (uint64_t)(uintptr_t)op->args.msg.msg;
  sqe->len = 1;
  sqe->op_flags = (uint32_t)op->args.msg.flags;
}

static void sqe_fill_accept(ring_sqe *sqe, const bide_op *op) {
  sqe->opcode = RING_OP_ACCEPT;
  sqe->addr = (uint64_t)(uintptr_t)op->args.accept.addr;
  sqe->off = (uint64_t)(uintptr_t)op->args.accept.addrlen;
  sqe->op_flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  if (op->kind == BIDE_OP_ACCEPT_MULTI) sqe->ioprio = RING_ACCEPT_MULTISHOT;
}

static void sqe_fill_recv_multi(ring_sqe *sqe, const bide_op *op) {
  if (op->args.recv_multi.ready) {
    sqe->opcode = RING_OP_POLL_ADD;
    sqe->len = RING_POLL_ADD_MULTI;
    sqe->op_flags = POLLIN | POLLRDHUP;
  } else {
    sqe->opcode = RING_OP_RECV;
    sqe->ioprio = RING_RECV_MULTISHOT;
    sqe->flags = RING_SQE_BUFFER_SELECT;
  }
}

static void sqe_fill_path(ring_sqe *sqe, const bide_op *op) {
  if (op->kind == BIDE_OP_OPENAT) {
    sqe->opcode = RING_OP_OPENAT;
    sqe->addr = (uint64_t)(uintptr_t)op->args.open.path;
    sqe->len = op->args.open.mode;
    sqe->op_flags = (uint32_t)op->args.open.flags;
  } else {
    sqe->opcode = RING_OP_STATX;
    sqe->addr = (uint64_t)(uintptr_t)op->args.statx.path;
    sqe->len = op->args.statx.mask;
    sqe->off = (uint64_t)(uintptr_t)op->args.statx.out;
    sqe->op_flags = (uint32_t)op->args.statx.flags;
  }
}

void bide__sqe_fill(ring_sqe *sqe, const bide_op *op) {
  sqe->fd = op->fd;
  switch (op->kind) {
    case BIDE_OP_ACCEPT:
    case BIDE_OP_ACCEPT_MULTI:
      sqe_fill_accept(sqe, op);
      break;
    case BIDE_OP_CONNECT:
      sqe->opcode = RING_OP_CONNECT;
      sqe->addr = (uint64_t)(uintptr_t)op->args.connect.addr;
      sqe->off = op->args.connect.addrlen;
      break;
    case BIDE_OP_RECV:
      sqe_fill_io(sqe, op, RING_OP_RECV);
      break;
    case BIDE_OP_RECV_MULTI:
      sqe_fill_recv_multi(sqe, op);
      break;
    case BIDE_OP_SEND:
      sqe_fill_io(sqe, op, RING_OP_SEND);
      break;
    case BIDE_OP_SENDMSG:
      sqe_fill_msg(sqe, op, RING_OP_SENDMSG);
      break;
    case BIDE_OP_RECVMSG:
      sqe_fill_msg(sqe, op, RING_OP_RECVMSG);
      break;
    case BIDE_OP_CLOSE:
      sqe->opcode = RING_OP_CLOSE;
      break;
    case BIDE_OP_READ:
      sqe_fill_io(sqe, op, RING_OP_READ);
      break;
    case BIDE_OP_WRITE:
      sqe_fill_io(sqe, op, RING_OP_WRITE);
      break;
    case BIDE_OP_OPENAT:
    case BIDE_OP_STATX:
      sqe_fill_path(sqe, op);
      break;
    case BIDE_OP_FSYNC:
      sqe->opcode = RING_OP_FSYNC;
      sqe->op_flags = op->args.fsync.data_only ? RING_FSYNC_DATASYNC : 0;
      break;
    case BIDE_OP_POLL:
      sqe->opcode = RING_OP_POLL_ADD;
      sqe->op_flags = op->args.poll.events;
      /* The kernel takes no notice of a wake for POLLPRI alone; sockets give both. */
      if ((op->args.poll.events & POLLPRI) != 0) sqe->op_flags |= POLLRDBAND;
      break;
    default:
      assert(!"a kind that the loop or bide__backend_at_once carries out");
  }
}

/* The events that end an EAGAIN. */
static unsigned sqe_poll_events(const bide_op *op) {
  switch (op->kind) {
    case BIDE_OP_CONNECT:
    case BIDE_OP_SEND:
    case BIDE_OP_SENDMSG:
    case BIDE_OP_WRITE:
      return POLLOUT;
    default:
      return POLLIN;
  }
}

void bide__sqe_fill_poll(ring_sqe *sqe, const bide_op *op) {
  sqe->opcode = RING_OP_POLL_ADD;
  sqe->fd = op->fd;
  sqe->op_flags = sqe_poll_events(op);
}
