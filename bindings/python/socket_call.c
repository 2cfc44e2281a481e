#include "socket_call.h"

#include <poll.h>

#include "convert.h"
#include "coroutine.h"
#include "list.h"
#include "owner.h"
#include "poller.h"
#include "socket_object.h"
#include "socket_try.h"
#include "socket_watch.h"

/* ---- holding the socket ---- */

/* What only acts as a socket need not have a socket's books. */
static int socket_call_hold(socket_call *self) {
  module_state *state = self->loop->state;
  if (self->holds || !PyObject_TypeCheck(self->sock, (PyTypeObject *)state->socket_type))
    return 0;
  int code = socket_object_hold(state, self->sock);
  self->holds = code == 0;
  return code;
}

/* May be called with an exception pending, which stays so. */
static void socket_call_release(socket_call *self) {
  if (!self->holds) return;
  self->holds = false;
  PyObject *error = PyErr_GetRaisedException();
  if (socket_object_release(self->loop->state, self->sock) < 0) loop_swallow(self->loop);
  if (error != NULL) PyErr_SetRaisedException(error);
}

/* ---- trying ---- */

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
      return socket_try_receive(self->loop, self->fd, self->len, blocked);
    case SOCKET_RECEIVE_INTO:
      return socket_try_receive_into(self->fd, &self->view, blocked);
    case SOCKET_SEND:
      return socket_try_send(self->fd, &self->view, &self->sent, blocked);
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
void socket_call_wake(socket_call *self, int result) {
  loop_object *loop = self->loop;
  self->armed = false;
  if (list_linked(&self->waits)) list_remove(&self->waits);
  if (loop->draining && self->holds) return;
  list_remove(&self->link);
  self->ready = true;
  if (result < 0 && result != BIDE_ECANCELED) self->error = result;
  if (self->waiter != NULL && !loop->draining) {
    loop_enter(loop);
    loop_wake_future(loop, self->waiter);
    loop_leave(loop);
  }
  Py_DECREF(self);
}

static void socket_call_on_event(bide_op *op) {
  socket_call_wake(BIDE_CONTAINER_OF(op, socket_call, op), op->result);
}

void socket_call_forget(socket_call *self) {
  if (list_linked(&self->waits)) list_remove(&self->waits);
  list_remove(&self->link);
  self->armed = false;
  self->over = true;
  socket_call_release(self);
  Py_DECREF(self);
}

static int socket_call_poll(socket_call *self) {
  bool writes = self->kind == SOCKET_SEND || self->kind == SOCKET_WAIT_WRITE ||
                self->kind == SOCKET_CALL_WRITE;
  bide_prep_poll_foreign(&self->op, self->fd, writes ? POLLOUT : POLLIN);
  self->op.cb = socket_call_on_event;
  int code = bide_loop_submit(self->loop->core, &self->op);
  if (code == 0) return 0;
  convert_raise(code);
  return -1;
}

/* A watch tells of what is new: it is for those of whom it is certain that they have found
 * nothing. A method of the socket's may say so with the socket full. */
static bool socket_call_may_watch(const socket_call *self) {
  bool tries = self->kind == SOCKET_RECEIVE || self->kind == SOCKET_RECEIVE_INTO;
  return tries && socket_watch_serves(self->loop, self->sock, self->fd);
}

static int socket_call_arm(socket_call *self) {
  loop_object *loop = self->loop;
  if (self->fd < 0 && (self->fd = convert_fd(loop->state, self->sock)) < 0) return -1;
  if (loop_check_use(loop) < 0 || poller_refused(loop, self->fd) ||
      socket_call_hold(self) < 0)
    return -1;
  int code = socket_call_may_watch(self)
                 ? socket_watch_wait(loop, self->sock, self->fd, &self->waits)
                 : socket_call_poll(self);
  if (code < 0) return -1;
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

/* A poll is over when its operation has completed. */
static void socket_call_disarm(socket_call *self) {
  if (!list_linked(&self->waits)) {
    (void)bide_loop_cancel(self->loop->core, &self->op);
    return;
  }
  list_remove(&self->waits);
  list_remove(&self->link);
  self->armed = false;
  Py_DECREF(self);
}

/* Nothing waits any more: the socket and the user's memory are let go. An exception that
 * is pending stays so. */
static void socket_call_end(socket_call *self) {
  PyObject *error = PyErr_GetRaisedException();
  self->over = true;
  if (self->armed) socket_call_disarm(self);
  socket_call_clear((PyObject *)self);
  PyBuffer_Release(&self->view);
  socket_call_release(self);
  if (error != NULL) PyErr_SetRaisedException(error);
}

/* ---- as a task drives it ---- */

/* Only now, as a coroutine would: until then the user may do what he likes with socket and
 * buffer. */
static int socket_call_begin(socket_call *self) {
  self->begun = true;
  switch (self->kind) {
    case SOCKET_RECEIVE:
      break;
    case SOCKET_RECEIVE_INTO:
      if (PyObject_GetBuffer(self->args, &self->view, PyBUF_WRITABLE) < 0) return -1;
      break;
    case SOCKET_SEND:
      if (PyObject_GetBuffer(self->args, &self->view, PyBUF_SIMPLE) < 0) return -1;
      break;
    default:
      return 0;
  }
  self->fd = socket_object_fd(self->loop->state, self->sock);
  return self->fd < 0 && PyErr_Occurred() ? -1 : 0;
}

/* One that is not ready has been tried, and waits before it is tried again. */
static PyObject *socket_call_step(socket_call *self, bool *sleeps) {
  bool blocked = true;
  if (!self->begun && socket_call_begin(self) < 0) return NULL;
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
  if (value == Py_None || ((socket_call *)self)->begun)
    return coroutine_send(self, socket_call_send);
  PyErr_SetString(PyExc_TypeError,
                  "can't send non-None value to a just-started coroutine");
  return NULL;
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

static PyObject *socket_call_await(PyObject *self) {
  if (((socket_call *)self)->waiter == NULL) return Py_NewRef(self);
  PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
  return NULL;
}

/* What a coroutine function's would be called. */
static const char *const socket_call_names[] = {
    [SOCKET_WAIT_READ] = "_socket_wait", [SOCKET_WAIT_WRITE] = "_socket_wait",
    [SOCKET_CALL_READ] = "_socket_call", [SOCKET_CALL_WRITE] = "_socket_call",
    [SOCKET_RECEIVE] = "sock_recv",      [SOCKET_RECEIVE_INTO] = "sock_recv_into",
    [SOCKET_SEND] = "sock_sendall",
};

static PyObject *socket_call_get_name(PyObject *self, void *unused) {
  (void)unused;
  return PyUnicode_FromString(socket_call_names[((socket_call *)self)->kind]);
}

static PyObject *socket_call_get_qualname(PyObject *self, void *unused) {
  (void)unused;
  return PyUnicode_FromFormat("EventLoop.%s",
                              socket_call_names[((socket_call *)self)->kind]);
}

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

static void socket_call_warn(socket_call *self) {
  PyObject *error = PyErr_GetRaisedException();
  if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1,
                       "coroutine 'EventLoop.%s' was never awaited",
                       socket_call_names[self->kind]) < 0)
    PyErr_WriteUnraisable((PyObject *)self);
  if (error != NULL) PyErr_SetRaisedException(error);
}

static void socket_call_finalize(PyObject *object) {
  socket_call *self = (socket_call *)object;
  if (!self->begun && !self->over) socket_call_warn(self);
  socket_call_end(self);
}

enum { SOCKET_CALL_POOL_MAX = 256 };

/* One that was finalized would not be so again. */
static void socket_call_dealloc(PyObject *object) {
  socket_call *self = (socket_call *)object;
  PyTypeObject *type = Py_TYPE(object);
  loop_object *loop = self->loop;
  socket_call_pool *pool = &loop->socket_calls;
  if (!self->over && PyObject_CallFinalizerFromDealloc(object) < 0) return;
  PyObject_GC_UnTrack(object);
  socket_call_clear(object);
  Py_CLEAR(self->sock);
  self->loop = NULL;
  if (owner_is_here(loop) && pool->count < SOCKET_CALL_POOL_MAX &&
      !PyObject_GC_IsFinalized(object)) {
    self->next = pool->first;
    pool->first = self;
    pool->count++;
  } else {
    PyObject_GC_Del(object);
  }
  Py_DECREF(type);
  Py_DECREF(loop);
}

void socket_call_pool_clear(socket_call_pool *pool) {
  while (pool->first != NULL) {
    socket_call *self = pool->first;
    pool->first = self->next;
    PyObject_GC_Del(self);
  }
  pool->count = 0;
}

static socket_call *socket_call_alloc(loop_object *loop) {
  PyTypeObject *type = loop->state->socket_call_type;
  socket_call_pool *pool = &loop->socket_calls;
  socket_call *self = pool->first;
  if (self != NULL) {
    pool->first = self->next;
    pool->count--;
    PyObject_Init((PyObject *)self, type);
    return self;
  }
  self = PyObject_GC_New(socket_call, type);
  if (self != NULL)
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
  return self;
}

/* Of a pooled one the references are NULL, and it is on no list. */
static socket_call *socket_call_new(loop_object *loop, PyObject *sock,
                                    socket_call_kind kind) {
  socket_call *self = socket_call_alloc(loop);
  if (self == NULL) return NULL;
  self->loop = (loop_object *)Py_NewRef((PyObject *)loop);
  self->sock = Py_NewRef(sock);
  self->next = NULL;
  self->kind = kind;
  self->fd = -1;
  self->error = 0;
  self->sent = 0;
  self->ready = kind != SOCKET_WAIT_READ && kind != SOCKET_WAIT_WRITE;
  self->begun = self->over = false;
  PyObject_GC_Track(self);
  return self;
}

/* ---- the loop's methods ---- */

/* Whether C may stand in for the methods of the socket that is the first of two plain
 * arguments; debug mode checks more. */
static bool socket_call_serves(loop_object *loop, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *keywords) {
  return nargs == 2 && keywords == NULL && !loop->debug &&
         socket_object_is_stock(loop->state, args[0]);
}

PyObject *loop_sock_recv(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *keywords) {
  loop_object *loop = (loop_object *)object;
  bool serves = socket_call_serves(loop, args, nargs, keywords);
  Py_ssize_t len = serves && PyLong_CheckExact(args[1]) ? PyLong_AsSsize_t(args[1]) : -1;
  if (len < 0) {
    PyErr_Clear();
    return state_pass_on(object, loop->state->names._sock_recv, args, nargs, keywords);
  }
  socket_call *self = socket_call_new(loop, args[0], SOCKET_RECEIVE);
  if (self != NULL) self->len = (size_t)len;
  return (PyObject *)self;
}

/* What else takes bytes is refused in the socket's own words. */
static bool socket_call_takes_bytes(PyObject *object) {
  return PyByteArray_CheckExact(object) ||
         (PyMemoryView_Check(object) && !PyMemoryView_GET_BUFFER(object)->readonly);
}

PyObject *loop_sock_recv_into(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *keywords) {
  loop_object *loop = (loop_object *)object;
  if (!socket_call_serves(loop, args, nargs, keywords) ||
      !socket_call_takes_bytes(args[1]))
    return state_pass_on(object, loop->state->names._sock_recv_into, args, nargs,
                         keywords);
  socket_call *self = socket_call_new(loop, args[0], SOCKET_RECEIVE_INTO);
  if (self != NULL) self->args = Py_NewRef(args[1]);
  return (PyObject *)self;
}

PyObject *loop_sock_sendall(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *keywords) {
  loop_object *loop = (loop_object *)object;
  if (!socket_call_serves(loop, args, nargs, keywords))
    return state_pass_on(object, loop->state->names._sock_sendall, args, nargs, keywords);
  socket_call *self = socket_call_new(loop, args[0], SOCKET_SEND);
  if (self != NULL) self->args = Py_NewRef(args[1]);
  return (PyObject *)self;
}

PyObject *loop_socket_wait(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  if (nargs != 2)
    return PyErr_Format(PyExc_TypeError, "_socket_wait() takes 2 arguments (%zd given)",
                        nargs);
  int writing = PyObject_IsTrue(args[1]);
  if (writing < 0) return NULL;
  return (PyObject *)socket_call_new(loop, args[0],
                                     writing ? SOCKET_WAIT_WRITE : SOCKET_WAIT_READ);
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
  socket_call *self =
      socket_call_new(loop, args[0], writing ? SOCKET_CALL_WRITE : SOCKET_CALL_READ);
  if (self == NULL) {
    Py_DECREF(rest);
    return NULL;
  }
  self->method = Py_NewRef(args[2]);
  self->args = rest;
  return (PyObject *)self;
}

/* ---- the type ---- */

static PyMethodDef socket_call_methods[] = {
    {"send", socket_call_send_method, METH_O, "As a coroutine's."},
    {"throw", (PyCFunction)(void (*)(void))socket_call_throw, METH_FASTCALL,
     "As a coroutine's: waits no more."},
    {"close", socket_call_close, METH_NOARGS, "As a coroutine's: waits no more."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef socket_call_getset[] = {
    {"__name__", socket_call_get_name, NULL, NULL, NULL},
    {"__qualname__", socket_call_get_qualname, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot socket_call_slots[] = {
    {Py_tp_doc, "A call of a sock_ method: a coroutine, to be awaited once."},
    {Py_am_await, socket_call_await},
    {Py_am_send, socket_call_send},
    {Py_tp_iternext, socket_call_next},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_methods, socket_call_methods},
    {Py_tp_getset, socket_call_getset},
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
