/* socket_watch.h: how the sock_ methods wait until a socket can be read.
 *
 * A watch is of one socket object, of the very class socket.socket, under the number that it
 * has. Its registration with the kernel stays from one wait to the next, which therefore
 * costs no more than a look at what file that is, until another object's call waits on the
 * number or a transport takes it. Such an object's number is its own until it is closed, but
 * for who puts another file there by dup2(2); what only acts as a socket is to be polled for
 * anew each time. */
#ifndef BIDE_PYTHON_SOCKET_WATCH_H
#define BIDE_PYTHON_SOCKET_WATCH_H

#include <sys/types.h>

#include "loop.h"

/* On its loop's list `watches` for as long as its operation is in flight, and freed with
 * that. `waiting`: calls, by their `waits`, each of which has tried in vain since the last
 * event. `slot` of its number leads to it until it is ended. */
struct socket_watch {
  bide_op op;
  bide_node link;
  bide_node waiting;
  loop_object *loop;
  PyObject *sock; /* a weak reference */
  dev_t device;   /* the file that the number had, with `inode` */
  ino_t inode;
};

/* Whether a call on sock, whose number is fd, may wait by a watch: also where another object
 * has that number, unless it waits. */
bool socket_watch_serves(loop_object *loop, PyObject *sock, int fd);

/* Puts the call's `waits` on the watch of sock, which is made if there is none. The next
 * event, or the end of the watch, takes all calls off it and wakes them. 0, or -1 with an
 * exception. */
int socket_watch_wait(loop_object *loop, PyObject *sock, int fd, bide_node *waits);

/* Its number is somebody else's now. */
void socket_watch_end(socket_watch *self);

/* For a loop whose core is gone. */
void socket_watch_free(socket_watch *self);

#endif
