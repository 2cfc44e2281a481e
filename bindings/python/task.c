/* task.c: create_task. The plain case is C; the keywords of each version, task factories
 * and debug mode are EventLoop's, in Python. */
#include "clock.h"

static bool task_names_coro(PyObject *keywords) {
  for (Py_ssize_t i = 0; keywords != NULL && i < PyTuple_GET_SIZE(keywords); i++)
    if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, i), "coro") == 0)
      return true;
  return false;
}

static int task_check_arguments(Py_ssize_t nargs, PyObject *keywords) {
  if (nargs == 1 || (nargs == 0 && task_names_coro(keywords))) return 0;
  if (nargs == 0)
    PyErr_SetString(
        PyExc_TypeError,
        "EventLoop.create_task() missing 1 required positional argument: 'coro'");
  else
    PyErr_Format(
        PyExc_TypeError,
        "EventLoop.create_task() takes 2 positional arguments but %zd were given",
        nargs + 1);
  return -1;
}

/* Whether Task(coro, loop=loop) is all that is wanted: asyncio.create_task and TaskGroup
 * pass name=None, and some context=None. */
static bool task_is_plain(const loop_object *loop, PyObject *const *options,
                          PyObject *keywords) {
  if (loop->debug || loop->clock.debug_foreign ||
      (loop->task_factory != NULL && loop->task_factory != Py_None))
    return false;
  for (Py_ssize_t i = 0; keywords != NULL && i < PyTuple_GET_SIZE(keywords); i++) {
    PyObject *name = PyTuple_GET_ITEM(keywords, i);
    bool known = name == loop->state->names.name || name == loop->state->names.context;
    if (!known || options[i] != Py_None) return false;
  }
  return true;
}

/* The class is looked up each time, as asyncio does: programs replace it. */
static PyObject *task_make(loop_object *loop, PyObject *coro) {
  PyObject *type = PyObject_GetAttr(loop->state->tasks, loop->state->names.Task);
  if (type == NULL) return NULL;
  PyObject *args[] = {NULL, coro, (PyObject *)loop};
  PyObject *task = PyObject_Vectorcall(type, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                       loop->state->loop_keyword);
  Py_DECREF(type);
  return task;
}

PyObject *loop_create_task(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *keywords) {
  loop_object *loop = (loop_object *)self;
  if (task_check_arguments(nargs, keywords) < 0 || loop_check_use(loop) < 0 ||
      clock_check(loop) < 0)
    return NULL;
  if (nargs == 1 && task_is_plain(loop, args + 1, keywords))
    return task_make(loop, args[0]);
  return state_pass_on(self, loop->state->names._create_task, args, nargs, keywords);
}
