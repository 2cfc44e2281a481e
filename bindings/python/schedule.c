/* schedule.c: call_soon and its kin. */
#include <math.h>

#include "convert.h"
#include "list.h"
#include "timer_handle.h"

/* The value of the keyword `context`, borrowed; NULL when it is not given. -1 with
 * TypeError for any other keyword. */
static int schedule_context(loop_object *loop, const char *method,
                            PyObject *const *values, PyObject *keywords,
                            PyObject **context) {
  *context = NULL;
  if (keywords == NULL) return 0;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keywords); i++) {
    PyObject *name = PyTuple_GET_ITEM(keywords, i);
    if (name != loop->state->names.context &&
        PyUnicode_CompareWithASCIIString(name, "context") != 0) {
      PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", method,
                   name);
      return -1;
    }
    *context = values[i];
  }
  return 0;
}

static int schedule_check_count(const char *method, Py_ssize_t nargs, Py_ssize_t least) {
  if (nargs >= least) return 0;
  PyErr_Format(PyExc_TypeError, "%s() takes at least %zd positional argument%s", method,
               least, least == 1 ? "" : "s");
  return -1;
}

/* What asyncio checks in debug mode alone: the thread, and that the callback is one. */
static int schedule_check_debug(loop_object *loop, const char *method, PyObject *callback,
                                bool any_thread) {
  if (!loop->debug) return 0;
  if (!any_thread && loop_check_thread(loop) < 0) return -1;
  PyObject *result =
      PyObject_CallMethod((PyObject *)loop, "_check_callback", "Os", callback, method);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

PyObject *loop_call_soon(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *keywords) {
  loop_object *loop = (loop_object *)self;
  PyObject *context;
  if (schedule_check_count("call_soon", nargs, 1) < 0 ||
      schedule_context(loop, "call_soon", args + nargs, keywords, &context) < 0 ||
      schedule_check_debug(loop, "call_soon", args[0], false) < 0)
    return NULL;
  handle_object *handle =
      handle_new(loop, loop->state->handle_type, args[0], args + 1, nargs - 1, context);
  if (handle != NULL && handle_schedule(handle) < 0) Py_CLEAR(handle);
  return (PyObject *)handle;
}

/* The lock that keeps the loop from being closed meanwhile is the GIL. A loop that does
 * not run, or runs in this thread, is not inside the core: then the call keeps its place
 * among those of call_soon. */
PyObject *loop_call_soon_threadsafe(PyObject *self, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *keywords) {
  loop_object *loop = (loop_object *)self;
  PyObject *context;
  if (schedule_check_count("call_soon_threadsafe", nargs, 1) < 0 ||
      schedule_context(loop, "call_soon_threadsafe", args + nargs, keywords, &context) <
          0 ||
      schedule_check_debug(loop, "call_soon_threadsafe", args[0], true) < 0)
    return NULL;
  handle_object *handle =
      handle_new(loop, loop->state->handle_type, args[0], args + 1, nargs - 1, context);
  if (handle == NULL) return NULL;
  if (loop->thread_id == 0 || loop->thread_id == PyThread_get_thread_ident()) {
    if (handle_schedule(handle) < 0) Py_CLEAR(handle);
    return (PyObject *)handle;
  }
  handle_prepare(handle);
  bide_post(loop->core, &handle->call);
  return (PyObject *)handle;
}

/* The first microsecond that is not before when_s. What is due already stays so: its
 * callback must not wait for the microsecond under way to end. */
static uint64_t schedule_deadline_us(double when_s, double now_s) {
  double us = when_s * 1e6;
  if (when_s <= now_s) return us <= 0 ? 0 : (uint64_t)us;
  return us >= 0x1p63 ? UINT64_MAX / 2 : (uint64_t)ceil(us);
}

static PyObject *schedule_timer(loop_object *loop, double when_s, double now_s,
                                PyObject *const *args, Py_ssize_t nargs,
                                PyObject *context) {
  if (isnan(when_s)) {
    PyErr_SetString(PyExc_ValueError, "Invalid delay or time: nan");
    return NULL;
  }
  handle_object *handle = handle_new(loop, loop->state->timer_handle_type, args[0],
                                     args + 1, nargs - 1, context);
  if (handle == NULL) return NULL;
  timer_handle_start((timer_handle_object *)handle, when_s,
                     schedule_deadline_us(when_s, now_s));
  return (PyObject *)handle;
}

PyObject *loop_call_later(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *keywords) {
  loop_object *loop = (loop_object *)self;
  PyObject *context;
  if (schedule_check_count("call_later", nargs, 2) < 0 ||
      schedule_context(loop, "call_later", args + nargs, keywords, &context) < 0)
    return NULL;
  if (args[0] == Py_None) {
    PyErr_SetString(PyExc_TypeError, "delay must not be None");
    return NULL;
  }
  double delay_s = PyFloat_AsDouble(args[0]);
  if ((delay_s == -1.0 && PyErr_Occurred()) ||
      schedule_check_debug(loop, "call_later", args[1], false) < 0)
    return NULL;
  double now_s = loop_now_s();
  return schedule_timer(loop, now_s + delay_s, now_s, args + 1, nargs - 1, context);
}

PyObject *loop_call_at(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *keywords) {
  loop_object *loop = (loop_object *)self;
  PyObject *context;
  if (schedule_check_count("call_at", nargs, 2) < 0 ||
      schedule_context(loop, "call_at", args + nargs, keywords, &context) < 0)
    return NULL;
  if (args[0] == Py_None) {
    PyErr_SetString(PyExc_TypeError, "when cannot be None");
    return NULL;
  }
  double when_s = PyFloat_AsDouble(args[0]);
  if ((when_s == -1.0 && PyErr_Occurred()) ||
      schedule_check_debug(loop, "call_at", args[1], false) < 0)
    return NULL;
  return schedule_timer(loop, when_s, loop_now_s(), args + 1, nargs - 1, context);
}
