/* endpoint.h: what the transports of stream and datagram sockets share: the
 * descriptor and the addresses. */
#ifndef BIDE_PYTHON_ENDPOINT_H
#define BIDE_PYTHON_ENDPOINT_H

#include "convert.h"
#include "protocol.h"

/* Enters the transport as fd's user. The number is a new socket's now: whoever still
 * watches or uses it missed its close. 0, or -1 with MemoryError. */
int endpoint_take_fd(loop_object *loop, int fd, PyObject *transport);

/* Forgets the transport as fd's user and closes fd, which the Python socket holds unless
 * that is NULL; not if the user has taken it from under the socket. */
void endpoint_release_fd(loop_object *loop, int fd, PyObject *transport,
                         PyObject *socket);

/* The fd is another socket's by now: forgets it without closing it. */
void endpoint_abandon_fd(loop_object *loop, int fd, PyObject *socket);

/* True while the transport of a slot is open and uses its fd. One whose fd was closed under
 * it, and is another file's now, is told so and leaves the slot. */
bool endpoint_holds(loop_object *loop, PyObject *transport);

bool endpoint_same_name(const convert_name *a, const convert_name *b);

/* Reads the socket's own address and its peer's. */
void endpoint_read_names(int fd, convert_name *name, convert_name *peer);

/* An address of a family that only the Python socket knows, by its `method`: None when
 * that fails or fd is closed. */
PyObject *endpoint_ask_address(PyObject *socket, int fd, PyObject *method);

#endif
