/* datagram_type.c: what Python sees of a datagram transport. */
#include <stddef.h>

#include "datagram.h"
#include "endpoint.h"
#include "owner.h"
#include "write_queue.h"

/* ---- extra info ---- */

static PyObject *datagram_info_socket(datagram_object *self) {
  if (self->socket_info == NULL)
    self->socket_info =
        PyObject_CallOneArg(self->loop->state->TransportSocket, self->socket);
  return Py_XNewRef(self->socket_info);
}

static PyObject *datagram_info_address(datagram_object *self, const convert_name *address,
                                       PyObject *method) {
  if (address->len == 0 || convert_knows_family(address->of.any.sa_family))
    return convert_address(address);
  return endpoint_ask_address(self->socket, self->fd, method);
}

static PyObject *datagram_get_extra_info(PyObject *object, PyObject *args,
                                         PyObject *keywords) {
  static char *names[] = {"name", "default", NULL};
  datagram_object *self = (datagram_object *)object;
  PyObject *name, *missing = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:get_extra_info", names, &name,
                                   &missing))
    return NULL;
  if (convert_is(name, "socket")) return datagram_info_socket(self);
  if (convert_is(name, "peername"))
    return datagram_info_address(self, &self->peer, self->loop->state->names.getpeername);
  if (convert_is(name, "sockname"))
    return datagram_info_address(self, &self->name, self->loop->state->names.getsockname);
  return Py_NewRef(missing);
}

/* ---- state ---- */

static PyObject *datagram_is_closing(PyObject *object, PyObject *unused) {
  (void)unused;
  return PyBool_FromLong(((datagram_object *)object)->closing);
}

static void datagram_close_here(PyObject *self) {
  datagram_close((datagram_object *)self);
}

static PyObject *datagram_close_method(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((datagram_object *)self)->loop, self, datagram_close_here);
  Py_RETURN_NONE;
}

static void datagram_abort_here(PyObject *self) {
  datagram_abort((datagram_object *)self);
}

static PyObject *datagram_abort_method(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((datagram_object *)self)->loop, self, datagram_abort_here);
  Py_RETURN_NONE;
}

static PyObject *datagram_get_size(PyObject *object, PyObject *unused) {
  (void)unused;
  return PyLong_FromSize_t(((datagram_object *)object)->bytes);
}

static PyObject *datagram_get_limits(PyObject *object, PyObject *unused) {
  (void)unused;
  datagram_object *self = (datagram_object *)object;
  return Py_BuildValue("nn", (Py_ssize_t)self->low_bytes, (Py_ssize_t)self->high_bytes);
}

static PyObject *datagram_set_limits(PyObject *object, PyObject *args,
                                     PyObject *keywords) {
  static char *names[] = {"high", "low", NULL};
  datagram_object *self = (datagram_object *)object;
  PyObject *high = NULL, *low = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OO:set_write_buffer_limits", names,
                                   &high, &low) ||
      loop_check_here(self->loop) < 0 ||
      write_limits_parse(high, low, &self->high_bytes, &self->low_bytes) < 0)
    return NULL;
  if (!self->lost) datagram_pause_writing(self);
  Py_RETURN_NONE;
}

static PyObject *datagram_repr(PyObject *object) {
  datagram_object *self = (datagram_object *)object;
  const char *state = self->fd < 0 ? "closed " : self->closing ? "closing " : "";
  bool reading = self->read_armed && !self->closing;
  if (self->loop->closed)
    return PyUnicode_FromFormat("<DatagramTransport %sfd=%d>", state, self->number);
  return PyUnicode_FromFormat(
      "<DatagramTransport %sfd=%d read=%s write=<%s, bufsize=%zu>>", state, self->number,
      reading ? "polling" : "idle", self->write_armed ? "polling" : "idle", self->bytes);
}

/* ---- memory ---- */

/* The socket is left out: a collection would finalize it first, which closes the fd
 * behind the core's back. It refers to nothing, so no cycle is missed. */
static int datagram_traverse(PyObject *object, visitproc visit, void *arg) {
  datagram_object *self = (datagram_object *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->extra_slot);
  Py_VISIT(self->dict);
  Py_VISIT(self->loop);
  Py_VISIT(self->protocol);
  Py_VISIT(self->context);
  Py_VISIT(self->remote);
  Py_VISIT(self->waiter);
  Py_VISIT(self->error);
  return datagram_queue_visit(self, visit, arg);
}

/* The loop stays, since the socket is closed through it. */
static int datagram_clear(PyObject *object) {
  datagram_object *self = (datagram_object *)object;
  Py_CLEAR(self->extra_slot);
  Py_CLEAR(self->dict);
  Py_CLEAR(self->protocol);
  Py_CLEAR(self->remote);
  Py_CLEAR(self->waiter);
  Py_CLEAR(self->error);
  datagram_queue_clear(self);
  return 0;
}

static void datagram_let_go(PyObject *object) {
  datagram_object *self = (datagram_object *)object;
  PyObject *error = PyErr_GetRaisedException();
  if (!self->closing &&
      PyErr_ResourceWarning(object, 1, "unclosed transport %R", object) < 0)
    PyErr_WriteUnraisable(object);
  /* Before the Python socket, which goes with it, warns and closes too. */
  self->closing = true;
  if (self->lost == 0) self->lost = 1;
  datagram_release_socket(self);
  if (error != NULL) PyErr_SetRaisedException(error);
}

static void datagram_finalize(PyObject *object) {
  datagram_object *self = (datagram_object *)object;
  if (self->fd >= 0) owner_release(self->loop, object, datagram_let_go);
}

static void datagram_dealloc(PyObject *object) {
  datagram_object *self = (datagram_object *)object;
  PyTypeObject *type = Py_TYPE(object);
  if (PyObject_CallFinalizerFromDealloc(object) < 0) return;
  PyObject_GC_UnTrack(object);
  if (self->weakrefs != NULL) PyObject_ClearWeakRefs(object);
  datagram_clear(object);
  address_cache_free(self->heard);
  Py_CLEAR(self->context);
  Py_CLEAR(self->socket);
  Py_CLEAR(self->socket_info);
  Py_CLEAR(self->loop);
  type->tp_free(object);
  Py_DECREF(type);
}

/* ---- the type ---- */

#define DATAGRAM_KEYWORDS(function) \
  ((PyCFunction)(void (*)(void))(function)), METH_VARARGS | METH_KEYWORDS

static PyMethodDef datagram_methods[] = {
    {"sendto", (PyCFunction)(void (*)(void))datagram_sendto,
     METH_FASTCALL | METH_KEYWORDS,
     "sendto(data, addr=None)\nSend a datagram without blocking."},
    {"close", datagram_close_method, METH_NOARGS,
     "Close the endpoint once what was written is sent."},
    {"abort", datagram_abort_method, METH_NOARGS,
     "Close the endpoint, dropping what is not sent yet."},
    {"is_closing", datagram_is_closing, METH_NOARGS,
     "Return True once the transport closes or has closed."},
    {"set_protocol", CONVERT_METHOD_ENTRY(protocol_set_method),
     "set_protocol(protocol)\nSet the protocol."},
    {"get_protocol", protocol_get_method, METH_NOARGS, "Return the protocol."},
    {"get_write_buffer_size", datagram_get_size, METH_NOARGS,
     "Return the number of bytes that wait to be sent."},
    {"get_write_buffer_limits", datagram_get_limits, METH_NOARGS,
     "Return the low and high marks of flow control."},
    {"set_write_buffer_limits", DATAGRAM_KEYWORDS(datagram_set_limits),
     "set_write_buffer_limits(high=None, low=None)\nSet the marks of flow control."},
    {"get_extra_info", DATAGRAM_KEYWORDS(datagram_get_extra_info),
     "get_extra_info(name, default=None)\nReturn 'socket', 'sockname' or 'peername'."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef datagram_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(datagram_object, weakrefs), READONLY,
     NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(datagram_object, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot datagram_slots[] = {
    {Py_tp_doc, "A datagram endpoint of the loop, an asyncio.DatagramTransport."},
    {Py_tp_dealloc, datagram_dealloc},
    {Py_tp_finalize, datagram_finalize},
    {Py_tp_traverse, datagram_traverse},
    {Py_tp_clear, datagram_clear},
    {Py_tp_repr, datagram_repr},
    {Py_tp_methods, datagram_methods},
    {Py_tp_members, datagram_members},
    {Py_tp_getset, transport_head_getset},
    {0, NULL},
};

PyType_Spec datagram_spec = {
    .name = "bide._bide.DatagramTransport",
    .basicsize = sizeof(datagram_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = datagram_slots,
};
