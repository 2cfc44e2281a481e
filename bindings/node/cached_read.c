#include "cached_read.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Of the kernel, by other names than those that older headers lack: openat2(2) itself,
 * RESOLVE_CACHED of it, and RWF_NOWAIT of preadv2(2). */
enum { CALL_OPENAT2 = 437, OPEN_IN_CACHE = 0x20, READ_IN_CACHE = 8 };

/* What openat2(2) takes: struct open_how, which older headers lack. */
typedef struct open_how_words {
  uint64_t flags, mode, resolve;
} open_how_words;

int addon_open_cached(const char *path, int flags) {
  const open_how_words how = {(uint64_t)flags | O_CLOEXEC, 0, OPEN_IN_CACHE};
  return (int)syscall(CALL_OPENAT2, AT_FDCWD, path, &how, sizeof how);
}

/* A stream stays open: who writes to a pipe has met its reader in this very descriptor, and
 * would lose what it wrote if it went. A file without a size may be one of /proc. */
static uint8_t outcome_of_kind(const addon_cached_read *file) {
  struct statx found;
  if (statx(file->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &found) < 0) {
    return ADDON_CACHED_REFUSED;
  }
  if (S_ISFIFO(found.stx_mode)) return ADDON_CACHED_PIPE;
  if (S_ISCHR(found.stx_mode)) return ADDON_CACHED_DEVICE;
  return ADDON_CACHED_REFUSED;
}

/* The size is asked for as the position of the end, for a quarter of what a stat costs. What
 * has such a position and is no regular file (a folder) refuses the read that follows. */
static uint8_t outcome_of_open(addon_cached_read *file) {
  off_t size = lseek(file->fd, 0, SEEK_END);
  if (size <= 0) return outcome_of_kind(file);
  if (size > ADDON_CACHED_BYTES_MAX) return ADDON_CACHED_REFUSED;
  file->len = (size_t)size;
  return ADDON_CACHED_NO_ROOM;
}

static bool read_cached(const addon_cached_read *file) {
  struct iovec all = {file->base, file->len};
  return syscall(SYS_preadv2, file->fd, &all, 1, 0L, 0L, READ_IN_CACHE) ==
         (long)file->len;
}

void addon_cached_read_try(addon_cached_read *file, const char *path) {
  file->outcome = ADDON_CACHED_NO_ROOM;
  if (file->fd < 0) {
    /* O_NONBLOCK keeps the open of a pipe from waiting for its other end. */
    file->fd = addon_open_cached(path, O_RDONLY | O_NONBLOCK);
    file->outcome = file->fd < 0 ? ADDON_CACHED_REFUSED : outcome_of_open(file);
  }
  if (file->outcome == ADDON_CACHED_NO_ROOM && file->len <= file->capacity) {
    file->outcome = read_cached(file) ? ADDON_CACHED_READ : ADDON_CACHED_REFUSED;
  }
  if (file->outcome == ADDON_CACHED_READ || file->outcome == ADDON_CACHED_REFUSED) {
    addon_cached_read_end(file);
  }
}

void addon_cached_read_end(addon_cached_read *file) {
  if (file->fd >= 0) close(file->fd);
  file->fd = -1;
}
