/* clock.h: a loop.time() that is not bide's own.
 *
 * asyncio asks self.time() in every turn, so that a subclass, an attribute of the loop or
 * a patched time.monotonic() moves all timers. bide's timers lie in the core's wheel, which
 * keeps the monotonic clock; while somebody else's time() is in force they lie in a heap
 * here, and each turn asks that time().
 *
 * Whether one is in force is looked up when the loop's type or the module `time` has
 * changed, or an attribute of the loop was set; otherwise a check compares two numbers. */
#ifndef BIDE_PYTHON_CLOCK_H
#define BIDE_PYTHON_CLOCK_H

#include "loop.h"

typedef struct timer_handle_object timer_handle_object;

/* Looks anew when something may have changed, and moves the timers if it has. 1 when
 * time() is somebody else's, 0 when it is bide's; -1 with MemoryError. */
int clock_look(loop_object *loop);

/* As clock_look, for the usual case that nothing has changed. */
static inline int clock_check(loop_object *loop) {
  if (Py_TYPE(loop)->tp_version_tag == loop->clock.type_version &&
      compat_dict_version(loop->state->time_dict) == loop->clock.time_version)
    return loop->clock.patched;
  return clock_look(loop);
}

/* An attribute of the loop was set or deleted: the next check looks. */
void clock_attribute_set(loop_object *loop, PyObject *name);

/* The time of self.time(), whoever's that is. 0; -1 with an exception. */
int clock_now(loop_object *loop, double *now_s);

/* What loop.time() itself returns: time.monotonic(). */
PyObject *loop_time(PyObject *self, PyObject *unused);

/* Puts a timer on the heap. 0; -1 with MemoryError. */
int clock_start(loop_object *loop, timer_handle_object *timer);

/* Takes it off again. */
void clock_stop(loop_object *loop, timer_handle_object *timer);

/* The first timer's distance in microseconds by somebody else's clock; -1 when there is
 * none. 0, or -1 with an exception of time(). */
int clock_timeout(loop_object *loop, int64_t *timeout_us);

/* Makes the calls of the timers that are due ready. 0, or -1 with an exception. */
int clock_fire(loop_object *loop);

/* Forgets the timers, whose handles live on. */
void clock_free(loop_object *loop);

/* Around the module's life: counts the changes of the module `time`. 0, or -1 with an
 * exception. */
int clock_watch(module_state *state);
void clock_unwatch(module_state *state);

#endif
