/* pipe.c: what reading and writing have in common. */
#include "pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "convert.h"
#include "list.h"
#include "owner.h"

/* ---- the file ---- */

bool pipe_has_file(const pipe_object *self) {
  struct stat status;
  return fstat(self->fd, &status) == 0 && status.st_dev == self->device &&
         status.st_ino == self->inode;
}

/* pipe.fileno(), checked to be a number. */
static int pipe_fileno(const module_state *state, PyObject *pipe) {
  PyObject *number = PyObject_CallMethodNoArgs(pipe, state->names.fileno);
  if (number == NULL) return -1;
  int fd = convert_fd(state, number);
  Py_DECREF(number);
  return fd;
}

/* As os.set_blocking(fd, False). */
static int pipe_set_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 &&
      ((flags & O_NONBLOCK) != 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0))
    return 0;
  PyErr_SetFromErrno(PyExc_OSError);
  return -1;
}

static int pipe_check_file(int fd, struct stat *status, const char *refusal) {
  if (fstat(fd, status) < 0) {
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
  }
  if (!S_ISFIFO(status->st_mode) && !S_ISSOCK(status->st_mode) &&
      !S_ISCHR(status->st_mode)) {
    PyErr_SetString(PyExc_ValueError, refusal);
    return -1;
  }
  return pipe_set_nonblocking(fd);
}

/* The Python object closes the file; one that fails to do so has nobody to tell. A ring would
 * keep the file open, and its reader waiting, until the cancels have reached the kernel. */
static void pipe_release(pipe_object *self) {
  if (!self->open) return;
  self->open = false;
  if (list_linked(&self->link)) list_remove(&self->link);
  if (!pipe_has_file(self)) return;
  if (self->loop->core != NULL) (void)bide_loop_flush(self->loop->core);
  PyObject *result =
      PyObject_CallMethodNoArgs(self->pipe, self->loop->state->names.close);
  if (result == NULL) loop_swallow(self->loop);
  Py_XDECREF(result);
}

/* ---- waiting ---- */

bool pipe_arm(pipe_object *self, bide_op *op, unsigned events) {
  bide_prep_poll(op, self->fd, events);
  int code = bide_loop_submit(self->loop->core, op);
  if (code < 0) {
    convert_raise(code);
    pipe_fail(self, "Fatal error on pipe transport", true);
    return false;
  }
  Py_INCREF(self);
  return true;
}

static void pipe_schedule(pipe_object *self) {
  if (self->queued || bide_loop_call_soon(self->loop->core, &self->call) < 0) return;
  self->queued = true;
  Py_INCREF(self);
}

/* ---- the protocol ---- */

void pipe_tell(pipe_object *self, PyObject *name, PyObject *argument) {
  PyObject *result = protocol_call((transport_head *)self, name, argument);
  if (result == NULL) {
    PyObject *text = PyUnicode_FromFormat("Exception in callback protocol.%U()", name);
    const char *message = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    if (message == NULL) PyErr_Clear();
    protocol_report((transport_head *)self, message == NULL ? "" : message);
    Py_XDECREF(text);
  }
  Py_XDECREF(result);
}

static void pipe_start(pipe_object *self) {
  self->started = true;
  pipe_tell(self, self->loop->state->names.connection_made, (PyObject *)self);
  /* Who awaits the connection goes on before the first data comes. */
  protocol_wake_waiter((transport_head *)self, &self->waiter);
  pipe_schedule(self);
}

/* The file is closed when whoever was told of the end goes on. */
static void pipe_lose(pipe_object *self) {
  PyObject *error = self->error != NULL ? self->error : Py_NewRef(Py_None);
  self->error = NULL;
  pipe_tell(self, self->loop->state->names.connection_lost, error);
  Py_DECREF(error);
  Py_CLEAR(self->protocol);
  pipe_release(self);
}

static void pipe_on_call(bide_call *call) {
  pipe_object *self = BIDE_CONTAINER_OF(call, pipe_object, call);
  loop_object *loop = self->loop;
  self->queued = false;
  loop_enter(loop);
  if (!self->started)
    pipe_start(self);
  else if (self->ended)
    pipe_lose(self);
  else
    self->kind->update(self);
  loop_leave(loop);
  Py_DECREF(self);
}

void pipe_end(pipe_object *self, PyObject *error) {
  if (self->ended) return;
  self->ended = self->closing = true;
  if (self->loop->closed) {
    if (self->loop->core == NULL) pipe_release(self);
    return;
  }
  self->error = Py_XNewRef(error);
  self->kind->stop(self);
  pipe_schedule(self);
}

void pipe_fail(pipe_object *self, const char *message, bool reported) {
  if (loop_take_fatal(self->loop)) return;
  PyObject *error = PyErr_GetRaisedException();
  if (reported) protocol_report_error((transport_head *)self, error, message);
  pipe_end(self, error);
  Py_DECREF(error);
}

/* ---- making ---- */

static pipe_object *pipe_new(loop_object *loop, PyTypeObject *type, const pipe_kind *kind,
                             PyObject *pipe, PyObject *protocol) {
  pipe_object *self = (pipe_object *)type->tp_alloc(type, 0);
  if (self == NULL) return NULL;
  self->loop = (loop_object *)Py_NewRef((PyObject *)loop);
  self->kind = kind;
  self->pipe = Py_NewRef(pipe);
  self->protocol = Py_NewRef(protocol);
  self->call.cb = pipe_on_call;
  self->context = PyContext_CopyCurrent();
  if (self->context == NULL) Py_CLEAR(self);
  return self;
}

pipe_object *pipe_connect(loop_object *loop, PyTypeObject *type, const pipe_kind *kind,
                          const char *method, const char *refusal, PyObject *const *args,
                          Py_ssize_t nargs) {
  if (nargs != 3) {
    PyErr_Format(PyExc_TypeError, "%s() takes 3 arguments (%zd given)", method, nargs);
    return NULL;
  }
  struct stat status;
  int fd = pipe_fileno(loop->state, args[0]);
  if (fd < 0 || loop_check_use(loop) < 0 || pipe_check_file(fd, &status, refusal) < 0 ||
      !protocol_can_connect(loop->state, args[1]))
    return NULL;
  pipe_object *self = pipe_new(loop, type, kind, args[0], args[1]);
  if (self == NULL) return NULL;
  self->fd = fd;
  self->mode = status.st_mode;
  self->device = status.st_dev;
  self->inode = status.st_ino;
  self->open = true;
  list_push(&loop->pipes, &self->link);
  if (args[2] != Py_None) self->waiter = Py_NewRef(args[2]);
  pipe_schedule(self);
  return self;
}

/* ---- memory ---- */

/* Both kinds begin with a pipe_object, and the write pipe's other operation is counted by
 * the reference that it holds alone. */
int pipe_held_by_loop(const pipe_object *self) {
  int held = self->queued + self->poll_armed;
  if (Py_TYPE(self) == self->loop->state->write_pipe_type)
    held += ((const write_pipe_object *)self)->hangup_armed;
  return held;
}

void pipe_forget(pipe_object *self) {
  int references = pipe_held_by_loop(self);
  self->queued = self->poll_armed = false;
  if (Py_TYPE(self) == self->loop->state->write_pipe_type)
    ((write_pipe_object *)self)->hangup_armed = false;
  Py_INCREF(self);
  list_remove(&self->link);
  if (self->closing) pipe_release(self);
  while (references-- >= 0) Py_DECREF(self);
}

/* The file object is left out: a collection would finalize it first, which closes the fd
 * behind the loop's back. */
int pipe_traverse(PyObject *object, visitproc visit, void *arg) {
  pipe_object *self = (pipe_object *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->extra_slot);
  Py_VISIT(self->dict);
  Py_VISIT(self->loop);
  Py_VISIT(self->protocol);
  Py_VISIT(self->context);
  Py_VISIT(self->waiter);
  Py_VISIT(self->error);
  return 0;
}

/* The loop stays, since the file is closed with its help. */
int pipe_clear(PyObject *object) {
  pipe_object *self = (pipe_object *)object;
  Py_CLEAR(self->extra_slot);
  Py_CLEAR(self->dict);
  Py_CLEAR(self->protocol);
  Py_CLEAR(self->waiter);
  Py_CLEAR(self->error);
  return 0;
}

void pipe_abort(PyObject *self) { pipe_end((pipe_object *)self, NULL); }

static void pipe_let_go(PyObject *object) {
  pipe_object *self = (pipe_object *)object;
  PyObject *error = PyErr_GetRaisedException();
  if (!self->closing &&
      PyErr_ResourceWarning(object, 1, "unclosed transport %R", object) < 0)
    PyErr_WriteUnraisable(object);
  self->closing = self->ended = true;
  pipe_release(self);
  if (error != NULL) PyErr_SetRaisedException(error);
}

void pipe_finalize(PyObject *object) {
  pipe_object *self = (pipe_object *)object;
  if (self->open) owner_release(self->loop, object, pipe_let_go);
}

void pipe_dealloc(PyObject *object) {
  pipe_object *self = (pipe_object *)object;
  PyTypeObject *type = Py_TYPE(object);
  if (PyObject_CallFinalizerFromDealloc(object) < 0) return;
  PyObject_GC_UnTrack(object);
  if (self->weakrefs != NULL) PyObject_ClearWeakRefs(object);
  pipe_clear(object);
  Py_CLEAR(self->context);
  Py_CLEAR(self->pipe);
  Py_CLEAR(self->loop);
  type->tp_free(object);
  Py_DECREF(type);
}

/* ---- methods ---- */

PyObject *pipe_repr_begin(const pipe_object *self, const char *name) {
  const char *state = !self->open ? "closed " : self->closing ? "closing " : "";
  return PyUnicode_FromFormat("<%s %sfd=%d ", name, state, self->fd);
}

const char *pipe_waits(const pipe_object *self) {
  if (!self->open) return "closed";
  if (self->loop->closed) return "open";
  return self->poll_armed ? "polling" : "idle";
}

PyObject *pipe_get_extra_info(PyObject *object, PyObject *args, PyObject *keywords) {
  static char *names[] = {"name", "default", NULL};
  PyObject *name, *missing = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:get_extra_info", names, &name,
                                   &missing))
    return NULL;
  if (convert_is(name, "pipe")) return Py_NewRef(((pipe_object *)object)->pipe);
  return Py_NewRef(missing);
}

PyObject *pipe_is_closing(PyObject *object, PyObject *unused) {
  (void)unused;
  return PyBool_FromLong(((pipe_object *)object)->closing);
}
