/* transport_write.c: from the protocol to the socket.
 *
 * The bytes never belong to the kernel beyond a system call: they are sent without
 * blocking, and what the socket does not take waits for a poll to say that it will. */
#include <errno.h>
#include <poll.h>
#include <sys/uio.h>

#include "convert.h"
#include "list.h"
#include "transport.h"

enum { TRANSPORT_PARTS_MAX = 64 };

static const char transport_write_failed[] = "Fatal write error on socket transport";

/* ---- sending ---- */

static void transport_on_writable(bide_op *op);

/* The number of bytes sent, or a code. */
static ssize_t transport_send(transport_object *self, struct iovec *parts, size_t count) {
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
  int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  ssize_t sent;
  do {
    sent = count == 1 ? send(self->fd, parts->iov_base, parts->iov_len, flags)
                      : sendmsg(self->fd, &message, flags);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return -errno;
  const loop_object *loop = self->loop;
  if (loop->paired || (loop->listened && loop->connected))
    bide_loop_look_next(loop->core);
  return sent;
}

void transport_await_writable(transport_object *self) {
  if (self->poll == NULL) self->poll = PyMem_Calloc(1, sizeof *self->poll);
  if (self->poll == NULL) {
    PyErr_NoMemory();
    transport_fail(self, transport_write_failed);
    return;
  }
  bide_prep_poll(self->poll, self->fd, POLLOUT);
  self->poll->cb = transport_on_writable;
  self->poll->data = self;
  int code = bide_loop_submit(self->loop->core, self->poll);
  if (code < 0) {
    transport_fail_code(self, code, transport_write_failed);
    return;
  }
  self->poll_armed = true;
  Py_INCREF(self);
}

/* Sends until the queue is empty, the socket full or others have waited long enough. */
static void transport_send_queue(transport_object *self) {
  size_t turn = WRITE_TURN_BYTES;
  while (self->queue.count > 0 && !self->lost) {
    struct iovec parts[TRANSPORT_PARTS_MAX];
    size_t count = write_queue_peek(&self->queue, parts, TRANSPORT_PARTS_MAX, turn);
    ssize_t sent = count > 0 ? transport_send(self, parts, count) : BIDE_EAGAIN;
    if (sent == BIDE_EAGAIN) {
      transport_await_writable(self);
      return;
    }
    if (sent < 0) {
      transport_fail_code(self, (int)sent, transport_write_failed);
      return;
    }
    write_queue_consume(&self->queue, (size_t)sent);
    turn -= (size_t)sent;
  }
}

bool transport_unsent(const transport_object *self) {
  return self->queue.count > 0 || (self->tls != NULL && tls_unsent(self->tls));
}

static void transport_tell_writing(transport_object *self, PyObject *name,
                                   const char *message) {
  PyObject *result = transport_call(self, name, NULL);
  if (result == NULL) transport_report(self, message);
  Py_XDECREF(result);
}

static void transport_pause_writing(transport_object *self) {
  if (self->writing_paused || self->queue.bytes <= self->high_bytes) return;
  self->writing_paused = true;
  transport_tell_writing(self, self->loop->state->names.pause_writing,
                         "protocol.pause_writing() failed");
}

static void transport_resume_writing(transport_object *self) {
  if (!self->writing_paused || self->queue.bytes > self->low_bytes) return;
  self->writing_paused = false;
  transport_tell_writing(self, self->loop->state->names.resume_writing,
                         "protocol.resume_writing() failed");
}

void transport_flushed(transport_object *self) {
  if (self->closing) {
    self->lost = 1;
    if (self->poll_armed) bide_loop_cancel(self->loop->core, self->poll);
    transport_schedule(self);
  } else if (self->eof_written) {
    (void)shutdown(self->fd, SHUT_WR);
  }
}

void transport_flush(transport_object *self) {
  if (self->tls != NULL) tls_flush(self->tls);
  bool idle = !transport_unsent(self) && !transport_sends_file(self);
  if (self->poll_armed || self->lost || idle) return;
  transport_send_queue(self);
  if (self->lost) return;
  transport_resume_writing(self);
  if (transport_unsent(self) || self->lost) return;
  if (transport_sends_file(self) && !self->closing) transport_continue_file(self);
  if (!transport_sends_file(self) || self->closing) transport_flushed(self);
}

void transport_try_now(transport_object *self) {
  if (!self->loop->closed) transport_flush(self);
}

static void transport_on_writable(bide_op *op) {
  transport_object *self = op->data;
  loop_object *loop = self->loop;
  self->poll_armed = false;
  if (!loop->draining) {
    loop_enter(loop);
    transport_flush(self);
    transport_finish(self);
    loop_leave(loop);
  }
  Py_DECREF(self);
}

/* ---- writing ---- */

/* Queues a copy of what the socket does not take of a large buffer at once, so that it
 * is not copied for nothing. */
static int transport_queue_buffer(transport_object *self, PyObject *data) {
  Py_buffer view;
  if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return -1;
  struct iovec rest = {view.buf, (size_t)view.len};
  if (view.len > TRANSPORT_COALESCE_MAX && self->queue.count == 0) {
    if (rest.iov_len > WRITE_TURN_BYTES) rest.iov_len = WRITE_TURN_BYTES;
    ssize_t sent = transport_send(self, &rest, 1);
    rest.iov_len = (size_t)view.len;
    if (sent > 0) {
      rest.iov_base = (char *)rest.iov_base + sent;
      rest.iov_len -= (size_t)sent;
    }
  }
  int result = 0;
  if (rest.iov_len > 0) {
    PyObject *bytes = PyBytes_FromStringAndSize(rest.iov_base, (Py_ssize_t)rest.iov_len);
    result = bytes == NULL ? -1 : write_queue_push(&self->queue, bytes);
    Py_XDECREF(bytes);
  }
  PyBuffer_Release(&view);
  return result;
}

/* After connection_lost is certain: dropped, and said so when it goes on. */
static int transport_write_late(transport_object *self) {
  if (self->lost++ < WRITE_LATE_LOGGED) return 0;
  PyObject *result = PyObject_CallMethodNoArgs((PyObject *)self->loop,
                                               self->loop->state->names._late_write);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

static int transport_queue_data(transport_object *self, PyObject *data) {
  if (!PyBytes_CheckExact(data)) return transport_queue_buffer(self, data);
  if (PyBytes_GET_SIZE(data) == 0) return 0;
  return write_queue_push(&self->queue, data);
}

void transport_mark_dirty(transport_object *self) {
  if (list_linked(&self->dirty)) return;
  list_push(&self->loop->dirty, &self->dirty);
  Py_INCREF(self);
}

/* What was queued leaves when the callback under way returns, or now if it is much or
 * none is. */
static void transport_after_write(transport_object *self) {
  loop_object *loop = self->loop;
  size_t at_once = self->high_bytes < TRANSPORT_COALESCE_MAX ? self->high_bytes
                                                             : TRANSPORT_COALESCE_MAX;
  if (self->queue.bytes > at_once || loop->depth == 0) transport_flush(self);
  if (self->queue.count == 0 || self->lost) return;
  if (!self->poll_armed) transport_mark_dirty(self);
  transport_pause_writing(self);
}

int transport_check_write(transport_object *self, const char *method) {
  if (loop_check_here(self->loop) < 0) return -1;
  if (self->eof_written) {
    PyErr_Format(PyExc_RuntimeError, "Cannot call %s() after write_eof()", method);
    return -1;
  }
  if (transport_sends_file(self)) {
    PyErr_Format(PyExc_RuntimeError, "unable to %s; sendfile is in progress", method);
    return -1;
  }
  return self->lost ? 0 : loop_check_open(self->loop);
}

/* In Python: the words for what is no data, and whether a line is passed over, are those of
 * this release's asyncio. NULL with an exception for what is refused. */
static PyObject *transport_refuse(transport_object *self, PyObject *name,
                                  PyObject *data) {
  return PyObject_CallMethodOneArg((PyObject *)self->loop, name, data);
}

PyObject *transport_write(PyObject *object, PyObject *data) {
  transport_object *self = (transport_object *)object;
  if (!write_queue_takes(data))
    return transport_refuse(self, self->loop->state->names._refuse_data, data);
  if (transport_check_write(self, "write") < 0) return NULL;
  if (self->lost) {
    if (PyObject_Size(data) > 0 && transport_write_late(self) < 0) return NULL;
    Py_RETURN_NONE;
  }
  if (transport_queue_data(self, data) < 0) return NULL;
  transport_after_write(self);
  Py_RETURN_NONE;
}

int transport_write_bytes(transport_object *self, PyObject *bytes) {
  if (self->lost || self->eof_written) return 0;
  if (write_queue_push(&self->queue, bytes) < 0) return -1;
  transport_after_write(self);
  return 0;
}

static PyObject *transport_write_joined(transport_object *self, PyObject *lines) {
  PyObject *data = write_queue_join(lines, self->loop->state->names.join);
  PyObject *result = data == NULL ? NULL : transport_write((PyObject *)self, data);
  Py_XDECREF(data);
  return result;
}

static int transport_check_line(transport_object *self, PyObject *line) {
  if (PyObject_CheckBuffer(line)) return 0;
  PyObject *passed = transport_refuse(self, self->loop->state->names._refuse_line, line);
  Py_XDECREF(passed);
  return passed == NULL ? -1 : 0;
}

static int transport_queue_line(transport_object *self, PyObject *line) {
  return PyObject_CheckBuffer(line) ? transport_queue_data(self, line) : 0;
}

/* A tuple: taking the items' buffers may run code that changes their list. */
PyObject *transport_writelines(PyObject *object, PyObject *list) {
  transport_object *self = (transport_object *)object;
  if (COMPAT_JOINS_LINES) return transport_write_joined(self, list);
  if (transport_check_write(self, "writelines") < 0) return NULL;
  int any = PyObject_IsTrue(list);
  if (any < 0) return NULL;
  if (!any) Py_RETURN_NONE;
  PyObject *items = PySequence_Tuple(list);
  if (items == NULL) return NULL;
  /* The iteration may have run anything. */
  int result = transport_check_write(self, "writelines");
  Py_ssize_t count = PyTuple_GET_SIZE(items);
  for (Py_ssize_t i = 0; i < count && result == 0; i++)
    result = transport_check_line(self, PyTuple_GET_ITEM(items, i));
  if (result == 0 && count > 0 && self->lost) result = transport_write_late(self);
  if (!self->lost) {
    for (Py_ssize_t i = 0; i < count && result == 0; i++)
      result = transport_queue_line(self, PyTuple_GET_ITEM(items, i));
    if (result == 0) transport_after_write(self);
  }
  Py_DECREF(items);
  if (result < 0) return NULL;
  Py_RETURN_NONE;
}

PyObject *transport_write_eof(PyObject *object, PyObject *unused) {
  (void)unused;
  transport_object *self = (transport_object *)object;
  if (self->closing || self->eof_written) Py_RETURN_NONE;
  if (loop_check_use(self->loop) < 0) return NULL;
  self->eof_written = true;
  if (self->queue.count == 0 && !transport_sends_file(self))
    (void)shutdown(self->fd, SHUT_WR);
  else
    transport_flush(self);
  Py_RETURN_NONE;
}

/* ---- limits ---- */

int transport_set_limits(transport_object *self, PyObject *high, PyObject *low) {
  if (loop_check_here(self->loop) < 0 ||
      write_limits_parse(high, low, &self->high_bytes, &self->low_bytes) < 0)
    return -1;
  transport_try_now(self);
  if (self->queue.bytes > self->high_bytes && !self->lost) transport_pause_writing(self);
  return 0;
}
