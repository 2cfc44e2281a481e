#include "endpoint.h"

#include <unistd.h>

#include "datagram.h"
#include "poller.h"
#include "socket_watch.h"
#include "transport.h"

/* ---- the descriptor ---- */

static bool endpoint_is_datagram(const loop_object *loop, PyObject *transport) {
  return Py_TYPE(transport) == loop->state->datagram_type;
}

static void endpoint_evict(loop_object *loop, PyObject *transport) {
  if (endpoint_is_datagram(loop, transport))
    datagram_evict((datagram_object *)transport);
  else
    transport_evict((transport_object *)transport);
}

bool endpoint_holds(loop_object *loop, PyObject *transport) {
  bool datagram = endpoint_is_datagram(loop, transport);
  bool same = datagram ? datagram_has_file((datagram_object *)transport)
                       : transport_has_file((transport_object *)transport);
  if (!same) {
    endpoint_evict(loop, transport);
    return false;
  }
  return !(datagram ? ((datagram_object *)transport)->closing
                    : transport_is_closing((transport_object *)transport));
}

/* Detaching and evicting may grow the table of slots. */
int endpoint_take_fd(loop_object *loop, int fd, PyObject *transport) {
  fd_slot *slot = loop_fd_slot(loop, fd);
  if (slot == NULL) return -1;
  if (slot->reader != NULL) poller_detach(slot->reader);
  slot = loop_fd_find(loop, fd);
  if (slot->writer != NULL) poller_detach(slot->writer);
  slot = loop_fd_find(loop, fd);
  if (slot->watch != NULL) socket_watch_end(slot->watch);
  if (slot->transport != NULL) endpoint_evict(loop, slot->transport);
  loop_fd_find(loop, fd)->transport = transport;
  return 0;
}

/* The number that the Python socket held, which is what stays with the transport. */
static int endpoint_detach(loop_object *loop, PyObject *socket) {
  PyObject *number = PyObject_CallMethodNoArgs(socket, loop->state->names.detach);
  int fd = number != NULL && PyLong_Check(number) ? (int)PyLong_AsLong(number) : -1;
  if (number == NULL || PyErr_Occurred()) loop_swallow(loop);
  Py_XDECREF(number);
  return fd;
}

void endpoint_release_fd(loop_object *loop, int fd, PyObject *transport,
                         PyObject *socket) {
  fd_slot *slot = loop_fd_find(loop, fd);
  if (slot != NULL && slot->transport == transport) slot->transport = NULL;
  if (socket != NULL && endpoint_detach(loop, socket) != fd) {
    /* The user took the fd from the socket and may have closed it; its number must not
     * stand for this connection any more. */
    if (loop->core != NULL) bide_loop_forget_fd(loop->core, fd);
  } else if (loop->core != NULL) {
    (void)bide_loop_close_fd(loop->core, fd);
  } else {
    (void)close(fd);
  }
}

void endpoint_abandon_fd(loop_object *loop, int fd, PyObject *socket) {
  loop_fd_find(loop, fd)->transport = NULL;
  if (socket != NULL) (void)endpoint_detach(loop, socket);
  if (loop->core != NULL) bide_loop_forget_fd(loop->core, fd);
}

/* ---- addresses ---- */

bool endpoint_same_name(const convert_name *a, const convert_name *b) {
  size_t len = a->len < sizeof a->of ? a->len : sizeof a->of;
  return a->len == b->len && memcmp(&a->of, &b->of, len) == 0;
}

void endpoint_read_names(int fd, convert_name *name, convert_name *peer) {
  *name = *peer = (convert_name){.len = sizeof name->of};
  if (getsockname(fd, &name->of.any, &name->len) < 0) name->len = 0;
  if (getpeername(fd, &peer->of.any, &peer->len) < 0) peer->len = 0;
}

PyObject *endpoint_ask_address(PyObject *socket, int fd, PyObject *method) {
  if (fd < 0) Py_RETURN_NONE;
  PyObject *result = PyObject_CallMethodNoArgs(socket, method);
  if (result != NULL || !PyErr_ExceptionMatches(PyExc_OSError)) return result;
  PyErr_Clear();
  Py_RETURN_NONE;
}
