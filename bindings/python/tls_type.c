/* tls_type.c: what Python sees of a TLS transport. */
#include <stddef.h>

#include "convert.h"
#include "owner.h"
#include "tls.h"

enum { TLS_HIGH_BYTES = 524288 };

/* ---- making ---- */

static int tls_init(tls_object *self, PyObject *protocol, PyObject *server_hostname) {
  write_queue_init(&self->queue);
  self->high_bytes = TLS_HIGH_BYTES;
  self->low_bytes = TLS_HIGH_BYTES / 4;
  self->context = PyContext_CopyCurrent();
  if (self->context == NULL || tls_set_protocol(self, protocol) < 0) return -1;
  return tls_record_open(self, server_hostname);
}

static PyObject *tls_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"loop",
                          "protocol",
                          "sslcontext",
                          "waiter",
                          "server_side",
                          "server_hostname",
                          "call_connection_made",
                          "handshake_timeout",
                          "shutdown_timeout",
                          "linger",
                          NULL};
  module_state *state = module_state_of(type);
  PyObject *loop, *protocol, *context, *waiter, *hostname, *handshake_s, *shutdown_s,
      *linger_s;
  int server_side, announce;
  if (state == NULL ||
      !PyArg_ParseTupleAndKeywords(args, keywords, "O!OOOpOpOOO:SSLTransport", names,
                                   state->loop_type, &loop, &protocol, &context, &waiter,
                                   &server_side, &hostname, &announce, &handshake_s,
                                   &shutdown_s, &linger_s))
    return NULL;
  tls_object *self = (tls_object *)type->tp_alloc(type, 0);
  if (self == NULL) return NULL;
  self->loop = (loop_object *)Py_NewRef(loop);
  self->ssl_context = Py_NewRef(context);
  self->waiter = waiter == Py_None ? NULL : Py_NewRef(waiter);
  self->handshake_s = Py_NewRef(handshake_s);
  self->shutdown_s = Py_NewRef(shutdown_s);
  self->linger_s = Py_NewRef(linger_s);
  self->server_side = server_side != 0;
  self->announced = announce == 0;
  if (tls_init(self, protocol, hostname) < 0) Py_CLEAR(self);
  return (PyObject *)self;
}

/* All is made by then; the base's would take the arguments for its own. */
static int tls_init_nothing(PyObject *self, PyObject *args, PyObject *keywords) {
  (void)self;
  (void)args;
  (void)keywords;
  return 0;
}

/* ---- extra info ---- */

static PyObject *tls_get_extra_info(PyObject *object, PyObject *args,
                                    PyObject *keywords) {
  static char *names[] = {"name", "default", NULL};
  tls_object *self = (tls_object *)object;
  PyObject *name, *missing = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:get_extra_info", names, &name,
                                   &missing))
    return NULL;
  if (convert_is(name, "sslcontext")) return Py_NewRef(self->ssl_context);
  if (convert_is(name, "close_notify") && (self->ended || self->phase == TLS_OVER))
    return PyBool_FromLong(self->ended);
  if (convert_is(name, "close_notify") && self->cut) Py_RETURN_FALSE;
  if (self->shaken) {
    if (convert_is(name, "ssl_object")) return Py_NewRef(self->ssl_object);
    if (convert_is(name, "peercert"))
      return PyObject_CallMethodNoArgs(self->ssl_object,
                                       self->loop->state->names.getpeercert);
    if (convert_is(name, "cipher") || convert_is(name, "compression"))
      return PyObject_CallMethodNoArgs(self->ssl_object, name);
  }
  if (self->lower == NULL) return Py_NewRef(missing);
  return PyObject_CallMethodObjArgs(self->lower, self->loop->state->names.get_extra_info,
                                    name, missing, NULL);
}

/* ---- state ---- */

static PyObject *tls_put_protocol(PyObject *object, PyObject *protocol) {
  tls_object *self = (tls_object *)object;
  if (self->phase != TLS_OVER && tls_set_protocol(self, protocol) < 0) return NULL;
  Py_RETURN_NONE;
}

CONVERT_METHOD(tls_set_protocol_method, tls_put_protocol, "set_protocol", "protocol")
CONVERT_METHOD(tls_write_method, tls_write, "write", "data")
CONVERT_METHOD(tls_writelines_method, tls_writelines, "writelines", "list_of_data")

static PyObject *tls_is_closing(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyBool_FromLong(((tls_object *)self)->closed);
}

static PyObject *tls_is_reading(PyObject *object, PyObject *unused) {
  (void)unused;
  tls_object *self = (tls_object *)object;
  return PyBool_FromLong(!self->closed && !self->paused);
}

static PyObject *tls_pause_method(PyObject *object, PyObject *unused) {
  (void)unused;
  tls_object *self = (tls_object *)object;
  if (loop_check_use(self->loop) < 0) return NULL;
  tls_pause_reading(self);
  Py_RETURN_NONE;
}

static PyObject *tls_resume_method(PyObject *object, PyObject *unused) {
  (void)unused;
  tls_object *self = (tls_object *)object;
  if (loop_check_use(self->loop) < 0 || tls_resume_reading(self) < 0) return NULL;
  Py_RETURN_NONE;
}

static void tls_close_here(PyObject *self) { tls_close((tls_object *)self); }

static PyObject *tls_close_method(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((tls_object *)self)->loop, self, tls_close_here);
  Py_RETURN_NONE;
}

/* As the transport below has it, what this turn wrote is tried once. */
static void tls_abort_here(PyObject *object) {
  tls_object *self = (tls_object *)object;
  if (self->loop->closed) {
    tls_close(self);
    return;
  }
  if (self->phase == TLS_OPEN && !self->lower_paused) {
    tls_flush(self);
    tls_lower_flush(self);
  }
  tls_abort(self, NULL);
}

static PyObject *tls_abort_method(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((tls_object *)self)->loop, self, tls_abort_here);
  Py_RETURN_NONE;
}

static PyObject *tls_force_close_method(PyObject *object, PyObject *error) {
  tls_object *self = (tls_object *)object;
  if (loop_check_here(self->loop) < 0) return NULL;
  tls_abort(self, error == Py_None ? NULL : error);
  Py_RETURN_NONE;
}

static PyObject *tls_can_write_eof(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  Py_RETURN_FALSE;
}

static PyObject *tls_write_eof(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  PyErr_SetNone(PyExc_NotImplementedError);
  return NULL;
}

static PyObject *tls_get_size(PyObject *object, PyObject *unused) {
  (void)unused;
  tls_object *self = (tls_object *)object;
  return PyLong_FromSize_t(self->queue.bytes + tls_lower_bytes(self));
}

static PyObject *tls_get_limits(PyObject *object, PyObject *unused) {
  (void)unused;
  tls_object *self = (tls_object *)object;
  return Py_BuildValue("nn", (Py_ssize_t)self->low_bytes, (Py_ssize_t)self->high_bytes);
}

static PyObject *tls_set_limits(PyObject *object, PyObject *args, PyObject *keywords) {
  static char *names[] = {"high", "low", NULL};
  tls_object *self = (tls_object *)object;
  PyObject *high = NULL, *low = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OO:set_write_buffer_limits", names,
                                   &high, &low))
    return NULL;
  bool by_default = (high == NULL || high == Py_None) && (low == NULL || low == Py_None);
  if (by_default) {
    self->high_bytes = TLS_HIGH_BYTES;
    self->low_bytes = TLS_HIGH_BYTES / 4;
  } else if (write_limits_parse(high, low, &self->high_bytes, &self->low_bytes) < 0) {
    return NULL;
  }
  if (self->phase < TLS_ENDING && tls_lower_set_limits(self) < 0) return NULL;
  tls_control_writing(self);
  Py_RETURN_NONE;
}

static PyObject *tls_timed_out_method(PyObject *self, PyObject *unused) {
  (void)unused;
  tls_timed_out((tls_object *)self);
  Py_RETURN_NONE;
}

static PyObject *tls_proceed_method(PyObject *self, PyObject *unused) {
  (void)unused;
  tls_proceed((tls_object *)self);
  Py_RETURN_NONE;
}

static PyObject *tls_flush_on_method(PyObject *self, PyObject *unused) {
  (void)unused;
  tls_flush_on((tls_object *)self);
  Py_RETURN_NONE;
}

/* A new one each time: it has no state of its own. */
static PyObject *tls_get_below(PyObject *self, void *unused) {
  (void)unused;
  PyTypeObject *type = ((tls_object *)self)->loop->state->tls_protocol_type;
  tls_protocol *below = (tls_protocol *)type->tp_alloc(type, 0);
  if (below != NULL) below->tls = (tls_object *)Py_NewRef(self);
  return (PyObject *)below;
}

static PyObject *tls_get_true(PyObject *self, void *unused) {
  (void)self;
  (void)unused;
  Py_RETURN_TRUE;
}

static PyObject *tls_get_paused(PyObject *self, void *unused) {
  (void)unused;
  return PyBool_FromLong(((tls_object *)self)->writing_paused);
}

static PyObject *tls_repr(PyObject *object) {
  static const char *const states[] = {"idle",    "shaking hands", "open",  "flushing",
                                       "closing", "closing",       "closed"};
  tls_object *self = (tls_object *)object;
  if (self->lower == NULL || self->phase == TLS_OVER)
    return PyUnicode_FromFormat("<SSLTransport %s>", states[self->phase]);
  return PyUnicode_FromFormat("<SSLTransport %s bufsize=%zu over %R>",
                              states[self->phase], self->queue.bytes, self->lower);
}

/* ---- memory ---- */

static int tls_traverse(PyObject *object, visitproc visit, void *arg) {
  tls_object *self = (tls_object *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->extra_slot);
  Py_VISIT(self->dict);
  Py_VISIT(self->loop);
  Py_VISIT(self->protocol);
  Py_VISIT(self->context);
  Py_VISIT(self->lower);
  Py_VISIT(self->ssl_context);
  Py_VISIT(self->ssl_object);
  Py_VISIT(self->raw);
  Py_VISIT(self->waiter);
  Py_VISIT(self->error);
  Py_VISIT(self->timer);
  return 0;
}

/* From here on nothing is left to work with: over. */
static int tls_clear(PyObject *object) {
  tls_object *self = (tls_object *)object;
  self->phase = TLS_OVER;
  self->closed = true;
  self->shaken = false;
  self->native = NULL;
  Py_CLEAR(self->extra_slot);
  Py_CLEAR(self->dict);
  Py_CLEAR(self->protocol);
  Py_CLEAR(self->lower);
  Py_CLEAR(self->ssl_object);
  Py_CLEAR(self->raw);
  Py_CLEAR(self->incoming);
  Py_CLEAR(self->outgoing);
  Py_CLEAR(self->waiter);
  Py_CLEAR(self->error);
  Py_CLEAR(self->timer);
  return 0;
}

/* The transport below closes the socket, by its own finalizer if need be. */
static void tls_finalize(PyObject *object) {
  tls_object *self = (tls_object *)object;
  if (self->closed || self->lower == NULL) return;
  PyObject *error = PyErr_GetRaisedException();
  if (PyErr_ResourceWarning(object, 1, "unclosed transport %R", object) < 0)
    PyErr_WriteUnraisable(object);
  self->closed = true;
  if (error != NULL) PyErr_SetRaisedException(error);
}

static void tls_dealloc(PyObject *object) {
  tls_object *self = (tls_object *)object;
  PyTypeObject *type = Py_TYPE(object);
  if (PyObject_CallFinalizerFromDealloc(object) < 0) return;
  PyObject_GC_UnTrack(object);
  if (self->weakrefs != NULL) PyObject_ClearWeakRefs(object);
  write_queue_clear(&self->queue);
  tls_clear(object);
  Py_CLEAR(self->context);
  Py_CLEAR(self->ssl_context);
  Py_CLEAR(self->handshake_s);
  Py_CLEAR(self->shutdown_s);
  Py_CLEAR(self->linger_s);
  Py_CLEAR(self->loop);
  type->tp_free(object);
  Py_DECREF(type);
}

/* ---- the type ---- */

#define TLS_KEYWORDS(function) \
  ((PyCFunction)(void (*)(void))(function)), METH_VARARGS | METH_KEYWORDS

static PyMethodDef tls_methods[] = {
    {"write", CONVERT_METHOD_ENTRY(tls_write_method),
     "write(data)\nSend bytes, in order and without blocking."},
    {"writelines", CONVERT_METHOD_ENTRY(tls_writelines_method),
     "writelines(list_of_data)\nSend each of an iterable of bytes."},
    {"write_eof", tls_write_eof, METH_NOARGS, "Raise NotImplementedError."},
    {"can_write_eof", tls_can_write_eof, METH_NOARGS, "Return False."},
    {"close", tls_close_method, METH_NOARGS,
     "Close the connection once what was written is sent."},
    {"abort", tls_abort_method, METH_NOARGS,
     "Close the connection, dropping what is not sent yet."},
    {"_force_close", tls_force_close_method, METH_O, "As abort(), for a reason."},
    {"is_closing", tls_is_closing, METH_NOARGS,
     "Return True once the transport closes or has closed."},
    {"pause_reading", tls_pause_method, METH_NOARGS,
     "Give no more data to the protocol until resume_reading()."},
    {"resume_reading", tls_resume_method, METH_NOARGS,
     "Give data to the protocol again."},
    {"is_reading", tls_is_reading, METH_NOARGS,
     "Return True unless reading is paused or the transport closes."},
    {"set_protocol", CONVERT_METHOD_ENTRY(tls_set_protocol_method),
     "set_protocol(protocol)\nSet the protocol."},
    {"get_protocol", protocol_get_method, METH_NOARGS, "Return the protocol."},
    {"get_write_buffer_size", tls_get_size, METH_NOARGS,
     "Return the number of bytes written and not sent yet."},
    {"get_write_buffer_limits", tls_get_limits, METH_NOARGS,
     "Return the low and high marks of flow control."},
    {"set_write_buffer_limits", TLS_KEYWORDS(tls_set_limits),
     "set_write_buffer_limits(high=None, low=None)\nSet the marks of flow control."},
    {"get_extra_info", TLS_KEYWORDS(tls_get_extra_info),
     "get_extra_info(name, default=None)\nReturn 'ssl_object', 'sslcontext', 'peercert', "
     "'cipher', 'compression', 'close_notify' (whether the peer has ended its stream by "
     "that), or what the transport below knows."},
    {"_test__append_write_backlog", tls_queue_only, METH_O,
     "Queue bytes that wait for the next flush, for tests of what a shutdown still "
     "sends."},
    {"_timed_out", tls_timed_out_method, METH_NOARGS, "The timer has fired."},
    {"_proceed", tls_proceed_method, METH_NOARGS, "Read on after resume_reading()."},
    {"_flush_on", tls_flush_on_method, METH_NOARGS, "Encrypt more of what was written."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef tls_getset[] = {
    TRANSPORT_DICT,
    {"_ssl_protocol", tls_get_below, NULL, "A protocol for the transport below.", NULL},
    {"_start_tls_compatible", tls_get_true, NULL, "True: TLS may run inside.", NULL},
    {"_protocol_paused", tls_get_paused, NULL,
     "True between pause_writing() and resume_writing().", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef tls_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(tls_object, weakrefs), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(tls_object, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot tls_slots[] = {
    {Py_tp_doc, "A TLS connection over another transport, an asyncio.Transport."},
    {Py_tp_new, tls_new},
    {Py_tp_init, tls_init_nothing},
    {Py_tp_dealloc, tls_dealloc},
    {Py_tp_finalize, tls_finalize},
    {Py_tp_traverse, tls_traverse},
    {Py_tp_clear, tls_clear},
    {Py_tp_repr, tls_repr},
    {Py_tp_methods, tls_methods},
    {Py_tp_getset, tls_getset},
    {Py_tp_members, tls_members},
    {0, NULL},
};

PyType_Spec tls_spec = {
    .name = "bide._bide.SSLTransport",
    .basicsize = sizeof(tls_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = tls_slots,
};
