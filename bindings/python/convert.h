/* convert.h: codes and addresses of the core as Python objects. */
#ifndef BIDE_PYTHON_CONVERT_H
#define BIDE_PYTHON_CONVERT_H

#include <sys/socket.h>

#include "compat.h"

/* The exception for a negative code, a new reference: RuntimeError for a closed, forked
 * or running loop, MemoryError for ENOMEM, else the OSError of its errno. NULL with an
 * exception pending when it cannot be made. */
PyObject *convert_error(int code);

/* Raises convert_error(code). Returns NULL. */
PyObject *convert_raise(int code);

/* What socket.getsockname() gives for an IPv4 or IPv6 address, a new reference; None for
 * any other family. */
PyObject *convert_address(const struct sockaddr *address);

/* fileobj's fd: an int, or what its fileno() returns. -1 with ValueError for anything
 * else, as the selectors module has it. */
int convert_fd(PyObject *fileobj);

#endif
