/* job_queue.h: the jobs that wait for a pool's worker threads, and what those do.
 *
 * The core has a pool of its own, but a thread that it makes would be a stranger to
 * Python: threading would know it as a _DummyThread, without a name, missing from
 * threading.enumerate() until it looks, and nobody would join it at exit. Besides, such a
 * worker takes a job first and then waits for the GIL; here it has the GIL before it looks
 * for a job, so that one worker clears a burst of short jobs while the others sleep. */
#ifndef BIDE_PYTHON_JOB_QUEUE_H
#define BIDE_PYTHON_JOB_QUEUE_H

#include <pthread.h>

#include "job.h"

typedef enum job_queue_end {
  JOB_QUEUE_OPEN,
  JOB_QUEUE_SHUT_DOWN,
  JOB_QUEUE_EXITING /* with the interpreter */
} job_queue_end;

/* A worker that sleeps, on its own stack; whoever takes it off the list wakes it. */
typedef struct job_sleeper job_sleeper;

/* `lock` is never held while Python code runs or the GIL is awaited. Under it: the queue
 * from `first` to `*last`; `queued` counts its jobs, and those which a purge looks at just
 * now; `workers` counts the threads, promised ones included; `idle` those of them that run
 * no job, and so will look at the queue before they sleep; `sleeping` those on the list
 * `asleep`, last come first, since its memory is the warmest. While jobs are queued, some
 * worker is idle and awake, or none is idle: each that takes a job wakes the next. */
typedef struct job_queue_object {
  PyObject_HEAD
  module_state *state;
  pthread_mutex_t lock;
  job *first;
  job **last;
  size_t queued;
  size_t queued_max; /* 0: no bound */
  size_t workers;
  size_t workers_max;
  size_t idle;
  size_t sleeping;
  job_sleeper *asleep;
  unsigned generation; /* counts forks: a worker of another one ends */
  job_queue_end end;
} job_queue_object;

#endif
