/* files_op.c: the life of a file operation, as a task drives it. */
#include <unistd.h>

#include "convert.h"
#include "coroutine.h"
#include "files.h"
#include "list.h"

file_op *file_op_new(PyObject *module, const file_kind *kind) {
  module_state *state = PyModule_GetState(module);
  file_op *self = (file_op *)state->file_op_type->tp_alloc(state->file_op_type, 0);
  if (self == NULL) return NULL;
  self->kind = kind;
  self->fd = -1;
  self->offset = -1;
  return self;
}

/* ---- towards the core ---- */

static void file_op_on_result(bide_op *op) {
  file_op_completed(BIDE_CONTAINER_OF(op, file_op, op), op->result);
}

int file_op_submit(file_op *self) {
  self->op.cb = file_op_on_result;
  return bide_loop_submit(self->loop->core, &self->op);
}

static void file_op_wake(file_op *self) {
  PyObject *waiter = self->waiter;
  self->waiter = NULL;
  loop_wake_future(self->loop, waiter);
  Py_DECREF(waiter);
}

/* What an operation has achieved that nobody takes. */
static void file_op_discard(file_op *self) {
  bool opened = (self->kind->flags & FILE_OPENS) != 0 && self->result >= 0;
  if (opened && self->state == FILE_COMPLETED) (void)close(self->result);
  self->state = FILE_OVER;
}

/* While the loop is drained nobody is woken: the tasks that wait never run again. */
void file_op_completed(file_op *self, int32_t result) {
  loop_object *loop = self->loop;
  bool abandoned = self->state == FILE_ABANDONED;
  list_remove(&self->link);
  self->result = result;
  self->state = FILE_COMPLETED;
  if (abandoned) file_op_discard(self);
  if (!loop->draining) {
    loop_enter(loop);
    if (abandoned) PyBuffer_Release(&self->view);
    if (self->waiter != NULL) file_op_wake(self);
    loop_leave(loop);
  }
  Py_DECREF(self);
}

void file_op_forget(file_op *self) {
  list_remove(&self->link);
  self->state = FILE_OVER;
  Py_DECREF(self);
}

/* ---- towards the task ---- */

static PyObject *file_op_raise(file_op *self, int32_t code) {
  PyObject *error = convert_error(code);
  if (error != NULL && self->name != NULL &&
      PyErr_GivenExceptionMatches(error, PyExc_OSError))
    Py_SETREF(error, PyObject_CallFunction(PyExc_OSError, "isO", bide_error_errno(code),
                                           strerror(bide_error_errno(code)), self->name));
  if (error != NULL) PyErr_SetRaisedException(error);
  return NULL;
}

/* The running loop must be one of bide's. */
static int file_op_bind(file_op *self) {
  module_state *state = module_state_of(Py_TYPE(self));
  PyObject *loop = state == NULL ? NULL : PyObject_CallNoArgs(state->get_running_loop);
  if (loop == NULL) return -1;
  if (PyObject_TypeCheck(loop, state->loop_type)) {
    self->loop = (loop_object *)loop;
    return 0;
  }
  if (loop == Py_None)
    PyErr_Format(PyExc_RuntimeError,
                 "%s() of a file needs a running bide event loop, and none runs in this "
                 "thread; start the program with bide.run(main())",
                 self->kind->name);
  else
    PyErr_Format(PyExc_RuntimeError,
                 "%s() of a file needs a bide event loop, but %R is running; start the "
                 "program with bide.run(main())",
                 self->kind->name, loop);
  Py_DECREF(loop);
  return -1;
}

static PyObject *file_op_sleep(file_op *self) {
  return coroutine_sleep(self->loop, &self->waiter);
}

/* Starts steps until one is in flight: FILE_IN_FLIGHT, or FILE_COMPLETED with `result`. */
static file_state file_op_advance(file_op *self) {
  for (;;) {
    int code = self->kind->start(self);
    if (code == 0) {
      list_push(&self->loop->files, &self->link);
      Py_INCREF(self);
      return self->state = FILE_IN_FLIGHT;
    }
    if (code < 0) self->result = code;
    if (code < 0 || self->kind->step == NULL || self->kind->step(self) == FILE_ENDED)
      return self->state = FILE_COMPLETED;
  }
}

static PyObject *file_op_value(file_op *self) {
  PyObject *thrown = self->thrown;
  self->thrown = NULL;
  PyBuffer_Release(&self->view);
  if (thrown != NULL) {
    file_op_discard(self);
    PyErr_SetRaisedException(thrown);
    return NULL;
  }
  self->state = FILE_OVER;
  if (self->result < 0) return file_op_raise(self, self->result);
  return self->kind->finish(self);
}

static PySendResult file_op_send(PyObject *object, PyObject *value, PyObject **result) {
  (void)value;
  file_op *self = (file_op *)object;
  *result = NULL;
  if (self->state == FILE_OVER || self->state == FILE_ABANDONED) {
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    return PYGEN_ERROR;
  }
  if (self->state == FILE_NEW) {
    if (file_op_bind(self) < 0) {
      self->state = FILE_OVER;
      return PYGEN_ERROR;
    }
    file_op_advance(self);
  } else if (self->state == FILE_COMPLETED && self->thrown == NULL &&
             self->kind->step != NULL && self->kind->step(self) == FILE_AGAIN) {
    file_op_advance(self);
  }
  if (self->state == FILE_IN_FLIGHT) {
    *result = file_op_sleep(self);
    return *result == NULL ? PYGEN_ERROR : PYGEN_NEXT;
  }
  *result = file_op_value(self);
  return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static void file_op_ask_to_end(file_op *self) {
  if ((self->kind->flags & FILE_RUNS_ON) != 0) return;
  if (self->kind->cancel != NULL)
    self->kind->cancel(self);
  else
    (void)bide_loop_cancel(self->loop->core, &self->op);
}

/* True when the task has to wait for the operation's end before it gets its exception. */
static bool file_op_stop(file_op *self, bool may_wait) {
  if (self->state != FILE_IN_FLIGHT) {
    PyBuffer_Release(&self->view);
    file_op_discard(self);
    return false;
  }
  file_op_ask_to_end(self);
  if (may_wait && (self->kind->flags & FILE_WAITS) != 0) return true;
  self->state = FILE_ABANDONED;
  Py_CLEAR(self->waiter);
  return false;
}

static PyObject *file_op_throw(PyObject *object, PyObject *const *args,
                               Py_ssize_t nargs) {
  file_op *self = (file_op *)object;
  PyObject *error = coroutine_thrown(args, nargs);
  if (error == NULL) return NULL;
  if (file_op_stop(self, !PyErr_GivenExceptionMatches(error, PyExc_GeneratorExit))) {
    Py_XSETREF(self->thrown, error);
    Py_CLEAR(self->waiter);
    return file_op_sleep(self);
  }
  PyErr_SetRaisedException(error);
  return NULL;
}

static PyObject *file_op_close(PyObject *self, PyObject *unused) {
  (void)unused;
  (void)file_op_stop((file_op *)self, false);
  Py_RETURN_NONE;
}

static PyObject *file_op_next(PyObject *self) {
  return coroutine_next(self, file_op_send);
}

static PyObject *file_op_send_method(PyObject *self, PyObject *value) {
  if (value == Py_None || ((file_op *)self)->state != FILE_NEW)
    return coroutine_send(self, file_op_send);
  PyErr_SetString(PyExc_TypeError,
                  "can't send non-None value to a just-started coroutine");
  return NULL;
}

static PyObject *file_op_await(PyObject *self) { return Py_NewRef(self); }

/* ---- the type ---- */

static PyObject *file_op_get_name(PyObject *self, void *unused) {
  (void)unused;
  return PyUnicode_FromString(((file_op *)self)->kind->name);
}

static PyObject *file_op_get_moved(PyObject *object, void *unused) {
  (void)unused;
  file_op *self = (file_op *)object;
  return PyLong_FromLong(self->result > 0 ? self->result : 0);
}

static PyObject *file_op_repr(PyObject *object) {
  static const char *const states[] = {"not started", "in flight", "completed",
                                       "abandoned", "over"};
  file_op *self = (file_op *)object;
  return PyUnicode_FromFormat("<file operation %s, %s>", self->kind->name,
                              states[self->state]);
}

static int file_op_traverse(PyObject *object, visitproc visit, void *arg) {
  file_op *self = (file_op *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->loop);
  Py_VISIT(self->waiter);
  Py_VISIT(self->thrown);
  Py_VISIT(self->name);
  Py_VISIT(self->view.obj);
  return 0;
}

/* The kernel may still use the rest. */
static int file_op_clear(PyObject *object) {
  file_op *self = (file_op *)object;
  Py_CLEAR(self->waiter);
  Py_CLEAR(self->thrown);
  return 0;
}

static void file_op_finalize(PyObject *object) {
  file_op *self = (file_op *)object;
  if (self->state != FILE_NEW) return;
  self->state = FILE_OVER;
  PyObject *error = PyErr_GetRaisedException();
  if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited",
                       self->kind->name) < 0)
    PyErr_WriteUnraisable(object);
  if (error != NULL) PyErr_SetRaisedException(error);
}

static void file_op_dealloc(PyObject *object) {
  file_op *self = (file_op *)object;
  PyTypeObject *type = Py_TYPE(object);
  if (PyObject_CallFinalizerFromDealloc(object) < 0) return;
  PyObject_GC_UnTrack(object);
  file_op_clear(object);
  if (self->state == FILE_COMPLETED) file_op_discard(self);
  PyBuffer_Release(&self->view);
  Py_CLEAR(self->loop);
  Py_CLEAR(self->name);
  Py_CLEAR(self->path);
  Py_CLEAR(self->bytes);
  PyMem_Free(self->extra);
  type->tp_free(object);
  Py_DECREF(type);
}

static PyMethodDef file_op_methods[] = {
    {"send", file_op_send_method, METH_O, "As a coroutine's."},
    {"throw", (PyCFunction)(void (*)(void))file_op_throw, METH_FASTCALL,
     "As a coroutine's: cancels the operation."},
    {"close", file_op_close, METH_NOARGS,
     "As a coroutine's: cancels the operation and forgets it."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef file_op_getset[] = {
    {"__name__", file_op_get_name, NULL, "The function that made it.", NULL},
    {"__qualname__", file_op_get_name, NULL, "The function that made it.", NULL},
    {"moved", file_op_get_moved, NULL,
     "The bytes that were read or written, also when the await was cancelled.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot file_op_slots[] = {
    {Py_tp_doc, "An operation of bide.fs: to be awaited once, or run as a task."},
    {Py_am_await, file_op_await},
    {Py_am_send, file_op_send},
    {Py_tp_iternext, file_op_next},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_repr, file_op_repr},
    {Py_tp_methods, file_op_methods},
    {Py_tp_getset, file_op_getset},
    {Py_tp_traverse, file_op_traverse},
    {Py_tp_clear, file_op_clear},
    {Py_tp_finalize, file_op_finalize},
    {Py_tp_dealloc, file_op_dealloc},
    {0, NULL},
};

PyType_Spec file_op_spec = {
    .name = "bide._bide.FileOp",
    .basicsize = sizeof(file_op),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = file_op_slots,
};
