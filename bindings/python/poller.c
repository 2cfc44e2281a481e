#include "poller.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "arguments.h"
#include "convert.h"
#include "endpoint.h"
#include "list.h"
#include "transport.h"

void poller_free(poller *self) {
  list_remove(&self->link);
  PyMem_Free(self);
}

static void poller_free_if_idle(poller *self) {
  if (self->handle == NULL && !self->armed && !self->running) poller_free(self);
}

static void poller_forget_slot(poller *self) {
  fd_slot *slot = loop_fd_find(self->loop, self->fd);
  if (slot->reader == self) slot->reader = NULL;
  if (slot->writer == self) slot->writer = NULL;
}

/* Dropping handle and file object may run any code, but that finds the poller detached. The poller
 * itself stays until its operation has completed. */
void poller_detach(poller *self) {
  handle_object *handle = self->handle;
  PyObject *fileobj = self->fileobj;
  if (handle == NULL) return;
  self->handle = NULL;
  self->fileobj = NULL;
  poller_forget_slot(self);
  if (self->armed)
    bide_loop_cancel(self->loop->core, &self->op);
  else
    bide_call_cancel(self->loop->core, &self->arming);
  poller_free_if_idle(self);
  if (handle_cancel(handle) < 0) PyErr_Clear();
  Py_DECREF(handle);
  Py_DECREF(fileobj);
}

static int poller_arm(poller *self) {
  bide_prep_poll_foreign(&self->op, self->fd, self->events);
  int code = bide_loop_submit(self->loop->core, &self->op);
  if (code == 0) self->armed = true;
  return code;
}

static void poller_run(poller *self) {
  loop_object *loop = self->loop;
  handle_object *handle = (handle_object *)Py_NewRef((PyObject *)self->handle);
  self->running = true;
  loop_enter(loop);
  handle_run(handle);
  loop_leave(loop);
  self->running = false;
  Py_DECREF(handle);
}

static bool poller_is_for(const poller *self, const struct stat *file) {
  return self->device == file->st_dev && self->inode == file->st_ino;
}

/* False when its user has closed the file: the number may be another's by now. */
static bool poller_has_file(const poller *self) {
  struct stat file;
  return fstat(self->fd, &file) == 0 && poller_is_for(self, &file);
}

/* The file is looked at before the callback, since one that ran earlier in this turn may
 * have closed it, and after, since this one may have. ECANCELED without a cancel of ours
 * means that the thread which had submitted the operation is gone; any other error, that
 * the fd can no longer be waited on. */
static void poller_on_event(bide_op *op) {
  poller *self = BIDE_CONTAINER_OF(op, poller, op);
  self->armed = false;
  if (self->handle == NULL) {
    poller_free_if_idle(self);
    return;
  }
  bool ended = op->result < 0 && op->result != BIDE_ECANCELED;
  if (ended || self->handle->cancelled == Py_True || !poller_has_file(self)) {
    poller_detach(self);
    return;
  }
  if (op->result >= 0) poller_run(self);
  if (self->handle == NULL)
    poller_free_if_idle(self);
  else if (bide_loop_call_soon(self->loop->core, &self->arming) < 0)
    poller_detach(self);
}

static void poller_on_arming(bide_call *call) {
  poller *self = BIDE_CONTAINER_OF(call, poller, arming);
  if (!poller_has_file(self) || poller_arm(self) < 0) poller_detach(self);
}

/* ---- adding ---- */

bool poller_refused(loop_object *loop, int fd) {
  fd_slot *slot = loop_fd_find(loop, fd);
  if (slot == NULL || slot->transport == NULL) return false;
  if (!endpoint_holds(loop, slot->transport)) return false;
  PyErr_Format(PyExc_RuntimeError, "File descriptor %d is used by transport %R", fd,
               slot->transport);
  return true;
}

/* A device, /dev/null among them, need not be one that can be waited for; epoll knows. */
static int poller_check_device(int fd) {
  struct epoll_event event = {.events = 0};
  int set = epoll_create1(EPOLL_CLOEXEC);
  int code = set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
  if (set >= 0) (void)close(set);
  return code;
}

/* epoll has always refused files and directories; a ring would call them ready for
 * ever. */
static int poller_check_fd(int fd, struct stat *status) {
  int code = fstat(fd, status) < 0 ? -errno : 0;
  if (code == 0 && (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode)))
    code = BIDE_EPERM;
  if (code == 0 && (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)))
    code = poller_check_device(fd);
  if (code == 0) return 0;
  convert_raise(code);
  return -1;
}

/* fd is `file` now: a registration for what had the number before, which was closed under
 * it, is not to hear of this one's events. */
static void poller_detach_stale(loop_object *loop, int fd, const struct stat *file) {
  poller *reader = loop_fd_find(loop, fd)->reader;
  if (reader != NULL && !poller_is_for(reader, file)) poller_detach(reader);
  poller *writer = loop_fd_find(loop, fd)->writer;
  if (writer != NULL && !poller_is_for(writer, file)) poller_detach(writer);
}

static int poller_start(loop_object *loop, handle_object *handle, PyObject *fileobj,
                        int fd, const struct stat *file, unsigned events) {
  fd_slot *slot = loop_fd_slot(loop, fd);
  poller *self = slot == NULL ? NULL : PyMem_Calloc(1, sizeof *self);
  if (self == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  self->op.cb = poller_on_event;
  self->arming.cb = poller_on_arming;
  self->loop = loop;
  self->fd = fd;
  self->device = file->st_dev;
  self->inode = file->st_ino;
  self->events = events;
  list_push(&loop->pollers, &self->link);
  poller_detach_stale(loop, fd, file);
  int code = poller_arm(self);
  if (code < 0) {
    poller_free(self);
    convert_raise(code);
    return -1;
  }
  self->handle = (handle_object *)Py_NewRef((PyObject *)handle);
  self->fileobj = Py_NewRef(fileobj);
  slot = loop_fd_find(loop, fd); /* which moves when a detached callback's end adds fds */
  poller **place = events == POLLIN ? &slot->reader : &slot->writer;
  poller *old = *place;
  *place = self;
  if (old != NULL) poller_detach(old);
  return 0;
}

/* ---- the methods ---- */

static const arguments_spec poller_adds_reader = {
    "add_reader", {"fd", "callback"}, false};
static const arguments_spec poller_adds_writer = {
    "add_writer", {"fd", "callback"}, false};
static const arguments_spec poller_removes_reader = {"remove_reader", {"fd"}, false};
static const arguments_spec poller_removes_writer = {"remove_writer", {"fd"}, false};

static PyObject *poller_add(PyObject *self, const arguments_spec *spec,
                            PyObject *const *args, Py_ssize_t nargs, PyObject *keywords,
                            unsigned events) {
  loop_object *loop = (loop_object *)self;
  arguments parsed;
  struct stat file;
  if (arguments_parse(loop, spec, args, nargs, keywords, &parsed) < 0) return NULL;
  PyObject *fileobj = parsed.named[0];
  int fd = convert_fd(loop->state, fileobj);
  if (fd < 0 || loop_check_use(loop) < 0 || poller_refused(loop, fd) ||
      poller_check_fd(fd, &file) < 0)
    return NULL;
  handle_object *handle = handle_new(loop, loop->state->handle_type, parsed.named[1],
                                     parsed.rest, parsed.rest_count, NULL);
  if (handle != NULL && poller_start(loop, handle, fileobj, fd, &file, events) < 0)
    Py_CLEAR(handle);
  return (PyObject *)handle;
}

/* The registration that was made with an object which has no fd any more. */
static poller *poller_find_object(loop_object *loop, PyObject *fileobj, unsigned events) {
  for (bide_node *node = loop->pollers.next; node != &loop->pollers; node = node->next) {
    poller *self = BIDE_CONTAINER_OF(node, poller, link);
    if (self->handle != NULL && self->events == events && self->fileobj == fileobj)
      return self;
  }
  return NULL;
}

/* The registration to be removed, or NULL, with an exception if there can be none. */
static poller *poller_find(loop_object *loop, PyObject *fileobj, unsigned events) {
  int fd = convert_fd(loop->state, fileobj);
  if (fd < 0) {
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) return NULL;
    poller *found = poller_find_object(loop, fileobj, events);
    if (found != NULL) PyErr_Clear();
    return found;
  }
  if (poller_refused(loop, fd)) return NULL;
  fd_slot *slot = loop_fd_find(loop, fd);
  if (slot == NULL) return NULL;
  return events == POLLIN ? slot->reader : slot->writer;
}

static PyObject *poller_remove(PyObject *self, const arguments_spec *spec,
                               PyObject *const *args, Py_ssize_t nargs,
                               PyObject *keywords, unsigned events) {
  loop_object *loop = (loop_object *)self;
  arguments parsed;
  if (arguments_parse(loop, spec, args, nargs, keywords, &parsed) < 0) return NULL;
  if (parsed.rest_count > 0)
    return PyErr_Format(PyExc_TypeError,
                        "EventLoop.%s() takes 2 positional arguments but %zd were given",
                        spec->method, nargs + 1);
  if (loop_check_here(loop) < 0) return NULL;
  if (loop->closed) Py_RETURN_FALSE;
  poller *found = poller_find(loop, parsed.named[0], events);
  if (found == NULL && PyErr_Occurred()) return NULL;
  if (found != NULL) poller_detach(found);
  return PyBool_FromLong(found != NULL);
}

static PyObject *poller_none(PyObject *handle) {
  if (handle == NULL) return NULL;
  Py_DECREF(handle);
  Py_RETURN_NONE;
}

PyObject *loop_watch_read(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
  return poller_add(self, &poller_adds_reader, args, nargs, NULL, POLLIN);
}

PyObject *loop_watch_write(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
  return poller_add(self, &poller_adds_writer, args, nargs, NULL, POLLOUT);
}

PyObject *loop_add_reader(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *keywords) {
  return poller_none(
      poller_add(self, &poller_adds_reader, args, nargs, keywords, POLLIN));
}

PyObject *loop_add_writer(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *keywords) {
  return poller_none(
      poller_add(self, &poller_adds_writer, args, nargs, keywords, POLLOUT));
}

PyObject *loop_remove_reader(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *keywords) {
  return poller_remove(self, &poller_removes_reader, args, nargs, keywords, POLLIN);
}

PyObject *loop_remove_writer(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *keywords) {
  return poller_remove(self, &poller_removes_writer, args, nargs, keywords, POLLOUT);
}
