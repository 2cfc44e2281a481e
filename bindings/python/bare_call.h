/* bare_call.h: what futures and tasks of asyncio's C module ask the loop to call.
 *
 * That module lets go of what call_soon returns, so that nobody can see a handle: none is
 * made for a task's step, its wake-up and a future's callbacks. Their calls are known by
 * the tuple of keyword names that they come with. The module makes it for itself and shows
 * it to nobody; a caller in Python has one of its own, a subclass' call_soon that passes
 * a call on included.
 *
 * Should the callback fail, or debug mode watch it, it gets a handle then. */
#ifndef BIDE_PYTHON_BARE_CALL_H
#define BIDE_PYTHON_BARE_CALL_H

#include "loop.h"

/* On its loop's `bare_calls` while it is queued, and among its `spare_calls` after. The
 * references are its own while it is queued. */
typedef struct bare_call {
  bide_call call;
  bide_node link;
  loop_object *loop; /* owns this */
  PyObject *callback;
  PyObject *argument; /* NULL without any */
  PyObject *context;
} bare_call;

/* Finds out what those calls look like; where they cannot be known for sure there are no
 * bare calls. 0, or -1 with an exception. */
int bare_call_look(PyObject *module, module_state *state);

/* The arguments of a call_soon: 1 when it was such a call, which is queued now; 0 when it
 * was not; -1 with an exception. */
int bare_call_soon(loop_object *loop, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *keywords);

/* For the loop's own traverse and clear. */
int bare_call_traverse(loop_object *loop, visitproc visit, void *arg);
void bare_call_forget_all(loop_object *loop);

#endif
