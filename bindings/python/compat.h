/* compat.h: what differs between the CPython versions 3.10 to 3.14. The only file of
 * the glue that asks for a version. */
#ifndef BIDE_PYTHON_COMPAT_H
#define BIDE_PYTHON_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#if PY_VERSION_HEX < 0x030A0000
#error "bide needs CPython 3.10 or newer."
#endif

#if PY_VERSION_HEX < 0x030B0000
#define PyType_GetModuleByDef _PyType_GetModuleByDef
#endif

#if PY_VERSION_HEX < 0x030C0000

/* The pending exception as one normalised object, a new reference, cleared; NULL when
 * none is pending. */
static inline PyObject *PyErr_GetRaisedException(void) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (type == NULL) return NULL;
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != NULL) PyException_SetTraceback(value, traceback);
  Py_DECREF(type);
  Py_XDECREF(traceback);
  return value;
}

/* Makes `exception` pending; steals the reference. */
static inline void PyErr_SetRaisedException(PyObject *exception) {
  PyObject *type = Py_NewRef((PyObject *)Py_TYPE(exception));
  PyErr_Restore(type, exception, PyException_GetTraceback(exception));
}

#endif

#endif
