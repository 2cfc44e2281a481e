/* direct.h: operations as the system calls that they are, made here and now. */
#ifndef BIDE_SRC_BACKEND_DIRECT_H
#define BIDE_SRC_BACKEND_DIRECT_H

#include <bide/op.h>

#include "buffers.h"
#include "fds.h"

/* The kinds that wait for readiness, without waiting: a result, or -EAGAIN, or -EINTR. A
 * multishot receive takes a buffer, named in *buffer_id when the result is above 0;
 * -ENOBUFS when all are lent. A connect is asked whether it has ended. */
int32_t bide__direct_call(const bide_op *op, const bide__fd *entry,
                          bide__buffers *buffers, uint16_t *buffer_id);

/* Receives from a socket without waiting: bytes, 0 at the end, or -errno but -EINTR. */
int32_t bide__direct_receive(int fd, void *base, size_t len);

/* Begins a connect: its result, or -EINPROGRESS. */
int32_t bide__direct_connect(const bide_op *op);

/* A READ, WRITE, OPENAT, STATX or FSYNC on a regular file; it may block, on any thread. */
int32_t bide__direct_file(const bide_op *op);

/* A READ, at an offset, of what the page cache holds, or an OPENAT of a regular file whose
 * path the kernel has cached: its result, or -EAGAIN for all that might block or fail. */
int32_t bide__direct_cached(const bide_op *op);

#endif
