/* transport_read.c: from the socket, or the core's pooled buffers, to the protocol.
 *
 * The core tells that something came, and it is received here: to where the protocol wants
 * it, or at least just before it is used. On a ring what comes in small pieces comes in
 * pooled buffers, without a system call each; for large ones the copy out of there and the
 * memory that many of them pass through cost more than the call.
 *
 * A multishot receive cannot pause: it is cancelled, and armed again by resume_reading.
 * What it had received by then is held. */
#include "convert.h"
#include "stream.h"
#include "transport.h"

/* After a piece of so many bytes the next is received to where it will stay, into a bytes
 * object or a reader's buffer, which takes memory for the largest there may be and gives
 * back the rest. On a ring a connection goes over to that with its first such piece, and
 * back after so many successive smaller ones. */
enum { TRANSPORT_LARGE_BYTES = 32768, TRANSPORT_SMALL_PIECES = 32 };

enum { TRANSPORT_KEPT_BYTES = 262144, TRANSPORT_COPIED_BYTES = 4096 };

static const char transport_read_failed[] = "Fatal read error on socket transport";

static const char transport_data_failed[] =
    "Fatal error: protocol.data_received() call failed.";

static bool transport_takes_input(const transport_object *self) {
  return self->started && !self->paused && !self->closing;
}

static void transport_on_receive(bide_op *op);

void transport_update_reading(transport_object *self) {
  bool wanted = transport_takes_input(self) && !self->eof_received && self->held == NULL;
  bool pooled = self->loop->pools_input && !self->bulky;
  if (wanted && !self->receive_armed) {
    self->pooled = pooled;
    if (pooled)
      bide_prep_recv_multi(&self->receive, self->fd);
    else
      bide_prep_recv_ready(&self->receive, self->fd);
    self->receive.cb = transport_on_receive;
    int code = bide_loop_submit(self->loop->core, &self->receive);
    if (code < 0) {
      transport_fail_code(self, code, transport_read_failed);
      return;
    }
    self->receive_armed = true;
    Py_INCREF(self);
  } else if (self->receive_armed && !self->receive_cancelling &&
             (!wanted || pooled != self->pooled)) {
    self->receive_cancelling = true;
    bide_loop_cancel(self->loop->core, &self->receive);
  }
}

/* ---- delivery ---- */

/* Keeps a piece for resume_reading. */
static void transport_hold(transport_object *self, const char *base, size_t len) {
  if (self->closing) return;
  PyObject *piece = PyBytes_FromStringAndSize(base, (Py_ssize_t)len);
  if (self->held == NULL) self->held = PyList_New(0);
  if (piece == NULL || self->held == NULL || PyList_Append(self->held, piece) < 0)
    transport_fail(self, transport_read_failed);
  Py_XDECREF(piece);
  transport_update_reading(self);
}

static void transport_give(transport_object *self, const char *base, size_t len);

static void transport_give_data(transport_object *self, PyObject *data) {
  PyObject *result = transport_call(self, self->loop->state->names.data_received, data);
  if (result == NULL) transport_fail(self, transport_data_failed);
  Py_XDECREF(result);
}

/* The buffer that the protocol offers. False when the connection has failed over it. */
static bool transport_get_buffer(transport_object *self, Py_buffer *view) {
  static const char message[] = "Fatal error: protocol.get_buffer() call failed.";
  PyObject *hint = PyLong_FromLong(-1);
  PyObject *target =
      hint == NULL ? NULL
                   : transport_call(self, self->loop->state->names.get_buffer, hint);
  Py_XDECREF(hint);
  int code = target == NULL ? -1 : PyObject_GetBuffer(target, view, PyBUF_WRITABLE);
  Py_XDECREF(target);
  if (code == 0 && view->len > 0) return true;
  if (code == 0) {
    PyBuffer_Release(view);
    PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
  }
  transport_fail(self, message);
  return false;
}

/* False when the connection has failed over it. */
static bool transport_buffer_updated(transport_object *self, size_t count) {
  PyObject *number = PyLong_FromSize_t(count);
  PyObject *result =
      number == NULL
          ? NULL
          : transport_call(self, self->loop->state->names.buffer_updated, number);
  Py_XDECREF(number);
  if (result == NULL)
    transport_fail(self, "Fatal error: protocol.buffer_updated() call failed.");
  Py_XDECREF(result);
  return result != NULL;
}

static void transport_give_buffer(transport_object *self, const char *base, size_t len) {
  while (len > 0 && self->buffered && transport_takes_input(self)) {
    Py_buffer view;
    if (!transport_get_buffer(self, &view)) return;
    size_t count = (size_t)view.len < len ? (size_t)view.len : len;
    memcpy(view.buf, base, count);
    PyBuffer_Release(&view);
    if (!transport_buffer_updated(self, count)) return;
    base += count;
    len -= count;
  }
  if (len > 0) transport_give(self, base, len);
}

/* TLS copies it into its own buffer. For little one more copy costs less than a view. */
static void transport_give_tls(transport_object *self, const char *base, size_t len) {
  PyObject *data =
      len <= TRANSPORT_COPIED_BYTES
          ? PyBytes_FromStringAndSize(base, (Py_ssize_t)len)
          : PyMemoryView_FromMemory((char *)base, (Py_ssize_t)len, PyBUF_READ);
  if (data == NULL) {
    transport_fail(self, transport_read_failed);
    return;
  }
  tls_receive(self->tls, data);
  Py_DECREF(data);
}

/* False when the protocol's own method must be called. In debug mode it is, for what the
 * handles that it makes tell of their origin. */
static bool transport_feed_stream(transport_object *self, const char *base, size_t len) {
  if (!self->stream || self->loop->debug) return false;
  PyObject *protocol = Py_NewRef(self->protocol);
  int fed = stream_feed(self->loop, protocol, base, len);
  if (fed < 0) transport_fail(self, transport_data_failed);
  Py_DECREF(protocol);
  return fed != 0;
}

/* To whichever kind of protocol is on top now: a callback may have changed it. */
static void transport_give(transport_object *self, const char *base, size_t len) {
  if (!transport_takes_input(self) || self->held != NULL) {
    transport_hold(self, base, len);
  } else if (self->tls != NULL) {
    transport_give_tls(self, base, len);
  } else if (self->buffered) {
    transport_give_buffer(self, base, len);
  } else if (!transport_feed_stream(self, base, len)) {
    PyObject *data = PyBytes_FromStringAndSize(base, (Py_ssize_t)len);
    if (data == NULL) {
      transport_fail(self, transport_read_failed);
      return;
    }
    transport_give_data(self, data);
    Py_DECREF(data);
  }
}

/* result: 0 for the end of the stream, or an error. */
static void transport_give_end(transport_object *self, int result) {
  if (result < 0) {
    transport_fail_code(self, result, transport_read_failed);
    return;
  }
  self->eof_received = true;
  PyObject *keep_open = transport_call(self, self->loop->state->names.eof_received, NULL);
  int keep = keep_open == NULL ? -1 : PyObject_IsTrue(keep_open);
  Py_XDECREF(keep_open);
  if (keep < 0)
    transport_fail(self, "Fatal error: protocol.eof_received() call failed.");
  else if (!keep)
    transport_close(self);
}

static void transport_on_end(transport_object *self, int result) {
  if (self->closing) return;
  if (transport_takes_input(self) && self->held == NULL)
    transport_give_end(self, result);
  else
    self->held_end = result;
}

void transport_deliver_held(transport_object *self) {
  PyObject *held = self->held;
  self->held = NULL;
  Py_ssize_t count = held == NULL ? 0 : PyList_GET_SIZE(held);
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *piece = PyList_GET_ITEM(held, i);
    transport_give(self, PyBytes_AS_STRING(piece), (size_t)PyBytes_GET_SIZE(piece));
  }
  Py_XDECREF(held);
  if (self->held_end <= 0 && self->held == NULL && transport_takes_input(self)) {
    int result = self->held_end;
    self->held_end = 1;
    transport_give_end(self, result);
  }
  transport_update_reading(self);
}

/* ---- receiving ---- */

/* Each returns what bide_receive() did, BIDE_EAGAIN when it was not called. */

static int transport_receive_buffer(transport_object *self) {
  Py_buffer view;
  if (!transport_get_buffer(self, &view)) return BIDE_EAGAIN;
  int result = BIDE_EAGAIN;
  if (self->buffered && transport_takes_input(self))
    result = bide_receive(&self->receive, view.buf, (size_t)view.len);
  PyBuffer_Release(&view);
  if (result > 0) transport_buffer_updated(self, (size_t)result);
  return result;
}

static int transport_receive_bytes(transport_object *self) {
  PyObject *data = PyBytes_FromStringAndSize(NULL, LOOP_INPUT_BYTES);
  int result = BIDE_EAGAIN;
  if (data != NULL)
    result = bide_receive(&self->receive, PyBytes_AS_STRING(data), LOOP_INPUT_BYTES);
  if (result > 0) (void)_PyBytes_Resize(&data, result);
  if (data == NULL) {
    transport_fail(self, transport_read_failed);
    return BIDE_EAGAIN;
  }
  if (result > 0) transport_give_data(self, data);
  Py_DECREF(data);
  return result;
}

static int transport_receive_piece(transport_object *self) {
  void *input = loop_input(self->loop);
  if (input == NULL) {
    transport_fail(self, transport_read_failed);
    return BIDE_EAGAIN;
  }
  int result = bide_receive(&self->receive, input, LOOP_INPUT_BYTES);
  if (result > 0) transport_give(self, input, (size_t)result);
  return result;
}

/* Into the buffer of asyncio's own reader, where it can be done. */
static int transport_receive_stream(transport_object *self) {
  int result = BIDE_EAGAIN;
  PyObject *protocol = Py_NewRef(self->protocol);
  int done =
      stream_receive(self->loop, protocol, &self->receive, LOOP_INPUT_BYTES, &result);
  Py_DECREF(protocol);
  if (done < 0) transport_fail(self, transport_data_failed);
  return done == 0 ? transport_receive_piece(self) : result;
}

/* To where the protocol wants it. Debug mode has a reader's own methods called. */
static int transport_receive_plain(transport_object *self) {
  if (self->buffered) return transport_receive_buffer(self);
  if (!self->large || (self->stream && self->loop->debug))
    return transport_receive_piece(self);
  return self->stream ? transport_receive_stream(self) : transport_receive_bytes(self);
}

/* Goes over from pooled buffers to receives of its own, or back. */
static void transport_weigh_piece(transport_object *self, size_t len) {
  if (len >= TRANSPORT_LARGE_BYTES) {
    self->small_pieces = 0;
    self->bulky = true;
  } else if (self->bulky && ++self->small_pieces == TRANSPORT_SMALL_PIECES) {
    self->bulky = false;
  }
  if (self->bulky == self->pooled) transport_update_reading(self);
}

/* A receive that is at its end asks no protocol for a buffer. What was told before a pause
 * is held: a protocol that pauses every other turn must get on. */
static void transport_receive(transport_object *self, bool last) {
  bool ended = self->eof_received || self->held_end <= 0;
  if (self->closing || ended || self->held != NULL) return;
  bool plain = self->tls == NULL && !self->paused && !last;
  int result = plain ? transport_receive_plain(self) : transport_receive_piece(self);
  self->large = result >= TRANSPORT_LARGE_BYTES;
  if (self->loop->pools_input && result > 0) transport_weigh_piece(self, (size_t)result);
  if (self->stream && result > 0) self->loop->kept_bytes += (size_t)result;
  if (result > 0 || result == BIDE_EAGAIN) return;
  transport_on_end(self, result);
  transport_update_reading(self);
}

static void transport_take_completion(transport_object *self, const bide_op *op) {
  int32_t result = op->result;
  if ((op->flags & BIDE_OP_READY) != 0) {
    transport_receive(self, (op->flags & BIDE_OP_MORE) == 0);
    return;
  }
  if ((op->flags & BIDE_OP_BUFFER) != 0) {
    uint16_t buffer_id = op->buffer_id;
    if (result > 0) transport_give(self, op->buffer, (size_t)result);
    bide_buffer_release(self->loop->core, buffer_id);
    if (result > 0) transport_weigh_piece(self, (size_t)result);
  }
  if (result <= 0 && result != BIDE_ECANCELED) transport_on_end(self, result);
}

/* What a reader's task will use in a turn of its own is received a few pieces a turn: of
 * more the first would have left the cache by then. 64 streams of 100 KiB messages cost a
 * fifth more without that. The rest is told again, unlike a piece that has come. */
static bool transport_puts_off(const transport_object *self, const bide_op *op) {
  bool told_again = (op->flags & BIDE_OP_READY) != 0 && (op->flags & BIDE_OP_MORE) != 0;
  return told_again && self->stream && self->loop->kept_bytes >= TRANSPORT_KEPT_BYTES;
}

static void transport_on_receive(bide_op *op) {
  transport_object *self = BIDE_CONTAINER_OF(op, transport_object, receive);
  loop_object *loop = self->loop;
  bool last = (op->flags & BIDE_OP_MORE) == 0;
  if (transport_puts_off(self, op)) return;
  if (last) self->receive_armed = self->receive_cancelling = false;
  if (loop->draining) {
    if ((op->flags & BIDE_OP_BUFFER) != 0) bide_buffer_release(loop->core, op->buffer_id);
  } else {
    loop_enter(loop);
    transport_take_completion(self, op);
    if (last) transport_update_reading(self);
    transport_finish(self);
    loop_leave(loop);
  }
  if (last) Py_DECREF(self);
}

/* ---- pausing ---- */

/* Flushed at once: the kernel would go on receiving for the peer until the next wait,
 * and the peer's writer would not feel that nobody reads. */
void transport_pause_reading(transport_object *self) {
  if (self->closing || self->paused) return;
  self->paused = true;
  transport_update_reading(self);
  if (self->receive_cancelling && self->pooled) (void)bide_loop_flush(self->loop->core);
}

void transport_resume_reading(transport_object *self) {
  if (self->closing || !self->paused) return;
  self->paused = false;
  if (self->held != NULL || self->held_end <= 0)
    transport_schedule(self);
  else
    transport_update_reading(self);
}
