/* socket_watch.h: how the sock_ methods wait until a socket can be read.
 *
 * A watch is of one socket object, of the very class socket.socket, under the number that it
 * has. Its registration with the kernel stays from one wait to the next, which therefore
 * costs no system call, until another object's call waits on the number or a transport takes
 * it. Such an object's number stands for its one file until it is closed and has none; what
 * only acts as a socket may come to have another file under the same number, and is to be
 * polled for anew each time. */
#ifndef BIDE_PYTHON_SOCKET_WATCH_H
#define BIDE_PYTHON_SOCKET_WATCH_H

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
