/* module.c: the module _bide, its state and the table of its types. */
#include <bide/base.h>
#include <stddef.h>

#include "bare_call.h"
#include "clock.h"
#include "files.h"
#include "handle.h"
#include "socket_call.h"
#include "stream.h"
#include "transport.h"

static struct PyModuleDef module_def;

module_state *module_state_of(PyTypeObject *type) {
  PyObject *module = PyType_GetModuleByDef(type, &module_def);
  return module == NULL ? NULL : PyModule_GetState(module);
}

/* ---- the tables ---- */

typedef struct module_type {
  size_t offset; /* of the PyTypeObject * in the state */
  PyType_Spec *spec;
  const char *base_module; /* NULL: the base is object */
  const char *base_names;
} module_type;

typedef struct module_import {
  size_t offset;
  const char *module;
  const char *attribute;
} module_import;

typedef struct module_name {
  size_t offset;
  const char *text;
} module_name;

static const module_type module_types[] = {
#define STATE_X(member, spec, module, name) \
  {offsetof(module_state, member), &spec, module, name},
    STATE_TYPES(STATE_X)
#undef STATE_X
};

static const module_import module_imports[] = {
#define STATE_X(member, module, attribute) \
  {offsetof(module_state, member), module, attribute},
    STATE_IMPORTS(STATE_X)
#undef STATE_X
};

static const module_name module_names[] = {
#define STATE_X(name) {offsetof(module_state, names.name), #name},
    STATE_NAMES(STATE_X)
#undef STATE_X
};

#define MODULE_COUNT(table) (sizeof(table) / sizeof *(table))

static PyObject **module_member(module_state *state, size_t offset) {
  return (PyObject **)(void *)((char *)state + offset);
}

/* Calls `visit` for the place of each object that the state owns, until it returns
 * something other than 0. */
static int module_each(module_state *state, int (*visit)(PyObject **, void *),
                       void *arg) {
  int result = visit(&state->loop_keyword, arg);
  if (result == 0) result = visit(&state->bare_keywords, arg);
  if (result == 0) result = visit(&state->time_dict, arg);
  for (size_t i = 0; i < STREAM_PARTS && result == 0; i++)
    result = visit(&state->stream.parts[i], arg);
  for (size_t i = 0; i < MODULE_COUNT(module_types) && result == 0; i++)
    result = visit(module_member(state, module_types[i].offset), arg);
  for (size_t i = 0; i < MODULE_COUNT(module_imports) && result == 0; i++)
    result = visit(module_member(state, module_imports[i].offset), arg);
  for (size_t i = 0; i < MODULE_COUNT(module_names) && result == 0; i++)
    result = visit(module_member(state, module_names[i].offset), arg);
  return result;
}

/* ---- making the state ---- */

/* `attribute` may be one of an attribute: "socket.recv". */
static PyObject *module_import_attribute(const char *module, const char *attribute) {
  PyObject *path = PyUnicode_FromString(attribute);
  PyObject *dot = path == NULL ? NULL : PyUnicode_FromString(".");
  PyObject *names = dot == NULL ? NULL : PyUnicode_Split(path, dot, -1);
  PyObject *found = names == NULL ? NULL : PyImport_ImportModule(module);
  for (Py_ssize_t i = 0; found != NULL && i < PyList_GET_SIZE(names); i++)
    Py_SETREF(found, PyObject_GetAttr(found, PyList_GET_ITEM(names, i)));
  Py_XDECREF(names);
  Py_XDECREF(dot);
  Py_XDECREF(path);
  return found;
}

static int module_check_base(PyTypeObject *base, const module_type *entry) {
  if (entry->spec == &handle_spec || entry->spec == &timer_handle_spec ||
      entry->spec == &threadsafe_handle_spec)
    return handle_check_layout(base, entry->spec == &timer_handle_spec);
  if (base->tp_basicsize <= (Py_ssize_t)offsetof(transport_object, weakrefs)) return 0;
  PyErr_Format(PyExc_ImportError, "bide does not know this Python: %s is too large",
               base->tp_name);
  return -1;
}

/* A tuple of the bases; NULL with an exception. */
static PyObject *module_bases(const module_type *entry) {
  PyObject *text = PyUnicode_FromString(entry->base_names);
  PyObject *names = text == NULL ? NULL : PyUnicode_Split(text, NULL, -1);
  PyObject *bases = names == NULL ? NULL : PyTuple_New(PyList_GET_SIZE(names));
  for (Py_ssize_t i = 0; bases != NULL && i < PyTuple_GET_SIZE(bases); i++) {
    const char *name = PyUnicode_AsUTF8(PyList_GET_ITEM(names, i));
    PyObject *base =
        name == NULL ? NULL : module_import_attribute(entry->base_module, name);
    if (base != NULL) PyTuple_SET_ITEM(bases, i, base);
    if (base == NULL || module_check_base((PyTypeObject *)base, entry) < 0)
      Py_CLEAR(bases);
  }
  Py_XDECREF(names);
  Py_XDECREF(text);
  return bases;
}

/* Before 3.14 asyncio has no _ThreadSafeHandle, and then bide has no type of that kind. */
static bool module_lacks_base(const module_type *entry) {
  bool lacks = entry->spec == &threadsafe_handle_spec &&
               PyErr_ExceptionMatches(PyExc_AttributeError);
  if (lacks) PyErr_Clear();
  return lacks;
}

static int module_add_type(PyObject *module, module_state *state,
                           const module_type *entry) {
  PyObject *bases = NULL;
  if (entry->base_module != NULL) {
    bases = module_bases(entry);
    if (bases == NULL) return module_lacks_base(entry) ? 0 : -1;
  }
  PyObject *type = PyType_FromModuleAndSpec(module, entry->spec, bases);
  Py_XDECREF(bases);
  *module_member(state, entry->offset) = type;
  return type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
}

static int module_exec(PyObject *module) {
  module_state *state = PyModule_GetState(module);
  for (size_t i = 0; i < MODULE_COUNT(module_names); i++) {
    PyObject *name = PyUnicode_InternFromString(module_names[i].text);
    if (name == NULL) return -1;
    *module_member(state, module_names[i].offset) = name;
  }
  for (size_t i = 0; i < MODULE_COUNT(module_imports); i++) {
    const module_import *entry = &module_imports[i];
    PyObject *imported = module_import_attribute(entry->module, entry->attribute);
    if (imported == NULL) return -1;
    *module_member(state, entry->offset) = imported;
  }
  for (size_t i = 0; i < MODULE_COUNT(module_types); i++)
    if (module_add_type(module, state, &module_types[i]) < 0) return -1;
  state->loop_keyword = PyTuple_Pack(1, state->names.loop);
  if (state->loop_keyword == NULL || clock_watch(state) < 0 || stream_look(state) < 0 ||
      bare_call_look(module, state) < 0)
    return -1;
  return PyModule_AddStringConstant(module, "__version__", bide_version());
}

/* ---- calling by a name of the state ---- */

PyObject *state_call(PyObject *object, PyObject *name, const char *format, ...) {
  va_list values;
  va_start(values, format);
  PyObject *args = Py_VaBuildValue(format, values);
  va_end(values);
  PyObject *method = args == NULL ? NULL : PyObject_GetAttr(object, name);
  PyObject *result = method == NULL ? NULL : PyObject_CallObject(method, args);
  Py_XDECREF(method);
  Py_XDECREF(args);
  return result;
}

PyObject *state_pass_on(PyObject *object, PyObject *name, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *keywords) {
  size_t count = (size_t)nargs;
  if (keywords != NULL) count += (size_t)PyTuple_GET_SIZE(keywords);
  PyObject **all = PyMem_New(PyObject *, count + 1);
  if (all == NULL) return PyErr_NoMemory();
  all[0] = object;
  memcpy(all + 1, args, count * sizeof *all);
  PyObject *result = PyObject_VectorcallMethod(name, all, (size_t)nargs + 1, keywords);
  PyMem_Free(all);
  return result;
}

/* ---- letting it go ---- */

typedef struct module_visit {
  visitproc visit;
  void *arg;
} module_visit;

static int module_visit_one(PyObject **place, void *arg) {
  const module_visit *outer = arg;
  return *place == NULL ? 0 : outer->visit(*place, outer->arg);
}

static int module_clear_one(PyObject **place, void *arg) {
  (void)arg;
  Py_CLEAR(*place);
  return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
  module_visit outer = {visit, arg};
  return module_each(PyModule_GetState(module), module_visit_one, &outer);
}

static int module_clear(PyObject *module) {
  module_state *state = PyModule_GetState(module);
  clock_unwatch(state);
  return module_each(state, module_clear_one, NULL);
}

static void module_free(void *module) { (void)module_clear(module); }

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    COMPAT_INTERPRETERS_SLOT,
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "bide._bide",
    .m_doc = "bide's core as CPython types. Use the package bide instead.",
    .m_size = sizeof(module_state),
    .m_methods = file_functions,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__bide(void) { return PyModuleDef_Init(&module_def); }
