/* errno.h: every error that bide gives, in one table.
 *
 * A code is negative. For what the kernel says it is -errno, so that a result
 * of the kernel is a code of bide as it stands; a kernel error that the table
 * does not name is passed on unchanged and named "EUNKNOWN". Codes of bide's own
 * lie below -4096, where the kernel has none.
 */
#ifndef BIDE_ERRNO_H
#define BIDE_ERRNO_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, errno, text): what the kernel says. */
#define BIDE_ERRNO_SYSTEM(X) \
  X(EPERM, 1, "operation not permitted") \
  X(ENOENT, 2, "no such file or directory") \
  X(ESRCH, 3, "no such process") \
  X(EINTR, 4, "interrupted system call") \
  X(EIO, 5, "input/output error") \
  X(ENXIO, 6, "no such device or address") \
  X(E2BIG, 7, "argument list too long") \
  X(EBADF, 9, "bad file descriptor") \
  X(ECHILD, 10, "no child processes") \
  X(EAGAIN, 11, "resource temporarily unavailable") \
  X(ENOMEM, 12, "cannot allocate memory") \
  X(EACCES, 13, "permission denied") \
  X(EFAULT, 14, "bad address") \
  X(ENOTBLK, 15, "block device required") \
  X(EBUSY, 16, "device or resource busy") \
  X(EEXIST, 17, "file exists") \
  X(EXDEV, 18, "invalid cross-device link") \
  X(ENODEV, 19, "no such device") \
  X(ENOTDIR, 20, "not a directory") \
  X(EISDIR, 21, "is a directory") \
  X(EINVAL, 22, "invalid argument") \
  X(ENFILE, 23, "too many open files in system") \
  X(EMFILE, 24, "too many open files") \
  X(ENOTTY, 25, "inappropriate ioctl for device") \
  X(ETXTBSY, 26, "text file busy") \
  X(EFBIG, 27, "file too large") \
  X(ENOSPC, 28, "no space left on device") \
  X(ESPIPE, 29, "illegal seek") \
  X(EROFS, 30, "read-only file system") \
  X(EMLINK, 31, "too many links") \
  X(EPIPE, 32, "broken pipe") \
  X(EDOM, 33, "numerical argument out of domain") \
  X(ERANGE, 34, "numerical result out of range") \
  X(EDEADLK, 35, "resource deadlock avoided") \
  X(ENAMETOOLONG, 36, "file name too long") \
  X(ENOSYS, 38, "function not implemented") \
  X(ENOTEMPTY, 39, "directory not empty") \
  X(ELOOP, 40, "too many levels of symbolic links") \
  X(ENODATA, 61, "no data available") \
  X(ETIME, 62, "timer expired") \
  X(EPROTO, 71, "protocol error") \
  X(EBADMSG, 74, "bad message") \
  X(EOVERFLOW, 75, "value too large for defined data type") \
  X(EILSEQ, 84, "invalid or incomplete multibyte or wide character") \
  X(EUSERS, 87, "too many users") \
  X(ENOTSOCK, 88, "socket operation on non-socket") \
  X(EDESTADDRREQ, 89, "destination address required") \
  X(EMSGSIZE, 90, "message too long") \
  X(EPROTOTYPE, 91, "protocol wrong type for socket") \
  X(ENOPROTOOPT, 92, "protocol not available") \
  X(EPROTONOSUPPORT, 93, "protocol not supported") \
  X(ESOCKTNOSUPPORT, 94, "socket type not supported") \
  X(EOPNOTSUPP, 95, "operation not supported") \
  X(EPFNOSUPPORT, 96, "protocol family not supported") \
  X(EAFNOSUPPORT, 97, "address family not supported by protocol") \
  X(EADDRINUSE, 98, "address already in use") \
  X(EADDRNOTAVAIL, 99, "cannot assign requested address") \
  X(ENETDOWN, 100, "network is down") \
  X(ENETUNREACH, 101, "network is unreachable") \
  X(ENETRESET, 102, "network dropped connection on reset") \
  X(ECONNABORTED, 103, "software caused connection abort") \
  X(ECONNRESET, 104, "connection reset by peer") \
  X(ENOBUFS, 105, "no buffer space available") \
  X(EISCONN, 106, "transport endpoint is already connected") \
  X(ENOTCONN, 107, "transport endpoint is not connected") \
  X(ESHUTDOWN, 108, "cannot send after transport endpoint shutdown") \
  X(ETIMEDOUT, 110, "connection timed out") \
  X(ECONNREFUSED, 111, "connection refused") \
  X(EHOSTDOWN, 112, "host is down") \
  X(EHOSTUNREACH, 113, "no route to host") \
  X(EALREADY, 114, "operation already in progress") \
  X(EINPROGRESS, 115, "operation now in progress") \
  X(ESTALE, 116, "stale file handle") \
  X(EDQUOT, 122, "disk quota exceeded") \
  X(ECANCELED, 125, "operation canceled") \

/* X(name, code, errno, text): what bide says. The errno is the nearest one,
 * for callers that must give one. */
#define BIDE_ERRNO_OWN(X) \
  X(EOF, 4097, 61, "end of file") \
  X(ECLOSED, 4098, 9, "the loop is closed") \
  X(EFORKED, 4099, 1, "the loop belongs to the parent process; make a new one after fork") \
  X(ERUNNING, 4100, 16, "the loop is already running") \
  X(EQUEUEFULL, 4101, 11, "the pool's queue is full") \
  X(ELAGGED, 4102, 75, "items were overwritten before they were received") \
  X(ETHREAD, 4103, 1, "another thread runs the loop")

enum {
#define BIDE_ERRNO_X(name, number, text) BIDE_##name = -(number),
  BIDE_ERRNO_SYSTEM(BIDE_ERRNO_X)
#undef BIDE_ERRNO_X
#define BIDE_ERRNO_X(name, code, number, text) BIDE_##name = -(code),
  BIDE_ERRNO_OWN(BIDE_ERRNO_X)
#undef BIDE_ERRNO_X
};

/* "ECONNRESET" for BIDE_ECONNRESET; "OK" for 0 and above; "EUNKNOWN" for a code
 * that the table does not hold. Static strings. Any thread. */
BIDE_EXTERN const char *bide_error_name(int code);

/* One lower-case phrase without a full stop. Static strings. Any thread. */
BIDE_EXTERN const char *bide_error_text(int code);

/* The positive errno of a code: its own, or the nearest for one of bide's. 0 for
 * a code of 0 or above. Any thread. */
BIDE_EXTERN int bide_error_errno(int code);

/* Walks the table, for bindings and their tests: writes the row's code and
 * returns its name; NULL past the last row. Any thread. */
BIDE_EXTERN const char *bide_error_row(size_t index, int *code);

#ifdef __cplusplus
}
#endif
#endif
