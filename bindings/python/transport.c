#include "transport.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <unistd.h>

#include "convert.h"
#include "endpoint.h"
#include "list.h"
#include "listener.h"
#include "poller.h"
#include "stream.h"

/* ---- calling the protocol ---- */

PyObject *transport_call(transport_object *self, PyObject *name, PyObject *argument) {
  return protocol_call((transport_head *)self, name, argument);
}

void transport_report(transport_object *self, const char *message) {
  protocol_report((transport_head *)self, message);
}

/* ---- from closing to closed ---- */

void transport_schedule(transport_object *self) {
  if (self->queued) return;
  /* The queue may lack memory: then a later completion or call of the user's does it. */
  if (bide_loop_call_soon(self->loop->core, &self->call) < 0) return;
  self->queued = true;
  Py_INCREF(self);
}

void transport_release_socket(transport_object *self) {
  int fd = self->fd;
  if (fd < 0) return;
  self->fd = -1;
  if (list_linked(&self->link)) list_remove(&self->link);
  endpoint_release_fd(self->loop, fd, (PyObject *)self, self->socket);
}

void transport_finish(transport_object *self) {
  if (self->over && !self->receive_armed && !self->poll_armed)
    transport_release_socket(self);
}

/* The peer must learn of the end and the port be free once connection_lost has been called,
 * so the socket is closed while cancelled operations may still be on their way back. That
 * is sound when the kernel has taken the cancels: it holds the file by itself, what it has
 * received lies in the core's buffers, and no cancelled operation starts again. Else the
 * last completion closes it; a user who wants a reset, by SO_LINGER, gets that then. */
static void transport_disconnect(transport_object *self) {
  bool in_flight = self->receive_armed || self->poll_armed;
  if (!in_flight || bide_loop_flush(self->loop->core) == 0) {
    transport_release_socket(self);
    return;
  }
  struct linger linger = {0};
  socklen_t len = sizeof linger;
  (void)getsockopt(self->fd, SOL_SOCKET, SO_LINGER, &linger, &len);
  if (!linger.l_onoff) (void)shutdown(self->fd, SHUT_RDWR);
}

void transport_leave_listener(transport_object *self) {
  listener_object *listener = self->listener;
  if (listener == NULL) return;
  self->listener = NULL;
  list_remove(&self->client);
  listener_client_gone(listener);
  Py_DECREF(listener);
}

static void transport_lose(transport_object *self) {
  self->over = true;
  PyObject *error = self->error != NULL ? self->error : Py_None;
  Py_INCREF(error);
  PyObject *result =
      transport_call(self, self->loop->state->names.connection_lost, error);
  if (result == NULL)
    transport_report(self, "Exception in callback protocol.connection_lost()");
  Py_XDECREF(result);
  Py_DECREF(error);
  transport_fail_file(self);
  transport_disconnect(self);
  self->tls = NULL;
  self->stream = false;
  Py_CLEAR(self->protocol);
  Py_CLEAR(self->error);
  Py_CLEAR(self->held);
  transport_leave_listener(self);
}

void transport_end(transport_object *self, PyObject *error) {
  if (self->lost) return;
  self->lost = 1;
  self->closing = true;
  self->error = Py_XNewRef(error);
  write_queue_clear(&self->queue);
  if (self->poll_armed) bide_loop_cancel(self->loop->core, self->poll);
  transport_update_reading(self);
  transport_schedule(self);
}

void transport_fail(transport_object *self, const char *message) {
  if (loop_take_fatal(self->loop)) return;
  PyObject *error = PyErr_GetRaisedException();
  if (!PyObject_TypeCheck(error, (PyTypeObject *)PyExc_OSError))
    protocol_report_error((transport_head *)self, error, message);
  transport_end(self, error);
  Py_DECREF(error);
}

void transport_fail_code(transport_object *self, int code, const char *message) {
  convert_raise(code);
  transport_fail(self, message);
}

/* A loop that is closed runs no connection_lost: the socket is all there is to close. So it is
 * of a transport that has not got a protocol. */
void transport_close(transport_object *self) {
  if (self->closing) return;
  if (self->protocol == NULL) {
    self->closing = true;
    self->lost = 1;
    transport_release_socket(self);
    return;
  }
  if (self->tls != NULL) tls_flush(self->tls);
  self->closing = true;
  if (self->loop->closed) {
    if (self->loop->core == NULL) transport_release_socket(self);
    return;
  }
  if (transport_unsent(self))
    transport_flush(self);
  else
    transport_flushed(self);
  transport_update_reading(self);
}

/* What this turn wrote is tried once, as each write would have been that did not wait for
 * others: the answer before an abort still arrives if the socket takes it. */
void transport_abort(transport_object *self) {
  if (self->loop->closed) {
    transport_close(self);
    return;
  }
  if (!self->closing && !transport_sends_file(self)) transport_flush(self);
  transport_end(self, NULL);
}

bool transport_is_closing(const transport_object *self) { return self->closing; }

/* ---- making and starting ---- */

void transport_start(transport_object *self) {
  self->started = true;
  PyObject *result =
      transport_call(self, self->loop->state->names.connection_made, (PyObject *)self);
  if (result == NULL)
    transport_report(self, "Exception in callback protocol.connection_made()");
  Py_XDECREF(result);
  if (self->waiter == NULL) {
    transport_update_reading(self);
    return;
  }
  /* Who awaits the connection goes on before the first data comes. */
  protocol_wake_waiter((transport_head *)self, &self->waiter);
  transport_schedule(self);
}

static void transport_on_call(bide_call *call) {
  transport_object *self = BIDE_CONTAINER_OF(call, transport_object, call);
  loop_object *loop = self->loop;
  self->queued = false;
  loop_enter(loop);
  if (!self->started)
    transport_start(self);
  else if (!self->closing)
    transport_deliver_held(self);
  if (self->lost && !self->over) transport_lose(self);
  loop_leave(loop);
  Py_DECREF(self);
}

int transport_set_protocol(transport_object *self, PyObject *protocol) {
  int buffered = protocol_is_buffered(self->loop->state, protocol);
  if (buffered < 0) return -1;
  self->buffered = buffered != 0;
  self->stream = stream_is_stock(self->loop->state, protocol);
  self->tls = Py_TYPE(protocol) == self->loop->state->tls_protocol_type
                  ? ((tls_protocol *)protocol)->tls
                  : NULL;
  /* A handshake that begins after the end of the stream is to be told of it as well. */
  if (self->tls != NULL) self->eof_received = false;
  Py_XSETREF(self->protocol, Py_NewRef(protocol));
  return 0;
}

/* A connection that was reset has no peer any more, and is the same. */
bool transport_has_file(const transport_object *self) {
  convert_name name, peer;
  endpoint_read_names(self->fd, &name, &peer);
  if (!endpoint_same_name(&name, self->name)) return false;
  return peer.len == 0 || endpoint_same_name(&peer, self->peer);
}

void transport_evict(transport_object *self) {
  int fd = self->fd;
  self->fd = -1;
  list_remove(&self->link);
  endpoint_abandon_fd(self->loop, fd, self->socket);
  transport_fail_code(self, BIDE_EBADF,
                      "Fatal error: the socket was closed under its transport");
}

transport_object *transport_new(loop_object *loop) {
  PyTypeObject *type = loop->state->transport_type;
  transport_object *self = (transport_object *)type->tp_alloc(type, 0);
  if (self == NULL) return NULL;
  self->loop = (loop_object *)Py_NewRef((PyObject *)loop);
  self->fd = self->number = -1;
  self->held_end = 1;
  self->high_bytes = WRITE_LIMIT_HIGH_BYTES;
  self->low_bytes = WRITE_LIMIT_HIGH_BYTES / 4;
  self->call.cb = transport_on_call;
  write_queue_init(&self->queue);
  return self;
}

int transport_take_socket(transport_object *self, int fd, PyObject *socket,
                          const convert_name *name, const convert_name *peer) {
  self->name = convert_keep_name(name);
  self->peer = convert_keep_name(peer);
  if (self->name == NULL || self->peer == NULL ||
      endpoint_take_fd(self->loop, fd, (PyObject *)self) < 0)
    return -1;
  self->fd = self->number = fd;
  list_push(&self->loop->transports, &self->link);
  self->socket = Py_XNewRef(socket);
  return 0;
}

/* ---- a connection of the program's own ---- */

static transport_object *connect_socket(loop_object *loop, PyObject *socket,
                                        PyObject *protocol) {
  int fd = convert_fd(loop->state, socket);
  if (fd < 0 || poller_refused(loop, fd) || !protocol_can_connect(loop->state, protocol))
    return NULL;
  transport_object *self = transport_new(loop);
  if (self == NULL) return NULL;
  convert_name name, peer;
  endpoint_read_names(fd, &name, &peer);
  if (transport_set_protocol(self, protocol) < 0 ||
      transport_take_socket(self, fd, socket, &name, &peer) < 0)
    Py_CLEAR(self);
  return self;
}

static transport_object *connect_dialled(loop_object *loop, PyObject *dialled,
                                         PyObject *protocol) {
  transport_object *self = (transport_object *)dialled;
  if (!protocol_can_connect(loop->state, protocol) ||
      transport_set_protocol(self, protocol) < 0)
    return NULL;
  return (transport_object *)Py_NewRef(dialled);
}

PyObject *loop_connect_transport(PyObject *object, PyObject *const *args,
                                 Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  if (nargs != 3)
    return PyErr_Format(PyExc_TypeError, "_connect() takes 3 arguments (%zd given)",
                        nargs);
  if (loop_check_use(loop) < 0) return NULL;
  PyObject *context = PyContext_CopyCurrent();
  if (context == NULL) return NULL;
  transport_object *self = Py_IS_TYPE(args[0], loop->state->transport_type)
                               ? connect_dialled(loop, args[0], args[1])
                               : connect_socket(loop, args[0], args[1]);
  if (self == NULL) {
    Py_DECREF(context);
    return NULL;
  }
  self->context = context;
  int on = 1, family = self->name->of.any.sa_family;
  if (family == AF_INET || family == AF_INET6)
    (void)setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (args[2] != Py_None) self->waiter = Py_NewRef(args[2]);
  transport_schedule(self);
  return (PyObject *)self;
}

int transport_held_by_loop(const transport_object *self) {
  return self->receive_armed + self->poll_armed + self->queued +
         list_linked(&self->dirty);
}

void transport_forget(transport_object *self) {
  int references = transport_held_by_loop(self);
  if (list_linked(&self->dirty)) list_remove(&self->dirty);
  self->receive_armed = self->poll_armed = self->queued = false;
  Py_INCREF(self);
  list_remove(&self->link);
  if (self->closing) transport_release_socket(self);
  while (references-- >= 0) Py_DECREF(self);
}
