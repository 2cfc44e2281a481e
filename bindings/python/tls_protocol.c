/* tls_protocol.c: what sits on the transport below, and passes on what that calls. */
#include "tls.h"

static PyObject *tls_protocol_connection_made(PyObject *self, PyObject *lower) {
  tls_start(((tls_protocol *)self)->tls, lower);
  Py_RETURN_NONE;
}

static PyObject *tls_protocol_data_received(PyObject *self, PyObject *data) {
  tls_receive(((tls_protocol *)self)->tls, data);
  Py_RETURN_NONE;
}

/* True: the transport below stays open until what was written is encrypted. */
static PyObject *tls_protocol_eof_received(PyObject *self, PyObject *unused) {
  (void)unused;
  tls_receive_eof(((tls_protocol *)self)->tls);
  Py_RETURN_TRUE;
}

static PyObject *tls_protocol_pause_writing(PyObject *self, PyObject *unused) {
  (void)unused;
  tls_set_lower_paused(((tls_protocol *)self)->tls, true);
  Py_RETURN_NONE;
}

static PyObject *tls_protocol_resume_writing(PyObject *self, PyObject *unused) {
  (void)unused;
  tls_set_lower_paused(((tls_protocol *)self)->tls, false);
  Py_RETURN_NONE;
}

static PyObject *tls_protocol_connection_lost(PyObject *self, PyObject *error) {
  tls_lost(((tls_protocol *)self)->tls, error);
  Py_RETURN_NONE;
}

static PyObject *tls_protocol_get_lower(PyObject *self, void *unused) {
  (void)unused;
  PyObject *lower = ((tls_protocol *)self)->tls->lower;
  return Py_NewRef(lower != NULL ? lower : Py_None);
}

static PyObject *tls_protocol_get_context(PyObject *self, void *unused) {
  (void)unused;
  return Py_NewRef(((tls_protocol *)self)->tls->ssl_context);
}

static PyObject *tls_protocol_repr(PyObject *self) {
  return PyUnicode_FromFormat("<SSLProtocol of %R>",
                              (PyObject *)((tls_protocol *)self)->tls);
}

static int tls_protocol_traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(((tls_protocol *)self)->tls);
  return 0;
}

/* No clear: its methods count on `tls`, and the cycle breaks there. */
static void tls_protocol_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Py_CLEAR(((tls_protocol *)self)->tls);
  type->tp_free(self);
  Py_DECREF(type);
}

static PyMethodDef tls_protocol_methods[] = {
    {"connection_made", tls_protocol_connection_made, METH_O, "Start the handshake."},
    {"data_received", tls_protocol_data_received, METH_O, "Take what the peer has sent."},
    {"eof_received", tls_protocol_eof_received, METH_NOARGS,
     "Take the end of the stream; return True."},
    {"pause_writing", tls_protocol_pause_writing, METH_NOARGS, "Hand down no more."},
    {"resume_writing", tls_protocol_resume_writing, METH_NOARGS, "Hand down more."},
    {"connection_lost", tls_protocol_connection_lost, METH_O, "Take the end of it all."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef tls_protocol_getset[] = {
    {"_transport", tls_protocol_get_lower, NULL,
     "The transport below; None once the connection is lost.", NULL},
    {"_sslcontext", tls_protocol_get_context, NULL, "The ssl.SSLContext.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot tls_protocol_slots[] = {
    {Py_tp_doc, "The protocol that a SSLTransport puts on the transport below."},
    {Py_tp_dealloc, tls_protocol_dealloc},
    {Py_tp_traverse, tls_protocol_traverse},
    {Py_tp_repr, tls_protocol_repr},
    {Py_tp_methods, tls_protocol_methods},
    {Py_tp_getset, tls_protocol_getset},
    {0, NULL},
};

PyType_Spec tls_protocol_spec = {
    .name = "bide._bide.SSLProtocol",
    .basicsize = sizeof(tls_protocol),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = tls_protocol_slots,
};
