/* run.c: the run, with the interpreter lock released around a wait that may block. */
#include "convert.h"
#include "loop.h"

/* What a signal's Python handler raises ends the run. */
static void run_signals(loop_object *loop) {
  if (PyErr_CheckSignals() == 0) return;
  PyObject *error = PyErr_GetRaisedException();
  Py_XSETREF(loop->fatal, error);
}

static int64_t run_timeout(const loop_object *loop) {
  return loop->stopping ? 0 : bide_loop_timeout(loop->core);
}

/* A signal that came since the last callback's end would wake nobody: its handler runs
 * first, and may give the loop work. */
static int run_wait(loop_object *loop) {
  if (run_timeout(loop) == 0) return bide_loop_wait(loop->core, 0);
  run_signals(loop);
  if (loop->fatal != NULL) return 0;
  int64_t timeout_us = run_timeout(loop);
  int code;
  Py_BEGIN_ALLOW_THREADS;
  code = bide_loop_wait(loop->core, timeout_us);
  Py_END_ALLOW_THREADS;
  return code;
}

/* One turn. 0, or an error of the wait. */
static int run_turn(loop_object *loop) {
  int code = run_wait(loop);
  if (code == BIDE_EINTR) {
    run_signals(loop);
    code = 0;
  }
  if (code < 0 || loop->fatal != NULL) return code;
  code = bide_loop_dispatch(loop->core);
  return code < 0 ? code : 0;
}

PyObject *loop_run(PyObject *self, PyObject *unused) {
  (void)unused;
  loop_object *loop = (loop_object *)self;
  if (loop_check_open(loop) < 0) return NULL;
  if (loop->thread_id != 0) {
    PyErr_SetString(PyExc_RuntimeError, "This event loop is already running");
    return NULL;
  }
  loop->thread_id = PyThread_get_thread_ident();
  int code;
  do {
    code = run_turn(loop);
  } while (code == 0 && loop->fatal == NULL &&
           !(loop->stopping && bide_loop_turn_ended(loop->core)));
  loop->thread_id = 0;
  loop->stopping = false;
  PyObject *fatal = loop->fatal;
  loop->fatal = NULL;
  if (fatal != NULL) {
    PyErr_SetRaisedException(fatal);
    return NULL;
  }
  if (code < 0) return convert_raise(code);
  Py_RETURN_NONE;
}
