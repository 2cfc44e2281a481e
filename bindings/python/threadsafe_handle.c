#include "threadsafe_handle.h"

/* `finished` is there while there are waiters, and held until the callback has ended. */
typedef struct threadsafe_handle {
  handle_object handle;
  unsigned long runner; /* the thread that the callback runs in; 0: it does not */
  PyThread_type_lock finished;
  unsigned waiters; /* threads that wait for the callback's end */
} threadsafe_handle;

PyTypeObject *threadsafe_handle_type(module_state *state) {
  PyTypeObject *type = state->threadsafe_handle_type;
  return type != NULL ? type : state->handle_type;
}

void threadsafe_handle_begin(handle_object *handle) {
  ((threadsafe_handle *)handle)->runner = PyThread_get_thread_ident();
}

void threadsafe_handle_end(handle_object *handle) {
  threadsafe_handle *self = (threadsafe_handle *)handle;
  self->runner = 0;
  if (self->finished != NULL) PyThread_release_lock(self->finished);
}

/* Makes the lock that the end of the callback releases. Whoever waits takes it and gives
 * it on to the next; the last one frees it. */
static int threadsafe_handle_ask(threadsafe_handle *handle) {
  if (handle->finished == NULL) {
    handle->finished = PyThread_allocate_lock();
    if (handle->finished == NULL) {
      PyErr_NoMemory();
      return -1;
    }
    PyThread_acquire_lock(handle->finished, NOWAIT_LOCK);
  }
  handle->waiters++;
  return 0;
}

/* A callback that asks about its own handle is not waited for. 0, or -1 with what a
 * signal's handler raised meanwhile. */
static int threadsafe_handle_wait_locked(threadsafe_handle *handle) {
  while (handle->runner != 0 && handle->runner != PyThread_get_thread_ident()) {
    if (threadsafe_handle_ask(handle) < 0) return -1;
    PyThread_type_lock finished = handle->finished;
    PyLockStatus status;
    Py_BEGIN_ALLOW_THREADS;
    status = PyThread_acquire_lock_timed(finished, -1, 1);
    if (status == PY_LOCK_ACQUIRED) PyThread_release_lock(finished);
    Py_END_ALLOW_THREADS;
    if (--handle->waiters == 0) {
      handle->finished = NULL;
      PyThread_free_lock(finished);
    }
    if (status == PY_LOCK_INTR && PyErr_CheckSignals() < 0) return -1;
  }
  return 0;
}

/* The wait itself gives the critical section up, as it does the GIL. */
static int threadsafe_handle_wait(threadsafe_handle *handle) {
  int code;
  Py_BEGIN_CRITICAL_SECTION(handle);
  code = threadsafe_handle_wait_locked(handle);
  Py_END_CRITICAL_SECTION();
  return code;
}

static PyObject *threadsafe_handle_cancel(PyObject *self, PyObject *unused) {
  (void)unused;
  if (threadsafe_handle_wait((threadsafe_handle *)self) < 0 ||
      handle_cancel((handle_object *)self) < 0)
    return NULL;
  Py_RETURN_NONE;
}

static PyObject *threadsafe_handle_cancelled(PyObject *self, PyObject *unused) {
  if (threadsafe_handle_wait((threadsafe_handle *)self) < 0) return NULL;
  return handle_cancelled_method(self, unused);
}

/* asyncio's own would take a lock that this type does not have. */
static PyObject *threadsafe_handle_run(PyObject *self, PyObject *unused) {
  (void)unused;
  module_state *state = ((handle_object *)self)->loop->state;
  return PyObject_CallMethodOneArg((PyObject *)state->handle_type, state->names._run,
                                   self);
}

static PyMethodDef threadsafe_handle_methods[] = {
    {"cancel", threadsafe_handle_cancel, METH_NOARGS,
     "Cancel the callback; it will not be called. Waits for one that is under way."},
    {"cancelled", threadsafe_handle_cancelled, METH_NOARGS,
     "Return True if the callback was cancelled. Waits for one that is under way."},
    {"_run", threadsafe_handle_run, METH_NOARGS, "Call the callback now."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef threadsafe_handle_getset[] = {
    {"_args", handle_get_args, NULL, "The arguments as a tuple, None once cancelled.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot threadsafe_handle_slots[] = {
    {Py_tp_doc, "A callback that another thread asked the loop to run."},
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_traverse, handle_traverse},
    {Py_tp_clear, handle_clear},
    {Py_tp_methods, threadsafe_handle_methods},
    {Py_tp_getset, threadsafe_handle_getset},
    {0, NULL},
};

PyType_Spec threadsafe_handle_spec = {
    .name = "bide._bide.ThreadSafeHandle",
    .basicsize = sizeof(threadsafe_handle),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = threadsafe_handle_slots,
};
