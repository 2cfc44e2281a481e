/* arguments.h: the arguments of the loop's methods that take a callback and its own
 * arguments, parsed and refused as asyncio's functions in Python would. */
#ifndef BIDE_PYTHON_ARGUMENTS_H
#define BIDE_PYTHON_ARGUMENTS_H

#include "loop.h"

enum { ARGUMENTS_NAMED_MAX = 2 };

/* What a method takes: its name, those of the parameters before *args, ended by NULL, and
 * whether the keyword `context` follows. */
typedef struct arguments_spec {
  const char *method;
  const char *names[ARGUMENTS_NAMED_MAX + 1];
  bool takes_context;
} arguments_spec;

/* What it was given, all borrowed. context is NULL when there is none. */
typedef struct arguments {
  PyObject *named[ARGUMENTS_NAMED_MAX];
  PyObject *const *rest;
  Py_ssize_t rest_count;
  PyObject *context;
} arguments;

/* 0, or -1 with TypeError. keywords may be NULL. */
int arguments_parse(loop_object *loop, const arguments_spec *spec, PyObject *const *args,
                    Py_ssize_t nargs, PyObject *keywords, arguments *parsed);

#endif
