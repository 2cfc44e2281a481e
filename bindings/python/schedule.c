/* schedule.c: call_soon and its kin. */
#include <math.h>

#include "clock.h"
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

static PyObject *schedule_timer(loop_object *loop, double when_s, double now_s,
                                PyObject *const *args, Py_ssize_t nargs,
                                PyObject *context) {
  if (isnan(when_s)) {
    PyErr_SetString(PyExc_ValueError, "Invalid delay or time: nan");
    return NULL;
  }
  handle_object *handle = handle_new(loop, loop->state->timer_handle_type, args[0],
                                     args + 1, nargs - 1, context);
  if (handle != NULL &&
      timer_handle_start((timer_handle_object *)handle, when_s, now_s) < 0)
    Py_CLEAR(handle);
  return (PyObject *)handle;
}

/* A subclass has a call_at of its own: asyncio's call_later goes through it. args[0] is the
 * delay. */
static PyObject *schedule_by_call_at(loop_object *loop, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *context) {
  double now_s;
  if (clock_now(loop, &now_s) < 0) return NULL;
  PyObject *now = PyFloat_FromDouble(now_s);
  PyObject *when = now == NULL ? NULL : PyNumber_Add(now, args[0]);
  Py_XDECREF(now);
  PyObject *keywords = when == NULL ? NULL : PyTuple_Pack(1, loop->state->names.context);
  PyObject **all = keywords == NULL ? NULL : PyMem_New(PyObject *, nargs + 2);
  PyObject *handle = NULL;
  if (all != NULL) {
    all[0] = (PyObject *)loop;
    all[1] = when;
    memcpy(all + 2, args + 1, (size_t)(nargs - 1) * sizeof *all);
    all[nargs + 1] = context != NULL ? context : Py_None;
    handle = PyObject_VectorcallMethod(loop->state->names.call_at, all, (size_t)nargs + 1,
                                       keywords);
  } else if (keywords != NULL) {
    PyErr_NoMemory();
  }
  PyMem_Free(all);
  Py_XDECREF(keywords);
  Py_XDECREF(when);
  return handle;
}

/* asyncio adds the delay to the time, and so are its words. */
static int schedule_delay(PyObject *delay, double *delay_s) {
  *delay_s = PyFloat_AsDouble(delay);
  if (*delay_s != -1.0 || !PyErr_Occurred()) return 0;
  if (PyErr_ExceptionMatches(PyExc_TypeError))
    PyErr_Format(PyExc_TypeError,
                 "unsupported operand type(s) for +: 'float' and '%.100s'",
                 Py_TYPE(delay)->tp_name);
  return -1;
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
  double delay_s, now_s;
  if (clock_check(loop) < 0) return NULL;
  if (loop->clock.call_at_foreign) return schedule_by_call_at(loop, args, nargs, context);
  if (schedule_delay(args[0], &delay_s) < 0 || clock_now(loop, &now_s) < 0 ||
      schedule_check_debug(loop, "call_at", args[1], false) < 0)
    return NULL;
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
  if ((when_s == -1.0 && PyErr_Occurred()) || clock_check(loop) < 0 ||
      schedule_check_debug(loop, "call_at", args[1], false) < 0)
    return NULL;
  return schedule_timer(loop, when_s, loop_now_s(), args + 1, nargs - 1, context);
}
