/* least_loop.c: a loop in C that does for asyncio's own tasks and futures what they cannot
 * do without, and nothing else: a ring of calls, each with a context that is entered for it.
 *
 * It waits for nothing, reports nothing, wakes nobody and cannot be closed. What it takes for a
 * task is what no loop can go below that runs asyncio's own, which need no handle. A call from
 * another thread is a program's own: it gets a handle by which it can be cancelled. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

enum { RING = 1 << 16 };

/* What a program gets. Dead ones are kept, linked through `callback`. */
typedef struct least_handle {
  PyObject_HEAD
  PyObject *callback, *argument, *context;
  bool cancelled;
} least_handle;

static PyTypeObject *least_handle_type;
static least_handle *least_spare;

/* argument may be NULL. Where there is a handle it owns the others. */
typedef struct least_call {
  PyObject *callback, *argument, *context;
  least_handle *handle;
} least_call;

/* `keyword` is ("loop",), what a future is made with. */
typedef struct least_loop {
  PyObject_HEAD
  PyObject *future_type, *task_type, *keyword;
  least_call *ring;
  unsigned head, tail;
} least_loop;

static PyObject *least_handle_cancel(PyObject *self, PyObject *unused) {
  (void)unused;
  ((least_handle *)self)->cancelled = true;
  Py_RETURN_NONE;
}

static int least_handle_traverse(PyObject *self, visitproc visit, void *arg) {
  least_handle *handle = (least_handle *)self;
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(handle->callback);
  Py_VISIT(handle->argument);
  Py_VISIT(handle->context);
  return 0;
}

static void least_handle_dealloc(PyObject *self) {
  least_handle *handle = (least_handle *)self;
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Py_DECREF(handle->callback);
  Py_XDECREF(handle->argument);
  Py_DECREF(handle->context);
  handle->callback = (PyObject *)least_spare;
  least_spare = handle;
  Py_DECREF(type);
}

/* Takes the call's references over. */
static least_handle *least_handle_new(const least_call *call) {
  least_handle *handle = least_spare;
  if (handle != NULL) {
    least_spare = (least_handle *)handle->callback;
    PyObject_Init((PyObject *)handle, least_handle_type);
  } else {
    handle = PyObject_GC_New(least_handle, least_handle_type);
    if (handle == NULL) return NULL;
  }
  handle->callback = call->callback;
  handle->argument = call->argument;
  handle->context = call->context;
  handle->cancelled = false;
  PyObject_GC_Track((PyObject *)handle);
  return handle;
}

static PyMethodDef least_handle_methods[] = {
    {"cancel", least_handle_cancel, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot least_handle_slots[] = {
    {Py_tp_dealloc, least_handle_dealloc},
    {Py_tp_traverse, least_handle_traverse},
    {Py_tp_methods, least_handle_methods},
    {0, NULL},
};

static PyType_Spec least_handle_spec = {
    .name = "least_loop.Handle",
    .basicsize = sizeof(least_handle),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = least_handle_slots,
};

static PyObject *least_push(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *keywords) {
  least_loop *loop = (least_loop *)self;
  if (nargs < 1 || nargs > 2 || loop->tail - loop->head == RING) {
    PyErr_SetString(PyExc_ValueError, "the least loop has no room for that");
    return NULL;
  }
  PyObject *context = keywords != NULL ? Py_NewRef(args[nargs]) : PyContext_CopyCurrent();
  if (context == NULL) return NULL;
  loop->ring[loop->tail++ % RING] = (least_call){
      Py_NewRef(args[0]), nargs == 2 ? Py_NewRef(args[1]) : NULL, context, NULL};
  Py_RETURN_NONE;
}

static PyObject *least_push_handle(PyObject *self, PyObject *const *args,
                                   Py_ssize_t nargs, PyObject *keywords) {
  least_loop *loop = (least_loop *)self;
  PyObject *pushed = least_push(self, args, nargs, keywords);
  if (pushed == NULL) return NULL;
  Py_DECREF(pushed);
  least_call *call = &loop->ring[(loop->tail - 1) % RING];
  call->handle = least_handle_new(call);
  return Py_XNewRef((PyObject *)call->handle);
}

static int least_run_one(least_loop *loop) {
  least_call call = loop->ring[loop->head++ % RING];
  PyObject *args[] = {NULL, call.argument};
  PyObject *result = NULL;
  if (call.handle != NULL && call.handle->cancelled) {
    Py_DECREF(call.handle);
    return 0;
  }
  if (PyContext_Enter(call.context) == 0) {
    result = PyObject_Vectorcall(call.callback, args + 1,
                                 (call.argument != NULL) | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                 NULL);
    if (PyContext_Exit(call.context) < 0) Py_CLEAR(result);
  }
  if (call.handle != NULL) {
    Py_DECREF(call.handle);
  } else {
    Py_DECREF(call.callback);
    Py_XDECREF(call.argument);
    Py_DECREF(call.context);
  }
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

static PyObject *least_run(PyObject *self, PyObject *unused) {
  (void)unused;
  least_loop *loop = (least_loop *)self;
  while (loop->head != loop->tail)
    if (least_run_one(loop) < 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject *least_create_future(PyObject *self, PyObject *unused) {
  (void)unused;
  least_loop *loop = (least_loop *)self;
  PyObject *args[] = {NULL, self};
  return PyObject_Vectorcall(loop->future_type, args + 1, PY_VECTORCALL_ARGUMENTS_OFFSET,
                             loop->keyword);
}

/* asyncio.create_task() gives the name that it was not given. */
static PyObject *least_create_task(PyObject *self, PyObject *const *args,
                                   Py_ssize_t nargs, PyObject *keywords) {
  least_loop *loop = (least_loop *)self;
  if (nargs != 1 || (keywords != NULL && args[nargs] != Py_None)) {
    PyErr_SetString(PyExc_ValueError, "the least loop's tasks have no names");
    return NULL;
  }
  PyObject *given[] = {NULL, args[0], self};
  return PyObject_Vectorcall(loop->task_type, given + 1,
                             1 | PY_VECTORCALL_ARGUMENTS_OFFSET, loop->keyword);
}

static PyObject *least_get_debug(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  Py_RETURN_FALSE;
}

/* Ring(future_type, task_type) */
static PyObject *least_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  PyObject *future_type, *task_type;
  (void)keywords;
  if (!PyArg_ParseTuple(args, "OO", &future_type, &task_type)) return NULL;
  least_loop *loop = (least_loop *)type->tp_alloc(type, 0);
  if (loop == NULL) return NULL;
  loop->future_type = Py_NewRef(future_type);
  loop->task_type = Py_NewRef(task_type);
  loop->keyword = Py_BuildValue("(s)", "loop");
  loop->ring = PyMem_New(least_call, RING);
  if (loop->ring == NULL) PyErr_NoMemory();
  if (loop->keyword != NULL && loop->ring != NULL) return (PyObject *)loop;
  Py_DECREF(loop);
  return NULL;
}

static void least_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  least_loop *loop = (least_loop *)self;
  PyMem_Free(loop->ring);
  Py_XDECREF(loop->future_type);
  Py_XDECREF(loop->task_type);
  Py_XDECREF(loop->keyword);
  type->tp_free(self);
  Py_DECREF(type);
}

static PyMethodDef least_methods[] = {
    {"call_soon", (PyCFunction)(void (*)(void))least_push, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"call_soon_threadsafe", (PyCFunction)(void (*)(void))least_push_handle,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"run_ready", least_run, METH_NOARGS, "Run what is ready, until nothing is."},
    {"create_future", least_create_future, METH_NOARGS, NULL},
    {"create_task", (PyCFunction)(void (*)(void))least_create_task,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"get_debug", least_get_debug, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot least_slots[] = {
    {Py_tp_new, least_new},
    {Py_tp_dealloc, least_dealloc},
    {Py_tp_methods, least_methods},
    {0, NULL},
};

static PyType_Spec least_spec = {
    .name = "least_loop.Ring",
    .basicsize = sizeof(least_loop),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = least_slots,
};

static struct PyModuleDef least_def = {PyModuleDef_HEAD_INIT, .m_name = "least_loop",
                                       .m_size = 0};

PyMODINIT_FUNC PyInit_least_loop(void) {
  PyObject *module = PyModule_Create(&least_def);
  PyObject *type = module == NULL ? NULL : PyType_FromSpec(&least_spec);
  least_handle_type = (PyTypeObject *)PyType_FromSpec(&least_handle_spec);
  if (least_handle_type == NULL) Py_CLEAR(type);
  if (type != NULL && PyModule_AddObjectRef(module, "Ring", type) == 0) {
    Py_DECREF(type);
    return module;
  }
  Py_XDECREF(type);
  Py_XDECREF(module);
  return NULL;
}
