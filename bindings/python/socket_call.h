/* socket_call.h: what stands behind sock_recv and its kin.
 *
 * A call tries first, and when the socket would block becomes an object that a task awaits:
 * it waits until the socket is ready and tries again. Nothing is taken from the socket but by
 * a try that succeeds, so that a cancelled call loses nothing.
 *
 * It waits by a poll on an fd that others own, whose registration with the kernel stays from
 * one call to the next and goes with the file, not with the number. While it waits, it puts
 * off the socket's close() as a file object of the socket does: the number cannot become
 * another's meanwhile. */
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
 * sleeps on. `view` is the user's memory, held until the call is over. */
typedef struct socket_call {
  PyObject_HEAD
  loop_object *loop;
  PyObject *sock;
  PyObject *waiter;
  PyObject *method, *args; /* of the socket: its name and its arguments; else NULL */
  Py_buffer view;
  bide_op op;
  bide_node link;
  size_t len;  /* to receive */
  size_t sent; /* of `view` */
  int fd;      /* -1 until it is needed */
  int error;   /* of the wait: a code, or 0 */
  socket_call_kind kind;
  bool armed;
  bool ready; /* the wait has ended: to be tried again */
  bool holds; /* a close() of `sock` is put off */
  bool over;
} socket_call;

/* The loop's core is gone: lets go of the socket, and drops the loop's reference. */
void socket_call_forget(socket_call *self);

#endif
