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
bool addon_stop_requested(addon_stop *stop);
void addon_stop_destroy(addon_stop *stop);

enum {
  ADDON_JOB_RESULTS_MAX = 4,
  ADDON_JOB_NAME_BYTES = 32,
  ADDON_JOB_BYTES_IN_SLOT =
      1024, /* of a job's output, copied once instead of asked for */
  ADDON_JOB_PIECE_BYTES = 1 << 18, /* worked on between two looks at `stop` */
};

typedef struct addon_job_call {
  addon_stop *stop;
  double number;    /* ADDON_JOB_NUMBER */
  const char *path; /* ADDON_JOB_PATH */
  const void *base; /* ADDON_JOB_BYTES: held by JS until the job's end */
  size_t len;
  double limit;                    /* ADDON_JOB_LIMIT */
  char name[ADDON_JOB_NAME_BYTES]; /* ADDON_JOB_NAME */
  /* out: */
  double results[ADDON_JOB_RESULTS_MAX];
  void *output; /* of a job that gives bytes: malloc'ed */
  size_t output_len;
  const char *syscall; /* of an error: a name of addon_syscalls */
  char *failed_path;   /* of an error: malloc'ed, or NULL for `path` */
} addon_job_call;

typedef enum addon_job_argument {
  ADDON_JOB_NUMBER,
  ADDON_JOB_PATH,
  ADDON_JOB_BYTES,
} addon_job_argument;

typedef enum addon_job_option {
  ADDON_JOB_PLAIN, /* none */
  ADDON_JOB_NAME,
  ADDON_JOB_LIMIT, /* a number */
} addon_job_option;

/* run returns 0 or a negative code of bide. results: how many of them JS is given, by
 * these names, as one object; none: undefined. output: the name of its bytes among them, or
 * NULL. */
typedef struct addon_job {
  const char *name;
  int (*run)(addon_job_call *call);
  addon_job_argument argument;
  addon_job_option option;
  const char *output;
  const char *results[ADDON_JOB_RESULTS_MAX + 1];
} addon_job;

/* Ends with a NULL name. */
extern const addon_job addon_jobs[];

/* ---- tree_job.c ---- */

int addon_checksum_tree(addon_job_call *call);
int addon_list_tree(addon_job_call *call);

/* ---- hash_job.c, gzip_job.c: by the OpenSSL and zlib of the Node that runs this, which it
 * exports to addons; BIDE_EOPNOTSUPP where one was built without them ---- */

/* *function becomes that of the program's function `name`; false: it has none. */
bool addon_find_symbol(void *function, const char *name);

int addon_hash_bytes(addon_job_call *call);
int addon_hash_file(addon_job_call *call);
int addon_gzip(addon_job_call *call);
int addon_gunzip(addon_job_call *call);

#endif
