/* socket_call.h: what stands behind sock_recv and its kin.
 *
 * A call is a coroutine: when it is awaited it tries, and where the socket would block it
 * waits until the socket is ready and tries again. Nothing is taken from the socket but by a
 * try that succeeds, so that a cancelled call loses nothing.
 *
 * To receive it waits by the watch of its socket (socket_watch.h), else by a poll of its own
 * on an fd that others own. While it waits, it puts off the socket's close() as a file object
 * of the socket does: the number cannot become another's meanwhile.
 *
 * C stands in for the methods of Python's own sockets. For all else the loop's methods pass
 * their arguments on to Python, which calls the socket's. */
#ifndef BIDE_PYTHON_SOCKET_CALL_H
#define BIDE_PYTHON_SOCKET_CALL_H

#include "loop.h"

typedef enum socket_call_kind {
  SOCKET_WAIT_READ,
  SOCKET_WAIT_WRITE,
  SOCKET_CALL_READ,
  SOCKET_CALL_WRITE,
  SOCKET_RECEIVE,
  SOCKET_RECEIVE_INTO,
  SOCKET_SEND
} socket_call_kind;

/* On its loop's list `calls`, which owns a reference to it, while `armed`, and after the
 * loop's end until the loop has let go of its socket. `waiter` is the future that the task
 * sleeps on. `view` is the user's memory, held from the first try until the call is over. */
struct socket_call {
  PyObject_HEAD
  socket_call *next; /* in the pool */
  loop_object *loop;
  PyObject *sock;
  PyObject *waiter;
  PyObject *method; /* of the socket, by name, for SOCKET_CALL; else NULL */
  PyObject *args;   /* the tuple to call it with; what to send, or receive into */
  Py_buffer view;
  bide_op op;
  bide_node link;
  bide_node waits; /* on its watch's list, unless `op` is in flight */
  size_t len;      /* to receive */
  size_t sent;     /* of `view` */
  int fd;          /* -1 until it is needed */
  int error;       /* of the wait: a code, or 0 */
  socket_call_kind kind;
  bool begun; /* awaited */
  bool armed;
  bool ready; /* to be tried: it has not been yet, or a wait has ended */
  bool holds; /* a close() of `sock` is put off */
  bool over;
};

/* Its wait has ended: by an event, a cancel or an error, as an operation's result says. Drops
 * the loop's reference. */
void socket_call_wake(socket_call *self, int result);

/* Frees the calls that are kept for reuse. */
void socket_call_pool_clear(socket_call_pool *pool);

/* The loop's core is gone: lets go of the socket, and drops the loop's reference. */
void socket_call_forget(socket_call *self);

#endif
