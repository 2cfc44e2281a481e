/* coroutine.h: what is common to C objects that a task drives as it would a coroutine. */
#ifndef BIDE_PYTHON_COROUTINE_H
#define BIDE_PYTHON_COROUTINE_H

#include "loop.h"

/* The future at *waiter, made if there is none, as a task wants to be given it to sleep on:
 * a new reference; NULL with an exception. */
PyObject *coroutine_sleep(loop_object *loop, PyObject **waiter);

/* The exception that throw(type, value=None, traceback=None) was given, a new reference;
 * NULL with TypeError. */
PyObject *coroutine_thrown(PyObject *const *args, Py_ssize_t nargs);

/* One step by `send` as tp_iternext, whose end without an exception means None, and as send()
 * for those who call it by name. */
PyObject *coroutine_next(PyObject *self, sendfunc send);
PyObject *coroutine_send(PyObject *self, sendfunc send);

#endif
