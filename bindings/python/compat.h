/* compat.h: what differs between the CPython versions 3.10 to 3.14. The only file of
 * the glue that asks for a version. */
#ifndef BIDE_PYTHON_COMPAT_H
#define BIDE_PYTHON_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <structmember.h>

#if PY_VERSION_HEX < 0x030A0000
#error "bide needs CPython 3.10 or newer."
#endif

/* The slots that asyncio.TimerHandle adds to Handle's, _scheduled and _when; before 3.12 the
 * list of weak references lies in front of them. */
#if PY_VERSION_HEX < 0x030C0000
#define COMPAT_TIMER_SLOTS 3
#else
#define COMPAT_TIMER_SLOTS 2
#endif

/* What a queued datagram adds to get_write_buffer_size() beyond its bytes. */
#if PY_VERSION_HEX < 0x030D0000
#define COMPAT_DATAGRAM_HEADER_BYTES 0
#else
#define COMPAT_DATAGRAM_HEADER_BYTES 8
#endif

/* A slot of the module: each interpreter has its own state of it, so that one with a lock
 * of its own may have it too. Before 3.12, which asks no such thing, the end of the slots.
 * There is no slot that says that no GIL is needed: what other threads drop leans on it. */
#if PY_VERSION_HEX < 0x030C0000
#define COMPAT_INTERPRETERS_SLOT \
  { 0, NULL }
#else
#define COMPAT_INTERPRETERS_SLOT \
  { Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED }
#endif

/* Whether threads run Python code at the same time. Then a compat_lock is one, which whoever
 * holds must not block or run Python code; else the GIL is what it would be. A critical section
 * is the lock of one object, given up while its holder waits or runs Python code that does. */
#ifdef Py_GIL_DISABLED
#define COMPAT_FREE_THREADED true
typedef PyMutex compat_lock;
#define compat_lock_take PyMutex_Lock
#define compat_lock_give PyMutex_Unlock
#else
#define COMPAT_FREE_THREADED false
typedef char compat_lock;
static inline void compat_lock_take(compat_lock *lock) { (void)lock; }
static inline void compat_lock_give(compat_lock *lock) { (void)lock; }
#endif

#if PY_VERSION_HEX < 0x030D0000
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* What a call of object.name() finds: 1, and *method is the function in the class; 0 when
 * the object itself has one or it is another kind of attribute, or with an exception when
 * there is none. All versions export it; since 3.13 no public header says so. */
#if PY_VERSION_HEX >= 0x030D0000
PyAPI_FUNC(int) _PyObject_GetMethod(PyObject *object, PyObject *name, PyObject **method);
#endif
#define compat_get_method _PyObject_GetMethod

/* A new reference to what a weak reference leads to, or NULL once it is gone. -1 with an
 * exception, else not negative. */
#if PY_VERSION_HEX < 0x030D0000
static inline int compat_weakref_get(PyObject *reference, PyObject **object) {
  PyObject *found = PyWeakref_GetObject(reference);
  *object = found == NULL || found == Py_None ? NULL : Py_NewRef(found);
  return found == NULL ? -1 : 0;
}
#else
#define compat_weakref_get PyWeakref_GetRef
#endif

/* Where an object of a type that has weak references keeps their list. */
static inline PyObject **compat_weakrefs(PyObject *object) {
  return (PyObject **)((char *)object + Py_TYPE(object)->tp_weaklistoffset);
}

/* Whether writelines() of a socket's transport is write() of what b"".join() makes. */
#define COMPAT_JOINS_LINES (PY_VERSION_HEX < 0x030C0000)

/* Whether call_later and call_at refuse None in words of their own. */
#define COMPAT_NAMES_NONE_TIMES (PY_VERSION_HEX >= 0x030B0000)

#if PY_VERSION_HEX < 0x030B0000
#define PyType_GetModuleByDef _PyType_GetModuleByDef

/* The exception that an except clause handles, a new reference, or NULL. */
static inline PyObject *PyErr_GetHandledException(void) {
  PyObject *type, *value, *traceback;
  PyErr_GetExcInfo(&type, &value, &traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  if (value != Py_None) return value;
  Py_DECREF(value);
  return NULL;
}

/* NULL or None: none is handled. */
static inline void PyErr_SetHandledException(PyObject *exception) {
  if (exception == NULL || exception == Py_None)
    PyErr_SetExcInfo(NULL, NULL, NULL);
  else
    PyErr_SetExcInfo(Py_NewRef((PyObject *)Py_TYPE(exception)), Py_NewRef(exception),
                     PyException_GetTraceback(exception));
}
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

/* A number that changes with the dict's contents. Before 3.12 each dict carries one; since
 * then a dict that is watched tells of its changes, and this counts those of all. */
static inline unsigned long long compat_dict_version(PyObject *dict) {
  return ((PyDictObject *)dict)->ma_version_tag;
}

static inline bool compat_dict_watch(PyObject *dict, int *watcher) {
  (void)dict;
  *watcher = -1;
  return true;
}

static inline void compat_dict_unwatch(PyObject *dict, int watcher) {
  (void)dict;
  (void)watcher;
}

#else

extern atomic_ullong compat_dict_changes;

static inline unsigned long long compat_dict_version(PyObject *dict) {
  (void)dict;
  return atomic_load_explicit(&compat_dict_changes, memory_order_relaxed);
}

static inline int compat_dict_changed(PyDict_WatchEvent event, PyObject *dict,
                                      PyObject *key, PyObject *value) {
  (void)event;
  (void)dict;
  (void)key;
  (void)value;
  atomic_fetch_add_explicit(&compat_dict_changes, 1, memory_order_relaxed);
  return 0;
}

/* False when the interpreter has no watcher left, of which it has eight. */
static inline bool compat_dict_watch(PyObject *dict, int *watcher) {
  *watcher = PyDict_AddWatcher(compat_dict_changed);
  if (*watcher >= 0 && PyDict_Watch(*watcher, dict) == 0) return true;
  PyErr_Clear();
  return false;
}

static inline void compat_dict_unwatch(PyObject *dict, int watcher) {
  if (PyDict_Unwatch(watcher, dict) < 0 || PyDict_ClearWatcher(watcher) < 0)
    PyErr_Clear();
}

#endif

#endif
