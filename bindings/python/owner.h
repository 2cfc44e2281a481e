/* owner.h: which thread a loop is used by, where there is no GIL that says so.
 *
 * Then one thread has a loop at a time: while it runs or closes it, or lets go of something of
 * its. What another thread drops meanwhile is handed to the one that has the loop, which lets
 * it go in its next turn or when it gives the loop back. With a GIL whoever holds that has all
 * loops, and none of this is called. */
#ifndef BIDE_PYTHON_OWNER_H
#define BIDE_PYTHON_OWNER_H

#include "loop.h"

/* What is done to an object in the thread that has its loop. No exception is pending. */
typedef void owner_release_cb(PyObject *object);

/* Takes the loop, to run or to close it; whoever has it for a moment is waited for.
 * False when another thread runs it. May be nested. */
bool owner_take(loop_object *loop);

/* Gives it back, with what was handed over let go. */
void owner_give(loop_object *loop);

/* Lets go of what other threads have handed over. The thread that has the loop. */
void owner_release_dropped(loop_object *loop);

/* As owner_release, of a loop that this thread does not have. */
void owner_hand_over(loop_object *loop, PyObject *object, owner_release_cb *release);

/* Visits what was handed over, of which the loop owns one reference each. */
int owner_traverse(loop_object *loop, visitproc visit, void *arg);

/* Whether this thread has the loop. */
static inline bool owner_is_here(const loop_object *loop) {
  return !COMPAT_FREE_THREADED || loop->owner_thread == PyThread_get_thread_ident();
}

/* Calls release(object) at once if this thread has the loop or nobody has it; else whoever
 * has it will. For finalizers too, on any thread: an exception that is pending stays so. */
static inline void owner_release(loop_object *loop, PyObject *object,
                                 owner_release_cb *release) {
  if (owner_is_here(loop))
    release(object);
  else
    owner_hand_over(loop, object, release);
}

#endif
