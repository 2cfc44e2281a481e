#include "job.h"

#include <sched.h>

#include "loop.h"

enum { JOB_GATE_CLOSED = 1u << 31 };

/* ---- making and freeing ---- */

job *job_new(module_state *state, loop_object *loop, PyObject *future, PyObject *function,
             PyObject *args) {
  job *made = PyMem_Calloc(1, sizeof *made);
  if (made == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  made->state = state;
  made->loop = loop;
  made->future = Py_NewRef(future);
  made->function = Py_NewRef(function);
  made->args = Py_NewRef(args);
  return made;
}

void job_free(job *job) {
  Py_CLEAR(job->function);
  Py_CLEAR(job->args);
  Py_CLEAR(job->value);
  Py_CLEAR(job->future);
  PyMem_Free(job);
}

/* ---- on any thread ---- */

/* What a future's method raises concerns nobody but its maker: it goes to
 * sys.unraisablehook. True when the method returned something true. */
static bool job_ask(job *job, PyObject *method) {
  PyObject *answer = PyObject_CallMethodNoArgs(job->future, method);
  int yes = answer == NULL ? -1 : PyObject_IsTrue(answer);
  Py_XDECREF(answer);
  if (yes < 0) PyErr_WriteUnraisable(job->future);
  return yes > 0;
}

bool job_is_cancelled(job *job) { return job_ask(job, job->state->names.cancelled); }

/* concurrent.futures.wait learns of a cancel only when the job's turn comes. */
void job_forget(job *job) {
  if (job->loop == NULL) job_ask(job, job->state->names.set_running_or_notify_cancel);
  job_free(job);
}

static void job_tell(job *job, PyObject *method, PyObject *value) {
  PyObject *answer = PyObject_CallMethodOneArg(job->future, method, value);
  if (answer == NULL) PyErr_WriteUnraisable(job->future);
  Py_XDECREF(answer);
}

/* The gate is passed before the push: a loop that closes waits for whoever is inside. */
static loop_object *job_deliver(job *job) {
  loop_object *loop = job->loop;
  job_inbox *inbox = &loop->inbox;
  if (atomic_fetch_add(&inbox->gate, 1) & JOB_GATE_CLOSED) {
    atomic_fetch_sub(&inbox->gate, 1);
    job_free(job);
    return NULL;
  }
  struct job *newest = atomic_load(&inbox->finished);
  do {
    job->next = newest;
  } while (!atomic_compare_exchange_weak(&inbox->finished, &newest, job));
  if (newest == NULL) return loop;
  atomic_fetch_sub(&inbox->gate, 1);
  return NULL;
}

void job_post(loop_object *loop) {
  if (loop == NULL) return;
  bide_post(loop->core, &loop->inbox.call);
  atomic_fetch_sub(&loop->inbox.gate, 1);
}

loop_object *job_cancel(job *job) {
  if (job->loop != NULL) {
    job->outcome = JOB_CANCELLED;
    Py_CLEAR(job->function);
    Py_CLEAR(job->args);
    return job_deliver(job);
  }
  job_ask(job, job->state->names.cancel);
  job_forget(job);
  return NULL;
}

/* ---- on a worker ---- */

static bool job_may_start(job *job) {
  if (job->loop != NULL) return !job_is_cancelled(job);
  return job_ask(job, job->state->names.set_running_or_notify_cancel);
}

bool job_run(job *job) {
  if (!job_may_start(job)) {
    job_free(job);
    return false;
  }
  job->value = PyObject_Call(job->function, job->args, NULL);
  if (job->value == NULL) {
    job->outcome = JOB_RAISED;
    job->value = PyErr_GetRaisedException();
  }
  Py_CLEAR(job->function);
  Py_CLEAR(job->args);
  return true;
}

loop_object *job_complete(job *job) {
  if (job->loop != NULL) return job_deliver(job);
  job_tell(job,
           job->outcome == JOB_RETURNED ? job->state->names.set_result
                                        : job->state->names.set_exception,
           job->value);
  job_free(job);
  return NULL;
}

/* ---- on the loop's thread ---- */

/* What the future refuses to hold, such as a StopIteration before Python 3.12, it says by
 * raising; whoever awaits it learns of that. */
static int job_raise_refusal(job *job) {
  PyObject *refusal = PyErr_GetRaisedException();
  PyException_SetCause(refusal, Py_NewRef(job->value));
  PyObject *answer =
      PyObject_CallMethodOneArg(job->future, job->state->names.set_exception, refusal);
  Py_DECREF(refusal);
  Py_XDECREF(answer);
  return answer == NULL ? -1 : 0;
}

/* Exceptions that concurrent.futures and asyncio have one each of become asyncio's. */
static int job_settle_exception(job *job) {
  PyObject *error = PyObject_CallMethodOneArg((PyObject *)job->loop,
                                              job->state->names._job_raised, job->value);
  if (error == NULL) return -1;
  PyObject *answer =
      PyObject_CallMethodOneArg(job->future, job->state->names.set_exception, error);
  Py_DECREF(error);
  Py_XDECREF(answer);
  return answer == NULL ? job_raise_refusal(job) : 0;
}

static int job_settle_value(job *job) {
  PyObject *answer =
      job->outcome == JOB_CANCELLED
          ? PyObject_CallMethodNoArgs(job->future, job->state->names.cancel)
          : PyObject_CallMethodOneArg(job->future, job->state->names.set_result,
                                      job->value);
  Py_XDECREF(answer);
  return answer == NULL ? -1 : 0;
}

/* A future that is done already was cancelled while the job ran. */
static void job_settle(job *job) {
  if (!job_ask(job, job->state->names.done)) {
    int code =
        job->outcome == JOB_RAISED ? job_settle_exception(job) : job_settle_value(job);
    if (code < 0) loop_swallow(job->loop);
  }
  job_free(job);
}

/* Takes the stack; in the order in which its jobs finished. */
static job *job_inbox_take(job_inbox *inbox) {
  job *node = atomic_exchange(&inbox->finished, NULL);
  job *oldest = NULL;
  while (node != NULL) {
    job *next = node->next;
    node->next = oldest;
    oldest = node;
    node = next;
  }
  return oldest;
}

static void job_on_post(bide_call *call) {
  loop_object *loop = BIDE_CONTAINER_OF(call, loop_object, inbox.call);
  job *node = job_inbox_take(&loop->inbox);
  loop_enter(loop);
  while (node != NULL) {
    job *next = node->next;
    job_settle(node);
    node = next;
  }
  loop_leave(loop);
}

void job_inbox_init(job_inbox *inbox) {
  atomic_init(&inbox->finished, NULL);
  atomic_init(&inbox->gate, 0);
  inbox->call = (bide_call){.cb = job_on_post};
}

int job_inbox_traverse(job_inbox *inbox, visitproc visit, void *arg) {
  for (job *node = atomic_load(&inbox->finished); node != NULL; node = node->next) {
    Py_VISIT(node->value);
    Py_VISIT(node->future);
  }
  return 0;
}

void job_inbox_close(job_inbox *inbox) { atomic_fetch_or(&inbox->gate, JOB_GATE_CLOSED); }

void job_inbox_wait(job_inbox *inbox) {
  while (atomic_load(&inbox->gate) != JOB_GATE_CLOSED) sched_yield();
}

void job_inbox_clear(job_inbox *inbox) {
  job *node = job_inbox_take(inbox);
  while (node != NULL) {
    job *next = node->next;
    job_free(node);
    node = next;
  }
}
