/* tls_read.c: from records to the protocol. */
#include "stream.h"
#include "tls.h"
#include "transport.h"

/* What one data_received() is given at most; one piece from below is no larger. */
enum { TLS_READ_MAX = 262144 };

static const char tls_read_failed[] = "Fatal error on SSL protocol";

int tls_set_protocol(tls_object *self, PyObject *protocol) {
  int buffered = protocol_is_buffered(self->loop->state, protocol);
  if (buffered < 0) return -1;
  self->buffered = buffered != 0;
  self->stream = stream_is_stock(self->loop->state, protocol);
  Py_XSETREF(self->protocol, Py_NewRef(protocol));
  return 0;
}

static bool tls_read_wanted(const tls_object *self) {
  return self->phase == TLS_OPEN && !self->paused && !self->waking;
}

/* ---- the end ---- */

static void tls_read_warn(tls_object *self) {
  PyObject *result =
      state_call(self->loop->state->logger, self->loop->state->names.warning, "(s)",
                 "returning true from eof_received() has no effect when using ssl");
  if (result == NULL) loop_swallow(self->loop);
  Py_XDECREF(result);
}

void tls_tell_eof(tls_object *self) {
  if (self->eof_told || self->protocol == NULL) return;
  bool nested = Py_TYPE(self->protocol) == self->loop->state->tls_protocol_type;
  self->eof_told = true;
  PyObject *keep_open =
      protocol_call((transport_head *)self, self->loop->state->names.eof_received, NULL);
  int keep = keep_open == NULL ? -1 : PyObject_IsTrue(keep_open);
  Py_XDECREF(keep_open);
  if (keep < 0)
    tls_fail(self, "Error calling eof_received()");
  else if (keep && !nested)
    tls_read_warn(self);
}

/* By close_notify or, truncated, by the end of the stream below. */
static void tls_read_end(tls_object *self) {
  tls_tell_eof(self);
  tls_begin_close(self);
}

void tls_receive_eof(tls_object *self) {
  self->cut = true;
  if (self->phase == TLS_HANDSHAKE) {
    tls_shake_cut(self);
    return;
  }
  /* What a pause has left may wait for its call yet. */
  if (self->phase == TLS_OPEN) tls_read(self);
  if (tls_read_wanted(self))
    tls_read_end(self);
  else if (self->phase == TLS_CLOSING)
    tls_end(self);
}

/* ---- data ---- */

/* Goes on to what ended a read: data (1), close_notify (0), the lack of more, or an error
 * (-1), pending or in `error`. Returns whether there may be more. */
static bool tls_read_outcome(tls_object *self, ssize_t outcome, PyObject *error) {
  if (outcome > 0) return true;
  if (outcome == 0) {
    self->ended = true;
    if (tls_read_wanted(self)) tls_read_end(self);
  } else if (outcome == -1) {
    if (error != NULL) PyErr_SetRaisedException(error);
    tls_fail(self, tls_read_failed);
  }
  return false;
}

/* Reads what is pending into one bytes object; *outcome is what ended it, 1 if its size
 * did, and may leave an exception pending. NULL if there is none. The plain text is no
 * longer than its records, but for one whose beginning OpenSSL holds already. */
static PyObject *tls_read_all(tls_object *self, ssize_t pending, ssize_t *outcome) {
  PyObject *data = NULL;
  size_t used = 0, room = 0;
  for (;; pending = tls_record_pending(self)) {
    *outcome = pending > 0 ? 1 : pending < 0 ? -1 : TLS_AGAIN;
    if (pending <= 0 || used >= TLS_READ_MAX) break;
    if (room - used < (size_t)pending && room - used < TLS_READ_MAX - used) {
      room = used + (size_t)pending;
      if (room > TLS_READ_MAX) room = TLS_READ_MAX;
      if (data == NULL)
        data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
      else
        (void)_PyBytes_Resize(&data, (Py_ssize_t)room);
      if (data == NULL) {
        *outcome = -1;
        return NULL;
      }
    }
    *outcome = tls_record_read(self, PyBytes_AS_STRING(data) + used, room - used);
    if (*outcome <= 0) break;
    used += (size_t)*outcome;
  }
  if (used == 0) Py_CLEAR(data);
  if (used == room || data == NULL) return data;
  PyObject *error = *outcome == -1 ? PyErr_GetRaisedException() : NULL;
  if (_PyBytes_Resize(&data, (Py_ssize_t)used) < 0) *outcome = -1;
  if (error != NULL) PyErr_SetRaisedException(error);
  return data;
}

/* 0, or -1 with an exception. */
static int tls_read_give(tls_object *self, PyObject *data) {
  if (self->stream && !self->loop->debug) {
    PyObject *protocol = Py_NewRef(self->protocol);
    int fed = stream_feed(self->loop, protocol, PyBytes_AS_STRING(data),
                          (size_t)PyBytes_GET_SIZE(data));
    Py_DECREF(protocol);
    if (fed != 0) return fed < 0 ? -1 : 0;
  }
  PyObject *result =
      protocol_call((transport_head *)self, self->loop->state->names.data_received, data);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

/* One data_received(). Returns whether there may be more. What came before an error is
 * given first. */
static bool tls_read_data(tls_object *self, ssize_t pending) {
  ssize_t outcome;
  PyObject *data = tls_read_all(self, pending, &outcome);
  PyObject *error = outcome == -1 ? PyErr_GetRaisedException() : NULL;
  if (data != NULL) {
    if (tls_read_give(self, data) < 0) tls_fail(self, tls_read_failed);
    Py_DECREF(data);
  }
  return tls_read_outcome(self, outcome, error);
}

/* Fills the protocol's buffer. Returns how far, and what ended it in *outcome. */
static size_t tls_read_fill(tls_object *self, const Py_buffer *view, ssize_t *outcome) {
  size_t used = 0, len = (size_t)view->len;
  if (len == 0) {
    PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
    *outcome = -1;
    return 0;
  }
  do {
    *outcome = tls_record_read(self, (char *)view->buf + used, len - used);
    if (*outcome <= 0) return used;
    used += (size_t)*outcome;
    ssize_t pending = tls_record_pending(self);
    if (pending <= 0) {
      *outcome = pending == 0 ? TLS_AGAIN : -1;
      return used;
    }
  } while (used < len);
  return used;
}

/* The protocol's get_buffer(). It may pause, close or give the connection to another
 * protocol: then its buffer is not wanted any more, and *same false. */
static PyObject *tls_read_get_buffer(tls_object *self, ssize_t hint, bool *same) {
  PyObject *protocol = Py_NewRef(self->protocol);
  PyObject *target = NULL, *number = PyLong_FromSsize_t(hint);
  if (number != NULL)
    target = protocol_call((transport_head *)self, self->loop->state->names.get_buffer,
                           number);
  *same = target == NULL || (self->protocol == protocol && tls_read_wanted(self));
  Py_XDECREF(number);
  Py_DECREF(protocol);
  return target;
}

/* One get_buffer() and buffer_updated(). Returns whether there may be more. */
static bool tls_read_buffered(tls_object *self, ssize_t hint) {
  module_state *state = self->loop->state;
  bool same;
  PyObject *target = tls_read_get_buffer(self, hint, &same);
  if (!same) {
    Py_DECREF(target);
    return true;
  }
  Py_buffer view;
  if (target == NULL || PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) < 0) {
    Py_XDECREF(target);
    return tls_read_outcome(self, -1, NULL);
  }
  ssize_t outcome;
  size_t used = tls_read_fill(self, &view, &outcome);
  PyBuffer_Release(&view);
  Py_DECREF(target);
  PyObject *error = outcome == -1 ? PyErr_GetRaisedException() : NULL;
  if (used > 0) {
    PyObject *number = PyLong_FromSize_t(used);
    PyObject *result =
        number == NULL
            ? NULL
            : protocol_call((transport_head *)self, state->names.buffer_updated, number);
    Py_XDECREF(number);
    if (result == NULL) tls_fail(self, tls_read_failed);
    Py_XDECREF(result);
  }
  return tls_read_outcome(self, outcome, error);
}

void tls_read(tls_object *self) {
  bool more = true;
  while (more && tls_read_wanted(self)) {
    ssize_t pending = tls_record_pending(self);
    if (pending == 0) break;
    if (pending < 0)
      more = tls_read_outcome(self, -1, NULL);
    else
      more = self->buffered ? tls_read_buffered(self, pending)
                            : tls_read_data(self, pending);
  }
  if (self->phase != TLS_OPEN || tls_flush(self) || self->phase != TLS_OPEN) return;
  /* What a read answers by itself, a new key or a refusal, goes down with what is written;
   * and alone where nothing is. */
  if (tls_record_send(self) < 0) tls_fail(self, tls_read_failed);
}

void tls_receive(tls_object *self, PyObject *data) {
  Py_INCREF(self);
  if (self->phase < TLS_ENDING && tls_record_feed(self, data) < 0)
    tls_fail(self, tls_read_failed);
  if (self->phase == TLS_HANDSHAKE)
    tls_shake(self);
  else if (self->phase == TLS_OPEN)
    tls_read(self);
  else if (self->phase == TLS_FLUSHING || self->phase == TLS_CLOSING)
    tls_drop_input(self);
  Py_DECREF(self);
}

/* ---- pausing ---- */

/* The transport below stops at once: what is not read here waits with the peer. */
void tls_pause_reading(tls_object *self) {
  if (self->paused) return;
  self->paused = true;
  if (self->phase == TLS_OPEN && tls_lower_set_reading(self, false) < 0)
    tls_fail(self, tls_read_failed);
}

/* Reads in a call of its own, since the protocol may be in the middle of one. bide's own
 * transport below never calls back from here: it goes on at once, as without TLS. */
int tls_resume_reading(tls_object *self) {
  if (!self->paused) return 0;
  self->paused = false;
  if (self->phase == TLS_OPEN && self->native != NULL && !self->ended && !self->cut)
    transport_resume_reading(self->native);
  return self->phase == TLS_OPEN ? tls_call_soon(self, self->loop->state->names._proceed)
                                 : 0;
}

int tls_call_soon(tls_object *self, PyObject *method) {
  PyObject *proceed = PyObject_GetAttr((PyObject *)self, method);
  PyObject *handle = proceed == NULL ? NULL
                                     : PyObject_CallMethodOneArg(
                                           (PyObject *)self->loop,
                                           self->loop->state->names.call_soon, proceed);
  Py_XDECREF(proceed);
  Py_XDECREF(handle);
  return handle == NULL ? -1 : 0;
}

void tls_proceed(tls_object *self) {
  self->waking = false;
  tls_read(self);
  if (!tls_read_wanted(self)) return;
  if (self->ended || self->cut)
    tls_read_end(self);
  else if (tls_lower_set_reading(self, true) < 0)
    tls_fail(self, tls_read_failed);
}
