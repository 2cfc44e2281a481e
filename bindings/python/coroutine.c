#include "coroutine.h"

PyObject *coroutine_sleep(loop_object *loop, PyObject **waiter) {
  if (*waiter == NULL) *waiter = loop_create_future((PyObject *)loop, NULL);
  if (*waiter == NULL) return NULL;
  PyObject *name = loop->state->names._asyncio_future_blocking;
  if (PyObject_SetAttr(*waiter, name, Py_True) < 0) return NULL;
  return Py_NewRef(*waiter);
}

PyObject *coroutine_thrown(PyObject *const *args, Py_ssize_t nargs) {
  if (nargs < 1 || nargs > 3) {
    PyErr_SetString(PyExc_TypeError, "throw() takes one to three arguments");
    return NULL;
  }
  PyObject *error = nargs > 1 && args[1] != Py_None ? args[1] : args[0];
  if (PyExceptionInstance_Check(error)) return Py_NewRef(error);
  if (!PyExceptionClass_Check(args[0])) {
    PyErr_Format(PyExc_TypeError,
                 "exceptions must be classes or instances deriving from BaseException, "
                 "not %s",
                 Py_TYPE(args[0])->tp_name);
    return NULL;
  }
  error = error == args[0] ? PyObject_CallNoArgs(args[0])
                           : PyObject_CallOneArg(args[0], error);
  if (error == NULL || PyExceptionInstance_Check(error)) return error;
  PyErr_Format(PyExc_TypeError, "calling %R should have returned an exception", args[0]);
  Py_DECREF(error);
  return NULL;
}

PyObject *coroutine_next(PyObject *self, sendfunc send) {
  PyObject *result;
  PySendResult outcome = send(self, Py_None, &result);
  if (outcome != PYGEN_RETURN) return result;
  PyObject *stop =
      result == Py_None ? NULL : PyObject_CallOneArg(PyExc_StopIteration, result);
  Py_DECREF(result);
  if (stop != NULL) PyErr_SetRaisedException(stop);
  return NULL;
}

PyObject *coroutine_send(PyObject *self, sendfunc send) {
  PyObject *result = coroutine_next(self, send);
  if (result == NULL && !PyErr_Occurred()) PyErr_SetNone(PyExc_StopIteration);
  return result;
}
