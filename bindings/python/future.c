/* future.c: asyncio's futures, made without the call of their class.
 *
 * Outside debug mode Future(loop=loop) stores the loop and leaves all else zero, in every
 * CPython that bide knows; the call costs five times what that takes. The first future of a
 * process is made by the call and looked at: if it is of that shape the next ones are
 * allocated as the class does it, and given their loop. */
#include "clock.h"

/* The class' first field is the loop. */
typedef struct future_fields {
  PyObject_HEAD
  PyObject *loop;
} future_fields;

static PyObject *future_call(module_state *state, PyObject *loop) {
  PyObject *args[] = {NULL, loop};
  return PyObject_Vectorcall(state->Future, args + 1, PY_VECTORCALL_ARGUMENTS_OFFSET,
                             state->loop_keyword);
}

static future_shape future_shape_of(PyObject *future, PyObject *loop) {
  size_t size = (size_t)Py_TYPE(future)->tp_basicsize;
  if (size < sizeof(future_fields) || ((future_fields *)future)->loop != loop)
    return FUTURE_OTHER;
  const char *bytes = (const char *)future;
  for (size_t i = sizeof(future_fields); i < size; i++)
    if (bytes[i] != 0) return FUTURE_OTHER;
  return FUTURE_BARE;
}

PyObject *loop_create_future(PyObject *self, PyObject *unused) {
  (void)unused;
  loop_object *loop = (loop_object *)self;
  module_state *state = loop->state;
  PyTypeObject *type = (PyTypeObject *)state->Future;
  if (clock_check(loop) < 0) return NULL;
  bool plain = !loop->debug && !loop->clock.debug_foreign;
  if (!plain || state->future_shape != FUTURE_BARE) {
    PyObject *called = future_call(state, self);
    if (called != NULL && plain && state->future_shape == FUTURE_UNKNOWN)
      state->future_shape = future_shape_of(called, self);
    return called;
  }
  future_fields *future = (future_fields *)type->tp_alloc(type, 0);
  if (future != NULL) future->loop = Py_NewRef(self);
  return (PyObject *)future;
}

/* The setting is tried first: nearly always the future waits. */
void loop_wake_future(loop_object *loop, PyObject *future) {
  const module_state *state = loop->state;
  PyObject *result = PyObject_CallMethodOneArg(future, state->names.set_result, Py_None);
  if (result == NULL) {
    PyObject *error = PyErr_GetRaisedException();
    result = PyObject_CallMethodNoArgs(future, state->names.done);
    if (result == Py_True) {
      Py_DECREF(error);
    } else {
      PyErr_SetRaisedException(error);
      loop_swallow(loop);
    }
  }
  Py_XDECREF(result);
}
