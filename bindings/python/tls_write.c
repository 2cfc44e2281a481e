/* tls_write.c: from the protocol to records.
 *
 * What one callback writes is encrypted when that callback returns, as few records as
 * possible; what the transport below does not want yet stays as the bytes objects that
 * the protocol has written, and costs no memory of its own. */
#include <sys/uio.h>

#include "tls.h"
#include "transport.h"

/* TLS_STEP_BYTES are encrypted before they are handed down; more makes the memory of the
 * ssl objects grow. TLS_TURN_BYTES are handed down before everybody else has a turn: a
 * millisecond's work. */
enum {
  TLS_RECORD_BYTES = 16384,
  TLS_STEP_BYTES = 65536,
  TLS_TURN_BYTES = 1 << 20,
  TLS_PARTS_MAX = 64,
  TLS_LATE_WRITES_LOGGED = 5,
};

static const char tls_write_failed[] = "Fatal error on SSL protocol";

/* ---- flow control ---- */

static void tls_write_tell(tls_object *self, PyObject *name, const char *message) {
  PyObject *result = protocol_call((transport_head *)self, name, NULL);
  if (result == NULL) protocol_report((transport_head *)self, message);
  Py_XDECREF(result);
}

/* All that is unsent pauses the protocol; it is resumed, as asyncio's is, by what waits here
 * once the transport below takes more. That one has marks of its own, so what is unsent stays
 * bounded, but more than `low` of it may be left then. */
void tls_control_writing(tls_object *self) {
  const module_state *state = self->loop->state;
  if (self->writing_paused) {
    if (self->queue.bytes > self->low_bytes || self->lower_paused) return;
    self->writing_paused = false;
    tls_write_tell(self, state->names.resume_writing, "protocol.resume_writing() failed");
  } else if (self->phase <= TLS_OPEN &&
             self->queue.bytes + tls_lower_bytes(self) > self->high_bytes) {
    self->writing_paused = true;
    tls_write_tell(self, state->names.pause_writing, "protocol.pause_writing() failed");
  }
}

void tls_set_lower_paused(tls_object *self, bool paused) {
  self->lower_paused = paused;
  if (!paused) tls_flush(self);
}

/* ---- encrypting ---- */

/* Joins small chunks to one record; a large one is written from where it lies. */
static ssize_t tls_write_next(tls_object *self) {
  struct iovec parts[TLS_PARTS_MAX];
  size_t count = write_queue_peek(&self->queue, parts, TLS_PARTS_MAX, TLS_STEP_BYTES);
  size_t used = 0;
  if (count == 1 || parts[0].iov_len >= TLS_RECORD_BYTES) {
    PyObject *chunk = Py_NewRef(self->queue.chunks[self->queue.first]);
    bool whole = parts[0].iov_len == (size_t)PyBytes_GET_SIZE(chunk);
    ssize_t written = whole ? tls_record_write_bytes(self, chunk)
                            : tls_record_write(self, parts[0].iov_base, parts[0].iov_len);
    Py_DECREF(chunk);
    return written;
  }
  char record[TLS_RECORD_BYTES];
  for (size_t i = 0; i < count && used < sizeof record; i++) {
    size_t room = sizeof record - used;
    size_t len = parts[i].iov_len < room ? parts[i].iov_len : room;
    memcpy(record + used, parts[i].iov_base, len);
    used += len;
  }
  return tls_record_write(self, record, used);
}

/* One step. Returns how much it has encrypted; 0 when there may be no other. */
static size_t tls_write_step(tls_object *self) {
  ssize_t written = tls_write_next(self);
  if (written > 0 && (size_t)written <= self->queue.bytes)
    write_queue_consume(&self->queue, (size_t)written);
  if (written == -1 || tls_record_send(self) < 0) {
    tls_fail(self, tls_write_failed);
    return 0;
  }
  return written > 0 ? (size_t)written : 0;
}

static bool tls_writes(const tls_object *self) {
  return self->phase == TLS_OPEN || self->phase == TLS_FLUSHING;
}

bool tls_unsent(const tls_object *self) {
  return tls_writes(self) && self->queue.count > 0 &&
         (self->flushing || self->lower_paused || tls_lower_rests(self));
}

/* Steps until the turn is over, or nothing more can be handed down. Returns how much it has
 * encrypted. */
static size_t tls_flush_turn(tls_object *self) {
  size_t turn = 0, step;
  do {
    if (!tls_writes(self) || self->queue.count == 0 || self->lower_paused) return turn;
    step = tls_write_step(self);
    turn += step;
  } while (step > 0 && turn < TLS_TURN_BYTES);
  if (step > 0 && self->queue.count > 0 && tls_lower_rest(self) < 0)
    tls_fail(self, tls_write_failed);
  return turn;
}

bool tls_flush(tls_object *self) {
  if (self->flushing || !tls_writes(self)) return false;
  if (self->queue.count > 0 && tls_lower_rests(self)) return false;
  Py_INCREF(self);
  self->flushing = true;
  size_t encrypted = tls_flush_turn(self);
  self->flushing = false;
  if (self->writing_paused) tls_control_writing(self);
  if (self->phase == TLS_FLUSHING && self->queue.count == 0) tls_notify(self);
  Py_DECREF(self);
  return encrypted > 0;
}

void tls_flush_on(tls_object *self) {
  self->resting = false;
  tls_flush(self);
}

/* ---- writing ---- */

/* Encrypts the beginning of a large buffer where it lies, as far as a turn goes. Returns
 * how much. */
static size_t tls_write_direct(tls_object *self, const char *from, size_t len) {
  size_t used = 0;
  ssize_t written = 1;
  if (self->queue.count > 0 || self->flushing) return 0;
  while (written > 0 && len - used > TLS_STEP_BYTES && used < TLS_TURN_BYTES &&
         self->phase == TLS_OPEN && !self->lower_paused && !tls_lower_rests(self)) {
    written = tls_record_write(self, from + used, TLS_STEP_BYTES);
    if (written > 0) used += (size_t)written;
    if (written == -1 || tls_record_send(self) < 0) tls_fail(self, tls_write_failed);
  }
  return used;
}

/* Of a large buffer that may change only what the transport below does not take is
 * copied. */
static int tls_write_buffer(tls_object *self, PyObject *data) {
  Py_buffer view;
  if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return -1;
  size_t used = tls_write_direct(self, view.buf, (size_t)view.len);
  const char *from = (const char *)view.buf + used;
  size_t left = (size_t)view.len - used;
  int result = 0;
  if (left > 0 && self->phase <= TLS_OPEN) {
    PyObject *bytes = PyBytes_FromStringAndSize(from, (Py_ssize_t)left);
    result = bytes == NULL ? -1 : write_queue_push(&self->queue, bytes);
    Py_XDECREF(bytes);
  }
  PyBuffer_Release(&view);
  return result;
}

static int tls_write_data(tls_object *self, PyObject *data) {
  if (!PyBytes_CheckExact(data)) return tls_write_buffer(self, data);
  if (PyBytes_GET_SIZE(data) == 0) return 0;
  return write_queue_push(&self->queue, data);
}

/* What was queued is encrypted when the callback under way returns, or now if it is much
 * or none is. */
static void tls_after_write(tls_object *self) {
  transport_object *native = self->native;
  if (self->phase == TLS_OPEN && self->queue.count > 0) {
    size_t at_once =
        self->high_bytes < TLS_STEP_BYTES ? self->high_bytes : TLS_STEP_BYTES;
    if (native == NULL || self->loop->depth == 0 || self->queue.bytes > at_once)
      tls_flush(self);
    else
      transport_mark_dirty(native);
  }
  if (!self->writing_paused) tls_control_writing(self);
}

static int tls_write_check(PyObject *data) {
  return write_queue_check(data, "data: expecting a bytes-like instance, got %.100s");
}

/* After the end: dropped, and said so when it goes on. 1, or -1 with an exception. */
static int tls_write_late(tls_object *self) {
  if (self->late++ < TLS_LATE_WRITES_LOGGED) return 1;
  PyObject *result =
      state_call(self->loop->state->logger, self->loop->state->names.warning, "(s)",
                 "SSL connection is closed");
  Py_XDECREF(result);
  return result == NULL ? -1 : 1;
}

/* 0 if it may be written, 1 if it is to be dropped, -1 with an exception. */
static int tls_write_begin(tls_object *self) {
  if (self->closed || self->phase > TLS_OPEN) return tls_write_late(self);
  return loop_check_use(self->loop);
}

PyObject *tls_write(PyObject *object, PyObject *data) {
  tls_object *self = (tls_object *)object;
  if (tls_write_check(data) < 0) return NULL;
  Py_ssize_t size = PyObject_Size(data);
  if (size < 0) return NULL;
  if (size == 0) Py_RETURN_NONE;
  int result = tls_write_begin(self);
  if (result == 0) {
    result = tls_write_data(self, data);
    if (result == 0) tls_after_write(self);
  }
  if (result < 0) return NULL;
  Py_RETURN_NONE;
}

/* A tuple: taking the items' buffers may run code that changes their list. */
PyObject *tls_writelines(PyObject *object, PyObject *list) {
  tls_object *self = (tls_object *)object;
  PyObject *items = PySequence_Tuple(list);
  if (items == NULL) return NULL;
  int result = 0;
  Py_ssize_t count = PyTuple_GET_SIZE(items);
  for (Py_ssize_t i = 0; i < count && result == 0; i++)
    result = tls_write_check(PyTuple_GET_ITEM(items, i));
  if (result == 0 && count > 0) result = tls_write_begin(self);
  for (Py_ssize_t i = 0; i < count && result == 0; i++)
    result = tls_write_data(self, PyTuple_GET_ITEM(items, i));
  if (result == 0) tls_after_write(self);
  Py_DECREF(items);
  if (result < 0) return NULL;
  Py_RETURN_NONE;
}

/* No other call leaves a backlog without room below being short; CPython's tests, and
 * those of others after them, make one by asyncio's name for this. */
PyObject *tls_queue_only(PyObject *object, PyObject *bytes) {
  tls_object *self = (tls_object *)object;
  if (!PyBytes_CheckExact(bytes) || PyBytes_GET_SIZE(bytes) == 0) {
    PyErr_SetString(PyExc_TypeError, "bytes that are not empty are expected");
    return NULL;
  }
  int result = tls_write_begin(self);
  if (result == 0) result = write_queue_push(&self->queue, bytes);
  if (result < 0) return NULL;
  Py_RETURN_NONE;
}
