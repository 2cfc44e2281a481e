/* guest.h: a loop that lives inside another one, such as a user interface's.
 *
 * The outer loop watches one fd and calls step() when it is readable. The fd is an epoll
 * set over the loop's own fd and a timer, which its guests share, so that timers and calls
 * that are ready wake the outer loop as I/O does. */
#ifndef BIDE_PYTHON_GUEST_H
#define BIDE_PYTHON_GUEST_H

#include "loop.h"

/* It is open until it is closed, which the loop's own close does not do. */
typedef struct guest_object {
  PyObject_HEAD
  loop_object *loop;
  PyObject *weakrefs;
  int set_fd;
  bool is_open;
} guest_object;

#endif
