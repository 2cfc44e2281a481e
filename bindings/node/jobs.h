/* jobs.h: the native work that JS may send to a pool by name.
 *
 * A job runs on a worker thread. It sees its call and nothing else: no loop, no JS. */
#ifndef BIDE_NODE_JOBS_H
#define BIDE_NODE_JOBS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Tells the jobs of an environment that it ends: those that sleep wake up, those that
 * work look at it between two files. */
typedef struct addon_stop {
  pthread_mutex_t mutex;
  pthread_cond_t changed; /* on CLOCK_MONOTONIC */
  bool stopped;           /* under mutex */
} addon_stop;

int addon_stop_init(addon_stop *stop);
void addon_stop_request(addon_stop *stop);
void addon_stop_destroy(addon_stop *stop);

enum { ADDON_JOB_RESULTS_MAX = 4 };

typedef struct addon_job_call {
  addon_stop *stop;
  double number;    /* ADDON_JOB_NUMBER */
  const char *path; /* ADDON_JOB_PATH */
  /* out: */
  double results[ADDON_JOB_RESULTS_MAX];
  const char *syscall; /* of an error: a name of addon_syscalls */
  char *failed_path;   /* of an error: malloc'ed, or NULL for `path` */
} addon_job_call;

typedef enum addon_job_argument { ADDON_JOB_NUMBER, ADDON_JOB_PATH } addon_job_argument;

/* run returns 0 or a negative code of bide. results: how many of them JS is given, by
 * these names, as one object; none: undefined. */
typedef struct addon_job {
  const char *name;
  addon_job_argument argument;
  int (*run)(addon_job_call *call);
  const char *results[ADDON_JOB_RESULTS_MAX + 1];
} addon_job;

/* Ends with a NULL name. */
extern const addon_job addon_jobs[];

#endif
