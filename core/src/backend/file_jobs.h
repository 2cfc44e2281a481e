/* file_jobs.h: operations on regular files as jobs of a pool, for epoll, which calls files
 * always ready. */
#ifndef BIDE_SRC_BACKEND_FILE_JOBS_H
#define BIDE_SRC_BACKEND_FILE_JOBS_H

#include "../stack.h"
#include "backend.h"

/* running: jobs that were submitted and not taken yet. finished: those that have ended,
 * pushed by the workers, linked by `done`. */
typedef struct bide__file_jobs {
  bide__backend *backend;
  bide_pool *pool; /* NULL until the first job, unless the caller has one */
  bool owns_pool;
  size_t running;
  bide__stack finished;
} bide__file_jobs;

/* pool may be NULL: one is made when it is needed. */
void bide__file_jobs_init(bide__file_jobs *jobs, bide__backend *backend, bide_pool *pool);

/* Waits for the jobs that run, if the pool is its own. */
void bide__file_jobs_free(bide__file_jobs *jobs);

/* Returns 0, or an error of bide_pool_new or bide_pool_submit. */
int bide__file_jobs_submit(bide__file_jobs *jobs, bide_op *op);

/* What no worker has begun is done, as cancelled. */
void bide__file_jobs_cancel(bide__file_jobs *jobs, bide_op *op);

/* Puts those that have ended onto the backend's `done`. */
void bide__file_jobs_take(bide__file_jobs *jobs);

static inline bool bide__file_jobs_peek(const bide__file_jobs *jobs) {
  return !bide__stack_empty(&jobs->finished);
}

#endif
