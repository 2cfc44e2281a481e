/* op.h: operations, the one thing that a loop carries out.
 *
 * A bide_op is caller-owned and intrusive: embed it in your struct, prepare it,
 * submit it with bide_loop_submit. Submitting allocates nothing.
 *
 *   idle --submit--> submitted --completion--> done (may be prepared again)
 *                        |  cancel
 *                        v
 *                    cancelling --completion--> done
 *
 * Lifetime, the rules:
 *   1. From submit to its last completion the op, its buffers, addresses and
 *      paths belong to the loop, also after a cancel. Do not move, free or
 *      prepare it again, and do not touch what it points to.
 *   2. Each submitted op completes: exactly once, or for the multishot kinds
 *      several times with BIDE_OP_MORE set and once, last, without it.
 *   3. A cancel that loses to success keeps the result: a cancelled receive
 *      that had bytes completes with them, a cancelled accept or open with its
 *      fd, which is then yours to use or to close.
 *   4. Close an fd with bide_prep_close or bide_loop_close_fd, and only when no
 *      operation on it is in flight: shut down or cancel, wait for the
 *      completions, then close.
 *
 * Results: `result` is a count, an fd or 0 on success, else a negative code.
 */
#ifndef BIDE_OP_H
#define BIDE_OP_H

#include <sys/socket.h>
#include <sys/types.h>

#include "base.h"
#include "errno.h"

#ifdef __cplusplus
extern "C" {
#endif

struct statx;

#define BIDE_OP_KINDS(X) \
  X(NOP) \
  X(ACCEPT) \
  X(ACCEPT_MULTI) \
  X(CONNECT) \
  X(RECV) \
  X(RECV_MULTI) \
  X(SEND) \
  X(SENDMSG) \
  X(RECVMSG) \
  X(SHUTDOWN) \
  X(CLOSE) \
  X(READ) \
  X(WRITE) \
  X(OPENAT) \
  X(STATX) \
  X(FSYNC) \
  X(POLL) \
  X(POLL_MULTI) \
  X(TIMEOUT)

typedef enum bide_op_kind {
#define BIDE_OP_X(name) BIDE_OP_##name,
  BIDE_OP_KINDS(BIDE_OP_X)
#undef BIDE_OP_X
  BIDE_OP_KIND_COUNT
} bide_op_kind;

typedef enum bide_op_state {
  BIDE_OP_IDLE = 0,
  BIDE_OP_SUBMITTED,
  BIDE_OP_CANCELLING,
  BIDE_OP_DONE
} bide_op_state;

/* Completion flags, in bide_op.flags and bide_completion.flags. */
enum {
  BIDE_OP_MORE = 1u << 0,   /* a multishot op: further completions will come */
  BIDE_OP_BUFFER = 1u << 1, /* a pooled buffer came: op->buffer, op->buffer_id;
                             * give it back with bide_buffer_release */
  BIDE_OP_READY = 1u << 2,  /* bytes have come: bide_receive takes them */
};

/* Called on the loop's thread for each completion, never from inside submit. It
 * may do anything: submit, cancel, free the op when it is done, stop the loop. */
typedef void (*bide_op_cb)(bide_op *op);

struct bide_op {
  /* public: set before submit */
  bide_op_cb cb; /* may be NULL when completions are taken with bide_loop_reap */
  void *data;

  /* read-only */
  int32_t result;
  uint16_t flags;
  uint16_t buffer_id;
  void *buffer; /* the pooled buffer's bytes; `result` of them are filled */
  uint8_t kind;
  uint8_t state;
  uint8_t phase_;
  uint8_t reserved_;
  int fd;

  /* the arguments, set by the bide_prep functions */
  union {
    struct {
      void *base;
      size_t len;
      int64_t offset;
      int flags;
    } io; /* recv, send, read, write */
    struct {
      bool ready;
    } recv_multi;
    struct {
      struct msghdr *msg;
      int flags;
    } msg;
    struct {
      struct sockaddr *addr;
      socklen_t *addrlen;
    } accept;
    struct {
      const struct sockaddr *addr;
      socklen_t addrlen;
    } connect;
    struct {
      const char *path;
      int flags;
      unsigned mode;
    } open;
    struct {
      const char *path;
      struct statx *out;
      int flags;
      unsigned mask;
    } statx;
    struct {
      uint64_t timeout_us;
    } timeout;
    struct {
      unsigned events;
      bool foreign;
    } poll;
    struct {
      int how;
    } shutdown;
    struct {
      bool data_only;
    } fsync;
  } args;

  /* private */
  bide_loop *loop_;
  bide_node inflight_; /* on the loop's list from submit to the last completion */
  uint64_t scratch_[8]; /* the backend's: a wait link, a timer or a pool job */
};

/* The prepare functions set the kind and the arguments and make the op idle;
 * they keep cb and data. None can fail and none touches a loop. Zero an op before its
 * first use. One that is in flight must not be prepared: an assert in a debug build, otherwise
 * it goes on as it was, and the submit that follows returns BIDE_EINVAL.
 *
 * Sockets may be blocking or not: an operation waits, the loop's thread never
 * does. */

/* Completes with 0 at the next turn. */
BIDE_EXTERN void bide_prep_nop(bide_op *op);

/* Accepts one connection: result is its fd, close-on-exec and non-blocking.
 * addr and addrlen may be NULL. A listening socket that several processes share should be
 * non-blocking: on epoll another's accept may come between the look and the call. */
BIDE_EXTERN void bide_prep_accept(bide_op *op, int fd, struct sockaddr *addr,
                                  socklen_t *addrlen);

/* Accepts until cancelled or failed; each completion carries an fd. EMFILE and
 * the like end it: back off, then submit it again (bide_listener does). */
BIDE_EXTERN void bide_prep_accept_multi(bide_op *op, int fd);

/* An AF_UNIX connect to a listener whose backlog is full waits on io_uring and completes
 * with BIDE_EAGAIN on epoll. */
BIDE_EXTERN void bide_prep_connect(bide_op *op, int fd,
                                   const struct sockaddr *addr, socklen_t addrlen);

/* result: bytes, 0 at the end of the stream. flags as recv(2). */
BIDE_EXTERN void bide_prep_recv(bide_op *op, int fd, void *base, size_t len,
                                int flags);

/* Receives into the loop's pooled buffers until the end of the stream (result 0),
 * an error or a cancel. Each completion with BIDE_OP_BUFFER lends a buffer of at
 * most bide_loop_options.recv_buffer_bytes; while all buffers are lent the op
 * waits, and goes on when one is released. A last completion may still carry
 * bytes. */
BIDE_EXTERN void bide_prep_recv_multi(bide_op *op, int fd);

/* The same for who has a better place for the bytes than a pooled buffer. Completions come
 * without any: they have BIDE_OP_READY, and their callback calls bide_receive. The end of the
 * stream and its errors are told by that call, and the op goes on until it is cancelled. What
 * is not taken is told again in the next turn; without anything to take nothing is told,
 * unless the peer has hung up or sent urgent data. For large pieces this is cheaper on both
 * backends, for small ones on epoll. */
BIDE_EXTERN void bide_prep_recv_ready(bide_op *op, int fd);

/* result: bytes taken, possibly fewer than len. MSG_NOSIGNAL is always set. Keep
 * one send in flight a stream: two may overtake each other. */
BIDE_EXTERN void bide_prep_send(bide_op *op, int fd, const void *base, size_t len,
                                int flags);

/* msg and all that it points to stay yours to keep alive until completion. */
BIDE_EXTERN void bide_prep_sendmsg(bide_op *op, int fd, const struct msghdr *msg,
                                   int flags);
BIDE_EXTERN void bide_prep_recvmsg(bide_op *op, int fd, struct msghdr *msg,
                                   int flags);

/* how: SHUT_RD, SHUT_WR or SHUT_RDWR. Takes effect at the submit and overtakes sends that
 * are in flight: wait for those first. */
BIDE_EXTERN void bide_prep_shutdown(bide_op *op, int fd, int how);

/* Closes fd. On epoll, operations still waiting on it complete with
 * BIDE_ECANCELED; on io_uring they go on, which is why rule 4 forbids them. */
BIDE_EXTERN void bide_prep_close(bide_op *op, int fd);

/* offset >= 0 as pread and pwrite; -1 uses (and moves) the file's position, and
 * is what pipes, terminals and sockets take. */
BIDE_EXTERN void bide_prep_read(bide_op *op, int fd, void *base, size_t len,
                                int64_t offset);
BIDE_EXTERN void bide_prep_write(bide_op *op, int fd, const void *base, size_t len,
                                 int64_t offset);

/* result: the fd. O_CLOEXEC is always set. dirfd may be AT_FDCWD. An open that blocks (a
 * FIFO without a writer) cannot be cancelled on epoll: give O_NONBLOCK. */
BIDE_EXTERN void bide_prep_openat(bide_op *op, int dirfd, const char *path,
                                  int flags, unsigned mode);

/* As statx(2); path "" with AT_EMPTY_PATH means dirfd itself. */
BIDE_EXTERN void bide_prep_statx(bide_op *op, int dirfd, const char *path,
                                 int flags, unsigned mask, struct statx *out);

BIDE_EXTERN void bide_prep_fsync(bide_op *op, int fd, bool data_only);

/* Waits for POLLIN, POLLOUT, POLLPRI, POLLRDHUP; result: the events that hold,
 * POLLERR and POLLHUP included. One shot and level-triggered: what holds already
 * completes it. The fd is yours (rule 4): on io_uring a close of it is not seen before
 * the op has completed. */
BIDE_EXTERN void bide_prep_poll(bide_op *op, int fd, unsigned events);

/* The same for an fd which others own and may close and reuse at any time: it is not held
 * open, its peer sees the close at once, and another file under the same number is never
 * mistaken for it. The op does not notice the close: cancel it, or it waits for ever. */
BIDE_EXTERN void bide_prep_poll_foreign(bide_op *op, int fd, unsigned events);

/* The same again and again, until cancelled: a completion with BIDE_OP_MORE tells of
 * something new for events, not of what was told before. So whoever is to use up what
 * holds tries until that would block, and waits then, which costs no system call. The fd is
 * others': an fd has one such op, which a later one ends with BIDE_ECANCELED, and so does an
 * operation that finds another file under the number. Until then the op does not notice the
 * reuse of a number, and waits for ever. */
BIDE_EXTERN void bide_prep_poll_multi(bide_op *op, int fd, unsigned events);

/* Completes with BIDE_ETIME after timeout_us, never early. */
BIDE_EXTERN void bide_prep_timeout(bide_op *op, uint64_t timeout_us);

/* "RECV_MULTI" and so on; "?" for a number that is no kind. Any thread. */
BIDE_EXTERN const char *bide_op_kind_name(unsigned kind);

/* One completion, as bide_loop_reap hands it out. */
typedef struct bide_completion {
  bide_op *op;
  int32_t result;
  uint16_t flags;
  uint16_t buffer_id;
} bide_completion;

#ifdef __cplusplus
}
#endif
#endif
