/* file_jobs.c: see file_jobs.h. */
#include "file_jobs.h"

#include <errno.h>

#include "direct.h"

enum { FILE_JOBS_THREADS = 4 };

void bide__file_jobs_init(bide__file_jobs *jobs, bide__backend *backend,
                          bide_pool *pool) {
  *jobs = (bide__file_jobs){.backend = backend, .pool = pool};
}

void bide__file_jobs_free(bide__file_jobs *jobs) {
  if (jobs->owns_pool) bide_pool_free(jobs->pool);
}

static bide_op *file_jobs_op(bide_work *work) {
  bide__scratch *scratch = BIDE_CONTAINER_OF(work, bide__scratch, as.work);
  return BIDE_CONTAINER_OF(scratch, bide_op, scratch_);
}

static void file_jobs_run(bide_work *work) {
  bide_op *op = file_jobs_op(work);
  do {
    op->result = bide__direct_file(op);
  } while (op->result == -EINTR);
}

/* On the worker: the op goes onto the stack of finished ones. */
static void file_jobs_done(bide_work *work) {
  bide__file_jobs *jobs = work->data;
  bide__waker *waker = &jobs->backend->waker;
  bide__waker_enter(waker);
  bide__stack_push(&jobs->finished, &bide__scratch_of(file_jobs_op(work))->done);
  bide__waker_notify(waker);
}

void bide__file_jobs_take(bide__file_jobs *jobs) {
  if (jobs->running == 0) return;
  for (bide_node *node = bide__stack_take(&jobs->finished), *after; node != NULL;
       node = after) {
    after = node->next;
    bide_op *op = bide__op_of_done(node);
    *node = (bide_node){NULL, NULL};
    jobs->running--;
    bide__backend_done(jobs->backend, op, op->result, 0);
  }
}

static int file_jobs_make_pool(bide__file_jobs *jobs) {
  bide_pool_options options = BIDE_POOL_OPTIONS_INIT;
  options.threads_max = FILE_JOBS_THREADS;
  options.name = "bide-file";
  int error = bide_pool_new(&options, &jobs->pool);
  if (error == 0) jobs->owns_pool = true;
  return error;
}

int bide__file_jobs_submit(bide__file_jobs *jobs, bide_op *op) {
  int error = jobs->pool == NULL ? file_jobs_make_pool(jobs) : 0;
  if (error < 0) return error;
  bide_work *work = &bide__scratch_of(op)->as.work;
  *work = (bide_work){.run = file_jobs_run, .done = file_jobs_done, .data = jobs};
  op->phase_ = BIDE__PHASE_POOL;
  error = bide_pool_submit(jobs->pool, work, BIDE_PRIORITY_NORMAL);
  if (error == 0) jobs->running++;
  return error;
}

void bide__file_jobs_cancel(bide__file_jobs *jobs, bide_op *op) {
  if (bide_pool_cancel(jobs->pool, &bide__scratch_of(op)->as.work) < 0) return;
  jobs->running--;
  bide__backend_done(jobs->backend, op, BIDE_ECANCELED, 0);
}
