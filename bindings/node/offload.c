/* offload.c: pools by number, and jobs on them by name. */
#include <stdlib.h>
#include <string.h>

#include "addon.h"

/* ---- the names of system calls, for errors ---- */

const char *const addon_syscalls[] = {"",        "open",    "read",  "write",
                                      "fsync",   "close",   "fstat", "scandir",
                                      "deflate", "inflate", NULL};

int32_t addon_syscall_number(const char *name) {
  if (name == NULL) return 0;
  for (int32_t i = 1; addon_syscalls[i] != NULL; i++) {
    if (strcmp(addon_syscalls[i], name) == 0) return i;
  }
  return 0;
}

/* ---- pools ---- */

/* poolNew(threads): the pool's number, or a negative code. JS bounds the queue. */
static napi_value pool_new(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value threads;
  bide_pool_options options = BIDE_POOL_OPTIONS_INIT;
  bide_pool *pool;
  if (!addon_arguments(napi, info, 1, &threads, &env)) return NULL;
  if (!addon_get_uint(env, threads, &options.threads_max)) return NULL;
  bide_pool **pools = realloc(env->pools, (env->pool_count + 1) * sizeof *pools);
  if (pools == NULL) return addon_code(env, BIDE_ENOMEM);
  env->pools = pools;
  int code = bide_pool_new(&options, &pool);
  if (code < 0) return addon_code(env, code);
  pools[env->pool_count] = pool;
  return addon_code(env, (int)env->pool_count++);
}

static bide_pool **pool_at(addon_env *env, napi_value value) {
  uint32_t number;
  if (!addon_get_uint(env, value, &number)) return NULL;
  if (number < env->pool_count && env->pools[number] != NULL) return &env->pools[number];
  addon_throw(env, "bide: no pool has this number");
  return NULL;
}

/* poolFree(pool): JS waits for its jobs first, so that this joins idle threads. */
static napi_value pool_free(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value value;
  if (!addon_arguments(napi, info, 1, &value, &env)) return NULL;
  bide_pool **pool = pool_at(env, value);
  if (pool == NULL) return NULL;
  bide_pool_free(*pool);
  *pool = NULL;
  return NULL;
}

void addon_pools_free(addon_env *env) {
  for (uint32_t i = 0; i < env->pool_count; i++) bide_pool_free(env->pools[i]);
  free(env->pools);
}

/* ---- jobs ---- */

static intptr_t run_job(bide_offload *offload) {
  addon_request *request = offload->data;
  return request->as.job.job->run(&request->as.job.call);
}

/* What the job found goes to the slot's memory: its numbers, the length of its bytes, and
 * these if they are few; takeOutput() gives more. */
static void give_results(addon_request *request) {
  const addon_job_call *call = &request->as.job.call;
  double *numbers = (double *)(void *)request->shared;
  memcpy(numbers, call->results, sizeof call->results);
  numbers[ADDON_JOB_RESULTS_MAX] = (double)call->output_len;
  request->output = call->output;
  request->output_len = call->output_len;
  if (call->output_len == 0 || call->output_len > ADDON_JOB_BYTES_IN_SLOT) return;
  memcpy(numbers + ADDON_JOB_RESULTS_MAX + 1, call->output, call->output_len);
  addon_output_free(request);
}

/* The path that failed, or "". */
static void give_failed_path(addon_request *request) {
  char *path = request->as.job.call.failed_path;
  size_t len = path == NULL ? 0 : strnlen(path, ADDON_SLOT_BYTES - 1);
  if (len > 0) memcpy(request->shared, path, len);
  request->shared[len] = '\0';
  free(path);
  free(request->as.job.call.output);
}

static void on_settled(bide_waiter *waiter, bide_future *future) {
  addon_request *request = BIDE_CONTAINER_OF(waiter, addon_request, as.job.waiter);
  int32_t result = future->error < 0 ? future->error : (int32_t)future->value;
  addon_output_free(request);
  if (result >= 0) {
    give_results(request);
  } else {
    give_failed_path(request);
  }
  addon_request_done(request, result, addon_syscall_number(request->as.job.call.syscall));
}

/* takeOutput(slot, buffer): copies a job's bytes there, in its finish(); undefined drops
 * them. */
static napi_value offload_take_output(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[2];
  void *base;
  size_t len;
  if (!addon_arguments(napi, info, 2, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_bytes(env, values[1], &base, &len)) return NULL;
  if (base != NULL && len != request->output_len) {
    return addon_throw(env, "bide: not the output's length");
  }
  if (base != NULL && len > 0) memcpy(base, request->output, len);
  addon_output_free(request);
  return NULL;
}

void addon_output_free(addon_request *request) {
  free(request->output);
  request->output = NULL;
  request->output_len = 0;
}

static bool job_option(addon_request *request, const addon_job *job, napi_value value) {
  addon_job_call *call = &request->as.job.call;
  size_t len;
  if (job->option == ADDON_JOB_LIMIT) {
    return addon_get_double(request->env, value, &call->limit);
  }
  if (job->option == ADDON_JOB_PLAIN) return true;
  if (napi_get_value_string_utf8(request->env->napi, value, call->name, sizeof call->name,
                                 &len) == napi_ok) {
    return true;
  }
  addon_throw(request->env, "bide: the job takes a name");
  return false;
}

static bool job_argument(addon_request *request, const addon_job *job, napi_value value) {
  addon_job_call *call = &request->as.job.call;
  void *base;
  switch (job->argument) {
    case ADDON_JOB_NUMBER:
      return addon_get_double(request->env, value, &call->number);
    case ADDON_JOB_BYTES:
      if (!addon_get_bytes(request->env, value, &base, &call->len)) return false;
      call->base = base;
      return true;
    default:
      if (!addon_get_path(request, value)) return false;
      call->path = request->path;
      return true;
  }
}

static int job_start(addon_request *request, bide_pool *pool) {
  bide_offload *offload = &request->as.job.offload;
  request->kind = ADDON_JOB;
  offload->data = request;
  int code = bide_offload_start(request->env->loop, pool, offload, run_job,
                                BIDE_PRIORITY_NORMAL);
  if (code < 0) return code;
  request->as.job.waiter = (bide_waiter){.wake = on_settled};
  return bide_future_wait(&offload->future, &request->as.job.waiter);
}

static const addon_job *job_at(addon_env *env, napi_value value) {
  uint32_t number;
  if (!addon_get_uint(env, value, &number)) return NULL;
  for (uint32_t i = 0; addon_jobs[i].name != NULL; i++) {
    if (i == number) return &addon_jobs[i];
  }
  addon_throw(env, "bide: no job has this number");
  return NULL;
}

/* run(slot, pool, job, argument, option) */
static napi_value offload_run(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[5];
  if (!addon_arguments(napi, info, 5, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  bide_pool **pool = request == NULL ? NULL : pool_at(env, values[1]);
  const addon_job *job = pool == NULL ? NULL : job_at(env, values[2]);
  if (job == NULL) return NULL;
  request->as.job.call = (addon_job_call){.stop = &env->stop};
  if (!job_option(request, job, values[4]) || !job_argument(request, job, values[3])) {
    return NULL;
  }
  request->as.job.job = job;
  return addon_request_started(request, job_start(request, *pool));
}

const addon_method addon_offload_methods[] = {
    {"poolNew", pool_new}, {"poolFree", pool_free},
    {"run", offload_run},  {"takeOutput", offload_take_output},
    {NULL, NULL},
};
