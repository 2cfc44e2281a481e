/* tls_lower.c: the transport below: bide's own, called in C, or anybody's. */
#include "tls.h"
#include "transport.h"

/* It is gone if it has told of its end from inside the call before. */
static int tls_lower_call(tls_object *self, PyObject *name) {
  if (self->lower == NULL) return 0;
  PyObject *result = PyObject_CallMethodNoArgs(self->lower, name);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

/* After start_tls() the protocol is called in the context that it had before, whoever has
 * called start_tls(). Another's transport calls in a context of its own choice, which then
 * counts as entered. */
static int tls_lower_inherit(tls_object *self, PyObject *lower) {
  const module_state *state = self->loop->state;
  if (!self->announced) return 0;
  if (Py_TYPE(lower) != state->transport_type && Py_TYPE(lower) != state->tls_type) {
    self->in_call = true;
    return 0;
  }
  PyObject *context = PyContext_Copy(((transport_head *)lower)->context);
  if (context == NULL) return -1;
  Py_SETREF(self->context, context);
  return 0;
}

int tls_lower_attach(tls_object *self, PyObject *lower) {
  if (tls_lower_inherit(self, lower) < 0) return -1;
  Py_XSETREF(self->lower, Py_NewRef(lower));
  if (Py_TYPE(lower) == self->loop->state->transport_type) {
    self->native = (transport_object *)lower;
    /* What was written before TLS may still fill it. */
    self->lower_paused = self->native->writing_paused;
    self->writing_paused = self->announced && self->lower_paused;
  }
  return tls_lower_set_limits(self);
}

/* A program that has ended the stream below, or sends a file there, is told so; after
 * close_notify nothing is lost by it. */
static int tls_lower_write_native(tls_object *self, PyObject *bytes) {
  bool matters = self->phase < TLS_CLOSING && !self->native->lost;
  if (matters && transport_check_write(self->native, "write") < 0) return -1;
  return transport_write_bytes(self->native, bytes);
}

int tls_lower_write(tls_object *self, PyObject *bytes) {
  if (self->native != NULL) return tls_lower_write_native(self, bytes);
  PyObject *result =
      PyObject_CallMethodOneArg(self->lower, self->loop->state->names.write, bytes);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

void tls_lower_flush(tls_object *self) {
  if (self->native != NULL) transport_flush(self->native);
}

bool tls_lower_rests(const tls_object *self) {
  return self->native != NULL ? self->native->poll_armed : self->resting;
}

int tls_lower_rest(tls_object *self) {
  if (self->native == NULL) {
    self->resting = tls_call_soon(self, self->loop->state->names._flush_on) == 0;
    return self->resting ? 0 : -1;
  }
  if (!self->native->poll_armed && !self->native->lost)
    transport_await_writable(self->native);
  return 0;
}

int tls_lower_set_reading(tls_object *self, bool wanted) {
  const module_state *state = self->loop->state;
  if (self->native == NULL)
    return tls_lower_call(
        self, wanted ? state->names.resume_reading : state->names.pause_reading);
  if (wanted)
    transport_resume_reading(self->native);
  else
    transport_pause_reading(self->native);
  return 0;
}

/* The marks below are no higher than the application's, so that with limits of 0 it is
 * told when the last byte has left. */
int tls_lower_set_limits(tls_object *self) {
  size_t high = self->high_bytes, low = self->low_bytes;
  if (self->lower == NULL) return 0;
  if (high > WRITE_LIMIT_HIGH_BYTES) high = WRITE_LIMIT_HIGH_BYTES;
  if (low > high / 4) low = high / 4;
  PyObject *result =
      state_call(self->lower, self->loop->state->names.set_write_buffer_limits, "(nn)",
                 (Py_ssize_t)high, (Py_ssize_t)low);
  if (result == NULL && PyErr_ExceptionMatches(PyExc_NotImplementedError)) {
    PyErr_Clear();
    return 0;
  }
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

/* Ends the outgoing stream where the transport below can, which wakes a peer that reads
 * on after close_notify. */
int tls_lower_end(tls_object *self) {
  PyObject *able =
      PyObject_CallMethodNoArgs(self->lower, self->loop->state->names.can_write_eof);
  int can = able == NULL ? -1 : PyObject_IsTrue(able);
  Py_XDECREF(able);
  if (can < 0 && PyErr_ExceptionMatches(PyExc_NotImplementedError)) {
    PyErr_Clear();
    return 0;
  }
  return can <= 0 ? can : tls_lower_call(self, self->loop->state->names.write_eof);
}

int tls_lower_close(tls_object *self) {
  if (self->native == NULL) return tls_lower_call(self, self->loop->state->names.close);
  transport_close(self->native);
  return 0;
}

/* asyncio's transports take the reason by a private method, others have abort(). */
void tls_lower_abort(tls_object *self, PyObject *error) {
  const module_state *state = self->loop->state;
  PyObject *result;
  if (self->native != NULL) {
    transport_end(self->native, error);
    return;
  }
  if (PyObject_HasAttr(self->lower, state->names._force_close))
    result = PyObject_CallMethodOneArg(self->lower, state->names._force_close,
                                       error != NULL ? error : Py_None);
  else
    result = PyObject_CallMethodNoArgs(self->lower, state->names.abort);
  if (result == NULL) loop_swallow(self->loop);
  Py_XDECREF(result);
}

/* How much it has not sent yet, as far as it says. */
size_t tls_lower_bytes(tls_object *self) {
  if (self->native != NULL) return self->native->queue.bytes;
  if (self->lower == NULL || self->phase == TLS_OVER) return 0;
  PyObject *size = PyObject_CallMethodNoArgs(
      self->lower, self->loop->state->names.get_write_buffer_size);
  size_t bytes = size == NULL ? 0 : PyLong_AsSize_t(size);
  Py_XDECREF(size);
  if (!PyErr_Occurred()) return bytes;
  if (PyErr_ExceptionMatches(PyExc_NotImplementedError))
    PyErr_Clear();
  else
    loop_swallow(self->loop);
  return 0;
}
