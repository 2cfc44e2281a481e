/* run.c: the run, with the interpreter lock released around a wait that may block.
 *
 * A run begins and ends in C, where no signal's Python handler can come between: a
 * KeyboardInterrupt finds the loop as the run's way out of it must. */
#include "run.h"

#include "clock.h"
#include "convert.h"
#include "owner.h"

/* ---- beginning and ending ---- */

/* sys.<name>(*args), args being a tuple or NULL. */
static PyObject *run_call_sys(const char *name, PyObject *args) {
  PyObject *function = PySys_GetObject(name);
  if (function != NULL) return PyObject_Call(function, args, NULL);
  return PyErr_Format(PyExc_RuntimeError, "lost sys.%s", name);
}

static int run_set_origin_depth(int depth) {
  PyObject *args = Py_BuildValue("(i)", depth);
  PyObject *done =
      args == NULL ? NULL : run_call_sys("set_coroutine_origin_tracking_depth", args);
  Py_XDECREF(args);
  Py_XDECREF(done);
  return done == NULL ? -1 : 0;
}

static int run_int_of(PyObject *value) {
  if (value == NULL) return -1;
  int number = (int)PyLong_AsLong(value);
  Py_DECREF(value);
  return number;
}

static int run_track_origins(loop_object *loop, bool enabled) {
  if (enabled == (loop->outer_origin_depth >= 0)) return 0;
  if (!enabled) {
    int outer = loop->outer_origin_depth;
    loop->outer_origin_depth = -1;
    return run_set_origin_depth(outer);
  }
  PyObject *empty = PyTuple_New(0);
  if (empty == NULL) return -1;
  int outer = run_int_of(run_call_sys("get_coroutine_origin_tracking_depth", empty));
  Py_DECREF(empty);
  int depth = run_int_of(
      PyObject_GetAttr(loop->state->constants, loop->state->names.DEBUG_STACK_DEPTH));
  if (outer < 0 || depth < 0 || run_set_origin_depth(depth) < 0) return -1;
  loop->outer_origin_depth = outer;
  return 0;
}

static int run_set_hooks(loop_object *loop) {
  PyObject *self = (PyObject *)loop;
  PyObject *empty = PyTuple_New(0);
  PyObject *outer = empty == NULL ? NULL : run_call_sys("get_asyncgen_hooks", empty);
  PyObject *started = PyObject_GetAttr(self, loop->state->names._asyncgen_started);
  PyObject *dropped = PyObject_GetAttr(self, loop->state->names._asyncgen_dropped);
  PyObject *hooks = NULL, *done = NULL;
  if (outer != NULL && started != NULL && dropped != NULL)
    hooks = PyTuple_Pack(2, started, dropped);
  if (hooks != NULL) done = run_call_sys("set_asyncgen_hooks", hooks);
  if (done != NULL) Py_XSETREF(loop->outer_hooks, Py_NewRef(outer));
  Py_XDECREF(empty);
  Py_XDECREF(outer);
  Py_XDECREF(started);
  Py_XDECREF(dropped);
  Py_XDECREF(hooks);
  Py_XDECREF(done);
  return done == NULL ? -1 : 0;
}

static int run_restore_hooks(loop_object *loop) {
  PyObject *outer = loop->outer_hooks;
  if (outer == NULL) return 0;
  loop->outer_hooks = NULL;
  PyObject *hooks = PySequence_Tuple(outer);
  PyObject *done = hooks == NULL ? NULL : run_call_sys("set_asyncgen_hooks", hooks);
  Py_XDECREF(hooks);
  Py_XDECREF(done);
  Py_DECREF(outer);
  return done == NULL ? -1 : 0;
}

static int run_set_running_loop(loop_object *loop, PyObject *value) {
  PyObject *done = PyObject_CallMethodOneArg(loop->state->events,
                                             loop->state->names._set_running_loop, value);
  Py_XDECREF(done);
  return done == NULL ? -1 : 0;
}

static int run_refuse(void) {
  PyErr_SetString(PyExc_RuntimeError, "This event loop is already running");
  return -1;
}

static int run_check(loop_object *loop) {
  if (loop->thread_id != 0) return run_refuse();
  if (loop_check_owner(loop) < 0) return -1;
  PyObject *running = PyObject_CallMethodNoArgs(loop->state->events,
                                                loop->state->names._get_running_loop);
  if (running == NULL) return -1;
  bool free = running == Py_None;
  Py_DECREF(running);
  if (free) return 0;
  PyErr_SetString(PyExc_RuntimeError,
                  "Cannot run the event loop while another loop is running");
  return -1;
}

/* Only who has the loop finds it open for good. */
int run_begin(loop_object *loop) {
  if (!owner_take(loop)) return run_refuse();
  if (loop_check_open(loop) < 0 || run_check(loop) < 0) {
    owner_give(loop);
    return -1;
  }
  loop->thread_id = PyThread_get_thread_ident();
  if (run_track_origins(loop, loop->debug) == 0 && run_set_hooks(loop) == 0 &&
      run_set_running_loop(loop, (PyObject *)loop) == 0)
    return 0;
  PyObject *error = PyErr_GetRaisedException();
  run_end(loop);
  PyErr_SetRaisedException(error);
  return -1;
}

void run_end(loop_object *loop) {
  loop->thread_id = 0;
  loop->stopping = false;
  Py_CLEAR(loop->awaited);
  if (run_set_running_loop(loop, Py_None) < 0) PyErr_WriteUnraisable((PyObject *)loop);
  if (run_restore_hooks(loop) < 0) PyErr_WriteUnraisable((PyObject *)loop);
  if (run_track_origins(loop, false) < 0) PyErr_WriteUnraisable((PyObject *)loop);
  owner_give(loop);
}

/* ---- one turn ---- */

/* What a signal's Python handler raises ends the run. */
static void run_signals(loop_object *loop) {
  if (PyErr_CheckSignals() == 0) return;
  PyObject *error = PyErr_GetRaisedException();
  Py_XSETREF(loop->fatal, error);
}

/* What somebody else's time() raises ends the run, as it does in asyncio. */
static void run_clock_failed(loop_object *loop) {
  PyObject *error = PyErr_GetRaisedException();
  Py_XSETREF(loop->fatal, error);
}

int64_t run_timeout(loop_object *loop) {
  if (loop->stopping) return 0;
  int64_t timeout_us = bide_loop_timeout(loop->core);
  if (timeout_us == 0 || loop->clock.count == 0) return timeout_us;
  int64_t clock_us;
  if (clock_timeout(loop, &clock_us) < 0) {
    run_clock_failed(loop);
    return 0;
  }
  /* time() is Python code: it may have made a call ready. */
  timeout_us = bide_loop_timeout(loop->core);
  if (timeout_us < 0 || (clock_us >= 0 && clock_us < timeout_us)) return clock_us;
  return timeout_us;
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

static int run_dispatch(loop_object *loop, int waited) {
  if (waited == BIDE_EINTR) {
    run_signals(loop);
    waited = 0;
  }
  owner_release_dropped(loop);
  if (clock_check(loop) < 0 || clock_fire(loop) < 0) run_clock_failed(loop);
  if (waited < 0 || loop->fatal != NULL) return waited;
  loop->kept_bytes = 0;
  int code = bide_loop_dispatch(loop->core);
  return code < 0 ? code : 0;
}

int run_turn(loop_object *loop, bool may_block) {
  int waited = may_block ? run_wait(loop) : bide_loop_wait(loop->core, 0);
  return run_dispatch(loop, waited);
}

int run_result(loop_object *loop, int code) {
  PyObject *fatal = loop->fatal;
  loop->fatal = NULL;
  if (fatal != NULL) {
    PyErr_SetRaisedException(fatal);
    return -1;
  }
  if (code == 0) return 0;
  convert_raise(code);
  return -1;
}

/* Further turns, as long as there is nothing to do in them but to run what is ready. A turn
 * whose calls were all cancelled ends it too, which costs one wait. */
static int run_ready(loop_object *loop) {
  int made = 1;
  while (made > 0 && !loop->stopping && loop->fatal == NULL) {
    int patched = clock_check(loop);
    if (patched < 0) run_clock_failed(loop);
    if (patched != 0) return 0;
    made = bide_loop_dispatch_ready(loop->core);
  }
  return made < 0 ? made : 0;
}

/* ---- the methods ---- */

PyObject *loop_run(PyObject *self, PyObject *unused) {
  (void)unused;
  loop_object *loop = (loop_object *)self;
  if (run_begin(loop) < 0) return NULL;
  int code;
  do {
    code = run_turn(loop, true);
    if (code == 0) code = run_ready(loop);
  } while (code == 0 && loop->fatal == NULL &&
           !(loop->stopping && bide_loop_turn_ended(loop->core)));
  run_end(loop);
  /* A guest's outer loop has to look at what is left. */
  if (loop->guests > 0 && bide_loop_park(loop->core) == 0) bide_wake(loop->core);
  if (run_result(loop, code) < 0) return NULL;
  Py_RETURN_NONE;
}

PyObject *loop_check_running(PyObject *self, PyObject *unused) {
  (void)unused;
  if (run_check((loop_object *)self) < 0) return NULL;
  Py_RETURN_NONE;
}

PyObject *loop_track_origins(PyObject *self, PyObject *enabled) {
  int truth = PyObject_IsTrue(enabled);
  if (truth < 0 || run_track_origins((loop_object *)self, truth != 0) < 0) return NULL;
  Py_RETURN_NONE;
}
