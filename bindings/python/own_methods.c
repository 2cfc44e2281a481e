/* own_methods.c: method descriptors for the loop's class.
 *
 * A call checks that its object is of the type that the method's descriptor names. Through a
 * dozen bases that is a tenth of a call_soon, and the interpreter specialises a call only for
 * an object of that very type (PEP 659). */
#include "loop.h"

static int own_methods_give(PyTypeObject *type, PyObject *name, PyObject *method) {
  PyObject *found = PyObject_GetAttr((PyObject *)type, name);
  Py_XDECREF(found);
  if (found != method) return found == NULL ? -1 : 0;
  PyObject *own = PyDescr_NewMethod(type, ((PyMethodDescrObject *)method)->d_method);
  int code = own == NULL ? -1 : PyObject_SetAttr((PyObject *)type, name, own);
  Py_XDECREF(own);
  return code;
}

PyObject *loop_own_methods(PyObject *type, PyObject *unused) {
  (void)unused;
  module_state *state = module_state_of((PyTypeObject *)type);
  if (state == NULL) return NULL;
  PyObject *name, *method;
  Py_ssize_t at = 0;
  while (PyDict_Next(state->loop_type->tp_dict, &at, &name, &method))
    if (Py_IS_TYPE(method, &PyMethodDescr_Type) &&
        own_methods_give((PyTypeObject *)type, name, method) < 0)
      return NULL;
  Py_RETURN_NONE;
}
