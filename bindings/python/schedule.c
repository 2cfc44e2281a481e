/* schedule.c: call_soon and its kin. */
#include <math.h>

#include "arguments.h"
#include "bare_call.h"
#include "clock.h"
#include "convert.h"
#include "list.h"
#include "threadsafe_handle.h"
#include "timer_handle.h"

static const arguments_spec schedule_soon = {"call_soon", {"callback"}, true};
static const arguments_spec schedule_threadsafe = {
    "call_soon_threadsafe", {"callback"}, true};
static const arguments_spec schedule_later = {"call_later", {"delay", "callback"}, true};
static const arguments_spec schedule_at = {"call_at", {"when", "callback"}, true};

/* What asyncio checks in debug mode alone: the thread, and that the callback is one. */
static int schedule_check_debug(loop_object *loop, const char *method, PyObject *callback,
                                bool any_thread) {
  if (!loop->debug) return 0;
  if (!any_thread && loop_check_thread(loop) < 0) return -1;
  PyObject *result = state_call((PyObject *)loop, loop->state->names._check_callback,
                                "(Os)", callback, method);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

/* A handle for what was parsed, whose callback is the named argument at `place`. */
static handle_object *schedule_handle(loop_object *loop, PyTypeObject *type,
                                      const arguments *parsed, int place) {
  return handle_new(loop, type, parsed->named[place], parsed->rest, parsed->rest_count,
                    parsed->context);
}

/* The handle of a call_soon. Without keywords, the usual case, there is nothing to parse. */
static inline handle_object *schedule_first(loop_object *loop, PyTypeObject *type,
                                            const arguments_spec *spec,
                                            PyObject *const *args, Py_ssize_t nargs,
                                            PyObject *keywords) {
  if (keywords == NULL && nargs > 0 && !loop->debug)
    return handle_new(loop, type, args[0], args + 1, nargs - 1, NULL);
  arguments parsed;
  if (arguments_parse(loop, spec, args, nargs, keywords, &parsed) < 0 ||
      schedule_check_debug(loop, spec->method, parsed.named[0],
                           spec == &schedule_threadsafe) < 0)
    return NULL;
  return schedule_handle(loop, type, &parsed, 0);
}

PyObject *loop_call_soon(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *keywords) {
  loop_object *loop = (loop_object *)self;
  int bare = bare_call_soon(loop, args, nargs, keywords);
  if (bare != 0) return bare < 0 ? NULL : Py_NewRef(Py_None);
  handle_object *handle = schedule_first(loop, loop->state->handle_type, &schedule_soon,
                                         args, nargs, keywords);
  if (handle != NULL && handle_schedule(handle) < 0) Py_CLEAR(handle);
  return (PyObject *)handle;
}

/* Whether the core is this thread's, so that the call keeps its place among those of
 * call_soon: the loop runs here, or does not run and the GIL keeps it from that meanwhile. */
static bool schedule_owns_core(const loop_object *loop) {
  return loop_runs_here(loop) || (!COMPAT_FREE_THREADED && loop->thread_id == 0);
}

PyObject *loop_call_soon_threadsafe(PyObject *self, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *keywords) {
  loop_object *loop = (loop_object *)self;
  handle_object *handle = schedule_first(loop, threadsafe_handle_type(loop->state),
                                         &schedule_threadsafe, args, nargs, keywords);
  if (handle == NULL) return NULL;
  int code = schedule_owns_core(loop) ? handle_schedule(handle) : handle_post(handle);
  if (code < 0) Py_CLEAR(handle);
  return (PyObject *)handle;
}

/* A timer for when_s. `given` is what when() returns, NULL for when_s itself. */
static PyObject *schedule_timer(loop_object *loop, double when_s, double now_s,
                                PyObject *given, const arguments *parsed) {
  handle_object *handle =
      schedule_handle(loop, loop->state->timer_handle_type, parsed, 1);
  if (handle != NULL && given != NULL)
    handle->timer_slots[COMPAT_TIMER_SLOTS - 1] = Py_NewRef(given);
  if (handle != NULL &&
      timer_handle_start((timer_handle_object *)handle, when_s, now_s) < 0)
    Py_CLEAR(handle);
  return (PyObject *)handle;
}

/* The time of an object that knows no more than to be counted with. */
static double schedule_by_difference(PyObject *when, PyObject *now) {
  PyErr_Clear();
  PyObject *difference = PyNumber_Subtract(when, now);
  double left_s = difference == NULL ? -1.0 : PyFloat_AsDouble(difference);
  Py_XDECREF(difference);
  return left_s == -1.0 && PyErr_Occurred() ? -1.0 : PyFloat_AS_DOUBLE(now) + left_s;
}

/* asyncio takes whatever compares with its clock, and finds out in its loop, which another
 * type ends: here the call is refused, in the words of that comparison. */
static double schedule_foreign_when(PyObject *when, double now_s) {
  PyObject *now = PyFloat_FromDouble(now_s);
  PyObject *due = now == NULL ? NULL : PyObject_RichCompare(when, now, Py_GE);
  double when_s = due == NULL ? -1.0 : PyFloat_AsDouble(when);
  if (due != NULL && when_s == -1.0 && PyErr_ExceptionMatches(PyExc_TypeError))
    when_s = schedule_by_difference(when, now);
  Py_XDECREF(due);
  Py_XDECREF(now);
  return when_s;
}

/* An integer may be larger than all floats: such a time never comes, or is long past. */
static double schedule_huge_when(PyObject *when) {
  PyErr_Clear();
  int overflow = 0;
  (void)PyLong_AsLongLongAndOverflow(when, &overflow);
  return overflow < 0 ? -INFINITY : INFINITY;
}

/* A timer for the time that the user names, of any type. Not a number, it is not later
 * than any time, and so due at once. */
static PyObject *schedule_for(loop_object *loop, PyObject *when, double now_s,
                              const arguments *parsed) {
  bool is_int = PyLong_Check(when);
  double when_s = is_int || PyFloat_Check(when) ? PyFloat_AsDouble(when)
                                                : schedule_foreign_when(when, now_s);
  if (when_s == -1.0 && PyErr_Occurred()) {
    if (!is_int || !PyErr_ExceptionMatches(PyExc_OverflowError)) return NULL;
    when_s = schedule_huge_when(when);
  }
  return schedule_timer(loop, isnan(when_s) ? -INFINITY : when_s, now_s, when, parsed);
}

/* A subclass has a call_at of its own: asyncio's call_later goes through it. */
static PyObject *schedule_by_call_at(loop_object *loop, const arguments *parsed) {
  double now_s;
  if (clock_now(loop, &now_s) < 0) return NULL;
  Py_ssize_t count = parsed->rest_count;
  PyObject *now = PyFloat_FromDouble(now_s);
  PyObject *when = now == NULL ? NULL : PyNumber_Add(now, parsed->named[0]);
  Py_XDECREF(now);
  PyObject *keywords = when == NULL ? NULL : PyTuple_Pack(1, loop->state->names.context);
  PyObject **all = keywords == NULL ? NULL : PyMem_New(PyObject *, count + 4);
  PyObject *handle = NULL;
  if (all != NULL) {
    all[0] = (PyObject *)loop;
    all[1] = when;
    all[2] = parsed->named[1];
    if (count > 0) memcpy(all + 3, parsed->rest, (size_t)count * sizeof *all);
    all[count + 3] = parsed->context != NULL ? parsed->context : Py_None;
    handle = PyObject_VectorcallMethod(loop->state->names.call_at, all, (size_t)count + 3,
                                       keywords);
  } else if (keywords != NULL) {
    PyErr_NoMemory();
  }
  PyMem_Free(all);
  Py_XDECREF(keywords);
  Py_XDECREF(when);
  return handle;
}

/* asyncio adds the delay to the time, whatever that gives. */
static PyObject *schedule_for_sum(loop_object *loop, PyObject *delay, double now_s,
                                  const arguments *parsed) {
  PyObject *now = PyFloat_FromDouble(now_s);
  PyObject *when = now == NULL ? NULL : PyNumber_Add(now, delay);
  PyObject *handle = NULL;
  if (when != NULL && loop_check_open(loop) == 0 &&
      schedule_check_debug(loop, "call_at", parsed->named[1], false) == 0)
    handle = schedule_for(loop, when, now_s, parsed);
  Py_XDECREF(when);
  Py_XDECREF(now);
  return handle;
}

/* What ends asyncio.sleep() sets the result of a future, whose waiters have contexts of their
 * own: no code runs that could ask for a variable, and one context does for all sleepers,
 * where a copy for each would be a tenth of what a sleeping task takes. A loop that runs has
 * one callback at a time, so that it is never entered twice. 0, or -1 with MemoryError. */
static int schedule_share_context(loop_object *loop, arguments *parsed) {
  module_state *state = loop->state;
  if (parsed->named[1] != state->set_result_unless_cancelled || parsed->context != NULL ||
      parsed->rest_count != 2 || loop->debug || loop->clock.call_soon_foreign ||
      Py_TYPE(parsed->rest[0]) != (PyTypeObject *)state->Future)
    return 0;
  if (loop->bare_context == NULL) loop->bare_context = PyContext_New();
  parsed->context = loop->bare_context;
  return parsed->context == NULL ? -1 : 0;
}

PyObject *loop_call_later(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *keywords) {
  loop_object *loop = (loop_object *)self;
  arguments parsed;
  if (loop_check_here(loop) < 0 ||
      arguments_parse(loop, &schedule_later, args, nargs, keywords, &parsed) < 0)
    return NULL;
  PyObject *delay = parsed.named[0];
  if (delay == Py_None && COMPAT_NAMES_NONE_TIMES) {
    PyErr_SetString(PyExc_TypeError, "delay must not be None");
    return NULL;
  }
  double now_s;
  if (clock_check(loop) < 0) return NULL;
  if (loop->clock.call_at_foreign) return schedule_by_call_at(loop, &parsed);
  if (clock_now(loop, &now_s) < 0) return NULL;
  if (!PyFloat_CheckExact(delay) && !PyLong_CheckExact(delay))
    return schedule_for_sum(loop, delay, now_s, &parsed);
  double delay_s = PyFloat_AsDouble(delay);
  if (delay_s == -1.0 && PyErr_Occurred()) return NULL;
  if (isnan(delay_s)) return schedule_for_sum(loop, delay, now_s, &parsed);
  if (schedule_check_debug(loop, "call_at", parsed.named[1], false) < 0 ||
      schedule_share_context(loop, &parsed) < 0)
    return NULL;
  return schedule_timer(loop, now_s + delay_s, now_s, NULL, &parsed);
}

PyObject *loop_call_at(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *keywords) {
  loop_object *loop = (loop_object *)self;
  arguments parsed;
  if (loop_check_here(loop) < 0 ||
      arguments_parse(loop, &schedule_at, args, nargs, keywords, &parsed) < 0)
    return NULL;
  PyObject *when = parsed.named[0];
  if (when == Py_None && COMPAT_NAMES_NONE_TIMES) {
    PyErr_SetString(PyExc_TypeError, "when cannot be None");
    return NULL;
  }
  if (clock_check(loop) < 0 || loop_check_open(loop) < 0 ||
      schedule_check_debug(loop, "call_at", parsed.named[1], false) < 0)
    return NULL;
  if (!PyFloat_CheckExact(when) || isnan(PyFloat_AS_DOUBLE(when)))
    return schedule_for(loop, when, loop_now_s(), &parsed);
  return schedule_timer(loop, PyFloat_AS_DOUBLE(when), loop_now_s(), NULL, &parsed);
}
