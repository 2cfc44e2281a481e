/* pipe_write.c: from the protocol to a pipe.
 *
 * What the pipe does not take at once waits in the queue for a poll to say that it will.
 * Another poll waits for the reader to go away, which a pipe that is not written to would
 * never learn. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/uio.h>

#include "convert.h"
#include "owner.h"
#include "pipe.h"

enum { WRITE_PIPE_PARTS_MAX = 64, WRITE_PIPE_LATE_WRITES_LOGGED = 5 };

static const char write_pipe_failed[] = "Fatal write error on pipe transport";

static write_pipe_object *write_pipe_of(PyObject *object) {
  return (write_pipe_object *)object;
}

/* ---- flow control ---- */

static void write_pipe_pause_protocol(write_pipe_object *self) {
  if (self->writing_paused || self->queue.bytes <= self->high_bytes) return;
  self->writing_paused = true;
  pipe_tell(&self->base, self->base.loop->state->names.pause_writing, NULL);
}

static void write_pipe_resume_protocol(write_pipe_object *self) {
  if (!self->writing_paused || self->queue.bytes > self->low_bytes) return;
  self->writing_paused = false;
  pipe_tell(&self->base, self->base.loop->state->names.resume_writing, NULL);
}

/* ---- writing ---- */

static void write_pipe_on_writable(bide_op *op);

/* A broken pipe is the reader's business, and told to connection_lost alone. */
static void write_pipe_fail(write_pipe_object *self, int code) {
  convert_raise(code);
  pipe_fail(&self->base, write_pipe_failed, false);
}

/* The number of bytes written, or a code. */
static ssize_t write_pipe_send(write_pipe_object *self, size_t bytes_max) {
  struct iovec parts[WRITE_PIPE_PARTS_MAX];
  size_t count = write_queue_peek(&self->queue, parts, WRITE_PIPE_PARTS_MAX, bytes_max);
  if (count == 0) return BIDE_EAGAIN;
  if (!pipe_has_file(&self->base)) return BIDE_EBADF;
  ssize_t sent;
  do {
    sent = writev(self->base.fd, parts, (int)count);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

/* Writes until the queue is empty, the pipe full or others have waited long enough. */
static void write_pipe_flush(write_pipe_object *self) {
  pipe_object *base = &self->base;
  size_t turn = WRITE_TURN_BYTES;
  while (self->queue.count > 0 && !base->ended) {
    ssize_t sent = write_pipe_send(self, turn);
    if (sent == BIDE_EAGAIN) {
      base->poll.cb = write_pipe_on_writable;
      base->poll_armed = pipe_arm(base, &base->poll, POLLOUT);
      return;
    }
    if (sent < 0) {
      write_pipe_fail(self, (int)sent);
      return;
    }
    write_queue_consume(&self->queue, (size_t)sent);
    turn -= (size_t)sent;
  }
}

static void write_pipe_on_writable(bide_op *op) {
  write_pipe_object *self = BIDE_CONTAINER_OF(op, write_pipe_object, base.poll);
  loop_object *loop = self->base.loop;
  self->base.poll_armed = false;
  if (!loop->draining && !self->base.ended) {
    loop_enter(loop);
    if (op->result < 0 && op->result != BIDE_ECANCELED)
      write_pipe_fail(self, op->result);
    else
      write_pipe_flush(self);
    if (!self->base.ended) write_pipe_resume_protocol(self);
    if (self->base.closing && self->queue.count == 0) pipe_end(&self->base, NULL);
    loop_leave(loop);
  }
  Py_DECREF(self);
}

/* ---- the reader's end ---- */

static void write_pipe_update(pipe_object *base);

static void write_pipe_on_hangup(bide_op *op) {
  write_pipe_object *self = BIDE_CONTAINER_OF(op, write_pipe_object, hangup);
  loop_object *loop = self->base.loop;
  self->hangup_armed = false;
  if (!loop->draining && !self->base.ended) {
    loop_enter(loop);
    if (op->result == BIDE_ECANCELED)
      write_pipe_update(&self->base);
    else if (op->result < 0 || self->queue.count > 0)
      write_pipe_fail(self, op->result < 0 ? op->result : BIDE_EPIPE);
    else
      pipe_end(&self->base, NULL);
    loop_leave(loop);
  }
  Py_DECREF(self);
}

/* A terminal's other end may come back, so that it alone is not watched. */
static void write_pipe_update(pipe_object *base) {
  write_pipe_object *self = (write_pipe_object *)base;
  if (self->hangup_armed || S_ISCHR(base->mode)) return;
  self->hangup.cb = write_pipe_on_hangup;
  self->hangup_armed =
      pipe_arm(base, &self->hangup, S_ISSOCK(base->mode) ? POLLRDHUP : 0);
}

static void write_pipe_stop(pipe_object *base) {
  write_pipe_object *self = (write_pipe_object *)base;
  write_queue_clear(&self->queue);
  if (base->poll_armed) bide_loop_cancel(base->loop->core, &base->poll);
  if (self->hangup_armed) bide_loop_cancel(base->loop->core, &self->hangup);
}

static const pipe_kind write_pipe_kind = {write_pipe_update, write_pipe_stop};

PyObject *loop_write_pipe(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  write_pipe_object *self = (write_pipe_object *)pipe_connect(
      loop, loop->state->write_pipe_type, &write_pipe_kind, "_write_pipe",
      "Pipe transport is only for pipes, sockets and character devices", args, nargs);
  if (self == NULL) return NULL;
  write_queue_init(&self->queue);
  self->high_bytes = WRITE_LIMIT_HIGH_BYTES;
  self->low_bytes = WRITE_LIMIT_HIGH_BYTES / 4;
  return (PyObject *)self;
}

/* ---- methods ---- */

static int write_pipe_queue(write_pipe_object *self, PyObject *data) {
  PyObject *bytes = PyBytes_FromObject(data);
  if (bytes == NULL) return -1;
  int result = PyBytes_GET_SIZE(bytes) == 0 ? 0 : write_queue_push(&self->queue, bytes);
  Py_DECREF(bytes);
  return result;
}

/* Tries at once, unless what is queued must go first. */
static void write_pipe_after_write(write_pipe_object *self) {
  if (!self->base.poll_armed) write_pipe_flush(self);
  if (!self->base.ended) write_pipe_pause_protocol(self);
}

/* After the end: dropped, and said so when it goes on. */
static int write_pipe_write_late(write_pipe_object *self) {
  if (self->late_writes++ < WRITE_PIPE_LATE_WRITES_LOGGED) return 0;
  loop_object *loop = self->base.loop;
  PyObject *result =
      state_call((PyObject *)loop, loop->state->names._late_write, "(s)",
                 "pipe closed by peer or os.write(pipe, data) raised exception.");
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

/* asyncio asserts of a pipe's data what it checks of a socket's. */
static PyObject *write_pipe_refuse(PyObject *data) {
  PyObject *text = PyObject_Repr(data);
  if (text != NULL) PyErr_SetObject(PyExc_AssertionError, text);
  Py_XDECREF(text);
  return NULL;
}

static PyObject *write_pipe_write(PyObject *object, PyObject *data) {
  write_pipe_object *self = write_pipe_of(object);
  if (!write_queue_takes(data)) return write_pipe_refuse(data);
  Py_ssize_t len = PyObject_Size(data);
  if (len < 0) return NULL;
  if (len == 0) Py_RETURN_NONE;
  if (self->base.closing) {
    if (write_pipe_write_late(self) < 0) return NULL;
    Py_RETURN_NONE;
  }
  if (loop_check_use(self->base.loop) < 0 || write_pipe_queue(self, data) < 0)
    return NULL;
  write_pipe_after_write(self);
  Py_RETURN_NONE;
}

static PyObject *write_pipe_writelines(PyObject *object, PyObject *list) {
  loop_object *loop = write_pipe_of(object)->base.loop;
  PyObject *data = write_queue_join(list, loop->state->names.join);
  PyObject *result = data == NULL ? NULL : write_pipe_write(object, data);
  Py_XDECREF(data);
  return result;
}

CONVERT_METHOD(write_pipe_write_method, write_pipe_write, "write", "data")
CONVERT_METHOD(write_pipe_writelines_method, write_pipe_writelines, "writelines",
               "list_of_data")

static void write_pipe_close_here(PyObject *object) {
  write_pipe_object *self = write_pipe_of(object);
  if (!self->base.closing && (self->queue.count == 0 || self->base.loop->closed))
    pipe_end(&self->base, NULL);
  self->base.closing = true;
}

static PyObject *write_pipe_close(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((pipe_object *)self)->loop, self, write_pipe_close_here);
  Py_RETURN_NONE;
}

static PyObject *write_pipe_abort(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((pipe_object *)self)->loop, self, pipe_abort);
  Py_RETURN_NONE;
}

static PyObject *write_pipe_can_write_eof(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  Py_RETURN_TRUE;
}

static PyObject *write_pipe_get_size(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyLong_FromSize_t(write_pipe_of(self)->queue.bytes);
}

static PyObject *write_pipe_get_limits(PyObject *object, PyObject *unused) {
  (void)unused;
  write_pipe_object *self = write_pipe_of(object);
  return Py_BuildValue("nn", (Py_ssize_t)self->low_bytes, (Py_ssize_t)self->high_bytes);
}

static PyObject *write_pipe_set_limits(PyObject *object, PyObject *args,
                                       PyObject *keywords) {
  static char *names[] = {"high", "low", NULL};
  write_pipe_object *self = write_pipe_of(object);
  PyObject *high = NULL, *low = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OO:set_write_buffer_limits", names,
                                   &high, &low) ||
      write_limits_parse(high, low, &self->high_bytes, &self->low_bytes) < 0)
    return NULL;
  if (!self->base.ended) write_pipe_pause_protocol(self);
  Py_RETURN_NONE;
}

static PyObject *write_pipe_repr(PyObject *object) {
  write_pipe_object *self = write_pipe_of(object);
  PyObject *begin = pipe_repr_begin(&self->base, "WritePipeTransport");
  if (begin == NULL) return NULL;
  const char *waits = pipe_waits(&self->base);
  PyObject *repr =
      self->base.open && !self->base.loop->closed
          ? PyUnicode_FromFormat("%U%s bufsize=%zu>", begin, waits, self->queue.bytes)
          : PyUnicode_FromFormat("%U%s>", begin, waits);
  Py_DECREF(begin);
  return repr;
}

static void write_pipe_dealloc(PyObject *object) {
  write_queue_clear(&write_pipe_of(object)->queue);
  pipe_dealloc(object);
}

/* ---- the type ---- */

static PyMethodDef write_pipe_methods[] = {
    {"write", CONVERT_METHOD_ENTRY(write_pipe_write_method),
     "write(data)\nWrite bytes, in order and without blocking."},
    {"writelines", CONVERT_METHOD_ENTRY(write_pipe_writelines_method),
     "writelines(list_of_data)\nWrite each of an iterable of bytes."},
    {"write_eof", write_pipe_close, METH_NOARGS, "As close()."},
    {"can_write_eof", write_pipe_can_write_eof, METH_NOARGS, "Return True."},
    {"close", write_pipe_close, METH_NOARGS,
     "Close the pipe once what was given is written."},
    {"abort", write_pipe_abort, METH_NOARGS,
     "Close the pipe, dropping what is not written yet."},
    {"get_write_buffer_size", write_pipe_get_size, METH_NOARGS,
     "Return the number of bytes given and not written yet."},
    {"get_write_buffer_limits", write_pipe_get_limits, METH_NOARGS,
     "Return the low and high marks of flow control."},
    {"set_write_buffer_limits", (PyCFunction)(void (*)(void))write_pipe_set_limits,
     METH_VARARGS | METH_KEYWORDS,
     "set_write_buffer_limits(high=None, low=None)\nSet the marks of flow control."},
    PIPE_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyMemberDef write_pipe_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(transport_head, weakrefs), READONLY,
     NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(transport_head, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot write_pipe_slots[] = {
    {Py_tp_doc,
     "The end of a pipe that is written to. As asyncio's it is an asyncio.Transport, "
     "whose methods for reading are not implemented."},
    {Py_tp_dealloc, write_pipe_dealloc},
    {Py_tp_finalize, pipe_finalize},
    {Py_tp_traverse, pipe_traverse},
    {Py_tp_clear, pipe_clear},
    {Py_tp_repr, write_pipe_repr},
    {Py_tp_methods, write_pipe_methods},
    {Py_tp_members, write_pipe_members},
    {Py_tp_getset, transport_head_getset},
    {0, NULL},
};

PyType_Spec write_pipe_spec = {
    .name = "bide._bide.WritePipeTransport",
    .basicsize = sizeof(write_pipe_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = write_pipe_slots,
};
