/* pollset.h: poll operations on an epoll set.
 *
 * They may be used on fds that others own, close and reuse. An epoll set holds no file
 * open, and each operation registers its fd anew, one-shot, so that a number which the
 * kernel has given to another file is never mistaken. A multishot one is registered once,
 * by its edges, and ends when another operation finds such a file.
 *
 * The epoll backend's own set is one; io_uring, whose own poll would keep the file open,
 * has one beside it and watches its fd. */
#ifndef BIDE_SRC_BACKEND_POLLSET_H
#define BIDE_SRC_BACKEND_POLLSET_H

#include "backend.h"
#include "fds.h"

/* fd: the epoll set. orphans: operations whose file has lost its number, which nothing but
 * a cancel ends. waiting: how many operations lie there and on the entries' lists of
 * pollers, or are their watchers. Those that end go to the backend's `done`, and so does a
 * watcher for an event. */
typedef struct bide__pollset {
  bide__backend *backend;
  int fd;
  bide__fds fds;
  bide_node orphans;
  size_t waiting;
} bide__pollset;

/* Makes the epoll set. Returns 0 or -errno. */
int bide__pollset_open(bide__pollset *set, bide__backend *backend);

/* Closes it, which in a forked child leaves the parent's alone. */
void bide__pollset_close(bide__pollset *set);

/* Returns 0 or BIDE_ENOMEM; any other failure is the op's result. */
int bide__pollset_submit(bide__pollset *set, bide_op *op);

/* Ends an op that waits; a multishot one whatever its phase. */
void bide__pollset_cancel(bide__pollset *set, bide_op *op);

/* The event that a multishot op was told of has been handed out: it waits for the next. */
void bide__pollset_go_on(bide_op *op);

/* An event of fd: ends the operations that waited for it. */
void bide__pollset_wake(bide__pollset *set, int fd, uint32_t events);

/* Takes the events that the set holds by now, without waiting. */
void bide__pollset_collect(bide__pollset *set);

/* fd is about to be closed, or is another's from now on: operations on it end with
 * BIDE_ECANCELED, and the set forgets it. */
void bide__pollset_forget(bide__pollset *set, int fd);

#endif
