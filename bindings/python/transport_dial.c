/* transport_dial.c: a connection to an address in numbers, made without a Python socket.
 *
 * To make a socket.socket, to have it parse an address that was parsed before and to take its
 * fd away again costs more than all that the kernel does for a connection on this host. Here
 * the fd is a transport's from the beginning, whose Python socket is made for who asks for
 * it. What is refused at once is left to Python, which is refused it too and says so. */
#include <bide/net.h>
#include <errno.h>
#include <unistd.h>

#include "convert.h"
#include "endpoint.h"
#include "socket_object.h"
#include "transport.h"

/* A socket on its way to becoming a transport. */
typedef struct dial {
  module_state *state;
  PyObject *socket; /* NULL: not made */
  convert_name address;
  int fd;
} dial;

typedef enum dial_result { DIAL_CONNECTED, DIAL_PENDING, DIAL_REFUSED } dial_result;

/* ---- the address ---- */

/* An IPv6 zone is the resolver's, as it is in asyncio. */
static bool dial_parse_host(const char *host, int family, uint16_t port,
                            convert_name *address) {
  bide_address parsed;
  if (strchr(host, '%') != NULL || bide_address_ip(host, port, &parsed) < 0) return false;
  if (family != AF_UNSPEC && family != parsed.storage.ss_family) return false;
  address->len = parsed.len;
  memcpy(&address->of, &parsed.storage, parsed.len);
  return true;
}

/* An int in the bounds, or -1. */
static int dial_number(PyObject *object, int max) {
  int overflow = 0;
  long number = PyLong_Check(object) ? PyLong_AsLongAndOverflow(object, &overflow) : -1;
  return number >= 0 && number <= max ? (int)number : -1;
}

/* The arguments are host, port, family and proto. */
static bool dial_parse(PyObject *const *args, convert_name *address) {
  int port = dial_number(args[1], UINT16_MAX);
  int family = dial_number(args[2], INT_MAX);
  int proto = dial_number(args[3], INT_MAX);
  bool known = family == AF_UNSPEC || family == AF_INET || family == AF_INET6;
  if (port < 0 || !known || (proto != 0 && proto != IPPROTO_TCP)) return false;
  Py_ssize_t len;
  const char *host =
      PyUnicode_CheckExact(args[0]) ? PyUnicode_AsUTF8AndSize(args[0], &len) : NULL;
  if (host == NULL) PyErr_Clear();
  return host != NULL && strlen(host) == (size_t)len &&
         dial_parse_host(host, family, (uint16_t)port, address);
}

/* ---- the socket ---- */

/* Its Python socket, a new reference, which owns the fd. */
static PyObject *dial_socket(void *object) {
  dial *self = object;
  if (self->socket == NULL)
    self->socket =
        socket_object_over(self->state, self->address.of.any.sa_family, self->fd);
  return Py_XNewRef(self->socket);
}

static PyObject *dial_address(void *object) {
  return convert_address(&((dial *)object)->address);
}

/* An exception that is pending stays so. */
static void dial_abandon(dial *self) {
  PyObject *error = PyErr_GetRaisedException();
  PyObject *closed = self->socket == NULL ? NULL
                                          : PyObject_CallMethodNoArgs(
                                                self->socket, self->state->names.close);
  if (closed == NULL) (void)close(self->fd);
  Py_XDECREF(closed);
  PyErr_Clear();
  if (error != NULL) PyErr_SetRaisedException(error);
}

/* Whoever audits the process is told as of a Python socket, and may forbid it: -1 then, with
 * an exception. */
static int dial_audit(dial *self) {
  return PySys_Audit("socket.connect", "O&O&", dial_socket, self, dial_address, self);
}

/* On this host the handshake has often ended by the time the call returns. */
static dial_result dial_connect(dial *self, convert_name *name, convert_name *peer) {
  int code;
  Py_BEGIN_ALLOW_THREADS;
  code = connect(self->fd, &self->address.of.any, self->address.len) < 0 ? errno : 0;
  Py_END_ALLOW_THREADS;
  if (code != 0 && code != EINPROGRESS && code != EINTR) return DIAL_REFUSED;
  endpoint_read_names(self->fd, name, peer);
  return peer->len > 0 ? DIAL_CONNECTED : DIAL_PENDING;
}

/* The transport that takes the fd over. */
static PyObject *dial_transport(dial *self, loop_object *loop, const convert_name *name,
                                const convert_name *peer) {
  transport_object *transport = transport_new(loop);
  if (transport == NULL) return NULL;
  if (transport_take_socket(transport, self->fd, self->socket, name, peer) < 0)
    Py_CLEAR(transport);
  return (PyObject *)transport;
}

static PyObject *dial_finish(dial *self, loop_object *loop) {
  convert_name name, peer;
  if (dial_audit(self) < 0) return NULL;
  switch (dial_connect(self, &name, &peer)) {
    case DIAL_CONNECTED:
      loop_look(loop);
      return dial_transport(self, loop, &name, &peer);
    case DIAL_PENDING:
      return dial_socket(self);
    default:
      Py_RETURN_NONE;
  }
}

PyObject *loop_dial(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  dial self = {.state = loop->state, .fd = -1};
  if (nargs != 4)
    return PyErr_Format(PyExc_TypeError, "_dial() takes 4 arguments (%zd given)", nargs);
  if (loop_check_use(loop) < 0) return NULL;
  if (!socket_object_connects(loop->state) || !dial_parse(args, &self.address))
    Py_RETURN_NONE;
  self.fd = socket(self.address.of.any.sa_family,
                   SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (self.fd < 0) Py_RETURN_NONE;
  PyObject *found = dial_finish(&self, loop);
  if (found == NULL || found == Py_None) dial_abandon(&self);
  Py_XDECREF(self.socket);
  return found;
}
