/* socket_try.h: calls of a socket that do not wait, whatever the socket's mode. */
#ifndef BIDE_PYTHON_SOCKET_TRY_H
#define BIDE_PYTHON_SOCKET_TRY_H

#include "loop.h"

/* Each returns a new reference, or NULL with an exception or with *blocked set: the call
 * would have waited, and has done nothing. */

/* Up to len bytes, as bytes. */
PyObject *socket_try_receive(loop_object *loop, int fd, size_t len, bool *blocked);

/* How many bytes were put into the view. */
PyObject *socket_try_receive_into(int fd, const Py_buffer *view, bool *blocked);

/* None once all of the view is sent; *sent, which begins at 0, counts until then. */
PyObject *socket_try_send(int fd, const Py_buffer *view, size_t *sent, bool *blocked);

#endif
