#include "bare_call.h"

#include "convert.h"
#include "handle.h"
#include "list.h"

/* Spare ones cost 80 bytes each; these cover the steps of a gather of some hundred. */
enum { BARE_CALL_SPARE_MAX = 1024 };

/* ---- knowing them ---- */

/* The probe's call_soon: keeps the names that it is called with. */
static PyObject *bare_call_probed(PyObject *module, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *keywords) {
  (void)args;
  module_state *state = PyModule_GetState(module);
  if (nargs == 2 && keywords != NULL && PyTuple_GET_SIZE(keywords) == 1 &&
      PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), "context") == 0)
    Py_XSETREF(state->bare_keywords, Py_NewRef(keywords));
  Py_RETURN_NONE;
}

static PyObject *bare_call_no_debug(PyObject *module, PyObject *unused) {
  (void)module;
  (void)unused;
  Py_RETURN_FALSE;
}

static PyMethodDef bare_call_soon_def = {"call_soon",
                                         (PyCFunction)(void (*)(void))bare_call_probed,
                                         METH_FASTCALL | METH_KEYWORDS, NULL};

static PyMethodDef bare_call_get_debug_def = {"get_debug", bare_call_no_debug,
                                              METH_NOARGS, NULL};

static int bare_call_give(PyObject *probe, PyObject *name, PyMethodDef *def,
                          PyObject *module) {
  PyObject *function = PyCFunction_New(def, module);
  int code = function == NULL ? -1 : PyObject_SetAttr(probe, name, function);
  Py_XDECREF(function);
  return code;
}

/* An object with as much of a loop as a future needs. */
static PyObject *bare_call_probe(PyObject *module, module_state *state) {
  PyObject *probe = PyObject_CallNoArgs(state->SimpleNamespace);
  if (probe != NULL &&
      (bare_call_give(probe, state->names.call_soon, &bare_call_soon_def, module) < 0 ||
       bare_call_give(probe, state->names.get_debug, &bare_call_get_debug_def, module) <
           0))
    Py_CLEAR(probe);
  return probe;
}

/* A future with a callback, which it schedules as soon as it has a result. */
static int bare_call_try(PyObject *future_type, PyObject *probe, module_state *state) {
  PyObject *args[] = {NULL, probe};
  PyObject *future = PyObject_Vectorcall(
      future_type, args + 1, PY_VECTORCALL_ARGUMENTS_OFFSET, state->loop_keyword);
  PyObject *done = NULL;
  if (future != NULL)
    done = PyObject_CallMethodOneArg(future, state->names.add_done_callback, future_type);
  if (done != NULL)
    Py_SETREF(done, PyObject_CallMethodOneArg(future, state->names.set_result, Py_None));
  Py_XDECREF(future);
  Py_XDECREF(done);
  return done == NULL ? -1 : 0;
}

int bare_call_look(PyObject *module, module_state *state) {
  PyObject *accelerated = PyImport_ImportModule("_asyncio");
  if (accelerated == NULL) {
    if (!PyErr_ExceptionMatches(PyExc_ImportError)) return -1;
    PyErr_Clear();
    return 0;
  }
  PyObject *type = PyObject_GetAttr(accelerated, state->names.Future);
  PyObject *probe = type == NULL ? NULL : bare_call_probe(module, state);
  int code = probe == NULL ? -1 : bare_call_try(type, probe, state);
  Py_DECREF(accelerated);
  Py_XDECREF(type);
  Py_XDECREF(probe);
  return code;
}

/* ---- running ---- */

/* With a handle, for those who ask for one: debug mode, and who is told of `error`. */
static void bare_call_as_handle(loop_object *loop, PyObject *callback, PyObject *argument,
                                PyObject *context, PyObject *error) {
  handle_object *handle = handle_make(loop, loop->state->handle_type, callback, &argument,
                                      argument != NULL, context);
  if (handle == NULL) {
    loop_swallow(loop);
    Py_XDECREF(error);
  } else if (error == NULL) {
    handle_run(handle);
  } else {
    PyErr_SetRaisedException(error);
    handle_failed(handle);
  }
  Py_XDECREF(handle);
}

static void bare_call_run(loop_object *loop, PyObject *callback, PyObject *argument,
                          PyObject *context) {
  PyObject *args[] = {NULL, argument};
  PyObject *result = NULL, *error = NULL;
  if (loop->debug) {
    bare_call_as_handle(loop, callback, argument, context, NULL);
    return;
  }
  if (PyContext_Enter(context) < 0) {
    error = PyErr_GetRaisedException();
  } else {
    result = PyObject_Vectorcall(
        callback, args + 1, (argument != NULL) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (result == NULL) error = PyErr_GetRaisedException();
    if (PyContext_Exit(context) < 0) loop_swallow(loop);
    Py_XDECREF(result);
  }
  if (error != NULL) bare_call_as_handle(loop, callback, argument, context, error);
}

/* It is spare before it runs: the callback's own next call takes it while it is warm. */
static void bare_call_spare(loop_object *loop, bare_call *self) {
  list_remove(&self->link);
  if (loop->spare_count < BARE_CALL_SPARE_MAX) {
    self->link.next = loop->spare_calls;
    loop->spare_calls = &self->link;
    loop->spare_count++;
  } else {
    PyMem_Free(self);
  }
}

static void bare_call_on_call(bide_call *call) {
  bare_call *self = BIDE_CONTAINER_OF(call, bare_call, call);
  loop_object *loop = self->loop;
  PyObject *callback = self->callback, *argument = self->argument;
  PyObject *context = self->context;
  bare_call_spare(loop, self);
  loop_enter(loop);
  bare_call_run(loop, callback, argument, context);
  Py_DECREF(callback);
  Py_XDECREF(argument);
  Py_DECREF(context);
  loop_leave(loop);
}

/* ---- queueing ---- */

static bare_call *bare_call_take(loop_object *loop) {
  bide_node *spare = loop->spare_calls;
  if (spare != NULL) {
    loop->spare_calls = spare->next;
    loop->spare_count--;
    return BIDE_CONTAINER_OF(spare, bare_call, link);
  }
  bare_call *self = PyMem_New(bare_call, 1);
  if (self == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  self->call = (bide_call){.cb = bare_call_on_call};
  self->loop = loop;
  return self;
}

int bare_call_soon(loop_object *loop, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *keywords) {
  if (keywords == NULL || keywords != loop->state->bare_keywords || loop->debug ||
      (nargs != 1 && nargs != 2) || !PyContext_CheckExact(args[nargs]))
    return 0;
  if (loop_check_use(loop) < 0) return -1;
  bare_call *self = bare_call_take(loop);
  if (self == NULL) return -1;
  list_push(&loop->bare_calls, &self->link);
  int code = bide_loop_call_soon(loop->core, &self->call);
  if (code < 0) {
    bare_call_spare(loop, self);
    convert_raise(code);
    return -1;
  }
  self->callback = Py_NewRef(args[0]);
  self->argument = nargs == 2 ? Py_NewRef(args[1]) : NULL;
  self->context = Py_NewRef(args[nargs]);
  return 1;
}

/* ---- for the loop ---- */

int bare_call_traverse(loop_object *loop, visitproc visit, void *arg) {
  for (bide_node *node = loop->bare_calls.next; node != &loop->bare_calls;
       node = node->next) {
    bare_call *self = BIDE_CONTAINER_OF(node, bare_call, link);
    Py_VISIT(self->callback);
    Py_VISIT(self->argument);
    Py_VISIT(self->context);
  }
  return 0;
}

void bare_call_forget_all(loop_object *loop) {
  while (!list_empty(&loop->bare_calls)) {
    bare_call *self = BIDE_CONTAINER_OF(loop->bare_calls.next, bare_call, link);
    PyObject *callback = self->callback, *argument = self->argument;
    PyObject *context = self->context;
    list_remove(&self->link);
    PyMem_Free(self);
    Py_DECREF(callback);
    Py_XDECREF(argument);
    Py_DECREF(context);
  }
  while (loop->spare_calls != NULL) {
    bare_call *self = BIDE_CONTAINER_OF(loop->spare_calls, bare_call, link);
    loop->spare_calls = self->link.next;
    PyMem_Free(self);
  }
  loop->spare_count = 0;
}
