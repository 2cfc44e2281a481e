#include "loop.h"

#include <stddef.h>

#include "bare_call.h"
#include "clock.h"
#include "convert.h"
#include "datagram.h"
#include "files.h"
#include "handle.h"
#include "list.h"
#include "listener.h"
#include "owner.h"
#include "pipe.h"
#include "poller.h"
#include "socket_call.h"
#include "socket_watch.h"
#include "transport.h"

/* ---- what the other files lean on ---- */

int loop_check_open(loop_object *loop) {
  compat_lock_take(&loop->lock);
  int code = loop->closed ? BIDE_ECLOSED : bide_loop_check(loop->core);
  compat_lock_give(&loop->lock);
  if (code == 0) return 0;
  convert_raise(code);
  return -1;
}

void loop_enter(loop_object *loop) { loop->depth++; }

/* A flush may call resume_writing, which may write: the list is read anew each time. */
void loop_leave(loop_object *loop) {
  while (!list_empty(&loop->dirty)) {
    transport_object *transport =
        BIDE_CONTAINER_OF(loop->dirty.next, transport_object, dirty);
    list_remove(&transport->dirty);
    transport_flush(transport);
    Py_DECREF(transport);
  }
  loop->depth--;
}

void loop_look(loop_object *loop) {
  loop->connected = true;
  bide_loop_look(loop->core);
}

bool loop_take_fatal(loop_object *loop) {
  if (!PyErr_ExceptionMatches(PyExc_SystemExit) &&
      !PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
    return false;
  PyObject *error = PyErr_GetRaisedException();
  Py_XSETREF(loop->fatal, error);
  if (loop->core != NULL) bide_loop_interrupt(loop->core);
  return true;
}

void loop_swallow(loop_object *loop) {
  if (!loop_take_fatal(loop)) PyErr_WriteUnraisable((PyObject *)loop);
}

void loop_check_slow(loop_object *loop, PyObject *subject, uint64_t begin_us) {
  double took_s = (double)(bide_clock_us() - begin_us) / 1e6;
  if (took_s < loop->slow_s) return;
  PyObject *error = PyErr_GetRaisedException();
  PyObject *result = state_call((PyObject *)loop, loop->state->names._callback_slow,
                                "(Od)", subject, took_s);
  if (result == NULL) loop_swallow(loop);
  Py_XDECREF(result);
  if (error != NULL) PyErr_SetRaisedException(error);
}

fd_slot *loop_fd_find(loop_object *loop, int fd) {
  return (size_t)fd < loop->fd_count ? &loop->fds[fd] : NULL;
}

fd_slot *loop_fd_slot(loop_object *loop, int fd) {
  if ((size_t)fd >= loop->fd_count) {
    size_t count = loop->fd_count == 0 ? 64 : loop->fd_count;
    while (count <= (size_t)fd) count *= 2;
    fd_slot *fds = PyMem_Resize(loop->fds, fd_slot, count);
    if (fds == NULL) {
      PyErr_NoMemory();
      return NULL;
    }
    memset(fds + loop->fd_count, 0, (count - loop->fd_count) * sizeof *fds);
    loop->fds = fds;
    loop->fd_count = count;
  }
  return &loop->fds[fd];
}

void *loop_scratch(loop_object *loop) {
  if (loop->scratch == NULL) loop->scratch = PyMem_Malloc(LOOP_SCRATCH_BYTES);
  if (loop->scratch == NULL) PyErr_NoMemory();
  return loop->scratch;
}

void *loop_input(loop_object *loop) {
  if (loop->input == NULL) loop->input = PyMem_Malloc(LOOP_INPUT_BYTES);
  if (loop->input == NULL) PyErr_NoMemory();
  return loop->input;
}

/* ---- life ---- */

/* Each piece of input costs a call into Python or wakes a task, so that larger buffers than
 * the core's pay: messages of 100 KiB to a stream took 83 us each with 64 KiB, 64 us with
 * these. From 128 KiB on malloc maps each bytes object anew. */
enum { LOOP_BUFFER_COUNT = 64 };

static int loop_new_core(bide_loop **core, bool owns_thread) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  options.flags = BIDE_LOOP_RING_FOR_FILES;
  if (owns_thread) options.flags |= BIDE_LOOP_OWNS_THREAD;
  options.recv_buffer_count = LOOP_BUFFER_COUNT;
  options.recv_buffer_bytes = LOOP_INPUT_BYTES;
  return bide_loop_new(&options, core);
}

/* Of a subclass's __init__() there may be any others. */
static int loop_owns_thread(PyObject *keywords) {
  PyObject *value =
      keywords == NULL ? NULL : PyDict_GetItemString(keywords, "owns_thread");
  return value == NULL ? 0 : PyObject_IsTrue(value);
}

static PyObject *loop_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  (void)args; /* they are __init__()'s */
  int owns_thread = loop_owns_thread(keywords);
  if (owns_thread < 0) return NULL;
  loop_object *loop = (loop_object *)type->tp_alloc(type, 0);
  if (loop == NULL) return NULL;
  job_inbox_init(&loop->inbox);
  list_init(&loop->scheduled);
  list_init(&loop->posts);
  list_init(&loop->bare_calls);
  list_init(&loop->pollers);
  list_init(&loop->transports);
  list_init(&loop->pipes);
  list_init(&loop->datagrams);
  list_init(&loop->listeners);
  list_init(&loop->files);
  list_init(&loop->calls);
  list_init(&loop->watches);
  list_init(&loop->dirty);
  loop->slow_s = 0.1;
  loop->outer_origin_depth = loop->guest_timer_fd = -1;
  if (owns_thread) loop->owner_id = PyThread_get_thread_ident();
  loop->closed = true;
  loop->state = module_state_of(type);
  int code = loop->state == NULL ? 0 : loop_new_core(&loop->core, owns_thread);
  if (loop->state == NULL || code < 0) {
    if (code == BIDE_EINVAL)
      PyErr_Format(PyExc_ValueError,
                   "BIDE_BACKEND must be auto, io_uring or epoll, not '%s'",
                   getenv("BIDE_BACKEND"));
    else if (code < 0)
      convert_raise(code);
    Py_DECREF(loop);
    return NULL;
  }
  loop->closed = false;
  loop->pools_input = strcmp(bide_loop_backend(loop->core), "io_uring") == 0;
  if (clock_look(loop) < 0) Py_CLEAR(loop);
  return (PyObject *)loop;
}

/* Detaching frees no other poller, and a closed loop takes no new one. */
static void loop_detach_pollers(loop_object *loop) {
  bide_node *next;
  for (bide_node *node = loop->pollers.next; node != &loop->pollers; node = next) {
    next = node->next;
    poller_detach(BIDE_CONTAINER_OF(node, poller, link));
  }
}

/* Lets go of everything once the core is gone. What has an operation in flight here is
 * a forked child's copy, in which the kernel is not interested. */
static void loop_release(loop_object *loop) {
  clock_free(loop);
  job_inbox_clear(&loop->inbox);
  while (!list_empty(&loop->scheduled))
    handle_unschedule(BIDE_CONTAINER_OF(loop->scheduled.next, handle_object, link));
  while (!list_empty(&loop->posts))
    handle_unschedule(BIDE_CONTAINER_OF(loop->posts.next, handle_object, link));
  bare_call_forget_all(loop);
  while (!list_empty(&loop->transports))
    transport_forget(BIDE_CONTAINER_OF(loop->transports.next, transport_object, link));
  while (!list_empty(&loop->pipes))
    pipe_forget(BIDE_CONTAINER_OF(loop->pipes.next, pipe_object, link));
  while (!list_empty(&loop->datagrams))
    datagram_forget(BIDE_CONTAINER_OF(loop->datagrams.next, datagram_object, link));
  while (!list_empty(&loop->listeners))
    listener_forget(BIDE_CONTAINER_OF(loop->listeners.next, listener_object, link));
  while (!list_empty(&loop->files))
    file_op_forget(BIDE_CONTAINER_OF(loop->files.next, file_op, link));
  while (!list_empty(&loop->calls))
    socket_call_forget(BIDE_CONTAINER_OF(loop->calls.next, socket_call, link));
  while (!list_empty(&loop->watches))
    socket_watch_free(BIDE_CONTAINER_OF(loop->watches.next, socket_watch, link));
  while (!list_empty(&loop->pollers))
    poller_free(BIDE_CONTAINER_OF(loop->pollers.next, poller, link));
}

/* One that still serves, or NULL. */
static listener_object *loop_find_listener(loop_object *loop) {
  for (bide_node *node = loop->listeners.next; node != &loop->listeners;
       node = node->next) {
    listener_object *listener = BIDE_CONTAINER_OF(node, listener_object, link);
    if (listener->server != NULL) return listener;
  }
  return NULL;
}

/* To end one may end others, with the server that held them. */
static void loop_end_listeners(loop_object *loop) {
  listener_object *listener;
  while ((listener = loop_find_listener(loop)) != NULL) {
    Py_INCREF(listener);
    listener_end(listener);
    Py_DECREF(listener);
  }
}

/* Cancels what is in flight, waits for it and frees the core. Transports keep their
 * sockets, which close when they are collected. Returns the error of a wait that
 * failed; then the kernel may still own buffers, and the core is left alone. */
static int loop_close_core(loop_object *loop) {
  if (loop->core == NULL) return 0;
  compat_lock_take(&loop->lock);
  loop->closed = true;
  compat_lock_give(&loop->lock);
  loop->draining = true;
  job_inbox_close(&loop->inbox);
  loop_end_listeners(loop);
  loop_detach_pollers(loop);
  int code = bide_loop_drain(loop->core);
  if (code < 0 && code != BIDE_EFORKED) return code;
  if (code != BIDE_EFORKED) job_inbox_wait(&loop->inbox);
  code = bide_loop_close(loop->core);
  if (code < 0) return code;
  loop->core = NULL;
  loop_release(loop);
  return 0;
}

static PyObject *loop_close(PyObject *self, PyObject *unused) {
  (void)unused;
  loop_object *loop = (loop_object *)self;
  if (loop->thread_id != 0 || !owner_take(loop)) {
    PyErr_SetString(PyExc_RuntimeError, "Cannot close a running event loop");
    return NULL;
  }
  bool allowed = loop_check_owner(loop) == 0;
  int code = allowed ? loop_close_core(loop) : 0;
  owner_give(loop);
  if (!allowed) return NULL;
  if (code < 0) return convert_raise(code);
  Py_RETURN_NONE;
}

/* What the core's operations hold, so that a loop dropped without close() can be
 * collected: its finalizer closes it, which ends them. */
static int loop_traverse_core(loop_object *loop, visitproc visit, void *arg) {
  for (bide_node *node = loop->transports.next; node != &loop->transports;
       node = node->next) {
    transport_object *transport = BIDE_CONTAINER_OF(node, transport_object, link);
    for (int i = transport_held_by_loop(transport); i > 0; i--) Py_VISIT(transport);
  }
  for (bide_node *node = loop->pipes.next; node != &loop->pipes; node = node->next) {
    pipe_object *pipe = BIDE_CONTAINER_OF(node, pipe_object, link);
    for (int i = pipe_held_by_loop(pipe); i > 0; i--) Py_VISIT(pipe);
  }
  for (bide_node *node = loop->datagrams.next; node != &loop->datagrams;
       node = node->next) {
    datagram_object *datagram = BIDE_CONTAINER_OF(node, datagram_object, link);
    for (int i = datagram_held_by_loop(datagram); i > 0; i--) Py_VISIT(datagram);
  }
  for (bide_node *node = loop->listeners.next; node != &loop->listeners;
       node = node->next)
    Py_VISIT(BIDE_CONTAINER_OF(node, listener_object, link));
  for (bide_node *node = loop->files.next; node != &loop->files; node = node->next)
    Py_VISIT(BIDE_CONTAINER_OF(node, file_op, link));
  for (bide_node *node = loop->calls.next; node != &loop->calls; node = node->next)
    Py_VISIT(BIDE_CONTAINER_OF(node, socket_call, link));
  return 0;
}

static int loop_traverse(PyObject *self, visitproc visit, void *arg) {
  loop_object *loop = (loop_object *)self;
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(loop->fatal);
  Py_VISIT(loop->outer_hooks);
  Py_VISIT(loop->bare_context);
  Py_VISIT(loop->awaited);
  Py_VISIT(loop->task_factory);
  int code = owner_traverse(loop, visit, arg);
  if (code != 0 || loop->core == NULL) return code;
  code = job_inbox_traverse(&loop->inbox, visit, arg);
  if (code == 0) code = bare_call_traverse(loop, visit, arg);
  if (code != 0) return code;
  for (bide_node *node = loop->scheduled.next; node != &loop->scheduled;
       node = node->next)
    Py_VISIT(BIDE_CONTAINER_OF(node, handle_object, link));
  for (bide_node *node = loop->posts.next; node != &loop->posts; node = node->next)
    Py_VISIT(BIDE_CONTAINER_OF(node, handle_object, link));
  for (bide_node *node = loop->pollers.next; node != &loop->pollers; node = node->next)
    Py_VISIT(BIDE_CONTAINER_OF(node, poller, link)->handle);
  for (bide_node *node = loop->pollers.next; node != &loop->pollers; node = node->next)
    Py_VISIT(BIDE_CONTAINER_OF(node, poller, link)->fileobj);
  return loop_traverse_core(loop, visit, arg);
}

static int loop_clear(PyObject *self) {
  loop_object *loop = (loop_object *)self;
  Py_CLEAR(loop->fatal);
  Py_CLEAR(loop->outer_hooks);
  Py_CLEAR(loop->bare_context);
  Py_CLEAR(loop->awaited);
  Py_CLEAR(loop->task_factory);
  if (owner_take(loop)) {
    loop_close_core(loop);
    owner_give(loop);
  }
  return 0;
}

static void loop_dealloc(PyObject *self) {
  loop_object *loop = (loop_object *)self;
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  loop_clear(self);
  handle_pool_clear(&loop->handles);
  handle_pool_clear(&loop->timer_handles);
  handle_pool_clear(&loop->threadsafe_handles);
  socket_call_pool_clear(&loop->socket_calls);
  PyMem_Free(loop->fds);
  PyMem_Free(loop->scratch);
  PyMem_Free(loop->input);
  type->tp_free(self);
  Py_DECREF(type);
}

/* ---- small methods ---- */

static PyObject *loop_stop(PyObject *self, PyObject *unused) {
  (void)unused;
  ((loop_object *)self)->stopping = true;
  Py_RETURN_NONE;
}

static PyObject *loop_is_running(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyBool_FromLong(((loop_object *)self)->thread_id != 0);
}

static PyObject *loop_is_closed(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyBool_FromLong(((loop_object *)self)->closed);
}

PyObject *loop_get_debug(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyBool_FromLong(((loop_object *)self)->debug);
}

static PyObject *loop_set_debug(PyObject *self, PyObject *enabled) {
  int debug = PyObject_IsTrue(enabled);
  if (debug < 0) return NULL;
  ((loop_object *)self)->debug = debug != 0;
  Py_RETURN_NONE;
}

static int loop_setattro(PyObject *self, PyObject *name, PyObject *value) {
  clock_attribute_set((loop_object *)self, name);
  return PyObject_GenericSetAttr(self, name, value);
}

static PyObject *loop_check_closed(PyObject *self, PyObject *unused) {
  (void)unused;
  if (loop_check_open((loop_object *)self) < 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject *loop_look_method(PyObject *self, PyObject *unused) {
  (void)unused;
  loop_object *loop = (loop_object *)self;
  if (loop_check_open(loop) < 0) return NULL;
  loop_look(loop);
  Py_RETURN_NONE;
}

static PyObject *loop_paired(PyObject *self, PyObject *unused) {
  (void)unused;
  ((loop_object *)self)->paired = true;
  Py_RETURN_NONE;
}

static PyObject *loop_ensure_no_transport(PyObject *self, PyObject *fileobj) {
  int fd = convert_fd(((loop_object *)self)->state, fileobj);
  if (fd < 0 || poller_refused((loop_object *)self, fd)) return NULL;
  Py_RETURN_NONE;
}

static PyObject *loop_get_backend(PyObject *self, void *unused) {
  (void)unused;
  loop_object *loop = (loop_object *)self;
  if (loop_check_open(loop) < 0) return NULL;
  return PyUnicode_FromString(bide_loop_backend(loop->core));
}

static PyObject *loop_get_backend_reason(PyObject *self, void *unused) {
  (void)unused;
  loop_object *loop = (loop_object *)self;
  if (loop_check_open(loop) < 0) return NULL;
  return PyUnicode_FromString(bide_loop_backend_reason(loop->core));
}

static PyObject *loop_get_slow(PyObject *self, void *unused) {
  (void)unused;
  return PyFloat_FromDouble(((loop_object *)self)->slow_s);
}

static PyObject *loop_get_awaited(PyObject *self, void *unused) {
  (void)unused;
  PyObject *awaited = ((loop_object *)self)->awaited;
  return Py_NewRef(awaited != NULL ? awaited : Py_None);
}

static int loop_set_awaited(PyObject *self, PyObject *value, void *unused) {
  (void)unused;
  Py_XSETREF(((loop_object *)self)->awaited, Py_XNewRef(value));
  return 0;
}

static PyObject *loop_get_current_handle(PyObject *self, void *unused) {
  (void)unused;
  PyObject *handle = ((loop_object *)self)->current_handle;
  return Py_NewRef(handle != NULL ? handle : Py_None);
}

static int loop_set_slow(PyObject *self, PyObject *value, void *unused) {
  (void)unused;
  if (value == NULL) {
    PyErr_SetString(PyExc_AttributeError, "slow_callback_duration cannot be deleted");
    return -1;
  }
  double seconds = PyFloat_AsDouble(value);
  if (seconds == -1.0 && PyErr_Occurred()) return -1;
  ((loop_object *)self)->slow_s = seconds;
  return 0;
}

/* ---- the type ---- */

#define LOOP_FASTCALL(function) ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL
#define LOOP_KEYWORDS(function) \
  ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef loop_methods[] = {
    {"_own_methods", loop_own_methods, METH_NOARGS | METH_CLASS,
     "Give a subclass descriptors of its own for the methods that it inherits."},
    {"call_soon", LOOP_KEYWORDS(loop_call_soon),
     "call_soon($self, callback, *args, context=None)\n--\n\nRun callback in the next "
     "turn."},
    {"call_soon_threadsafe", LOOP_KEYWORDS(loop_call_soon_threadsafe),
     "call_soon_threadsafe($self, callback, *args, context=None)\n--\n\nAs call_soon, "
     "from any thread."},
    {"call_later", LOOP_KEYWORDS(loop_call_later),
     "call_later($self, delay, callback, *args, context=None)\n--\n\nRun callback after "
     "delay seconds, never earlier."},
    {"call_at", LOOP_KEYWORDS(loop_call_at),
     "call_at($self, when, callback, *args, context=None)\n--\n\nRun callback at a time "
     "of loop.time(), never earlier."},
    {"time", loop_time, METH_NOARGS, "Return the loop's clock in seconds."},
    {"stop", loop_stop, METH_NOARGS, "End the run after the turn under way."},
    {"is_running", loop_is_running, METH_NOARGS, "Return True while the loop runs."},
    {"is_closed", loop_is_closed, METH_NOARGS, "Return True once it is closed."},
    {"get_debug", loop_get_debug, METH_NOARGS, "Return True in debug mode."},
    {"set_debug", loop_set_debug, METH_O, "Turn debug mode on or off."},
    {"create_task", LOOP_KEYWORDS(loop_create_task),
     "create_task($self, coro, **options)\n--\n\nReturn a task that runs the coroutine, "
     "made by the task "
     "factory if there is one. Takes the keywords that asyncio.Task takes in this "
     "version of Python."},
    {"create_future", loop_create_future, METH_NOARGS,
     "Return an asyncio.Future of this loop."},
    {"add_reader", LOOP_KEYWORDS(loop_add_reader),
     "add_reader($self, fd, callback, *args)\n--\n\nCall callback whenever fd is "
     "readable."},
    {"add_writer", LOOP_KEYWORDS(loop_add_writer),
     "add_writer($self, fd, callback, *args)\n--\n\nCall callback whenever fd is "
     "writable."},
    {"remove_reader", LOOP_KEYWORDS(loop_remove_reader),
     "remove_reader($self, fd)\n--\n\nStop watching fd for reading; return whether it "
     "was watched."},
    {"remove_writer", LOOP_KEYWORDS(loop_remove_writer),
     "remove_writer($self, fd)\n--\n\nStop watching fd for writing; return whether it "
     "was watched."},
    {"_add_reader", LOOP_FASTCALL(loop_watch_read),
     "As add_reader, returning the handle."},
    {"_add_writer", LOOP_FASTCALL(loop_watch_write),
     "As add_writer, returning the handle."},
    {"_ensure_fd_no_transport", loop_ensure_no_transport, METH_O,
     "Raise RuntimeError if fd belongs to a transport."},
    {"_check_closed", loop_check_closed, METH_NOARGS,
     "Raise RuntimeError if the loop is closed."},
    {"_dial", LOOP_FASTCALL(loop_dial),
     "_dial(host, port, family, proto)\nConnect to an address in numbers. Return a "
     "transport that _connect() is to give a protocol; a socket that is connecting; None "
     "for what is Python's to do."},
    {"_connect", LOOP_FASTCALL(loop_connect_transport),
     "_connect(sock, protocol, waiter)\nReturn a transport over a connected socket, or "
     "the one that _dial() has made; waiter is set once connection_made has been "
     "called."},
    {"_check_running", loop_check_running, METH_NOARGS,
     "Raise RuntimeError if this or another loop runs in this thread."},
    {"_track_origins", loop_track_origins, METH_O,
     "Debug mode's record of where coroutines are made, on or off."},
    {"run_forever", loop_run, METH_NOARGS, "Run until stop() is called."},
    {"_read_pipe", LOOP_FASTCALL(loop_read_pipe),
     "_read_pipe(pipe, protocol, waiter)\nReturn a transport that reads from a file "
     "object; waiter is set once connection_made has been called."},
    {"_write_pipe", LOOP_FASTCALL(loop_write_pipe),
     "_write_pipe(pipe, protocol, waiter)\nReturn a transport that writes to one."},
    {"sock_recv", LOOP_KEYWORDS(loop_sock_recv),
     "sock_recv($self, sock, nbytes=None, n=None)\n--\n\nReceive up to nbytes. "
     "asyncio's loops call the number n, its documentation nbytes: either will do."},
    {"sock_recv_into", LOOP_KEYWORDS(loop_sock_recv_into),
     "sock_recv_into($self, sock, buf)\n--\n\nReceive into a buffer; return the number "
     "of bytes."},
    {"sock_sendall", LOOP_KEYWORDS(loop_sock_sendall),
     "sock_sendall($self, sock, data)\n--\n\nSend all of data. What a cancel leaves "
     "unsent is not known."},
    {"_socket_call", LOOP_FASTCALL(loop_socket_call),
     "_socket_call(sock, writing, name, *args)\nReturn an awaitable of sock.name(*args), "
     "which is tried until it does not block."},
    {"_socket_wait", LOOP_FASTCALL(loop_socket_wait),
     "_socket_wait(sock, writing)\nReturn an awaitable that ends when sock can be read, "
     "or written."},
    {"_connect_datagram", LOOP_FASTCALL(loop_connect_datagram),
     "_connect_datagram(sock, protocol, remote_addr, waiter)\nReturn a transport over a "
     "datagram socket; waiter is set once connection_made has been called."},
    {"_look", loop_look_method, METH_NOARGS,
     "Ask the kernel in the next turn, whatever is ready."},
    {"_paired", loop_paired, METH_NOARGS,
     "The other end of a socket may be the loop's too."},
    {"_close", loop_close, METH_NOARGS, "Cancel what is in flight and free the loop."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef loop_members[] = {
    {"_task_factory", T_OBJECT, offsetof(loop_object, task_factory), 0,
     "What makes tasks; None: asyncio.Task."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef loop_getset[] = {
    {"_awaited", loop_get_awaited, loop_set_awaited,
     "The future whose end ends the next run; forgotten when that ends.", NULL},
    {"_current_handle", loop_get_current_handle, NULL,
     "In debug mode, the handle whose callback runs.", NULL},
    {"backend", loop_get_backend, NULL, "'io_uring' or 'epoll': what the loop waits on.",
     NULL},
    {"backend_reason", loop_get_backend_reason, NULL, "Why it waits on that.", NULL},
    {"slow_callback_duration", loop_get_slow, loop_set_slow,
     "In debug mode, callbacks that take this many seconds are logged.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot loop_slots[] = {
    {Py_tp_doc, "The event loop's core; bide.EventLoop makes an asyncio loop of it."},
    {Py_tp_new, loop_new},
    {Py_tp_dealloc, loop_dealloc},
    {Py_tp_setattro, loop_setattro},
    {Py_tp_traverse, loop_traverse},
    {Py_tp_clear, loop_clear},
    {Py_tp_methods, loop_methods},
    {Py_tp_members, loop_members},
    {Py_tp_getset, loop_getset},
    {0, NULL},
};

PyType_Spec loop_spec = {
    .name = "bide._bide.Loop",
    .basicsize = sizeof(loop_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = loop_slots,
};
