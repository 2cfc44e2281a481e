/* fds.h: what the epoll backend knows of each fd. */
#ifndef BIDE_SRC_BACKEND_FDS_H
#define BIDE_SRC_BACKEND_FDS_H

#include <bide/op.h>
#include <sys/types.h>

typedef enum bide__fd_type {
  BIDE__FD_UNKNOWN = 0,
  BIDE__FD_TCP, /* a short count means: drained */
  BIDE__FD_SOCKET,
  BIDE__FD_OTHER, /* a pipe, a terminal ... */
  BIDE__FD_FILE,  /* regular: the pool's */
} bide__fd_type;

/* What tells two files of one number apart, but for descriptions of one file. */
typedef struct bide__fd_file {
  dev_t device;
  ino_t inode;
} bide__fd_file;

/* One for each fd number, for ever at the same address. readers and writers: stream
 * operations that wait for an edge; pollers: poll operations; watcher: the multishot one, or
 * NULL, whether it waits or is done. streams: `mask` was set for streams, and holds all that
 * there is. generation changes when fd
 * is forgotten, or found to be another file: events of the one before are dropped. type and
 * blocking are guesses (unknown and true) until bide__fd_describe. accepted: just now, and
 * nothing was tried on it. Once haunted, the set may
 * hold a file that has lost the number and may come back to it, and `file` is what the
 * number stood for when it was last registered. */
typedef struct bide__fd {
  bide_node readers, writers, pollers;
  bide_op *watcher;
  uint32_t mask;  /* what epoll has, 0: nothing */
  uint32_t ready; /* EPOLLIN, EPOLLOUT: edges not used up */
  uint32_t generation;
  bide__fd_file file;
  bool haunted;
  bool streams;
  bool no_short; /* a short count means nothing: the peer hung up, or urgent data came */
  bool blocking; /* without O_NONBLOCK: to be touched only when poll says so */
  bool accepted;
  uint8_t type;
} bide__fd;

/* Entries by fd, in chunks that never move: lists of operations hang on them. */
typedef struct bide__fds {
  bide__fd **chunks;
  size_t chunk_count;
} bide__fds;

void bide__fds_free(bide__fds *fds);

/* NULL for an fd that has no entry yet. */
bide__fd *bide__fds_find(const bide__fds *fds, int fd);

/* The entry of fd, made if need be; NULL in it for a negative fd. Returns 0 or
 * BIDE_ENOMEM. */
int bide__fds_entry(bide__fds *fds, int fd, bide__fd **entry);

/* Finds out what fd is. A failed look (EBADF) leaves it unknown: the operation itself will
 * tell. */
void bide__fd_describe(bide__fd *entry, int fd);

/* The same of what can only be a socket, by one call; whether it blocks stays a guess. */
void bide__fd_describe_socket(bide__fd *entry, int fd);

/* Whether a receive that was asked for `asked` bytes and got `count` has left nothing. */
static inline bool bide__fd_is_emptied(const bide__fd *entry, size_t count,
                                       size_t asked) {
  return entry->type == BIDE__FD_TCP && !entry->no_short && count < asked;
}

/* fd is closed: its number may come back as anything. */
void bide__fd_reset(bide__fd *entry);

/* The fd that an event is of, by its data.u64; -1 when it was registered by a generation
 * before. */
int bide__fd_of_event(const bide__fds *fds, uint64_t data);

/* Makes the epoll set hold `mask` for fd, whatever it holds now: the number may have been
 * closed and reused since, and then the set says so. Events carry the generation in the
 * upper half of data.u64, the fd in the lower. Where the set has lost what it held, the
 * number is another file's, and begins a generation: the file before may live on under
 * another number, and its events still come under this one. Returns 0 or -errno. */
int bide__fd_register(bide__fd *entry, int epoll_fd, int fd, uint32_t mask);

#endif
