/* job.h: a call on its way through a worker thread, and its result's way back.
 *
 * A job completes either an asyncio.Future, on the thread of that future's loop, or a
 * concurrent.futures.Future, on the worker itself. */
#ifndef BIDE_PYTHON_JOB_H
#define BIDE_PYTHON_JOB_H

#include <bide/loop.h>
#include <stdatomic.h>

#include "state.h"

typedef struct loop_object loop_object;

typedef enum job_outcome { JOB_RETURNED, JOB_RAISED, JOB_CANCELLED } job_outcome;

/* Owned by the queue, then by the worker that took it, then by its loop's inbox. `loop` is
 * borrowed: the future keeps it alive; NULL when the future is a concurrent one. `function`
 * and `args` are dropped on the worker as soon as the call has ended, and only then is
 * there a `value`, the result or the exception. */
typedef struct job {
  struct job *next;
  module_state *state;
  loop_object *loop;
  PyObject *future;
  PyObject *function;
  PyObject *args;
  PyObject *value;
  job_outcome outcome;
} job;

/* A loop's finished jobs, newest first. Workers push without a lock; whoever pushes onto an
 * empty stack posts `call`, which takes the whole stack: one wake a batch, and one post.
 * `gate` counts the workers between their push and the end of their post, who lean on the
 * core; from close on it has a bit set that turns others away. */
typedef struct job_inbox {
  _Atomic(job *) finished;
  atomic_uint gate;
  bide_call call;
} job_inbox;

/* Makes a job of function(*args); NULL with MemoryError. `loop` may be NULL. */
job *job_new(module_state *state, loop_object *loop, PyObject *future, PyObject *function,
             PyObject *args);

/* Drops the job and what it holds. */
void job_free(job *job);

/* Drops a job whose future has been cancelled, telling those who wait for it. */
void job_forget(job *job);

/* True when its future has been cancelled, so that the job need not start. May run Python
 * code. */
bool job_is_cancelled(job *job);

/* Calls the function, on a worker thread. False when the job had been cancelled before:
 * then it has been freed. */
bool job_run(job *job);

/* Completes the future, or hands the job to its loop's inbox, once it has run. Frees the
 * job or gives it away. Returns the loop that this obliges the caller to job_post; mostly
 * NULL. */
loop_object *job_complete(job *job);

/* Completes the future of a job that will not run, as cancelled. Returns as above. */
loop_object *job_cancel(job *job);

/* Tells the loop of its inbox. Needs no GIL; is due before the calling thread blocks or
 * runs other code, since the loop cannot be closed meanwhile. NULL is harmless. */
void job_post(loop_object *loop);

/* What a loop does with its inbox. */
void job_inbox_init(job_inbox *inbox);
int job_inbox_traverse(job_inbox *inbox, visitproc visit, void *arg);

/* From here on results are dropped. `wait` for posts that are under way, but not in a
 * forked child, where the threads that made them are not. */
void job_inbox_close(job_inbox *inbox);
void job_inbox_wait(job_inbox *inbox);

/* Drops what no callback will come for: the core is gone. */
void job_inbox_clear(job_inbox *inbox);

#endif
