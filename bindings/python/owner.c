#include "owner.h"

#include <time.h>

/* Newest first. Owns `object`. */
struct owner_dropped {
  owner_dropped *next;
  PyObject *object;
  owner_release_cb *release;
};

/* How long who waits for a thread that has the loop for a moment looks away. */
static const struct timespec owner_pause = {.tv_nsec = 50000};

/* ---- who may use it ---- */

int loop_check_owner(const loop_object *loop) {
  if (loop->owner_id == 0 || loop->owner_id == PyThread_get_thread_ident()) return 0;
  PyErr_SetString(PyExc_RuntimeError,
                  "This event loop belongs to the thread that made it (owns_thread)");
  return -1;
}

int loop_check_thread(loop_object *loop) {
  if (loop->thread_id == 0 || loop_runs_here(loop)) return 0;
  PyErr_SetString(PyExc_RuntimeError,
                  "Non-thread-safe operation invoked on an event loop other than the "
                  "current one");
  return -1;
}

int loop_check_use(loop_object *loop) {
  return loop_check_here(loop) < 0 ? -1 : loop_check_open(loop);
}

/* ---- having it ---- */

static bool owner_try(loop_object *loop) {
  unsigned long nobody = 0;
  return atomic_compare_exchange_strong(&loop->owner_thread, &nobody,
                                        PyThread_get_thread_ident());
}

bool owner_take(loop_object *loop) {
  if (!COMPAT_FREE_THREADED) return true;
  while (!owner_is_here(loop) && !owner_try(loop)) {
    if (loop->thread_id != 0) return false;
    Py_BEGIN_ALLOW_THREADS;
    nanosleep(&owner_pause, NULL);
    Py_END_ALLOW_THREADS;
  }
  loop->owner_depth++;
  return true;
}

/* Who hands something over looks for a loop that nobody has after that, as this does: one of
 * the two finds it. */
void owner_give(loop_object *loop) {
  if (!COMPAT_FREE_THREADED || --loop->owner_depth > 0) return;
  do {
    loop->owner_depth++;
    owner_release_dropped(loop);
    loop->owner_depth--;
    loop->owner_thread = 0;
  } while (loop->dropped != NULL && owner_try(loop));
}

/* ---- handing over ---- */

void owner_release_dropped(loop_object *loop) {
  if (!COMPAT_FREE_THREADED || loop->dropped == NULL) return;
  owner_dropped *dropped = atomic_exchange(&loop->dropped, NULL);
  while (dropped != NULL) {
    owner_dropped *next = dropped->next;
    dropped->release(dropped->object);
    Py_DECREF(dropped->object);
    PyMem_Free(dropped);
    dropped = next;
  }
}

/* For want of memory it is never let go, and stays what it is. */
static void owner_push(loop_object *loop, PyObject *object, owner_release_cb *release) {
  owner_dropped *dropped = PyMem_New(owner_dropped, 1);
  Py_INCREF(object);
  if (dropped == NULL) return;
  *dropped = (owner_dropped){loop->dropped, object, release};
  while (!atomic_compare_exchange_weak(&loop->dropped, &dropped->next, dropped)) continue;
  compat_lock_take(&loop->lock);
  if (!loop->closed) bide_wake(loop->core);
  compat_lock_give(&loop->lock);
}

/* The loop may be held by nothing but what goes meanwhile. */
void owner_hand_over(loop_object *loop, PyObject *object, owner_release_cb *release) {
  PyObject *error = PyErr_GetRaisedException();
  Py_INCREF(loop);
  owner_push(loop, object, release);
  if (owner_try(loop)) {
    loop->owner_depth++;
    owner_give(loop);
  }
  Py_DECREF(loop);
  if (error != NULL) PyErr_SetRaisedException(error);
}

int owner_traverse(loop_object *loop, visitproc visit, void *arg) {
  for (owner_dropped *dropped = loop->dropped; dropped != NULL; dropped = dropped->next)
    Py_VISIT(dropped->object);
  return 0;
}
