#include "offload_marks.h"

#include <stdlib.h>

#include "marks.h"

typedef struct batch {
  bide_loop *loop;
  bide_pool *pool;
  int left, active;
} batch;

/* One lane: a job, started again when it has ended. A future must not be used anew inside its
 * waiter, so that a call comes between. */
typedef struct job {
  bide_offload offload;
  bide_waiter waiter;
  bide_call again;
  batch *batch;
} job;

static intptr_t nothing(bide_offload *offload) {
  (void)offload;
  return 0;
}

static void job_start(bide_call *call) {
  job *self = BIDE_CONTAINER_OF(call, job, again);
  batch *all = self->batch;
  if (all->left-- <= 0) {
    if (--all->active == 0) bide_loop_stop(all->loop);
    return;
  }
  marks_check(bide_offload_start(all->loop, all->pool, &self->offload, nothing,
                                 BIDE_PRIORITY_NORMAL),
              "offload");
  bide_future_wait(&self->offload.future, &self->waiter);
}

static void job_ended(bide_waiter *waiter, bide_future *future) {
  bide_loop_call_soon(future->loop, &BIDE_CONTAINER_OF(waiter, job, waiter)->again);
}

double marks_offload_ns(bide_loop *loop, bide_pool *pool, int lanes, int count) {
  static job jobs[MARKS_LANES_MAX];
  batch all = {.loop = loop, .pool = pool, .left = count, .active = lanes};
  double started_ns = marks_wall_ns();
  for (int i = 0; i < lanes; i++) {
    jobs[i].batch = &all;
    jobs[i].again.cb = job_start;
    jobs[i].waiter.wake = job_ended;
    bide_loop_call_soon(loop, &jobs[i].again);
  }
  marks_check(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), "run");
  return (marks_wall_ns() - started_ns) / count;
}
