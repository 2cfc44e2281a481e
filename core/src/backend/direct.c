/* direct.c: see direct.h. */
#include "direct.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#if !defined(RWF_NOWAIT)
enum { RWF_NOWAIT = 8 };
#endif

#if !defined(SYS_openat2)
enum { SYS_openat2 = 437 };
#endif

enum { DIRECT_RESOLVE_CACHED = 0x20 };

/* What openat2(2) takes: struct open_how, which older headers lack. */
typedef struct direct_open_how {
  uint64_t flags, mode, resolve;
} direct_open_how;

/* A copy of so many bytes holds a loop for some 10 us. */
enum { DIRECT_CACHED_MAX = 131072 };

static int32_t direct_result(ssize_t result) {
  return result < 0 ? -errno : (int32_t)result;
}

/* A blocking pipe or terminal must not be touched before poll says that it will not
 * block; a write of at most PIPE_BUF bytes does not, after POLLOUT (pipe(7)). */
static bool direct_would_block(const bide_op *op, short events) {
  struct pollfd poller = {op->fd, events, 0};
  return poll(&poller, 1, 0) == 0;
}

static int32_t direct_read(const bide_op *op, const bide__fd *entry) {
  if (entry->type == BIDE__FD_SOCKET || entry->type == BIDE__FD_TCP)
    return direct_result(recv(op->fd, op->args.io.base, op->args.io.len, MSG_DONTWAIT));
  if (entry->blocking && direct_would_block(op, POLLIN)) return -EAGAIN;
  return direct_result(read(op->fd, op->args.io.base, op->args.io.len));
}

static int32_t direct_write(const bide_op *op, const bide__fd *entry) {
  size_t len = op->args.io.len;
  if (entry->type == BIDE__FD_SOCKET || entry->type == BIDE__FD_TCP)
    return direct_result(
        send(op->fd, op->args.io.base, len, MSG_DONTWAIT | MSG_NOSIGNAL));
  if (entry->blocking) {
    if (direct_would_block(op, POLLOUT)) return -EAGAIN;
    if (len > PIPE_BUF) len = PIPE_BUF;
  }
  return direct_result(write(op->fd, op->args.io.base, len));
}

int32_t bide__direct_receive(int fd, void *base, size_t len) {
  int32_t result;
  do {
    result = direct_result(recv(fd, base, len, MSG_DONTWAIT));
  } while (result == -EINTR);
  return result;
}

/* connect(2) on a blocking socket waits: it is made non-blocking for the call. */
int32_t bide__direct_connect(const bide_op *op) {
  int flags = fcntl(op->fd, F_GETFL);
  if (flags < 0) return -errno;
  bool blocking = (flags & O_NONBLOCK) == 0;
  if (blocking) fcntl(op->fd, F_SETFL, flags | O_NONBLOCK);
  int32_t result =
      direct_result(connect(op->fd, op->args.connect.addr, op->args.connect.addrlen));
  if (blocking) fcntl(op->fd, F_SETFL, flags);
  return result == -EINTR ? -EINPROGRESS : result;
}

static int32_t direct_connect_end(const bide_op *op) {
  struct pollfd poller = {op->fd, POLLOUT, 0};
  if (poll(&poller, 1, 0) == 0) return -EAGAIN;
  int error = 0;
  socklen_t len = sizeof error;
  if (getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) return -errno;
  return -error;
}

static int32_t direct_accept(const bide_op *op, const bide__fd *entry) {
  if (entry->blocking && direct_would_block(op, POLLIN)) return -EAGAIN;
  return direct_result(accept4(op->fd, op->args.accept.addr, op->args.accept.addrlen,
                               SOCK_CLOEXEC | SOCK_NONBLOCK));
}

static int32_t direct_recv_pooled(const bide_op *op, bide__buffers *buffers,
                                  uint16_t *buffer_id) {
  int id = bide__buffers_lend(buffers);
  if (id < 0) return -ENOBUFS;
  void *data = bide__buffers_data(buffers, (uint16_t)id);
  int32_t result = direct_result(recv(op->fd, data, buffers->bytes, MSG_DONTWAIT));
  if (result > 0)
    *buffer_id = (uint16_t)id;
  else
    bide__buffers_return(buffers, (uint16_t)id);
  return result;
}

int32_t bide__direct_call(const bide_op *op, const bide__fd *entry,
                          bide__buffers *buffers, uint16_t *buffer_id) {
  int flags = MSG_DONTWAIT;
  switch (op->kind) {
    case BIDE_OP_ACCEPT:
    case BIDE_OP_ACCEPT_MULTI:
      return direct_accept(op, entry);
    case BIDE_OP_CONNECT:
      return direct_connect_end(op);
    case BIDE_OP_RECV:
      flags |= op->args.io.flags;
      return direct_result(recv(op->fd, op->args.io.base, op->args.io.len, flags));
    case BIDE_OP_RECV_MULTI:
      return direct_recv_pooled(op, buffers, buffer_id);
    case BIDE_OP_SEND:
      flags |= op->args.io.flags;
      return direct_result(send(op->fd, op->args.io.base, op->args.io.len, flags));
    case BIDE_OP_SENDMSG:
      return direct_result(sendmsg(op->fd, op->args.msg.msg, flags | op->args.msg.flags));
    case BIDE_OP_RECVMSG:
      return direct_result(recvmsg(op->fd, op->args.msg.msg, flags | op->args.msg.flags));
    case BIDE_OP_READ:
      return direct_read(op, entry);
    case BIDE_OP_WRITE:
      return direct_write(op, entry);
    default:
      assert(!"a kind that does not wait for an edge");
      return -EINVAL;
  }
}

int32_t bide__direct_file(const bide_op *op) {
  size_t len = op->args.io.len < INT_MAX ? op->args.io.len : INT_MAX;
  void *base = op->args.io.base;
  switch (op->kind) {
    case BIDE_OP_READ:
      return direct_result(op->args.io.offset < 0
                               ? read(op->fd, base, len)
                               : pread(op->fd, base, len, op->args.io.offset));
    case BIDE_OP_WRITE:
      return direct_result(op->args.io.offset < 0
                               ? write(op->fd, base, len)
                               : pwrite(op->fd, base, len, op->args.io.offset));
    case BIDE_OP_OPENAT:
      return direct_result(
          openat(op->fd, op->args.open.path, op->args.open.flags, op->args.open.mode));
    case BIDE_OP_STATX:
      return direct_result(syscall(SYS_statx, op->fd, op->args.statx.path,
                                   op->args.statx.flags, op->args.statx.mask,
                                   op->args.statx.out));
    default:
      assert(op->kind == BIDE_OP_FSYNC);
      return direct_result(op->args.fsync.data_only ? fdatasync(op->fd) : fsync(op->fd));
  }
}

static ssize_t direct_read_cached(const bide_op *op, size_t skip) {
  struct iovec part = {(char *)op->args.io.base + skip, op->args.io.len - skip};
  int64_t offset = op->args.io.offset + (int64_t)skip;
  return syscall(SYS_preadv2, op->fd, &part, 1, (long)offset, (long)(offset >> 32),
                 RWF_NOWAIT);
}

/* A short count may be the file's end or the cache's: a second look tells. */
static int32_t direct_read_at_once(const bide_op *op) {
  if (op->args.io.offset < 0 || op->args.io.len > DIRECT_CACHED_MAX) return -EAGAIN;
  ssize_t count = direct_read_cached(op, 0);
  if (count < 0) return -EAGAIN;
  bool ended = count == 0 || (size_t)count == op->args.io.len;
  return ended || direct_read_cached(op, (size_t)count) == 0 ? (int32_t)count : -EAGAIN;
}

static int direct_open_cached(const bide_op *op, int flags) {
  const direct_open_how how = {(uint64_t)flags, 0, DIRECT_RESOLVE_CACHED};
  return (int)syscall(SYS_openat2, op->fd, op->args.open.path, &how, sizeof how);
}

/* Looks at a path without opening what it names, as the open of a pipe waits for its other
 * end and that of a device may do anything. */
static bool direct_names_cached_file(const bide_op *op) {
  int flags = op->args.open.flags & (O_NOFOLLOW | O_DIRECTORY);
  int fd = direct_open_cached(op, flags | O_PATH | O_CLOEXEC);
  if (fd < 0) return false;
  struct statx file;
  bool found = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &file) == 0;
  close(fd);
  return found && S_ISREG(file.stx_mode);
}

/* A regular file whose path the kernel has in its cache. O_NONBLOCK is for one that somebody
 * holds a lease of. Kernels before 5.12 refuse the flag, and the pool opens all. */
static int32_t direct_open_at_once(const bide_op *op) {
  int flags = op->args.open.flags;
  if ((flags & (O_CREAT | O_TRUNC | O_PATH | O_TMPFILE)) != 0) return -EAGAIN;
  if (!direct_names_cached_file(op)) return -EAGAIN;
  int fd = direct_open_cached(op, flags | O_NONBLOCK);
  if (fd < 0) return -EAGAIN;
  if ((flags & O_NONBLOCK) == 0) fcntl(fd, F_SETFL, flags);
  return fd;
}

int32_t bide__direct_cached(const bide_op *op) {
  if (op->kind == BIDE_OP_READ) return direct_read_at_once(op);
  return op->kind == BIDE_OP_OPENAT ? direct_open_at_once(op) : -EAGAIN;
}
