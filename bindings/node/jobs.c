/* jobs.c: what a worker thread of the core's pool can do for JS. */
#include "jobs.h"

#include <bide/errno.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <time.h>

/* ---- the end of the environment ---- */

int addon_stop_init(addon_stop *stop) {
  pthread_condattr_t monotonic;
  int error = pthread_condattr_init(&monotonic);
  if (error != 0) return -error;
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  error = pthread_cond_init(&stop->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  if (error != 0) return -error;
  stop->stopped = false;
  error = pthread_mutex_init(&stop->mutex, NULL);
  if (error != 0) pthread_cond_destroy(&stop->changed);
  return -error;
}

void addon_stop_request(addon_stop *stop) {
  pthread_mutex_lock(&stop->mutex);
  stop->stopped = true;
  pthread_cond_broadcast(&stop->changed);
  pthread_mutex_unlock(&stop->mutex);
}

void addon_stop_destroy(addon_stop *stop) {
  pthread_cond_destroy(&stop->changed);
  pthread_mutex_destroy(&stop->mutex);
}

bool addon_stop_requested(addon_stop *stop) {
  pthread_mutex_lock(&stop->mutex);
  bool answer = stop->stopped;
  pthread_mutex_unlock(&stop->mutex);
  return answer;
}

/* ---- sleep(ms) ---- */

static int job_sleep(addon_job_call *call) {
  addon_stop *stop = call->stop;
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  int64_t ns = end.tv_nsec + (int64_t)(call->number * 1e6);
  end.tv_sec += (time_t)(ns / 1000000000);
  end.tv_nsec = (long)(ns % 1000000000);
  int error = 0;
  pthread_mutex_lock(&stop->mutex);
  while (!stop->stopped && error == 0) {
    error = pthread_cond_timedwait(&stop->changed, &stop->mutex, &end);
  }
  bool cut_short = stop->stopped;
  pthread_mutex_unlock(&stop->mutex);
  return cut_short ? BIDE_ECANCELED : 0;
}

/* Copied, as ISO C has no cast from a pointer to a function. */
bool addon_find_symbol(void *function, const char *name) {
  void *symbol = dlsym(RTLD_DEFAULT, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

const addon_job addon_jobs[] = {
    {"sleep", job_sleep, ADDON_JOB_NUMBER, ADDON_JOB_PLAIN, NULL, {NULL}},
    {"checksumTree",
     addon_checksum_tree,
     ADDON_JOB_PATH,
     ADDON_JOB_PLAIN,
     NULL,
     {"files", "folders", "bytes", "crc32", NULL}},
    {"listTree", addon_list_tree, ADDON_JOB_PATH, ADDON_JOB_PLAIN, "files", {NULL}},
    {"hash", addon_hash_bytes, ADDON_JOB_BYTES, ADDON_JOB_NAME, "digest", {NULL}},
    {"hashFile",
     addon_hash_file,
     ADDON_JOB_PATH,
     ADDON_JOB_NAME,
     "digest",
     {"bytes", NULL}},
    {"gzip", addon_gzip, ADDON_JOB_BYTES, ADDON_JOB_LIMIT, "bytes", {NULL}},
    {"gunzip", addon_gunzip, ADDON_JOB_BYTES, ADDON_JOB_LIMIT, "bytes", {NULL}},
    {NULL, NULL, ADDON_JOB_NUMBER, ADDON_JOB_PLAIN, NULL, {NULL}},
};
