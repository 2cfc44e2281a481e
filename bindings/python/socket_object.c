#include "socket_object.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* ---- knowing the class ---- */

/* Where the class keeps what a slot of its has; NULL if it has no such slot. */
static PyMemberDef *socket_object_slot(PyObject *class, PyObject *name) {
  PyObject *found = PyObject_GetAttr(class, name);
  bool slot = found != NULL && Py_IS_TYPE(found, &PyMemberDescr_Type);
  /* The class has it for as long as its version says so. */
  PyMemberDef *member = slot ? ((PyMemberDescrObject *)found)->d_member : NULL;
  if (found == NULL) PyErr_Clear();
  Py_XDECREF(found);
  return member;
}

static bool socket_object_has(PyObject *owner, PyObject *name, PyObject *value) {
  PyObject *found = PyObject_GetAttr(owner, name);
  if (found == NULL) PyErr_Clear();
  Py_XDECREF(found);
  return found == value;
}

static const socket_stock *socket_object_class(module_state *state) {
  socket_stock *stock = &state->socket;
  PyObject *class = state->socket_type;
  unsigned version = ((PyTypeObject *)class)->tp_version_tag;
  if (version != 0 && version == stock->version) return stock;
  stock->io_refs = socket_object_slot(class, state->names._io_refs);
  stock->closed = socket_object_slot(class, state->names._closed);
  stock->methods =
      socket_object_has(class, state->names.recv, state->socket_recv) &&
      socket_object_has(class, state->names.recv_into, state->socket_recv_into) &&
      socket_object_has(class, state->names.send, state->socket_send) &&
      socket_object_has(class, state->names.fileno, state->socket_fileno);
  stock->connects = socket_object_has(class, state->names.connect, state->socket_connect);
  stock->version = ((PyTypeObject *)class)->tp_version_tag;
  return stock;
}

bool socket_object_is_stock(module_state *state, PyObject *sock) {
  return (PyObject *)Py_TYPE(sock) == state->socket_type &&
         socket_object_class(state)->methods;
}

bool socket_object_connects(module_state *state) {
  return socket_object_has(state->socket_module, state->names.socket,
                           state->socket_type) &&
         socket_object_class(state)->connects;
}

int socket_object_fd(module_state *state, PyObject *sock) {
  PyObject *number = PyObject_CallOneArg(state->socket_fileno, sock);
  if (number == NULL) return -1;
  long fd = PyLong_AsLong(number);
  Py_DECREF(number);
  return fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
}

/* ---- making ---- */

/* It does not block, as its fd. */
PyObject *socket_object_over(const module_state *state, int family, int fd) {
  int proto = family == AF_INET || family == AF_INET6 ? IPPROTO_TCP : 0;
  int type = SOCK_STREAM | SOCK_NONBLOCK;
  if (fd >= 0)
    return PyObject_CallFunction(state->socket_type, "iiii", family, type, proto, fd);
  PyObject *socket =
      PyObject_CallFunction(state->socket_type, "iii", family, type, proto);
  PyObject *closed =
      socket == NULL ? NULL : PyObject_CallMethodNoArgs(socket, state->names.close);
  if (closed == NULL) Py_CLEAR(socket);
  Py_XDECREF(closed);
  return socket;
}

/* ---- keeping it open ---- */

static PyMemberDef *socket_object_own(module_state *state, PyObject *sock,
                                      PyMemberDef *slot) {
  return (PyObject *)Py_TYPE(sock) == state->socket_type ? slot : NULL;
}

static PyObject *socket_object_get(PyObject *sock, PyMemberDef *slot, PyObject *name) {
  return slot == NULL ? PyObject_GetAttr(sock, name)
                      : PyMember_GetOne((const char *)sock, slot);
}

/* How many files keep it open, never less than none. */
static int socket_object_count(module_state *state, PyObject *sock, int added) {
  PyMemberDef *slot = socket_object_own(state, sock, socket_object_class(state)->io_refs);
  PyObject *count = socket_object_get(sock, slot, state->names._io_refs);
  long files = count == NULL ? -1 : PyLong_AsLong(count);
  Py_XDECREF(count);
  if (files == -1 && PyErr_Occurred()) return -1;
  count = PyLong_FromLong(files + added > 0 ? files + added : 0);
  if (count == NULL) return -1;
  int code = slot == NULL ? PyObject_SetAttr(sock, state->names._io_refs, count)
                          : PyMember_SetOne((char *)sock, slot, count);
  Py_DECREF(count);
  return code;
}

int socket_object_hold(module_state *state, PyObject *sock) {
  return socket_object_count(state, sock, 1);
}

int socket_object_release(module_state *state, PyObject *sock) {
  if (socket_object_count(state, sock, -1) < 0) return -1;
  PyMemberDef *slot = socket_object_own(state, sock, socket_object_class(state)->closed);
  PyObject *closed = socket_object_get(sock, slot, state->names._closed);
  if (closed == NULL) return -1;
  PyObject *done = closed != Py_True
                       ? Py_NewRef(Py_None)
                       : PyObject_CallMethodNoArgs(sock, state->names.close);
  Py_DECREF(closed);
  Py_XDECREF(done);
  return done == NULL ? -1 : 0;
}
