/* handle.h: what call_soon returns.
 *
 * A handle is a true asyncio.Handle: its type derives from asyncio's and keeps its
 * values in the very slots that asyncio's class declares, so that asyncio's own
 * __repr__, _run and get_context work on it unchanged. Arguments lie inline and become
 * a tuple only when somebody asks for handle._args. */
#ifndef BIDE_PYTHON_HANDLE_H
#define BIDE_PYTHON_HANDLE_H

#include <bide/timer.h>

#include "loop.h"

enum { HANDLE_ARGS_INLINE = 3 };

/* Where a timer waits to be due: in the core's wheel, or on the loop's own heap (clock.h). */
typedef enum handle_wait {
  HANDLE_NOT_TIMED,
  HANDLE_ON_WHEEL,
  HANDLE_ON_HEAP
} handle_wait;

/* While queued or timed the handle is on its loop's `scheduled` list, or `posts`, which owns a
 * reference. A cancelled handle stays queued and does nothing when its turn comes.
 * `cancelled`, `running`, the callback and the arguments belong to the handle's critical
 * section: another thread may cancel it. While it runs, the arguments are its runner's.
 * More than HANDLE_ARGS_INLINE arguments are `spilled`, behind a word of scratch for
 * vectorcall. Before `args` that word is the last of `queued`, which a handle that runs has
 * left. */
struct handle_object {
  PyObject_HEAD
  /* asyncio.Handle's slots in the order that CPython lays them out; checked when the
   * module is imported. args_slot stays NULL. */
  PyObject *args_slot;
  PyObject *callback;
  PyObject *cancelled;
  PyObject *context;
  loop_object *loop;
  PyObject *repr;
  PyObject *source_traceback;
  PyObject *timer_slots[COMPAT_TIMER_SLOTS];
  bide_node link;
  uint32_t nargs;
  uint8_t wait; /* handle_wait; HANDLE_NOT_TIMED for one that is no timer, or is due */
  bool running;
  union {
    bide_call call;
    bide_timer timer;
    struct {
      size_t at; /* counted from 0 */
      uint64_t order;
    } heap;
  } queued;
  union {
    PyObject *args[HANDLE_ARGS_INLINE];
    PyObject **spilled;
  };
};

/* Makes a handle of `type`, one of the two types, for callback(*args) in `context` (NULL
 * or None: a copy of the current one). It is not queued. NULL with an exception, which
 * is RuntimeError when the loop is closed. */
handle_object *handle_new(loop_object *loop, PyTypeObject *type, PyObject *callback,
                          PyObject *const *args, Py_ssize_t nargs, PyObject *context);

/* As handle_new for a loop that is open and a context that is given, without debug mode's
 * record of where the handle was made. */
handle_object *handle_make(loop_object *loop, PyTypeObject *type, PyObject *callback,
                           PyObject *const *args, Py_ssize_t nargs, PyObject *context);

/* Reports the pending exception, which is the callback's, to the loop's handler. */
void handle_failed(handle_object *handle);

/* Runs the callback now, reporting its exception to the loop's handler. The caller
 * holds a reference. */
void handle_run(handle_object *handle);

/* Queues it. 0, or -1 with an exception. */
int handle_schedule(handle_object *handle);

/* Puts it on `scheduled`, to be queued now or by its timer. */
void handle_prepare(handle_object *handle);

/* The call to queue it by; a timer's waiting must be over. */
bide_call *handle_call(handle_object *handle);

/* As handle_schedule, on `posts` and on any thread that does not run the loop. -1 also when
 * the loop has been closed meanwhile. May drop the GIL. */
int handle_post(handle_object *handle);

/* Takes it off its list, whose core has forgotten it, and drops the list's reference. */
void handle_unschedule(handle_object *handle);

/* As handle.cancel(), on any thread. 0, or -1 with an exception of debug mode's repr. */
int handle_cancel(handle_object *handle);

/* `base` is asyncio's class: 0 when the running CPython lays it out as
 * above, else -1 with ImportError. */
int handle_check_layout(PyTypeObject *base, bool is_timer);

/* Frees the dead handles that are kept for reuse. */
void handle_pool_clear(handle_pool *pool);

/* Shared by the types. */
int handle_traverse(PyObject *self, visitproc visit, void *arg);
int handle_clear(PyObject *self);
void handle_dealloc(PyObject *self);
PyObject *handle_cancelled_method(PyObject *self, PyObject *unused);
PyObject *handle_get_args(PyObject *self, void *unused);

#endif
