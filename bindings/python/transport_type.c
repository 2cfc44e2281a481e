/* transport_type.c: what Python sees of a transport. */
#include <netinet/in.h>
#include <stddef.h>

#include "endpoint.h"
#include "listener.h"
#include "owner.h"
#include "socket_object.h"
#include "transport.h"

/* ---- extra info ---- */

/* The Python socket, borrowed, made when it is first asked for: then the connection may have
 * ended, and with it the socket. NULL with an exception. */
static PyObject *transport_socket(transport_object *self) {
  if (self->socket == NULL)
    self->socket =
        socket_object_over(self->loop->state, self->name->of.any.sa_family, self->fd);
  return self->socket;
}

static PyObject *transport_info_socket(transport_object *self) {
  transport_try_now(self);
  if (self->socket_info == NULL) {
    PyObject *socket = transport_socket(self);
    if (socket == NULL) return NULL;
    self->socket_info = PyObject_CallOneArg(self->loop->state->TransportSocket, socket);
  }
  return Py_XNewRef(self->socket_info);
}

/* No socket is made for an address that needs none. */
static PyObject *transport_info_address(transport_object *self,
                                        const convert_name *address, PyObject *method) {
  if (address->len == 0 || convert_knows_family(address->of.any.sa_family))
    return convert_address(address);
  PyObject *socket = transport_socket(self);
  return socket == NULL ? NULL : endpoint_ask_address(socket, self->fd, method);
}

static PyObject *transport_get_extra_info(PyObject *object, PyObject *args,
                                          PyObject *keywords) {
  static char *names[] = {"name", "default", NULL};
  transport_object *self = (transport_object *)object;
  PyObject *name, *missing = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:get_extra_info", names, &name,
                                   &missing))
    return NULL;
  if (convert_is(name, "socket")) return transport_info_socket(self);
  if (convert_is(name, "peername"))
    return transport_info_address(self, self->peer, self->loop->state->names.getpeername);
  if (convert_is(name, "sockname"))
    return transport_info_address(self, self->name, self->loop->state->names.getsockname);
  return Py_NewRef(missing);
}

/* ---- state ---- */

static PyObject *transport_put_protocol(PyObject *object, PyObject *protocol) {
  transport_object *self = (transport_object *)object;
  if (loop_check_here(self->loop) < 0 || transport_set_protocol(self, protocol) < 0)
    return NULL;
  Py_RETURN_NONE;
}

CONVERT_METHOD(transport_set_protocol_method, transport_put_protocol, "set_protocol",
               "protocol")
CONVERT_METHOD(transport_write_method, transport_write, "write", "data")
CONVERT_METHOD(transport_writelines_method, transport_writelines, "writelines",
               "list_of_data")

static PyObject *transport_get_paused(PyObject *self, void *unused) {
  (void)unused;
  return PyBool_FromLong(((transport_object *)self)->writing_paused);
}

static PyObject *transport_get_reading_paused(PyObject *self, void *unused) {
  (void)unused;
  return PyBool_FromLong(((transport_object *)self)->paused);
}

static PyObject *transport_is_closing_method(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyBool_FromLong(((transport_object *)self)->closing);
}

static PyObject *transport_get_closing(PyObject *self, void *unused) {
  return transport_is_closing_method(self, unused);
}

static PyObject *transport_is_reading(PyObject *object, PyObject *unused) {
  (void)unused;
  transport_object *self = (transport_object *)object;
  return PyBool_FromLong(!self->closing && !self->paused);
}

static PyObject *transport_pause_method(PyObject *object, PyObject *unused) {
  (void)unused;
  transport_object *self = (transport_object *)object;
  if (loop_check_use(self->loop) < 0) return NULL;
  transport_pause_reading(self);
  Py_RETURN_NONE;
}

static PyObject *transport_resume_method(PyObject *object, PyObject *unused) {
  (void)unused;
  transport_object *self = (transport_object *)object;
  if (loop_check_use(self->loop) < 0) return NULL;
  transport_resume_reading(self);
  Py_RETURN_NONE;
}

static void transport_close_here(PyObject *self) {
  transport_close((transport_object *)self);
}

static PyObject *transport_close_method(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((transport_object *)self)->loop, self, transport_close_here);
  Py_RETURN_NONE;
}

static void transport_abort_here(PyObject *self) {
  transport_abort((transport_object *)self);
}

static PyObject *transport_abort_method(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((transport_object *)self)->loop, self, transport_abort_here);
  Py_RETURN_NONE;
}

static PyObject *transport_true(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  Py_RETURN_TRUE;
}

static PyObject *transport_get_true(PyObject *self, void *unused) {
  (void)self;
  (void)unused;
  Py_RETURN_TRUE;
}

static PyObject *transport_get_size(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyLong_FromSize_t(((transport_object *)self)->queue.bytes);
}

static PyObject *transport_get_limits(PyObject *object, PyObject *unused) {
  (void)unused;
  transport_object *self = (transport_object *)object;
  return Py_BuildValue("nn", (Py_ssize_t)self->low_bytes, (Py_ssize_t)self->high_bytes);
}

static PyObject *transport_set_limits_method(PyObject *self, PyObject *args,
                                             PyObject *keywords) {
  static char *names[] = {"high", "low", NULL};
  PyObject *high = NULL, *low = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OO:set_write_buffer_limits", names,
                                   &high, &low) ||
      transport_set_limits((transport_object *)self, high, low) < 0)
    return NULL;
  Py_RETURN_NONE;
}

static PyObject *transport_repr(PyObject *object) {
  transport_object *self = (transport_object *)object;
  const char *state = self->fd < 0 ? "closed " : self->closing ? "closing " : "";
  bool reading = self->receive_armed && !self->paused && !self->closing;
  if (self->loop->closed)
    return PyUnicode_FromFormat("<Transport %sfd=%d>", state, self->number);
  return PyUnicode_FromFormat("<Transport %sfd=%d read=%s write=<%s, bufsize=%zu>>",
                              state, self->number, reading ? "polling" : "idle",
                              self->poll_armed ? "polling" : "idle", self->queue.bytes);
}

/* ---- memory ---- */

/* The socket is left out: a collection would finalize it first, which closes the fd
 * behind the core's back. It refers to nothing, so no cycle is missed. */
static int transport_traverse(PyObject *object, visitproc visit, void *arg) {
  transport_object *self = (transport_object *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->extra_slot);
  Py_VISIT(self->dict);
  Py_VISIT(self->loop);
  Py_VISIT(self->protocol);
  Py_VISIT(self->context);
  Py_VISIT(self->waiter);
  Py_VISIT(self->sendfile.waiter);
  Py_VISIT(self->error);
  Py_VISIT(self->listener);
  return 0;
}

/* The loop stays, since the socket is closed through it. */
static int transport_clear(PyObject *object) {
  transport_object *self = (transport_object *)object;
  Py_CLEAR(self->extra_slot);
  Py_CLEAR(self->dict);
  self->tls = NULL;
  self->stream = false;
  Py_CLEAR(self->protocol);
  Py_CLEAR(self->waiter);
  Py_CLEAR(self->sendfile.waiter);
  Py_CLEAR(self->error);
  Py_CLEAR(self->held);
  return 0;
}

static void transport_let_go(PyObject *object) {
  transport_object *self = (transport_object *)object;
  PyObject *error = PyErr_GetRaisedException();
  if (!self->closing &&
      PyErr_ResourceWarning(object, 1, "unclosed transport %R", object) < 0)
    PyErr_WriteUnraisable(object);
  /* Before the Python socket, which goes with it, warns and closes too. */
  self->closing = true;
  if (self->lost == 0) self->lost = 1;
  transport_release_socket(self);
  transport_leave_listener(self);
  if (error != NULL) PyErr_SetRaisedException(error);
}

static void transport_finalize(PyObject *object) {
  transport_object *self = (transport_object *)object;
  if (self->fd >= 0 || self->listener != NULL)
    owner_release(self->loop, object, transport_let_go);
}

static void transport_dealloc(PyObject *object) {
  transport_object *self = (transport_object *)object;
  PyTypeObject *type = Py_TYPE(object);
  if (PyObject_CallFinalizerFromDealloc(object) < 0) return;
  PyObject_GC_UnTrack(object);
  if (self->weakrefs != NULL) PyObject_ClearWeakRefs(object);
  transport_release_socket(self);
  transport_leave_listener(self);
  write_queue_clear(&self->queue);
  transport_clear(object);
  Py_CLEAR(self->context);
  Py_CLEAR(self->socket);
  Py_CLEAR(self->socket_info);
  Py_CLEAR(self->loop);
  PyMem_Free(self->poll);
  PyMem_Free(self->name);
  PyMem_Free(self->peer);
  type->tp_free(object);
  Py_DECREF(type);
}

/* ---- the type ---- */

static PyMethodDef transport_methods[] = {
    {"write", CONVERT_METHOD_ENTRY(transport_write_method),
     "write(data)\nSend bytes, in order and without blocking."},
    {"writelines", CONVERT_METHOD_ENTRY(transport_writelines_method),
     "writelines(list_of_data)\nSend each of an iterable of bytes."},
    {"write_eof", transport_write_eof, METH_NOARGS,
     "End the outgoing stream once what was written is sent."},
    {"can_write_eof", transport_true, METH_NOARGS, "Return True."},
    {"close", transport_close_method, METH_NOARGS,
     "Close the connection once what was written is sent."},
    {"abort", transport_abort_method, METH_NOARGS,
     "Close the connection, dropping what is not sent yet."},
    {"is_closing", transport_is_closing_method, METH_NOARGS,
     "Return True once the transport closes or has closed."},
    {"pause_reading", transport_pause_method, METH_NOARGS,
     "Give no more data to the protocol until resume_reading()."},
    {"resume_reading", transport_resume_method, METH_NOARGS,
     "Give data to the protocol again."},
    {"is_reading", transport_is_reading, METH_NOARGS,
     "Return True unless reading is paused or the transport closes."},
    {"set_protocol", CONVERT_METHOD_ENTRY(transport_set_protocol_method),
     "set_protocol(protocol)\nSet the protocol."},
    {"get_protocol", protocol_get_method, METH_NOARGS, "Return the protocol."},
    {"get_write_buffer_size", transport_get_size, METH_NOARGS,
     "Return the number of bytes written and not sent yet."},
    {"get_write_buffer_limits", transport_get_limits, METH_NOARGS,
     "Return the low and high marks of flow control."},
    {"set_write_buffer_limits", (PyCFunction)(void (*)(void))transport_set_limits_method,
     METH_VARARGS | METH_KEYWORDS,
     "set_write_buffer_limits(high=None, low=None)\nSet the marks of flow control."},
    {"get_extra_info", (PyCFunction)(void (*)(void))transport_get_extra_info,
     METH_VARARGS | METH_KEYWORDS,
     "get_extra_info(name, default=None)\nReturn 'socket', 'sockname' or 'peername'."},
    {"_start_file", transport_start_file, METH_VARARGS,
     "_start_file(fd, offset, count, waiter)\nSend count bytes of a file, or what it has "
     "of them, after what was written; waiter is set once that is done."},
    {"_end_file", transport_end_file, METH_NOARGS,
     "Send no more of the file; return how many bytes were sent."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef transport_getset[] = {
    TRANSPORT_DICT,
    {"_start_tls_compatible", transport_get_true, NULL, "True: start_tls() takes it.",
     NULL},
    {"_protocol_paused", transport_get_paused, NULL,
     "True between pause_writing() and resume_writing().", NULL},
    {"_paused", transport_get_reading_paused, NULL,
     "True between pause_reading() and resume_reading().", NULL},
    {"_closing", transport_get_closing, NULL, "As is_closing() returns it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef transport_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(transport_object, weakrefs), READONLY,
     NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(transport_object, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot transport_slots[] = {
    {Py_tp_doc, "A stream connection of the loop, an asyncio.Transport."},
    {Py_tp_dealloc, transport_dealloc},
    {Py_tp_finalize, transport_finalize},
    {Py_tp_traverse, transport_traverse},
    {Py_tp_clear, transport_clear},
    {Py_tp_repr, transport_repr},
    {Py_tp_methods, transport_methods},
    {Py_tp_members, transport_members},
    {Py_tp_getset, transport_getset},
    {0, NULL},
};

PyType_Spec transport_spec = {
    .name = "bide._bide.Transport",
    .basicsize = sizeof(transport_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = transport_slots,
};
