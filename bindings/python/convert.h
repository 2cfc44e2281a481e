/* convert.h: codes and addresses of the core as Python objects. */
#ifndef BIDE_PYTHON_CONVERT_H
#define BIDE_PYTHON_CONVERT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "state.h"

/* The exception for a negative code, a new reference: RuntimeError for a closed, forked
 * or running loop, MemoryError for ENOMEM, else the OSError of its errno. NULL with an
 * exception pending when it cannot be made. */
PyObject *convert_error(int code);

/* Raises convert_error(code). Returns NULL. */
PyObject *convert_raise(int code);

/* The one argument of a vectorcalled method, given by position or by its name, borrowed;
 * NULL with TypeError. */
PyObject *convert_argument(PyObject *const *args, Py_ssize_t nargs, PyObject *keywords,
                           const char *method, const char *name);

/* Whether `name` is that string; an object that is none is no name of anything. */
bool convert_is(PyObject *name, const char *text);

/* Defines the method `wrapper` of one argument that may be given by its name, as asyncio's
 * may; function(self, argument) does the work. */
#define CONVERT_METHOD(wrapper, function, method, name) \
  static PyObject *wrapper(PyObject *self, PyObject *const *args, Py_ssize_t nargs, \
                           PyObject *keywords) { \
    PyObject *argument = convert_argument(args, nargs, keywords, method, name); \
    return argument == NULL ? NULL : function(self, argument); \
  }

/* What stands for such a method in a type's table. */
#define CONVERT_METHOD_ENTRY(wrapper) \
  ((PyCFunction)(void (*)(void))(wrapper)), METH_FASTCALL | METH_KEYWORDS

/* An address as the kernel gave it: IPv4, IPv6 or Unix; a longer one is cut short, and its
 * family is none of these. len 0: none. */
typedef struct convert_name {
  socklen_t len;
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
  } of;
} convert_name;

/* A copy that takes no more memory than the address has bytes, to be freed by PyMem_Free;
 * NULL with MemoryError. */
convert_name *convert_keep_name(const convert_name *name);

/* True for the families that convert_address knows. */
bool convert_knows_family(int family);

/* What the socket module gives for an address of a known family, a new reference: a tuple,
 * a path, or the bytes of an abstract name. None for no address and other families. */
PyObject *convert_address(const convert_name *address);

/* fileobj's fd: an int, or what its fileno() returns. -1 with ValueError for anything
 * else, as the selectors module has it. */
int convert_fd(const module_state *state, PyObject *fileobj);

#endif
