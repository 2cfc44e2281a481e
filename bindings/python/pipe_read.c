/* pipe_read.c: from a pipe to its protocol.
 *
 * A poll says that there is something, one read takes it: what is not read yet stays in
 * the pipe, where a pause, a close or another reader leaves it. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <unistd.h>

#include "convert.h"
#include "owner.h"
#include "pipe.h"

/* As much as a pipe holds unless it was enlarged. */
enum { READ_PIPE_BYTES = 65536 };

static const char read_pipe_failed[] = "Fatal read error on pipe transport";

/* ---- reading ---- */

/* The protocol finds the transport closing. */
static void read_pipe_end_of_file(pipe_object *self) {
  self->closing = true;
  pipe_tell(self, self->loop->state->names.eof_received, NULL);
  pipe_end(self, NULL);
}

/* A terminal's master gives EIO when the last slave is closed: that is its end, which
 * nobody needs a report of. */
static void read_pipe_error(pipe_object *self, int error) {
  if (error == EAGAIN || error == EINTR) return;
  convert_raise(-error);
  pipe_fail(self, read_pipe_failed, error != EIO);
}

static void read_pipe_take(pipe_object *self) {
  PyObject *data = PyBytes_FromStringAndSize(NULL, READ_PIPE_BYTES);
  if (data == NULL) {
    pipe_fail(self, read_pipe_failed, true);
    return;
  }
  ssize_t count = read(self->fd, PyBytes_AS_STRING(data), READ_PIPE_BYTES);
  int error = errno;
  if (count > 0 && _PyBytes_Resize(&data, count) == 0)
    pipe_tell(self, self->loop->state->names.data_received, data);
  else if (count > 0)
    pipe_fail(self, read_pipe_failed, true);
  else if (count == 0)
    read_pipe_end_of_file(self);
  else
    read_pipe_error(self, error);
  Py_XDECREF(data);
}

static void read_pipe_update(pipe_object *self);

/* ECANCELED without a cancel of ours means that the thread which had submitted the
 * operation is gone. */
static void read_pipe_on_event(bide_op *op) {
  pipe_object *self = BIDE_CONTAINER_OF(op, pipe_object, poll);
  loop_object *loop = self->loop;
  int result = op->result;
  self->poll_armed = false;
  if (!loop->draining) {
    loop_enter(loop);
    bool wanted = !self->ended && !((read_pipe_object *)self)->paused;
    if (wanted && result != BIDE_ECANCELED) {
      if (result >= 0 && pipe_has_file(self))
        read_pipe_take(self);
      else
        read_pipe_error(self, result < 0 ? -result : EBADF);
    }
    read_pipe_update(self);
    loop_leave(loop);
  }
  Py_DECREF(self);
}

static void read_pipe_stop(pipe_object *self) {
  if (self->poll_armed) bide_loop_cancel(self->loop->core, &self->poll);
}

static void read_pipe_update(pipe_object *self) {
  if (self->ended || ((read_pipe_object *)self)->paused) {
    read_pipe_stop(self);
  } else if (self->started && !self->poll_armed) {
    self->poll.cb = read_pipe_on_event;
    self->poll_armed = pipe_arm(self, &self->poll, POLLIN);
  }
}

static const pipe_kind read_pipe_kind = {read_pipe_update, read_pipe_stop};

PyObject *loop_read_pipe(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  return (PyObject *)pipe_connect(
      loop, loop->state->read_pipe_type, &read_pipe_kind, "_read_pipe",
      "Pipe transport is for pipes/sockets only.", args, nargs);
}

/* ---- methods ---- */

static PyObject *read_pipe_close(PyObject *self, PyObject *unused) {
  (void)unused;
  owner_release(((pipe_object *)self)->loop, self, pipe_abort);
  Py_RETURN_NONE;
}

static PyObject *read_pipe_is_reading(PyObject *object, PyObject *unused) {
  (void)unused;
  read_pipe_object *self = (read_pipe_object *)object;
  return PyBool_FromLong(!self->base.closing && !self->paused);
}

static PyObject *read_pipe_set_paused(PyObject *object, bool paused) {
  read_pipe_object *self = (read_pipe_object *)object;
  if (self->base.closing || self->paused == paused) Py_RETURN_NONE;
  if (loop_check_use(self->base.loop) < 0) return NULL;
  self->paused = paused;
  read_pipe_update(&self->base);
  Py_RETURN_NONE;
}

static PyObject *read_pipe_pause(PyObject *self, PyObject *unused) {
  (void)unused;
  return read_pipe_set_paused(self, true);
}

static PyObject *read_pipe_resume(PyObject *self, PyObject *unused) {
  (void)unused;
  return read_pipe_set_paused(self, false);
}

static PyObject *read_pipe_repr(PyObject *object) {
  pipe_object *self = (pipe_object *)object;
  PyObject *begin = pipe_repr_begin(self, "ReadPipeTransport");
  if (begin == NULL) return NULL;
  const char *waits = pipe_waits(self);
  PyObject *repr = PyUnicode_FromFormat("%U%s>", begin, waits);
  Py_DECREF(begin);
  return repr;
}

/* ---- the type ---- */

static PyMethodDef read_pipe_methods[] = {
    {"close", read_pipe_close, METH_NOARGS, "Read no more and close the pipe."},
    {"is_reading", read_pipe_is_reading, METH_NOARGS,
     "Return True unless reading is paused or the transport closes."},
    {"pause_reading", read_pipe_pause, METH_NOARGS,
     "Give no more data to the protocol until resume_reading()."},
    {"resume_reading", read_pipe_resume, METH_NOARGS, "Give data to the protocol again."},
    PIPE_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyMemberDef read_pipe_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(transport_head, weakrefs), READONLY,
     NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(transport_head, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot read_pipe_slots[] = {
    {Py_tp_doc, "The end of a pipe that is read, an asyncio.ReadTransport."},
    {Py_tp_dealloc, pipe_dealloc},
    {Py_tp_finalize, pipe_finalize},
    {Py_tp_traverse, pipe_traverse},
    {Py_tp_clear, pipe_clear},
    {Py_tp_repr, read_pipe_repr},
    {Py_tp_methods, read_pipe_methods},
    {Py_tp_members, read_pipe_members},
    {Py_tp_getset, transport_head_getset},
    {0, NULL},
};

PyType_Spec read_pipe_spec = {
    .name = "bide._bide.ReadPipeTransport",
    .basicsize = sizeof(read_pipe_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = read_pipe_slots,
};
