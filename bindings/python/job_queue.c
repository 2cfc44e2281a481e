#include "job_queue.h"

#include <errno.h>
#include <semaphore.h>
#include <stddef.h>

#include "loop.h"

/* Short jobs in a row, written in C, would never give another thread the GIL: after this
 * long the worker offers it, as the interpreter does by default. */
enum { JOB_QUEUE_TURN_US = 5000 };

struct job_sleeper {
  job_sleeper *next;
  sem_t woken;
};

/* ---- under the lock ---- */

static void job_queue_push(job_queue_object *queue, job *job) {
  job->next = NULL;
  *queue->last = job;
  queue->last = &job->next;
}

static job *job_queue_pop(job_queue_object *queue) {
  job *job = queue->first;
  if (job == NULL) return NULL;
  queue->first = job->next;
  if (queue->first == NULL) queue->last = &queue->first;
  return job;
}

static job *job_queue_take_all(job_queue_object *queue) {
  job *all = queue->first;
  queue->first = NULL;
  queue->last = &queue->first;
  return all;
}

/* The sleeper that has to be woken so that what is queued finds a worker; NULL when one
 * is on its way already, or none sleeps. */
static job_sleeper *job_queue_rouse(job_queue_object *queue) {
  job_sleeper *sleeper = queue->asleep;
  if (queue->first == NULL || sleeper == NULL || queue->idle > queue->sleeping)
    return NULL;
  queue->asleep = sleeper->next;
  queue->sleeping--;
  return sleeper;
}

/* Outside the lock: the sleeper runs at once. */
static void job_queue_wake(job_sleeper *sleeper) {
  if (sleeper != NULL) sem_post(&sleeper->woken);
}

typedef enum job_queue_verdict {
  JOB_QUEUE_ADMITTED,
  JOB_QUEUE_WANTS_WORKER,
  JOB_QUEUE_FULL,
  JOB_QUEUE_ENDED
} job_queue_verdict;

static job_queue_verdict job_queue_admit(job_queue_object *queue, job *job, bool bounded,
                                         bool grow, job_sleeper **sleeper) {
  if (queue->end != JOB_QUEUE_OPEN) return JOB_QUEUE_ENDED;
  bool is_busy = queue->queued >= queue->idle;
  if (grow && is_busy && queue->workers < queue->workers_max)
    return JOB_QUEUE_WANTS_WORKER;
  if (bounded && queue->queued_max != 0 && is_busy &&
      queue->queued - queue->idle >= queue->queued_max)
    return JOB_QUEUE_FULL;
  job_queue_push(queue, job);
  queue->queued++;
  *sleeper = job_queue_rouse(queue);
  return JOB_QUEUE_ADMITTED;
}

/* All sleepers, for whoever ends the queue. */
static job_sleeper *job_queue_rouse_all(job_queue_object *queue) {
  job_sleeper *sleepers = queue->asleep;
  queue->asleep = NULL;
  queue->sleeping = 0;
  return sleepers;
}

static void job_queue_wake_all(job_sleeper *sleeper) {
  while (sleeper != NULL) {
    job_sleeper *next = sleeper->next;
    job_queue_wake(sleeper);
    sleeper = next;
  }
}

/* ---- putting ---- */

/* Drops what was cancelled, when the room that it takes is wanted. Futures are asked
 * without the lock, since that may run Python code; `queued` counts the jobs meanwhile, so
 * that no worker leaves without them. */
static void job_queue_purge(job_queue_object *queue) {
  pthread_mutex_lock(&queue->lock);
  job *node = job_queue_take_all(queue);
  pthread_mutex_unlock(&queue->lock);
  job *kept = NULL;
  job **kept_last = &kept;
  size_t dropped = 0;
  while (node != NULL) {
    job *next = node->next;
    if (job_is_cancelled(node)) {
      dropped++;
      job_forget(node);
    } else {
      *kept_last = node;
      kept_last = &node->next;
    }
    node = next;
  }
  pthread_mutex_lock(&queue->lock);
  *kept_last = queue->first;
  if (queue->first == NULL && kept != NULL) queue->last = kept_last;
  if (kept != NULL) queue->first = kept;
  queue->queued -= dropped;
  bool ended = queue->end != JOB_QUEUE_OPEN;
  job_sleeper *sleeper = ended ? NULL : job_queue_rouse(queue);
  job_sleeper *sleepers = ended ? job_queue_rouse_all(queue) : NULL;
  pthread_mutex_unlock(&queue->lock);
  job_queue_wake(sleeper);
  job_queue_wake_all(sleepers);
}

static job_queue_verdict job_queue_try(job_queue_object *queue, job *job, bool bounded,
                                       bool grow) {
  job_sleeper *sleeper = NULL;
  pthread_mutex_lock(&queue->lock);
  job_queue_verdict verdict = job_queue_admit(queue, job, bounded, grow, &sleeper);
  pthread_mutex_unlock(&queue->lock);
  job_queue_wake(sleeper);
  return verdict;
}

static PyObject *job_queue_refuse(job_queue_object *queue, job_queue_verdict verdict) {
  if (verdict == JOB_QUEUE_FULL)
    return PyErr_Format(queue->state->QueueFull, "%zu jobs wait, the pool's queue_max",
                        queue->queued_max);
  PyErr_SetString(PyExc_RuntimeError,
                  queue->end == JOB_QUEUE_EXITING
                      ? "cannot schedule new futures after interpreter shutdown"
                      : "cannot schedule new futures after shutdown");
  return NULL;
}

/* The checks of put's arguments: -1 with TypeError. */
static int job_queue_check_put(job_queue_object *queue, PyObject *const *args,
                               Py_ssize_t nargs) {
  if (nargs != 6) {
    PyErr_Format(PyExc_TypeError, "put() takes 6 arguments, not %zd", nargs);
    return -1;
  }
  if (args[0] != Py_None && !PyObject_TypeCheck(args[0], queue->state->loop_type)) {
    PyErr_Format(PyExc_TypeError, "loop must be a bide loop or None, not %.100s",
                 Py_TYPE(args[0])->tp_name);
    return -1;
  }
  if (!PyTuple_Check(args[3])) {
    PyErr_Format(PyExc_TypeError, "args must be a tuple, not %.100s",
                 Py_TYPE(args[3])->tp_name);
    return -1;
  }
  return 0;
}

static PyObject *job_queue_put(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
  job_queue_object *queue = (job_queue_object *)self;
  if (job_queue_check_put(queue, args, nargs) < 0) return NULL;
  loop_object *loop = args[0] == Py_None ? NULL : (loop_object *)args[0];
  if (loop != NULL && loop_check_open(loop) < 0) return NULL;
  bool bounded = args[4] == Py_True;
  bool grow = args[5] == Py_True;
  job *job = job_new(queue->state, loop, args[1], args[2], args[3]);
  if (job == NULL) return NULL;
  job_queue_verdict verdict = job_queue_try(queue, job, bounded, grow);
  if (verdict == JOB_QUEUE_FULL) {
    job_queue_purge(queue);
    verdict = job_queue_try(queue, job, bounded, grow);
  }
  if (verdict == JOB_QUEUE_ADMITTED) Py_RETURN_TRUE;
  job_free(job);
  if (verdict == JOB_QUEUE_WANTS_WORKER) Py_RETURN_FALSE;
  return job_queue_refuse(queue, verdict);
}

/* ---- working ---- */

/* What a worker owes and knows between two jobs. */
typedef struct job_worker {
  job_sleeper sleeper;
  loop_object *owed; /* to be told of its inbox before this thread does anything long */
  uint64_t turn_us;  /* when the GIL was taken */
  unsigned generation;
  bool busy;
} job_worker;

static void job_worker_settle_debt(job_worker *worker) {
  job_post(worker->owed);
  worker->owed = NULL;
}

/* Waits until put, end or a chain of wake-ups takes the sleeper off the list; with
 * `asleep` false it only lets the other threads have the GIL. A loop is told without the
 * GIL, which it will want. */
static void job_worker_rest(job_worker *worker, bool asleep) {
  Py_BEGIN_ALLOW_THREADS;
  job_worker_settle_debt(worker);
  while (asleep && sem_wait(&worker->sleeper.woken) != 0 && errno == EINTR) continue;
  Py_END_ALLOW_THREADS;
  worker->turn_us = bide_clock_us();
}

typedef enum job_step { JOB_STEP_RUN, JOB_STEP_SLEEP, JOB_STEP_LEAVE } job_step;

/* What to do next; *taken is the job to run. */
static job_step job_queue_step(job_queue_object *queue, job_worker *worker, job **taken) {
  job_sleeper *sleeper = NULL;
  job_step step = JOB_STEP_RUN;
  pthread_mutex_lock(&queue->lock);
  if (worker->busy) queue->idle++;
  worker->busy = false;
  *taken = job_queue_pop(queue);
  if (*taken != NULL) {
    worker->busy = true;
    queue->idle--;
    queue->queued--;
    sleeper = job_queue_rouse(queue);
  } else if (queue->end == JOB_QUEUE_OPEN || queue->queued != 0) {
    worker->sleeper.next = queue->asleep;
    queue->asleep = &worker->sleeper;
    queue->sleeping++;
    step = JOB_STEP_SLEEP;
  } else {
    queue->idle--;
    queue->workers--;
    step = JOB_STEP_LEAVE;
  }
  pthread_mutex_unlock(&queue->lock);
  job_queue_wake(sleeper);
  return step;
}

/* Runs one job. False when that came back in a forked child, where neither the queue's
 * books nor the loop are this thread's any more. */
static bool job_queue_run(job_queue_object *queue, job_worker *worker, job *job) {
  job_worker_settle_debt(worker);
  if (!job_run(job)) return queue->generation == worker->generation;
  if (queue->generation != worker->generation) {
    job_free(job);
    return false;
  }
  worker->owed = job_complete(job);
  if (bide_clock_us() - worker->turn_us >= JOB_QUEUE_TURN_US)
    job_worker_rest(worker, false);
  return true;
}

static PyObject *job_queue_work(PyObject *self, PyObject *unused) {
  (void)unused;
  job_queue_object *queue = (job_queue_object *)self;
  job_worker worker = {.generation = queue->generation, .turn_us = bide_clock_us()};
  sem_init(&worker.sleeper.woken, 0, 0);
  job *job;
  job_step step;
  while ((step = job_queue_step(queue, &worker, &job)) != JOB_STEP_LEAVE) {
    if (step == JOB_STEP_SLEEP)
      job_worker_rest(&worker, true);
    else if (!job_queue_run(queue, &worker, job))
      break;
  }
  job_worker_settle_debt(&worker);
  sem_destroy(&worker.sleeper.woken);
  Py_RETURN_NONE;
}

/* ---- workers come and go ---- */

static PyObject *job_queue_add_worker(PyObject *self, PyObject *unused) {
  (void)unused;
  job_queue_object *queue = (job_queue_object *)self;
  pthread_mutex_lock(&queue->lock);
  bool wanted = queue->workers < queue->workers_max;
  if (wanted) {
    queue->workers++;
    queue->idle++;
  }
  pthread_mutex_unlock(&queue->lock);
  return PyBool_FromLong(wanted);
}

/* What is queued may have counted on this worker. */
static PyObject *job_queue_remove_worker(PyObject *self, PyObject *unused) {
  (void)unused;
  job_queue_object *queue = (job_queue_object *)self;
  pthread_mutex_lock(&queue->lock);
  queue->workers--;
  queue->idle--;
  size_t workers = queue->workers;
  job_sleeper *sleeper = job_queue_rouse(queue);
  pthread_mutex_unlock(&queue->lock);
  job_queue_wake(sleeper);
  return PyLong_FromSize_t(workers);
}

static PyObject *job_queue_end_method(PyObject *self, PyObject *exiting) {
  job_queue_object *queue = (job_queue_object *)self;
  pthread_mutex_lock(&queue->lock);
  if (queue->end == JOB_QUEUE_OPEN)
    queue->end = exiting == Py_True ? JOB_QUEUE_EXITING : JOB_QUEUE_SHUT_DOWN;
  job_sleeper *sleepers = job_queue_rouse_all(queue);
  pthread_mutex_unlock(&queue->lock);
  job_queue_wake_all(sleepers);
  Py_RETURN_NONE;
}

static PyObject *job_queue_cancel(PyObject *self, PyObject *unused) {
  (void)unused;
  job_queue_object *queue = (job_queue_object *)self;
  pthread_mutex_lock(&queue->lock);
  job *node = job_queue_take_all(queue);
  for (job *each = node; each != NULL; each = each->next) queue->queued--;
  pthread_mutex_unlock(&queue->lock);
  while (node != NULL) {
    job *next = node->next;
    job_post(job_cancel(node));
    node = next;
  }
  Py_RETURN_NONE;
}

static void job_queue_drop(job_queue_object *queue) {
  job *node = job_queue_take_all(queue);
  while (node != NULL) {
    job *next = node->next;
    job_free(node);
    node = next;
  }
}

/* The lock may have been held at the fork, by a thread that is not here. */
static PyObject *job_queue_renew(PyObject *self, PyObject *unused) {
  (void)unused;
  job_queue_object *queue = (job_queue_object *)self;
  pthread_mutex_init(&queue->lock, NULL);
  queue->generation++;
  queue->queued = queue->workers = queue->idle = queue->sleeping = 0;
  queue->asleep = NULL;
  job_queue_drop(queue);
  Py_RETURN_NONE;
}

static PyObject *job_queue_qsize(PyObject *self, PyObject *unused) {
  (void)unused;
  job_queue_object *queue = (job_queue_object *)self;
  job_queue_purge(queue);
  pthread_mutex_lock(&queue->lock);
  size_t queued = queue->queued;
  pthread_mutex_unlock(&queue->lock);
  return PyLong_FromSize_t(queued);
}

/* ---- the type ---- */

static PyObject *job_queue_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  Py_ssize_t workers_max, queued_max;
  if (keywords != NULL && PyDict_GET_SIZE(keywords) != 0) {
    PyErr_SetString(PyExc_TypeError, "JobQueue() takes no keyword arguments");
    return NULL;
  }
  if (!PyArg_ParseTuple(args, "nn:JobQueue", &workers_max, &queued_max)) return NULL;
  if (workers_max <= 0 || queued_max < 0) {
    PyErr_SetString(PyExc_ValueError, "a pool needs a worker, and a bound that is one");
    return NULL;
  }
  job_queue_object *queue = (job_queue_object *)type->tp_alloc(type, 0);
  if (queue == NULL) return NULL;
  pthread_mutex_init(&queue->lock, NULL);
  queue->last = &queue->first;
  queue->workers_max = (size_t)workers_max;
  queue->queued_max = (size_t)queued_max;
  queue->state = module_state_of(type);
  if (queue->state == NULL) Py_CLEAR(queue);
  return (PyObject *)queue;
}

static int job_queue_traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  for (job *node = ((job_queue_object *)self)->first; node != NULL; node = node->next) {
    Py_VISIT(node->future);
    Py_VISIT(node->function);
    Py_VISIT(node->args);
  }
  return 0;
}

/* A worker holds its queue: none is left by now. */
static int job_queue_clear(PyObject *self) {
  job_queue_drop((job_queue_object *)self);
  return 0;
}

static void job_queue_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  job_queue_clear(self);
  pthread_mutex_destroy(&((job_queue_object *)self)->lock);
  type->tp_free(self);
  Py_DECREF(type);
}

static PyMethodDef job_queue_methods[] = {
    {"put", (PyCFunction)(void (*)(void))job_queue_put, METH_FASTCALL,
     "put(loop, future, function, args, bounded, grow)\nQueue function(*args), which "
     "completes future, one of loop or, with None, a concurrent one. False, and nothing "
     "is queued, when grow is true and the pool wants a worker first. queue.Full when "
     "bounded is true and there is no room; RuntimeError after end()."},
    {"work", job_queue_work, METH_NOARGS,
     "Run jobs until end() and the last of them: what a worker thread does."},
    {"add_worker", job_queue_add_worker, METH_NOARGS,
     "Count on a thread that will call work(). False when there are enough by now."},
    {"remove_worker", job_queue_remove_worker, METH_NOARGS,
     "That thread could not be made. Return how many are left."},
    {"end", job_queue_end_method, METH_O,
     "end(exiting)\nTake no more jobs, and let the workers go after the last one."},
    {"cancel", job_queue_cancel, METH_NOARGS, "Cancel what no worker has started."},
    {"renew", job_queue_renew, METH_NOARGS,
     "Begin anew in a forked child, which has neither the workers nor their jobs."},
    {"qsize", job_queue_qsize, METH_NOARGS,
     "Return how many jobs no worker has started, without cancelled ones."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot job_queue_slots[] = {
    {Py_tp_doc, "JobQueue(workers_max, queued_max)\nThe jobs of a bide.Pool."},
    {Py_tp_new, job_queue_new},
    {Py_tp_dealloc, job_queue_dealloc},
    {Py_tp_traverse, job_queue_traverse},
    {Py_tp_clear, job_queue_clear},
    {Py_tp_methods, job_queue_methods},
    {0, NULL},
};

PyType_Spec job_queue_spec = {
    .name = "bide._bide.JobQueue",
    .basicsize = sizeof(job_queue_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = job_queue_slots,
};
