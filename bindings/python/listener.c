#include "listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "convert.h"
#include "endpoint.h"
#include "list.h"
#include "owner.h"
#include "transport.h"

/* ---- connections ---- */

static void listener_report(listener_object *self, const char *message) {
  loop_object *loop = self->loop;
  if (loop_take_fatal(loop)) return;
  PyObject *error = PyErr_GetRaisedException();
  PyObject *socket = PyObject_CallOneArg(loop->state->TransportSocket, self->socket);
  PyObject *details = socket == NULL
                          ? NULL
                          : Py_BuildValue("{sssOsO}", "message", message, "exception",
                                          error, "socket", socket);
  PyObject *result =
      details == NULL
          ? NULL
          : PyObject_CallMethodOneArg((PyObject *)loop,
                                      loop->state->names.call_exception_handler, details);
  if (result == NULL) loop_swallow(loop);
  Py_XDECREF(result);
  Py_XDECREF(details);
  Py_XDECREF(socket);
  Py_DECREF(error);
}

static PyObject *listener_make_protocol(listener_object *self, PyObject *context) {
  if (PyContext_Enter(context) < 0) return NULL;
  PyObject *protocol = PyObject_CallNoArgs(self->factory);
  PyObject *error = protocol == NULL ? PyErr_GetRaisedException() : NULL;
  if (PyContext_Exit(context) < 0) loop_swallow(self->loop);
  if (error != NULL) PyErr_SetRaisedException(error);
  return protocol;
}

/* With a protocol, but without a socket yet. */
static transport_object *listener_new_transport(listener_object *self) {
  transport_object *transport = transport_new(self->loop);
  if (transport == NULL) return NULL;
  transport->context = PyContext_Copy(self->context);
  PyObject *protocol = transport->context == NULL
                           ? NULL
                           : listener_make_protocol(self, transport->context);
  if (protocol == NULL || transport_set_protocol(transport, protocol) < 0)
    Py_CLEAR(transport);
  Py_XDECREF(protocol);
  return transport;
}

static transport_object *listener_make_transport(listener_object *self, int fd) {
  transport_object *transport = listener_new_transport(self);
  if (transport == NULL) return NULL;
  convert_name name, peer;
  endpoint_read_names(fd, &name, &peer);
  if (transport_take_socket(transport, fd, NULL, &name, &peer) < 0) {
    Py_DECREF(transport);
    return NULL;
  }
  transport->listener = (listener_object *)Py_NewRef((PyObject *)self);
  list_push(&self->clients, &transport->client);
  self->client_count++;
  return transport;
}

static void listener_on_connection(listener_object *self, int fd) {
  loop_object *loop = self->loop;
  loop_enter(loop);
  transport_object *transport = listener_make_transport(self, fd);
  if (transport == NULL) {
    (void)close(fd);
    listener_report(self, "Error on transport creation for incoming connection");
  } else {
    transport_start(transport);
    Py_DECREF(transport);
  }
  loop_leave(loop);
}

/* A shortage of descriptors or memory is news for the program; the core pauses and goes
 * on by itself. What a peer did to its own connection is not. */
static void listener_on_error(listener_object *self, int code) {
  bool shortage = code == BIDE_EMFILE || code == BIDE_ENFILE || code == BIDE_ENOBUFS ||
                  code == BIDE_ENOMEM;
  if (code == BIDE_ECONNABORTED || code == BIDE_ECANCELED) return;
  loop_enter(self->loop);
  PyObject *error = convert_error(code);
  if (error != NULL) PyErr_SetRaisedException(error);
  listener_report(self, shortage ? "socket.accept() out of system resource"
                                 : "Accept failed on a socket");
  loop_leave(self->loop);
}

static void listener_on_result(bide_listener *core, int result) {
  listener_object *self = BIDE_CONTAINER_OF(core, listener_object, core);
  bool over = self->closed || self->loop->draining;
  if (result >= 0 && over)
    (void)close(result);
  else if (result >= 0)
    listener_on_connection(self, result);
  else if (!over)
    listener_on_error(self, result);
}

static void listener_on_stopped(bide_listener *core) {
  listener_object *self = BIDE_CONTAINER_OF(core, listener_object, core);
  self->accepting = false;
  list_remove(&self->link);
  Py_DECREF(self);
}

/* A collection gets here only when it has stopped and has no clients: either would hold
 * it. */
static int listener_clear(PyObject *object) {
  listener_object *self = (listener_object *)object;
  Py_CLEAR(self->factory);
  Py_CLEAR(self->context);
  Py_CLEAR(self->server);
  return 0;
}

/* Lets go of the server, which holds its listeners, and of what a closed one needs no more:
 * neither is to wait for a collection. */
static void listener_leave_server(listener_object *self) {
  if (self->closed && self->client_count == 0) (void)listener_clear((PyObject *)self);
}

/* The server is gone when a collection takes it with its last connection. */
void listener_client_gone(listener_object *self) {
  if (--self->client_count > 0 || self->server == NULL) return;
  PyObject *result = NULL;
  if (!self->loop->closed) {
    result =
        PyObject_CallMethodNoArgs(self->server, self->loop->state->names._server_idle);
    if (result == NULL) loop_swallow(self->loop);
  }
  Py_XDECREF(result);
  listener_leave_server(self);
}

/* ---- start and stop ---- */

static int listener_start(listener_object *self) {
  if (self->accepting || self->closed) return 0;
  if (loop_check_use(self->loop) < 0) return -1;
  int fd = convert_fd(self->loop->state, self->socket);
  if (fd < 0) return -1;
  PyObject *context = PyContext_CopyCurrent();
  if (context == NULL) return -1;
  Py_XSETREF(self->context, context);
  /* Connections inherit it, which saves each a system call; no TCP socket, no matter. */
  int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  self->core.cb = listener_on_result;
  self->core.on_stopped = listener_on_stopped;
  int code = bide_listener_start(self->loop->core, &self->core, fd);
  if (code < 0) {
    convert_raise(code);
    return -1;
  }
  self->accepting = true;
  list_push(&self->loop->listeners, &self->link);
  self->loop->listened = true;
  Py_INCREF(self);
  return 0;
}

static void listener_close_fd(loop_object *loop, int fd) {
  if (loop->core != NULL)
    (void)bide_loop_close_fd(loop->core, fd);
  else
    (void)close(fd);
}

/* The port must be free when this returns, so the socket is closed while the cancelled
 * accept may still be on its way back. That is sound for an accept: the kernel holds the
 * file by itself, the flush has ended the waiting, and a connection that was accepted
 * meanwhile is closed. */
void listener_stop(listener_object *self) {
  loop_object *loop = self->loop;
  if (self->closed) return;
  Py_INCREF(self);
  self->closed = true;
  if (self->accepting) bide_listener_stop(&self->core);
  PyObject *number = PyObject_CallMethodNoArgs(self->socket, loop->state->names.detach);
  if (number == NULL) {
    loop_swallow(loop);
  } else {
    int fd = PyLong_Check(number) ? (int)PyLong_AsLong(number) : -1;
    if (loop->core != NULL) (void)bide_loop_flush(loop->core);
    if (fd >= 0) listener_close_fd(loop, fd);
    Py_DECREF(number);
  }
  listener_leave_server(self);
  Py_DECREF(self);
}

void listener_end(listener_object *self) {
  if (self->accepting && !self->closed) bide_listener_stop(&self->core);
  (void)listener_clear((PyObject *)self);
}

void listener_forget(listener_object *self) {
  self->accepting = false;
  list_remove(&self->link);
  Py_DECREF(self);
}

/* ---- the type ---- */

static PyObject *listener_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"loop", "server", "sock", "protocol_factory", NULL};
  module_state *state = module_state_of(type);
  PyObject *loop, *server, *socket, *factory;
  if (state == NULL ||
      !PyArg_ParseTupleAndKeywords(args, keywords, "O!OOO:Listener", names,
                                   state->loop_type, &loop, &server, &socket, &factory))
    return NULL;
  listener_object *self = (listener_object *)type->tp_alloc(type, 0);
  if (self == NULL) return NULL;
  self->loop = (loop_object *)Py_NewRef(loop);
  self->server = Py_NewRef(server);
  self->socket = Py_NewRef(socket);
  self->factory = Py_NewRef(factory);
  list_init(&self->clients);
  return (PyObject *)self;
}

static int listener_traverse(PyObject *object, visitproc visit, void *arg) {
  listener_object *self = (listener_object *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->loop);
  Py_VISIT(self->server);
  Py_VISIT(self->socket);
  Py_VISIT(self->factory);
  Py_VISIT(self->context);
  return 0;
}

static void listener_dealloc(PyObject *object) {
  listener_object *self = (listener_object *)object;
  PyTypeObject *type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  listener_clear(object);
  Py_CLEAR(self->socket);
  Py_CLEAR(self->loop);
  type->tp_free(object);
  Py_DECREF(type);
}

static PyObject *listener_start_method(PyObject *self, PyObject *unused) {
  (void)unused;
  if (listener_start((listener_object *)self) < 0) return NULL;
  Py_RETURN_NONE;
}

static void listener_stop_here(PyObject *self) { listener_stop((listener_object *)self); }

static PyObject *listener_stop_method(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((listener_object *)self)->loop, self, listener_stop_here);
  Py_RETURN_NONE;
}

static PyObject *listener_get_clients(PyObject *object, PyObject *unused) {
  (void)unused;
  listener_object *self = (listener_object *)object;
  if (loop_check_here(self->loop) < 0) return NULL;
  PyObject *clients = PyList_New(0);
  for (bide_node *node = self->clients.next; clients != NULL && node != &self->clients;
       node = node->next) {
    transport_object *transport = BIDE_CONTAINER_OF(node, transport_object, client);
    PyObject *client =
        transport->tls != NULL ? (PyObject *)transport->tls : (PyObject *)transport;
    if (PyList_Append(clients, client) < 0) Py_CLEAR(clients);
  }
  return clients;
}

static PyObject *listener_get_client_count(PyObject *self, void *unused) {
  (void)unused;
  return PyLong_FromSize_t(((listener_object *)self)->client_count);
}

static PyMethodDef listener_methods[] = {
    {"start", listener_start_method, METH_NOARGS, "Accept connections on the socket."},
    {"stop", listener_stop_method, METH_NOARGS,
     "Accept no more and close the socket. Connections stay open."},
    {"clients", listener_get_clients, METH_NOARGS,
     "Return the transports of the connections that are open, TLS over those below."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef listener_getset[] = {
    {"client_count", listener_get_client_count, NULL, "How many connections are open.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot listener_slots[] = {
    {Py_tp_doc, "Listener(loop, server, sock, protocol_factory)\nA listening socket."},
    {Py_tp_new, listener_new},
    {Py_tp_dealloc, listener_dealloc},
    {Py_tp_traverse, listener_traverse},
    {Py_tp_clear, listener_clear},
    {Py_tp_methods, listener_methods},
    {Py_tp_getset, listener_getset},
    {0, NULL},
};

PyType_Spec listener_spec = {
    .name = "bide._bide.Listener",
    .basicsize = sizeof(listener_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = listener_slots,
};
