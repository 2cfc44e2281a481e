/* tls_shutdown.c: from close() to connection_lost().
 *
 * What was written goes out first, however slow the peer reads, as long as it reads; then
 * close_notify and the end of the stream. The peer gets a moment to answer, in which what
 * it had under way is dropped: a socket closed on unread input would send a reset, which
 * may overtake what the peer has not read yet. It does not get to send much. */
#include "tls.h"

/* A peer that sends more than this after our close_notify does not care. */
enum { TLS_DROP_MAX = 65536, TLS_DROP_STEP = 16384 };

/* ---- the timer ---- */

int tls_start_timer(tls_object *self, PyObject *seconds) {
  tls_stop_timer(self);
  const module_state *state = self->loop->state;
  PyObject *timed_out = PyObject_GetAttr((PyObject *)self, state->names._timed_out);
  if (timed_out == NULL) return -1;
  self->timer = PyObject_CallMethodObjArgs(
      (PyObject *)self->loop, state->names.call_later, seconds, timed_out, NULL);
  Py_DECREF(timed_out);
  return self->timer == NULL ? -1 : 0;
}

void tls_stop_timer(tls_object *self) {
  PyObject *timer = self->timer;
  if (timer == NULL) return;
  self->timer = NULL;
  PyObject *result = PyObject_CallMethodNoArgs(timer, self->loop->state->names.cancel);
  if (result == NULL) loop_swallow(self->loop);
  Py_XDECREF(result);
  Py_DECREF(timer);
}

/* Whether less is left to send than when the timer last looked. */
static bool tls_shutdown_moves(tls_object *self) {
  size_t left = self->queue.bytes + tls_lower_bytes(self);
  bool moves = left < self->left_bytes;
  self->left_bytes = left;
  return moves;
}

/* The protocol is told, and nobody else: up to 3.10 this is no OSError. */
static void tls_shutdown_late(tls_object *self) {
  PyErr_SetString(self->loop->state->TimeoutError, "SSL shutdown timed out");
  PyObject *error = PyErr_GetRaisedException();
  tls_abort(self, error);
  Py_XDECREF(error);
}

/* With linger_s of None the user has set shutdown_s, which limits the whole: the peer gets
 * that long, as asyncio has it. Else it limits how long nothing moves. */
void tls_timed_out(tls_object *self) {
  bool patient = self->linger_s != Py_None;
  tls_stop_timer(self);
  if (self->phase == TLS_HANDSHAKE) {
    PyErr_Format(
        PyExc_ConnectionAbortedError,
        "SSL handshake is taking longer than %S seconds: aborting the connection",
        self->handshake_s);
    tls_fail(self, "SSL handshake timed out");
  } else if (patient && self->phase == TLS_CLOSING) {
    tls_end(self);
  } else if (patient && tls_shutdown_moves(self)) {
    if (tls_start_timer(self, self->shutdown_s) < 0)
      tls_fail(self, "SSL shutdown failed");
  } else if (self->phase < TLS_OVER) {
    tls_shutdown_late(self);
  }
}

/* ---- in order ---- */

void tls_begin_close(tls_object *self) {
  if (self->phase != TLS_OPEN) return;
  self->closed = true;
  self->phase = TLS_FLUSHING;
  (void)tls_shutdown_moves(self);
  if (tls_start_timer(self, self->shutdown_s) < 0 ||
      tls_lower_set_reading(self, false) < 0)
    tls_fail(self, "SSL shutdown failed");
  tls_flush(self);
}

void tls_close(tls_object *self) {
  if (self->closed) return;
  if (self->loop->closed) {
    /* Nothing will be sent any more: the socket is all there is to close. */
    self->closed = true;
    self->phase = TLS_ENDING;
    if (self->lower != NULL && tls_lower_close(self) < 0) loop_swallow(self->loop);
  } else if (self->phase < TLS_OPEN) {
    tls_abort(self, NULL);
  } else {
    tls_begin_close(self);
  }
}

/* Whatever keeps close_notify from being made, the connection closes all the same. A peer
 * that ended its stream without one gets none, as asyncio has it. */
static int tls_shutdown_send(tls_object *self) {
  int result = self->cut ? 0 : tls_record_unwrap(self);
  if (result == -1) {
    if (!PyErr_ExceptionMatches(PyExc_OSError)) return -1;
    PyErr_Clear();
    self->ended = true;
  }
  return tls_record_send(self);
}

/* Reads and forgets a piece. Returns whether there may be more. A broken record is an end
 * as well to one who does not listen. */
static bool tls_shutdown_drop(tls_object *self) {
  char dropped[TLS_DROP_STEP];
  ssize_t size = tls_record_pending(self);
  if (size == 0) return false;
  if (size > 0) size = tls_record_read(self, dropped, sizeof dropped);
  if (size > 0) self->dropped_bytes += (size_t)size;
  if (size == -1 && !loop_take_fatal(self->loop)) PyErr_Clear();
  if (size == 0 || size == -1) self->ended = true;
  return size > 0;
}

static bool tls_shutdown_heard(const tls_object *self) {
  return self->ended || self->cut || self->dropped_bytes > TLS_DROP_MAX;
}

/* While flushing, this only keeps what a deaf transport below gives from piling up. */
void tls_drop_input(tls_object *self) {
  bool more = true;
  while (more && !tls_shutdown_heard(self)) more = tls_shutdown_drop(self);
  if (self->phase == TLS_CLOSING && tls_shutdown_heard(self)) tls_end(self);
}

/* OpenSSL would take data that it finds while it unwraps for an error. */
void tls_notify(tls_object *self) {
  tls_drop_input(self);
  if (self->phase != TLS_FLUSHING) return;
  self->phase = TLS_CLOSING;
  if (tls_shutdown_send(self) < 0) {
    tls_fail(self, "SSL shutdown failed");
  } else if (self->phase != TLS_CLOSING) {
    return;
  } else if (tls_shutdown_heard(self)) {
    tls_end(self);
  } else if ((self->linger_s != Py_None &&
              (tls_lower_end(self) < 0 || tls_start_timer(self, self->linger_s) < 0)) ||
             tls_lower_set_reading(self, true) < 0) {
    tls_fail(self, "SSL shutdown failed");
  }
}

void tls_end(tls_object *self) {
  if (self->phase >= TLS_ENDING) return;
  if (self->ended || self->cut) tls_tell_eof(self);
  if (self->phase >= TLS_ENDING) return;
  self->phase = TLS_ENDING;
  (void)tls_shutdown_moves(self);
  if ((self->linger_s != Py_None && tls_start_timer(self, self->shutdown_s) < 0) ||
      tls_lower_close(self) < 0)
    loop_swallow(self->loop);
}

/* ---- at once ---- */

void tls_abort(tls_object *self, PyObject *error) {
  if (self->phase == TLS_OVER) return;
  self->phase = TLS_ENDING;
  self->closed = true;
  if (self->error == NULL) self->error = Py_XNewRef(error);
  tls_stop_timer(self);
  write_queue_clear(&self->queue);
  if (self->lower != NULL) tls_lower_abort(self, error);
}

/* The alert that says why, if OpenSSL has made one, goes out before. */
static void tls_shutdown_alert(tls_object *self) {
  if (self->lower == NULL) return;
  if (tls_record_send(self) == 0)
    tls_lower_flush(self);
  else if (!loop_take_fatal(self->loop))
    PyErr_Clear();
}

void tls_fail(tls_object *self, const char *message) {
  loop_object *loop = self->loop;
  if (loop_take_fatal(loop)) return;
  PyObject *error = PyErr_GetRaisedException();
  if (self->phase < TLS_ENDING) {
    tls_phase phase = self->phase;
    self->phase = TLS_ENDING;
    if (!PyErr_GivenExceptionMatches(error, PyExc_OSError)) {
      protocol_report_error((transport_head *)self, error, message);
    } else if (loop->debug) {
      PyObject *result =
          state_call(loop->state->logger, loop->state->names.debug, "(sOsO)",
                     "%r: %s: %r", (PyObject *)self, message, error);
      if (result == NULL) loop_swallow(loop);
      Py_XDECREF(result);
    }
    if (phase > TLS_IDLE) tls_shutdown_alert(self);
    tls_abort(self, error);
  }
  Py_DECREF(error);
}

/* ---- the end ---- */

static void tls_shutdown_tell(tls_object *self, PyObject *error) {
  const module_state *state = self->loop->state;
  PyObject *told = PyObject_GetAttr(self->protocol, state->names.connection_lost);
  PyObject *handle = told == NULL ? NULL
                                  : PyObject_CallMethodObjArgs((PyObject *)self->loop,
                                                               state->names.call_soon,
                                                               told, error, NULL);
  if (handle == NULL) loop_swallow(self->loop);
  Py_XDECREF(handle);
  Py_XDECREF(told);
}

/* A handshake that nobody knows to have failed is cut off all the same. Who went over to
 * TLS on a connection of his own may have closed it, which is no error. */
static PyObject *tls_shutdown_cause(tls_object *self, PyObject *error) {
  if (error != Py_None) return Py_NewRef(error);
  if (self->announced) return NULL;
  return PyObject_CallFunction(PyExc_ConnectionAbortedError, "s",
                               "The connection was closed during the SSL handshake");
}

/* The protocol is told in a turn of its own: a transport below may call this from the
 * middle of a write. */
void tls_lost(tls_object *self, PyObject *error) {
  if (self->phase == TLS_OVER) return;
  self->phase = TLS_OVER;
  self->closed = true;
  tls_stop_timer(self);
  write_queue_clear(&self->queue);
  if (error == Py_None && self->error != NULL) error = self->error;
  if (self->announced && self->protocol != NULL) tls_shutdown_tell(self, error);
  if (self->waiter != NULL) {
    PyObject *cause = tls_shutdown_cause(self, error);
    if (PyErr_Occurred()) loop_swallow(self->loop);
    tls_wake_waiter(self, cause);
    Py_XDECREF(cause);
  }
  Py_CLEAR(self->protocol);
  Py_CLEAR(self->error);
  Py_CLEAR(self->incoming);
  Py_CLEAR(self->outgoing);
  Py_CLEAR(self->raw);
  if (self->native == NULL) Py_CLEAR(self->lower);
}
