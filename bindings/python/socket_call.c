#include "socket_call.h"

#include <errno.h>
#include <poll.h>

#include "convert.h"
#include "coroutine.h"
#include "list.h"
#include "poller.h"

/* ---- holding the socket ---- */

/* As socket.makefile() does, and its files when they are closed. What only acts as a socket
 * need not have a socket's books. */
static int socket_call_hold(socket_call *self) {
  module_state *state = self->loop->state;
  if (self->holds || !PyObject_TypeCheck(self->sock, (PyTypeObject *)state->socket_type))
    return 0;
  PyObject *count = PyObject_GetAttr(self->sock, state->names._io_refs);
  long files = count == NULL ? -1 : PyLong_AsLong(count);
  Py_XDECREF(count);
  count = files == -1 && PyErr_Occurred() ? NULL : PyLong_FromLong(files + 1);
  int result =
      count == NULL ? -1 : PyObject_SetAttr(self->sock, state->names._io_refs, count);
  Py_XDECREF(count);
  self->holds = result == 0;
  return result;
}

static int socket_call_count_down(socket_call *self) {
  module_state *state = self->loop->state;
  PyObject *count = PyObject_GetAttr(self->sock, state->names._io_refs);
  long files = count == NULL ? -1 : PyLong_AsLong(count);
  Py_XDECREF(count);
  if (files == -1 && PyErr_Occurred()) return -1;
  count = PyLong_FromLong(files > 0 ? files - 1 : 0);
  int result =
      count == NULL ? -1 : PyObject_SetAttr(self->sock, state->names._io_refs, count);
  Py_XDECREF(count);
  return result;
}

/* Closes the socket if that was put off for nobody else. May be called with an exception
 * pending, which stays so. */
static void socket_call_release(socket_call *self) {
  if (!self->holds) return;
  self->holds = false;
  module_state *state = self->loop->state;
  PyObject *error = PyErr_GetRaisedException();
  PyObject *closed = NULL, *done = NULL;
  if (socket_call_count_down(self) == 0)
    closed = PyObject_GetAttr(self->sock, state->names._closed);
  if (closed == Py_True) done = PyObject_CallMethodNoArgs(self->sock, state->names.close);
  if (closed == NULL || (closed == Py_True && done == NULL)) loop_swallow(self->loop);
  Py_XDECREF(done);
  Py_XDECREF(closed);
  if (error != NULL) PyErr_SetRaisedException(error);
}

/* ---- trying ---- */

/* Whether the socket would block; else `code` is an error, or no error. */
static bool socket_would_block(ssize_t code) {
  return code == -EAGAIN || code == -EWOULDBLOCK;
}

static ssize_t socket_recv(int fd, void *into, size_t len) {
  ssize_t count;
  do {
    count = recv(fd, into, len, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

static ssize_t socket_send(int fd, const char *from, size_t len) {
  ssize_t count;
  do {
    count = send(fd, from, len, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

/* Straight into bytes of the size that the user names. */
static PyObject *socket_receive_large(int fd, size_t len, bool *blocked) {
  PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
  if (data == NULL) return NULL;
  ssize_t count = socket_recv(fd, PyBytes_AS_STRING(data), len);
  *blocked = socket_would_block(count);
  if (count < 0) {
    Py_DECREF(data);
    return *blocked ? NULL : convert_raise((int)count);
  }
  if ((size_t)count < len) (void)_PyBytes_Resize(&data, (Py_ssize_t)count);
  return data;
}

/* What came, a new reference. NULL with an exception, or with *blocked set. */
static PyObject *socket_receive(loop_object *loop, int fd, size_t len, bool *blocked) {
  if (len > LOOP_SCRATCH_BYTES) return socket_receive_large(fd, len, blocked);
  char *scratch = loop_scratch(loop);
  if (scratch == NULL) return NULL;
  ssize_t count = socket_recv(fd, scratch, len);
  *blocked = socket_would_block(count);
  if (*blocked) return NULL;
  return count < 0 ? convert_raise((int)count)
                   : PyBytes_FromStringAndSize(scratch, count);
}

static PyObject *socket_receive_into(int fd, const Py_buffer *view, bool *blocked) {
  ssize_t count = socket_recv(fd, view->buf, (size_t)view->len);
  *blocked = socket_would_block(count);
  if (*blocked) return NULL;
  return count < 0 ? convert_raise((int)count) : PyLong_FromSsize_t(count);
}

/* None once all is sent. An empty datagram is sent too. */
static PyObject *socket_send_rest(int fd, const Py_buffer *view, size_t *sent,
                                  bool *blocked) {
  do {
    ssize_t count =
        socket_send(fd, (const char *)view->buf + *sent, (size_t)view->len - *sent);
    *blocked = socket_would_block(count);
    if (*blocked) return NULL;
    if (count < 0) return convert_raise((int)count);
    *sent += (size_t)count;
  } while (*sent < (size_t)view->len);
  Py_RETURN_NONE;
}

/* What a method of the socket's own gives; it is looked up at each try, as asyncio does. */
static PyObject *socket_call_python(socket_call *self, bool *blocked) {
  PyObject *method = PyObject_GetAttr(self->sock, self->method);
  PyObject *result = method == NULL ? NULL : PyObject_CallObject(method, self->args);
  Py_XDECREF(method);
  if (result != NULL) return result;
  *blocked = PyErr_ExceptionMatches(PyExc_BlockingIOError) ||
             PyErr_ExceptionMatches(PyExc_InterruptedError);
  if (*blocked) PyErr_Clear();
  return NULL;
}

static PyObject *socket_call_try(socket_call *self, bool *blocked) {
  *blocked = false;
  switch (self->kind) {
    case SOCKET_RECEIVE:
      return socket_receive(self->loop, self->fd, self->len, blocked);
    case SOCKET_RECEIVE_INTO:
      return socket_receive_into(self->fd, &self->view, blocked);
    case SOCKET_SEND:
      return socket_send_rest(self->fd, &self->view, &self->sent, blocked);
    case SOCKET_CALL_READ:
    case SOCKET_CALL_WRITE:
      return socket_call_python(self, blocked);
    default:
      Py_RETURN_NONE;
  }
}

/* ---- waiting ---- */

/* While the loop is drained nobody is woken and no socket closed: the loop lets go of what
 * it holds when its core is gone. */
static void socket_call_on_event(bide_op *op) {
  socket_call *self = BIDE_CONTAINER_OF(op, socket_call, op);
  loop_object *loop = self->loop;
  self->armed = false;
  if (loop->draining && self->holds) return;
  list_remove(&self->link);
  self->ready = true;
  if (op->result < 0 && op->result != BIDE_ECANCELED) self->error = op->result;
  if (self->waiter != NULL && !loop->draining) {
    loop_enter(loop);
    loop_wake_future(loop, self->waiter);
    loop_leave(loop);
  }
  Py_DECREF(self);
}

void socket_call_forget(socket_call *self) {
  list_remove(&self->link);
  self->armed = false;
  self->over = true;
  socket_call_release(self);
  Py_DECREF(self);
}

static int socket_call_arm(socket_call *self) {
  loop_object *loop = self->loop;
  bool writes = self->kind == SOCKET_SEND || self->kind == SOCKET_WAIT_WRITE ||
                self->kind == SOCKET_CALL_WRITE;
  if (self->fd < 0 && (self->fd = convert_fd(loop->state, self->sock)) < 0) return -1;
  if (loop_check_open(loop) < 0 || poller_refused(loop, self->fd) ||
      socket_call_hold(self) < 0)
    return -1;
  bide_prep_poll_foreign(&self->op, self->fd, writes ? POLLOUT : POLLIN);
  self->op.cb = socket_call_on_event;
  int code = bide_loop_submit(loop->core, &self->op);
  if (code < 0) {
    convert_raise(code);
    return -1;
  }
  self->armed = true;
  list_push(&loop->calls, &self->link);
  Py_INCREF(self);
  return 0;
}

static int socket_call_clear(PyObject *object) {
  socket_call *self = (socket_call *)object;
  Py_CLEAR(self->waiter);
  Py_CLEAR(self->method);
  Py_CLEAR(self->args);
  return 0;
}

/* Nothing waits any more: the socket and the user's memory are let go. An exception that
 * is pending stays so. */
static void socket_call_end(socket_call *self) {
  PyObject *error = PyErr_GetRaisedException();
  self->over = true;
  if (self->armed) (void)bide_loop_cancel(self->loop->core, &self->op);
  socket_call_clear((PyObject *)self);
  PyBuffer_Release(&self->view);
  socket_call_release(self);
  if (error != NULL) PyErr_SetRaisedException(error);
}

/* ---- as a task drives it ---- */

/* One that is not ready has been tried, and waits before it is tried again. */
static PyObject *socket_call_step(socket_call *self, bool *sleeps) {
  bool blocked = true;
  if (self->ready && self->error != 0) return convert_raise(self->error);
  if (self->ready) {
    PyObject *result = socket_call_try(self, &blocked);
    if (!blocked) return result;
    self->ready = false;
    Py_CLEAR(self->waiter);
  }
  if (!self->armed && socket_call_arm(self) < 0) return NULL;
  PyObject *waiter = coroutine_sleep(self->loop, &self->waiter);
  *sleeps = waiter != NULL;
  return waiter;
}

static PySendResult socket_call_send(PyObject *object, PyObject *value,
                                     PyObject **result) {
  (void)value;
  socket_call *self = (socket_call *)object;
  bool sleeps = false;
  *result = NULL;
  if (self->over) {
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    return PYGEN_ERROR;
  }
  *result = socket_call_step(self, &sleeps);
  if (sleeps) return PYGEN_NEXT;
  socket_call_end(self);
  return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static PyObject *socket_call_next(PyObject *self) {
  return coroutine_next(self, socket_call_send);
}

static PyObject *socket_call_send_method(PyObject *self, PyObject *value) {
  (void)value;
  return socket_call_next(self);
}

static PyObject *socket_call_throw(PyObject *self, PyObject *const *args,
                                   Py_ssize_t nargs) {
  PyObject *error = coroutine_thrown(args, nargs);
  if (error == NULL) return NULL;
  socket_call_end((socket_call *)self);
  PyErr_SetRaisedException(error);
  return NULL;
}

static PyObject *socket_call_close(PyObject *self, PyObject *unused) {
  (void)unused;
  socket_call_end((socket_call *)self);
  Py_RETURN_NONE;
}

static PyObject *socket_call_await(PyObject *self) { return Py_NewRef(self); }

/* ---- memory ---- */

static int socket_call_traverse(PyObject *object, visitproc visit, void *arg) {
  socket_call *self = (socket_call *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->loop);
  Py_VISIT(self->sock);
  Py_VISIT(self->waiter);
  Py_VISIT(self->method);
  Py_VISIT(self->args);
  Py_VISIT(self->view.obj);
  return 0;
}

static void socket_call_finalize(PyObject *object) {
  socket_call_end((socket_call *)object);
}

static void socket_call_dealloc(PyObject *object) {
  socket_call *self = (socket_call *)object;
  PyTypeObject *type = Py_TYPE(object);
  if (PyObject_CallFinalizerFromDealloc(object) < 0) return;
  PyObject_GC_UnTrack(object);
  socket_call_clear(object);
  Py_CLEAR(self->sock);
  Py_CLEAR(self->loop);
  type->tp_free(object);
  Py_DECREF(type);
}

/* ---- the loop's methods ---- */

/* A call that is to wait; takes over `view`, if there is one. */
static PyObject *socket_call_new(loop_object *loop, PyObject *sock, int fd,
                                 socket_call_kind kind, Py_buffer *view) {
  PyTypeObject *type = loop->state->socket_call_type;
  socket_call *self = (socket_call *)type->tp_alloc(type, 0);
  if (self == NULL) {
    if (view != NULL) PyBuffer_Release(view);
    return NULL;
  }
  self->loop = (loop_object *)Py_NewRef((PyObject *)loop);
  self->sock = Py_NewRef(sock);
  self->fd = fd;
  self->kind = kind;
  if (view != NULL) self->view = *view;
  return (PyObject *)self;
}

/* The fd of a socket whose method may be stood in for: the very class, the method that it
 * has from C, and nothing that debug mode checks. Else -1, with or without an exception. */
static int socket_fd(loop_object *loop, PyObject *sock, PyObject *name,
                     PyObject *method) {
  if (loop->debug || (PyObject *)Py_TYPE(sock) != loop->state->socket_type) return -1;
  PyObject *found = NULL;
  bool stock = compat_get_method(sock, name, &found) && found == method;
  Py_XDECREF(found);
  PyObject *number =
      stock ? PyObject_CallMethodNoArgs(sock, loop->state->names.fileno) : NULL;
  if (number == NULL) return -1;
  long fd = PyLong_AsLong(number);
  Py_DECREF(number);
  return fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
}

static PyObject *socket_call_refuse(void) {
  if (PyErr_Occurred()) return NULL;
  return Py_NewRef(Py_NotImplemented);
}

static int socket_check_count(const char *method, Py_ssize_t nargs) {
  if (nargs == 2) return 0;
  PyErr_Format(PyExc_TypeError, "%s() takes 2 arguments (%zd given)", method, nargs);
  return -1;
}

PyObject *loop_socket_receive(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  module_state *state = loop->state;
  if (socket_check_count("_socket_receive", nargs) < 0) return NULL;
  int fd = socket_fd(loop, args[0], state->names.recv, state->socket_recv);
  if (fd < 0) return socket_call_refuse();
  /* The number is given by its other name. */
  if (args[1] == Py_None) return socket_call_refuse();
  Py_ssize_t len = PyNumber_AsSsize_t(args[1], PyExc_OverflowError);
  if (len < 0) return socket_call_refuse();
  if (len == 0)
    return PyBytes_FromStringAndSize(NULL, 0); /* as the socket's own method */
  bool blocked = false;
  PyObject *data = socket_receive(loop, fd, (size_t)len, &blocked);
  if (!blocked) return data;
  PyObject *call = socket_call_new(loop, args[0], fd, SOCKET_RECEIVE, NULL);
  if (call != NULL) ((socket_call *)call)->len = (size_t)len;
  return call;
}

PyObject *loop_socket_receive_into(PyObject *object, PyObject *const *args,
                                   Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  module_state *state = loop->state;
  Py_buffer view;
  if (socket_check_count("_socket_receive_into", nargs) < 0) return NULL;
  int fd = socket_fd(loop, args[0], state->names.recv_into, state->socket_recv_into);
  if (fd < 0) return socket_call_refuse();
  if (PyObject_GetBuffer(args[1], &view, PyBUF_WRITABLE) < 0) {
    PyErr_Clear(); /* the socket's own error is another */
    return socket_call_refuse();
  }
  bool blocked = false;
  PyObject *count = view.len == 0 ? PyLong_FromLong(0) /* as the socket's own method */
                                  : socket_receive_into(fd, &view, &blocked);
  if (blocked) return socket_call_new(loop, args[0], fd, SOCKET_RECEIVE_INTO, &view);
  PyBuffer_Release(&view);
  return count;
}

PyObject *loop_socket_send(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  module_state *state = loop->state;
  Py_buffer view;
  if (socket_check_count("_socket_send", nargs) < 0) return NULL;
  int fd = socket_fd(loop, args[0], state->names.send, state->socket_send);
  if (fd < 0) return socket_call_refuse();
  if (PyObject_GetBuffer(args[1], &view, PyBUF_SIMPLE) < 0) return NULL;
  bool blocked = false;
  size_t sent = 0;
  PyObject *result = socket_send_rest(fd, &view, &sent, &blocked);
  if (!blocked) {
    PyBuffer_Release(&view);
    return result;
  }
  PyObject *call = socket_call_new(loop, args[0], fd, SOCKET_SEND, &view);
  if (call != NULL) ((socket_call *)call)->sent = sent;
  return call;
}

PyObject *loop_socket_wait(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  if (socket_check_count("_socket_wait", nargs) < 0) return NULL;
  int writing = PyObject_IsTrue(args[1]);
  if (writing < 0) return NULL;
  return socket_call_new(loop, args[0], -1,
                         writing ? SOCKET_WAIT_WRITE : SOCKET_WAIT_READ, NULL);
}

PyObject *loop_socket_call(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  if (nargs < 3)
    return PyErr_Format(PyExc_TypeError, "_socket_call() takes at least 3 arguments");
  int writing = PyObject_IsTrue(args[1]);
  if (writing < 0) return NULL;
  PyObject *rest = PyTuple_New(nargs - 3);
  if (rest == NULL) return NULL;
  for (Py_ssize_t i = 3; i < nargs; i++)
    PyTuple_SET_ITEM(rest, i - 3, Py_NewRef(args[i]));
  PyObject *call = socket_call_new(loop, args[0], -1,
                                   writing ? SOCKET_CALL_WRITE : SOCKET_CALL_READ, NULL);
  if (call == NULL) {
    Py_DECREF(rest);
    return NULL;
  }
  socket_call *self = (socket_call *)call;
  self->method = Py_NewRef(args[2]);
  self->args = rest;
  self->ready = true;
  return call;
}

/* ---- the type ---- */

static PyMethodDef socket_call_methods[] = {
    {"send", socket_call_send_method, METH_O, "As a coroutine's."},
    {"throw", (PyCFunction)(void (*)(void))socket_call_throw, METH_FASTCALL,
     "As a coroutine's: waits no more."},
    {"close", socket_call_close, METH_NOARGS, "As a coroutine's: waits no more."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot socket_call_slots[] = {
    {Py_tp_doc,
     "A call of a sock_ method that waits for its socket: to be awaited once."},
    {Py_am_await, socket_call_await},
    {Py_am_send, socket_call_send},
    {Py_tp_iternext, socket_call_next},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_methods, socket_call_methods},
    {Py_tp_traverse, socket_call_traverse},
    {Py_tp_clear, socket_call_clear},
    {Py_tp_finalize, socket_call_finalize},
    {Py_tp_dealloc, socket_call_dealloc},
    {0, NULL},
};

PyType_Spec socket_call_spec = {
    .name = "bide._bide.SocketCall",
    .basicsize = sizeof(socket_call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = socket_call_slots,
};
