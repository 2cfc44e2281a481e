#include "handle.h"

#include <sched.h>
#include <stddef.h>
#include <time.h>

#include "convert.h"
#include "list.h"
#include "owner.h"
#include "threadsafe_handle.h"

/* A dead handle costs about 200 bytes; this many cover a gather of a few hundred. */
enum { HANDLE_POOL_MAX = 1024 };

/* With more calls of other threads than this waiting, who posts lets the loop have the
 * interpreter: threads that post without a pause would else outrun it for ever. */
enum { HANDLE_POSTED_MAX = 1024 };

/* ---- arguments ---- */

static_assert(offsetof(handle_object, args) ==
                  offsetof(handle_object, queued) +
                      sizeof(((handle_object *)NULL)->queued),
              "vectorcall writes to the word before the arguments");

static bool handle_is_spilled(const handle_object *handle) {
  return handle->nargs > HANDLE_ARGS_INLINE;
}

static PyObject **handle_args(handle_object *handle) {
  return handle_is_spilled(handle) ? handle->spilled + 1 : handle->args;
}

static int handle_set_args(handle_object *handle, PyObject *const *args,
                           Py_ssize_t nargs) {
  if (nargs > HANDLE_ARGS_INLINE) {
    handle->spilled = PyMem_New(PyObject *, nargs + 1);
    if (handle->spilled == NULL) {
      PyErr_NoMemory();
      return -1;
    }
  }
  handle->nargs = (uint32_t)nargs;
  PyObject **own = handle_args(handle);
  for (Py_ssize_t i = 0; i < nargs; i++) own[i] = Py_NewRef(args[i]);
  return 0;
}

static void handle_drop_args(handle_object *handle) {
  uint32_t nargs = handle->nargs;
  if (nargs == 0) return;
  PyObject **spilled = handle_is_spilled(handle) ? handle->spilled : NULL;
  PyObject *args[HANDLE_ARGS_INLINE];
  PyObject **own = spilled != NULL ? spilled + 1 : args;
  if (spilled == NULL) memcpy(args, handle->args, nargs * sizeof *args);
  handle->nargs = 0;
  for (uint32_t i = 0; i < nargs; i++) Py_DECREF(own[i]);
  PyMem_Free(spilled);
}

/* ---- making and freeing ---- */

static handle_pool *handle_pool_of(loop_object *loop, PyTypeObject *type) {
  if (type == loop->state->handle_type) return &loop->handles;
  return type == loop->state->timer_handle_type ? &loop->timer_handles
                                                : &loop->threadsafe_handles;
}

/* Debug mode's record of where the handle was made. */
static int handle_set_traceback(handle_object *handle) {
  PyObject *stack = PyObject_CallNoArgs(handle->loop->state->extract_stack);
  if (stack == NULL) return -1;
  Py_SETREF(handle->source_traceback, stack);
  return 0;
}

/* What a handle that nobody has touched holds in these slots, dead ones included. */
static void handle_set_constants(handle_object *handle) {
  handle->cancelled = Py_NewRef(Py_False);
  handle->repr = Py_NewRef(Py_None);
  handle->source_traceback = Py_NewRef(Py_None);
}

static inline void handle_reset(PyObject **slot, PyObject *constant) {
  if (*slot != constant) Py_XSETREF(*slot, Py_NewRef(constant));
}

static void handle_delete(handle_object *handle) {
  Py_DECREF(handle->cancelled);
  Py_DECREF(handle->repr);
  Py_DECREF(handle->source_traceback);
  PyObject_GC_Del(handle);
}

static handle_object *handle_alloc(loop_object *loop, PyTypeObject *type) {
  handle_pool *pool = handle_pool_of(loop, type);
  handle_object *handle = owner_is_here(loop) ? pool->first : NULL;
  if (handle != NULL) {
    pool->first = (handle_object *)handle->callback;
    pool->count--;
    PyObject_Init((PyObject *)handle, type);
    return handle;
  }
  handle = PyObject_GC_New(handle_object, type);
  if (handle == NULL) return NULL;
  memset((char *)handle + sizeof(PyObject), 0,
         (size_t)type->tp_basicsize - sizeof(PyObject));
  handle_set_constants(handle);
  return handle;
}

/* Takes the reference to the context over. */
static inline handle_object *handle_fill(loop_object *loop, PyTypeObject *type,
                                         PyObject *callback, PyObject *const *args,
                                         Py_ssize_t nargs, PyObject *context) {
  handle_object *handle = handle_alloc(loop, type);
  if (handle == NULL) {
    Py_DECREF(context);
    return NULL;
  }
  handle->callback = Py_NewRef(callback);
  handle->context = context;
  handle->loop = (loop_object *)Py_NewRef((PyObject *)loop);
  handle->running = false;
  handle->wait = HANDLE_NOT_TIMED;
  if (handle_set_args(handle, args, nargs) < 0) {
    Py_DECREF(handle);
    return NULL;
  }
  PyObject_GC_Track(handle);
  return handle;
}

handle_object *handle_make(loop_object *loop, PyTypeObject *type, PyObject *callback,
                           PyObject *const *args, Py_ssize_t nargs, PyObject *context) {
  return handle_fill(loop, type, callback, args, nargs, Py_NewRef(context));
}

handle_object *handle_new(loop_object *loop, PyTypeObject *type, PyObject *callback,
                          PyObject *const *args, Py_ssize_t nargs, PyObject *context) {
  if (context == NULL || context == Py_None) {
    context = PyContext_CopyCurrent();
    if (context == NULL) return NULL;
  } else {
    Py_INCREF(context);
  }
  handle_object *handle = handle_fill(loop, type, callback, args, nargs, context);
  if (handle == NULL) return NULL;
  /* Last, since an allocation can run a finalizer that closes the loop. */
  if ((loop->debug && handle_set_traceback(handle) < 0) || loop_check_open(loop) < 0) {
    Py_DECREF(handle);
    return NULL;
  }
  return handle;
}

int handle_traverse(PyObject *self, visitproc visit, void *arg) {
  handle_object *handle = (handle_object *)self;
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(handle->args_slot);
  Py_VISIT(handle->callback);
  Py_VISIT(handle->context);
  Py_VISIT(handle->loop);
  Py_VISIT(handle->source_traceback);
  Py_VISIT(handle->timer_slots[COMPAT_TIMER_SLOTS - 1]);
  PyObject **args = handle_args(handle);
  for (uint32_t i = 0; i < handle->nargs; i++) Py_VISIT(args[i]);
  return 0;
}

static void handle_clear_values(handle_object *handle) {
  handle_drop_args(handle);
  Py_CLEAR(handle->args_slot);
  Py_CLEAR(handle->callback);
  Py_CLEAR(handle->context);
  handle_reset(&handle->repr, Py_None);
  handle_reset(&handle->source_traceback, Py_None);
  handle_reset(&handle->cancelled, Py_False);
  Py_CLEAR(handle->timer_slots[COMPAT_TIMER_SLOTS - 1]);
}

/* The loop stays: it owns this handle if it is queued, and dealloc needs its state. The
 * cycle through it breaks at the loop. */
int handle_clear(PyObject *self) {
  handle_object *handle = (handle_object *)self;
  if (handle->running) return 0;
  handle_drop_args(handle);
  Py_CLEAR(handle->args_slot);
  Py_CLEAR(handle->timer_slots[COMPAT_TIMER_SLOTS - 1]);
  Py_XSETREF(handle->callback, Py_NewRef(Py_None));
  Py_XSETREF(handle->cancelled, Py_NewRef(Py_True));
  Py_XSETREF(handle->source_traceback, Py_NewRef(Py_None));
  return 0;
}

static void handle_free(handle_object *handle) {
  PyObject *self = (PyObject *)handle;
  PyTypeObject *type = Py_TYPE(self);
  loop_object *loop = handle->loop;
  handle_pool *pool = handle_pool_of(loop, type);
  if (*compat_weakrefs(self) != NULL) PyObject_ClearWeakRefs(self);
  handle_clear_values(handle);
  handle->loop = NULL;
  if (owner_is_here(loop) && pool->count < HANDLE_POOL_MAX) {
    handle->callback = (PyObject *)pool->first;
    pool->first = handle;
    pool->count++;
  } else {
    handle_delete(handle);
  }
  Py_DECREF(type);
  Py_DECREF(loop);
}

/* Handles may be one another's arguments: the end of a long chain of them must not take a
 * stack frame for each. */
void handle_dealloc(PyObject *self) {
  PyObject_GC_UnTrack(self);
  Py_TRASHCAN_BEGIN(self, handle_dealloc);
  handle_free((handle_object *)self);
  Py_TRASHCAN_END;
}

void handle_pool_clear(handle_pool *pool) {
  while (pool->first != NULL) {
    handle_object *handle = pool->first;
    pool->first = (handle_object *)handle->callback;
    handle_delete(handle);
  }
  pool->count = 0;
}

/* ---- running ---- */

void handle_unschedule(handle_object *handle) {
  list_remove(&handle->link);
  Py_DECREF(handle);
}

/* The exception is the one being handled meanwhile: an exception handler may ask for it by
 * sys.exc_info(), as logging.exception() does, and one that fails has it as its context. */
void handle_failed(handle_object *handle) {
  loop_object *loop = handle->loop;
  if (loop_take_fatal(loop)) return;
  PyObject *error = PyErr_GetRaisedException();
  PyObject *outer = PyErr_GetHandledException();
  PyErr_SetHandledException(error);
  PyObject *args[] = {(PyObject *)loop, (PyObject *)handle, error};
  PyObject *result = PyObject_VectorcallMethod(loop->state->names._callback_failed, args,
                                               3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  PyErr_SetHandledException(outer);
  Py_XDECREF(outer);
  Py_DECREF(error);
  if (result == NULL) loop_swallow(loop);
  Py_XDECREF(result);
}

/* For asyncio a context is what has a method run(). */
static void handle_call_in_foreign(handle_object *handle, PyObject *callback) {
  PyErr_Clear(); /* it is no Context */
  Py_ssize_t nargs = (Py_ssize_t)handle->nargs;
  PyObject *args = PyTuple_New(nargs + 1), *result = NULL;
  PyObject *run = args == NULL
                      ? NULL
                      : PyObject_GetAttr(handle->context, handle->loop->state->names.run);
  if (run != NULL) {
    PyTuple_SET_ITEM(args, 0, Py_NewRef(callback));
    for (Py_ssize_t i = 0; i < nargs; i++)
      PyTuple_SET_ITEM(args, i + 1, Py_NewRef(handle_args(handle)[i]));
    result = PyObject_CallObject(run, args);
  }
  Py_XDECREF(run);
  Py_XDECREF(args);
  if (result == NULL) handle_failed(handle);
  Py_XDECREF(result);
}

static void handle_call_callback(handle_object *handle, PyObject *callback) {
  PyObject *context = handle->context;
  if (PyContext_Enter(context) < 0) {
    if (PyContext_CheckExact(context))
      handle_failed(handle);
    else
      handle_call_in_foreign(handle, callback);
    return;
  }
  PyObject *result =
      PyObject_Vectorcall(callback, handle_args(handle),
                          handle->nargs | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  PyObject *error = result == NULL ? PyErr_GetRaisedException() : NULL;
  if (PyContext_Exit(context) < 0) loop_swallow(handle->loop);
  Py_XDECREF(result);
  if (error != NULL) {
    PyErr_SetRaisedException(error);
    handle_failed(handle);
  }
}

static void handle_call_timed(handle_object *handle, PyObject *callback) {
  loop_object *loop = handle->loop;
  PyObject *outer = loop->current_handle;
  uint64_t begin_us = bide_clock_us();
  loop->current_handle = (PyObject *)handle;
  handle_call_callback(handle, callback);
  loop->current_handle = outer;
  loop_check_slow(loop, (PyObject *)handle, begin_us);
}

static inline bool handle_is_waited_for(const handle_object *handle) {
  return Py_IS_TYPE(handle, handle->loop->state->threadsafe_handle_type);
}

/* The callback to call now, a new reference, since a cancel drops the handle's own; NULL of a
 * handle that was cancelled. */
static inline PyObject *handle_begin(handle_object *handle) {
  PyObject *callback = NULL;
  Py_BEGIN_CRITICAL_SECTION(handle);
  if (handle->cancelled != Py_True) {
    handle->running = true;
    if (handle_is_waited_for(handle)) threadsafe_handle_begin(handle);
    callback = Py_NewRef(handle->callback);
  }
  Py_END_CRITICAL_SECTION();
  return callback;
}

/* A cancel during the callback left the arguments, which were in use; they are dropped here. */
static inline void handle_end(handle_object *handle) {
  Py_BEGIN_CRITICAL_SECTION(handle);
  if (handle_is_waited_for(handle)) threadsafe_handle_end(handle);
  handle->running = false;
  if (handle->cancelled == Py_True) handle_drop_args(handle);
  Py_END_CRITICAL_SECTION();
}

void handle_run(handle_object *handle) {
  PyObject *callback = handle_begin(handle);
  if (callback == NULL) return;
  if (handle->loop->debug)
    handle_call_timed(handle, callback);
  else
    handle_call_callback(handle, callback);
  Py_DECREF(callback);
  handle_end(handle);
}

/* Its turn has come: it has left its list, whose reference is dropped here. */
static inline void handle_take_turn(handle_object *handle) {
  loop_object *loop = handle->loop;
  loop_enter(loop);
  handle_run(handle);
  loop_leave(loop);
  Py_DECREF(handle);
}

static void handle_on_call(bide_call *call) {
  handle_object *handle = BIDE_CONTAINER_OF(call, handle_object, queued.call);
  list_remove(&handle->link);
  handle_take_turn(handle);
}

void handle_prepare(handle_object *handle) {
  list_push(&handle->loop->scheduled, &handle->link);
  Py_INCREF(handle);
}

bide_call *handle_call(handle_object *handle) {
  handle->queued.call = (bide_call){.cb = handle_on_call};
  return &handle->queued.call;
}

static void handle_on_post(bide_call *call) {
  handle_object *handle = BIDE_CONTAINER_OF(call, handle_object, queued.call);
  loop_object *loop = handle->loop;
  compat_lock_take(&loop->lock);
  list_remove(&handle->link);
  loop->posted--;
  compat_lock_give(&loop->lock);
  handle_take_turn(handle);
}

/* How many posts there are with this one; 0 when the loop was closed before it. */
static unsigned handle_post_locked(loop_object *loop, handle_object *handle) {
  if (loop->closed) return 0;
  bide_call *call = handle_call(handle);
  call->cb = handle_on_post;
  list_push(&loop->posts, &handle->link);
  Py_INCREF(handle);
  bide_post(loop->core, call);
  return ++loop->posted;
}

/* Without a GIL the loop need not wait for this thread, but must be quicker than all of them. */
static void handle_let_loop_go_on(void) {
  static const struct timespec pause = {.tv_nsec = 50000};
  if (COMPAT_FREE_THREADED)
    nanosleep(&pause, NULL);
  else
    sched_yield();
}

int handle_post(handle_object *handle) {
  loop_object *loop = handle->loop;
  compat_lock_take(&loop->lock);
  unsigned posted = handle_post_locked(loop, handle);
  compat_lock_give(&loop->lock);
  if (posted == 0) {
    convert_raise(BIDE_ECLOSED);
    return -1;
  }
  if (posted <= HANDLE_POSTED_MAX) return 0;
  Py_BEGIN_ALLOW_THREADS;
  handle_let_loop_go_on();
  Py_END_ALLOW_THREADS;
  return 0;
}

int handle_schedule(handle_object *handle) {
  if (loop_check_here(handle->loop) < 0) return -1;
  handle_prepare(handle);
  int code = bide_loop_call_soon(handle->loop->core, handle_call(handle));
  if (code == 0) return 0;
  handle_unschedule(handle);
  convert_raise(code);
  return -1;
}

static int handle_cancel_locked(handle_object *handle) {
  if (handle->cancelled == Py_True) return 0;
  Py_SETREF(handle->cancelled, Py_NewRef(Py_True));
  if (handle->loop->debug) {
    /* Kept for the report of a callback that was slow and cancelled itself. */
    PyObject *repr = PyObject_Repr((PyObject *)handle);
    if (repr == NULL) return -1;
    Py_SETREF(handle->repr, repr);
  }
  PyObject *callback = handle->callback;
  handle->callback = Py_NewRef(Py_None);
  if (!handle->running) handle_drop_args(handle);
  Py_DECREF(callback);
  return 0;
}

int handle_cancel(handle_object *handle) {
  int code;
  Py_BEGIN_CRITICAL_SECTION(handle);
  code = handle_cancel_locked(handle);
  Py_END_CRITICAL_SECTION();
  return code;
}

/* ---- the type ---- */

static PyObject *handle_cancel_method(PyObject *self, PyObject *unused) {
  (void)unused;
  if (handle_cancel((handle_object *)self) < 0) return NULL;
  Py_RETURN_NONE;
}

PyObject *handle_cancelled_method(PyObject *self, PyObject *unused) {
  (void)unused;
  bool cancelled;
  Py_BEGIN_CRITICAL_SECTION(self);
  cancelled = ((handle_object *)self)->cancelled == Py_True;
  Py_END_CRITICAL_SECTION();
  return PyBool_FromLong(cancelled);
}

static PyObject *handle_get_args_locked(handle_object *handle) {
  if (handle->callback == Py_None) Py_RETURN_NONE;
  PyObject *tuple = PyTuple_New((Py_ssize_t)handle->nargs);
  if (tuple == NULL) return NULL;
  PyObject **args = handle_args(handle);
  for (uint32_t i = 0; i < handle->nargs; i++)
    PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, Py_NewRef(args[i]));
  return tuple;
}

PyObject *handle_get_args(PyObject *self, void *unused) {
  (void)unused;
  PyObject *tuple;
  Py_BEGIN_CRITICAL_SECTION(self);
  tuple = handle_get_args_locked((handle_object *)self);
  Py_END_CRITICAL_SECTION();
  return tuple;
}

static PyMethodDef handle_methods[] = {
    {"cancel", handle_cancel_method, METH_NOARGS,
     "Cancel the callback; it will not be called."},
    {"cancelled", handle_cancelled_method, METH_NOARGS,
     "Return True if the callback was cancelled."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef handle_getset[] = {
    {"_args", handle_get_args, NULL, "The arguments as a tuple, None once cancelled.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot handle_slots[] = {
    {Py_tp_doc, "A callback that the loop will run soon."},
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_traverse, handle_traverse},
    {Py_tp_clear, handle_clear},
    {Py_tp_methods, handle_methods},
    {Py_tp_getset, handle_getset},
    {0, NULL},
};

PyType_Spec handle_spec = {
    .name = "bide._bide.Handle",
    .basicsize = sizeof(handle_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = handle_slots,
};

static int handle_check_slot(PyTypeObject *base, const char *name, size_t offset) {
  PyObject *descriptor = PyObject_GetAttrString((PyObject *)base, name);
  if (descriptor == NULL) return -1;
  bool fits = Py_IS_TYPE(descriptor, &PyMemberDescr_Type) &&
              ((PyMemberDescrObject *)descriptor)->d_member->offset == (Py_ssize_t)offset;
  Py_DECREF(descriptor);
  if (fits) return 0;
  PyErr_Format(PyExc_ImportError,
               "bide does not know this Python: asyncio.Handle.%s lies elsewhere", name);
  return -1;
}

int handle_check_layout(PyTypeObject *base, bool is_timer) {
  static const struct {
    const char *name;
    size_t offset;
  } slots[] = {
      {"_args", offsetof(handle_object, args_slot)},
      {"_callback", offsetof(handle_object, callback)},
      {"_cancelled", offsetof(handle_object, cancelled)},
      {"_context", offsetof(handle_object, context)},
      {"_loop", offsetof(handle_object, loop)},
      {"_repr", offsetof(handle_object, repr)},
      {"_source_traceback", offsetof(handle_object, source_traceback)},
  };
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
    if (handle_check_slot(base, slots[i].name, slots[i].offset) < 0) return -1;
  size_t when = offsetof(handle_object, timer_slots[COMPAT_TIMER_SLOTS - 1]);
  if (is_timer && handle_check_slot(base, "_when", when) < 0) return -1;
  if (base->tp_basicsize > (Py_ssize_t)offsetof(handle_object, link)) {
    PyErr_Format(PyExc_ImportError, "bide does not know this Python: %s is too large",
                 base->tp_name);
    return -1;
  }
  return 0;
}
