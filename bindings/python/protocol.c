#include "protocol.h"

#include "convert.h"

PyGetSetDef transport_head_getset[] = {
    TRANSPORT_DICT,
    {NULL, NULL, NULL, NULL, NULL},
};

PyObject *protocol_call_two(transport_head *self, PyObject *name, PyObject *first,
                            PyObject *second) {
  if (self->protocol == NULL) Py_RETURN_NONE;
  PyObject *protocol = Py_NewRef(self->protocol);
  PyObject *args[] = {protocol, first, second};
  size_t count = first == NULL ? 1 : second == NULL ? 2 : 3;
  bool outermost = !self->in_call;
  PyObject *result = NULL;
  if (!outermost || PyContext_Enter(self->context) == 0) {
    uint64_t begin_us = self->loop->debug ? bide_clock_us() : 0;
    self->in_call = true;
    result = PyObject_VectorcallMethod(name, args, count | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                       NULL);
    if (outermost) {
      PyObject *error = result == NULL ? PyErr_GetRaisedException() : NULL;
      self->in_call = false;
      if (PyContext_Exit(self->context) < 0) loop_swallow(self->loop);
      if (error != NULL) PyErr_SetRaisedException(error);
    }
    if (begin_us != 0) loop_check_slow(self->loop, (PyObject *)self, begin_us);
  }
  Py_DECREF(protocol);
  return result;
}

PyObject *protocol_call(transport_head *self, PyObject *name, PyObject *argument) {
  return protocol_call_two(self, name, argument, NULL);
}

bool protocol_can_connect(module_state *state, PyObject *protocol) {
  PyObject *method = PyObject_GetAttr(protocol, state->names.connection_made);
  Py_XDECREF(method);
  return method != NULL;
}

int protocol_is_buffered(module_state *state, PyObject *protocol) {
  int derived = PyObject_IsInstance(protocol, state->BufferedProtocol);
  if (derived != 0) return derived;
  return !PyObject_HasAttr(protocol, state->names.data_received) &&
         PyObject_HasAttr(protocol, state->names.get_buffer);
}

PyObject *protocol_get_method(PyObject *self, PyObject *unused) {
  (void)unused;
  PyObject *protocol = ((transport_head *)self)->protocol;
  return Py_NewRef(protocol != NULL ? protocol : Py_None);
}

PyObject *protocol_set_method(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *keywords) {
  PyObject *protocol =
      convert_argument(args, nargs, keywords, "set_protocol", "protocol");
  if (protocol == NULL) return NULL;
  Py_XSETREF(((transport_head *)self)->protocol, Py_NewRef(protocol));
  Py_RETURN_NONE;
}

void protocol_report_error(transport_head *self, PyObject *error, const char *message) {
  loop_object *loop = self->loop;
  PyObject *protocol = self->protocol != NULL ? self->protocol : Py_None;
  PyObject *details = Py_BuildValue("{sssOsOsO}", "message", message, "exception", error,
                                    "transport", (PyObject *)self, "protocol", protocol);
  PyObject *result =
      details == NULL
          ? NULL
          : PyObject_CallMethodOneArg((PyObject *)loop,
                                      loop->state->names.call_exception_handler, details);
  Py_XDECREF(details);
  if (result == NULL) loop_swallow(loop);
  Py_XDECREF(result);
}

void protocol_report(transport_head *self, const char *message) {
  if (loop_take_fatal(self->loop)) return;
  PyObject *error = PyErr_GetRaisedException();
  protocol_report_error(self, error, message);
  Py_DECREF(error);
}

void protocol_wake_waiter(transport_head *self, PyObject **waiter) {
  PyObject *future = *waiter;
  if (future == NULL) return;
  *waiter = NULL;
  loop_wake_future(self->loop, future);
  Py_DECREF(future);
}
