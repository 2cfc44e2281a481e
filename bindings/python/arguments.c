#include "arguments.h"

static int arguments_refuse(const arguments_spec *spec, const char *format,
                            PyObject *name) {
  PyObject *text = PyUnicode_FromFormat(format, name);
  if (text != NULL)
    PyErr_Format(PyExc_TypeError, "EventLoop.%s() %U", spec->method, text);
  Py_XDECREF(text);
  return -1;
}

/* Where the keyword belongs: a named parameter's place, -1 for none. */
static int arguments_place(const arguments_spec *spec, PyObject *name) {
  for (int i = 0; spec->names[i] != NULL; i++)
    if (PyUnicode_CompareWithASCIIString(name, spec->names[i]) == 0) return i;
  return -1;
}

static int arguments_keyword(loop_object *loop, const arguments_spec *spec,
                             PyObject *name, PyObject *value, arguments *parsed) {
  if (spec->takes_context && (name == loop->state->names.context ||
                              PyUnicode_CompareWithASCIIString(name, "context") == 0)) {
    parsed->context = value;
    return 0;
  }
  int place = arguments_place(spec, name);
  if (place < 0)
    return arguments_refuse(spec, "got an unexpected keyword argument '%U'", name);
  if (parsed->named[place] != NULL)
    return arguments_refuse(spec, "got multiple values for argument '%U'", name);
  parsed->named[place] = value;
  return 0;
}

static int arguments_missing(const arguments_spec *spec, const arguments *parsed) {
  const char *missing[ARGUMENTS_NAMED_MAX] = {NULL};
  int count = 0;
  for (int i = 0; spec->names[i] != NULL; i++)
    if (parsed->named[i] == NULL) missing[count++] = spec->names[i];
  if (count == 0) return 0;
  if (count == 1)
    PyErr_Format(PyExc_TypeError,
                 "EventLoop.%s() missing 1 required positional argument: '%s'",
                 spec->method, missing[0]);
  else
    PyErr_Format(PyExc_TypeError,
                 "EventLoop.%s() missing 2 required positional arguments: '%s' and '%s'",
                 spec->method, missing[0], missing[1]);
  return -1;
}

int arguments_parse(loop_object *loop, const arguments_spec *spec, PyObject *const *args,
                    Py_ssize_t nargs, PyObject *keywords, arguments *parsed) {
  *parsed = (arguments){.rest = args};
  Py_ssize_t count = 0;
  while (spec->names[count] != NULL && count < nargs) {
    parsed->named[count] = args[count];
    count++;
  }
  parsed->rest = args + count;
  parsed->rest_count = nargs - count;
  Py_ssize_t keyword_count = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
  for (Py_ssize_t i = 0; i < keyword_count; i++)
    if (arguments_keyword(loop, spec, PyTuple_GET_ITEM(keywords, i), args[nargs + i],
                          parsed) < 0)
      return -1;
  return arguments_missing(spec, parsed);
}
