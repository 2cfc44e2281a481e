/* addon.c: the module: what it exports, and the life of an environment's state. */
#include <stdio.h>
#include <stdlib.h>

#include "addon.h"

/* ---- exports ---- */

static void set(addon_env *env, napi_value object, const char *name, napi_value value) {
  if (value != NULL) napi_set_named_property(env->napi, object, name, value);
}

static void set_number(addon_env *env, napi_value object, const char *name, int number) {
  set(env, object, name, addon_code(env, number));
}

static void set_methods(addon_env *env, napi_value object, const addon_method *methods) {
  for (; methods->name != NULL; methods++) {
    napi_value function = NULL;
    napi_create_function(env->napi, methods->name, NAPI_AUTO_LENGTH, methods->callback,
                         env, &function);
    set(env, object, methods->name, function);
  }
}

static napi_value string_list(napi_env napi, const char *const *strings) {
  napi_value list = NULL;
  napi_create_array(napi, &list);
  for (uint32_t i = 0; strings[i] != NULL; i++) {
    napi_set_element(napi, list, i, addon_string(napi, strings[i]));
  }
  return list;
}

/* [{name, argument, results, output}], in the order of the numbers that run() takes. */
static napi_value job_list(addon_env *env) {
  static const char *const arguments[] = {"number", "path", "bytes"};
  napi_env napi = env->napi;
  napi_value list = NULL;
  napi_create_array(napi, &list);
  for (uint32_t i = 0; addon_jobs[i].name != NULL; i++) {
    const addon_job *from = &addon_jobs[i];
    napi_value job = NULL;
    napi_create_object(napi, &job);
    set(env, job, "name", addon_string(napi, from->name));
    set(env, job, "argument", addon_string(napi, arguments[from->argument]));
    set(env, job, "results", string_list(napi, from->results));
    if (from->output != NULL) set(env, job, "output", addon_string(napi, from->output));
    napi_set_element(napi, list, i, job);
  }
  return list;
}

/* The core's own codes, which Node's table of errors does not have: [[code, name, text]] */
static napi_value own_errors(addon_env *env) {
  napi_env napi = env->napi;
  napi_value list = NULL;
  uint32_t count = 0;
  int code;
  napi_create_array(napi, &list);
  for (size_t i = 0; bide_error_row(i, &code) != NULL; i++) {
    if (code > -4096) continue;
    napi_value row = NULL;
    napi_create_array(napi, &row);
    napi_set_element(napi, row, 0, addon_code(env, code));
    napi_set_element(napi, row, 1, addon_string(napi, bide_error_name(code)));
    napi_set_element(napi, row, 2, addon_string(napi, bide_error_text(code)));
    napi_set_element(napi, list, count++, row);
  }
  return list;
}

/* attach(complete, allocate): who takes the batches, and who makes Buffers. */
static napi_value attach(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value functions[2];
  if (!addon_arguments(napi, info, 2, functions, &env)) return NULL;
  if (napi_create_reference(napi, functions[0], 1, &env->complete) != napi_ok ||
      napi_create_reference(napi, functions[1], 1, &env->allocate) != napi_ok) {
    return addon_throw(env, "bide: attach takes two functions");
  }
  return NULL;
}

static const addon_method attach_methods[] = {{"attach", attach}, {NULL, NULL}};

static void export_all(addon_env *env, napi_value exports) {
  napi_env napi = env->napi;
  napi_value completions = NULL;
  set_methods(env, exports, attach_methods);
  set_methods(env, exports, addon_request_methods);
  set_methods(env, exports, addon_fs_methods);
  set_methods(env, exports, addon_read_methods);
  set_methods(env, exports, addon_write_methods);
  set_methods(env, exports, addon_stat_methods);
  set_methods(env, exports, addon_owner_methods);
  set_methods(env, exports, addon_offload_methods);
  set_methods(env, exports, addon_timer_methods);
  napi_get_reference_value(napi, env->completions_ref, &completions);
  set(env, exports, "completions", completions);
  set(env, exports, "syscalls", string_list(napi, addon_syscalls));
  set(env, exports, "jobs", job_list(env));
  set(env, exports, "ownErrors", own_errors(env));
  set_number(env, exports, "chunkSlots", ADDON_CHUNK_SLOTS);
  set_number(env, exports, "slotBytes", ADDON_SLOT_BYTES);
  set_number(env, exports, "inBuffer", ADDON_IN_BUFFER);
  set_number(env, exports, "tooLarge", ADDON_TOO_LARGE);
  set_number(env, exports, "tooSmall", ADDON_TOO_SMALL);
  set_number(env, exports, "timer", ADDON_TIMER);
  set_number(env, exports, "stream", ADDON_STREAM);
  set_number(env, exports, "jobResults", ADDON_JOB_RESULTS_MAX);
  set_number(env, exports, "jobBytesInSlot", ADDON_JOB_BYTES_IN_SLOT);
  set_number(env, exports, "statValues", ADDON_STAT_VALUES);
  set(env, exports, "version", addon_string(napi, bide_version()));
  set(env, exports, "backend", addon_string(napi, bide_loop_backend(env->loop)));
  set(env, exports, "backendReason",
      addon_string(napi, bide_loop_backend_reason(env->loop)));
}

/* ---- the end ---- */

/* Neither the environment nor JS is there any more. */
static void on_closed(addon_env *env) {
  bide_loop_close(env->loop);
  addon_pools_free(env);
  addon_reads_destroy(&env->reads);
  addon_files_close(env);
  addon_requests_free(env);
  addon_timers_free(env);
  addon_stop_destroy(&env->stop);
  napi_remove_async_cleanup_hook(env->cleanup);
  free(env);
}

/* Runs before the heap goes, while memory of JS's that the kernel writes to is still held:
 * nothing is in flight once the loop is closed. */
static void on_cleanup(napi_async_cleanup_hook_handle handle, void *data) {
  (void)handle;
  addon_env *env = data;
  addon_loop_close(env);
  addon_requests_release(env);
  napi_delete_reference(env->napi, env->completions_ref);
  if (env->complete != NULL) napi_delete_reference(env->napi, env->complete);
  if (env->allocate != NULL) napi_delete_reference(env->napi, env->allocate);
  if (env->owner != NULL) napi_delete_reference(env->napi, env->owner);
  napi_async_destroy(env->napi, env->context);
}

/* ---- the beginning ---- */

static napi_value refuse(napi_env napi, int code) {
  char message[256];
  const char *advice =
      code == BIDE_EINVAL
          ? "BIDE_BACKEND must be auto, io_uring or epoll"
          : "with BIDE_BACKEND=auto bide goes on without io_uring where it is refused";
  snprintf(message, sizeof message, "bide cannot make its loop: %s: %s (%s)",
           bide_error_name(code), bide_error_text(code), advice);
  napi_throw_error(napi, bide_error_name(code), message);
  return NULL;
}

static napi_status completions_new(addon_env *env) {
  napi_value memory;
  void *base;
  napi_status status = napi_create_arraybuffer(
      env->napi, ADDON_COMPLETIONS_MAX * sizeof *env->completions, &base, &memory);
  if (status != napi_ok) return status;
  env->completions = base;
  return napi_create_reference(env->napi, memory, 1, &env->completions_ref);
}

static napi_status attach_to_node(addon_env *env) {
  napi_status status = napi_get_uv_event_loop(env->napi, &env->uv);
  if (status == napi_ok) status = completions_new(env);
  if (status != napi_ok) return status;
  status =
      napi_async_init(env->napi, NULL, addon_string(env->napi, "bide"), &env->context);
  if (status != napi_ok) return status;
  status = napi_add_async_cleanup_hook(env->napi, on_cleanup, env, &env->cleanup);
  if (status != napi_ok) return status;
  if (addon_loop_open(env) == 0) return napi_ok;
  napi_remove_async_cleanup_hook(env->cleanup);
  return napi_generic_failure;
}

static addon_env *env_new(napi_env napi, int *code) {
  addon_env *env = calloc(1, sizeof *env);
  *code = BIDE_ENOMEM;
  if (env == NULL) return NULL;
  env->napi = napi;
  env->done_end = &env->done;
  env->fired_end = &env->fired;
  addon_reads_init(&env->reads);
  env->timer_fd = -1;
  env->closed = on_closed;
  *code = addon_stop_init(&env->stop);
  if (*code == 0) {
    *code = bide_loop_new(NULL, &env->loop);
    if (*code == 0) return env;
    addon_stop_destroy(&env->stop);
  }
  addon_reads_destroy(&env->reads);
  free(env);
  return NULL;
}

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
  int code;
  addon_env *state = env_new(env, &code);
  if (state == NULL) return refuse(env, code);
  if (attach_to_node(state) != napi_ok) {
    /* addon_loop_open comes last, so libuv has no handle of this. */
    bide_loop_close(state->loop);
    addon_stop_destroy(&state->stop);
    addon_reads_destroy(&state->reads);
    free(state);
    napi_throw_error(env, NULL, "bide cannot attach itself to Node's event loop");
    return NULL;
  }
  export_all(state, exports);
  return exports;
}
