/* request.c: the slots that JS asks by, and the batches in which they come back. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "addon.h"

/* ---- slots ---- */

static addon_request *request_by_slot(addon_env *env, uint32_t slot) {
  uint32_t chunk = slot / ADDON_CHUNK_SLOTS;
  if (chunk >= env->chunk_count) return NULL;
  return &env->chunks[chunk]->requests[slot % ADDON_CHUNK_SLOTS];
}

addon_request *addon_request_at(addon_env *env, napi_value value) {
  uint32_t slot;
  if (!addon_get_uint(env, value, &slot)) return NULL;
  addon_request *request = request_by_slot(env, slot);
  if (request != NULL && request->state == ADDON_FREE) return request;
  addon_throw(env, "bide: no free slot has this number");
  return NULL;
}

static addon_chunk *chunk_new(addon_env *env, napi_value memory, unsigned char *base) {
  addon_chunk *chunk = calloc(1, sizeof *chunk);
  if (chunk == NULL) return NULL;
  if (napi_create_reference(env->napi, memory, 1, &chunk->memory) != napi_ok) {
    free(chunk);
    return NULL;
  }
  for (uint32_t i = 0; i < ADDON_CHUNK_SLOTS; i++) {
    addon_request *request = &chunk->requests[i];
    request->env = env;
    request->slot = env->chunk_count * ADDON_CHUNK_SLOTS + i;
    request->shared = base + (size_t)i * ADDON_SLOT_BYTES;
  }
  return chunk;
}

/* grow(buffer): ADDON_CHUNK_SLOTS more slots over the buffer's memory. */
static napi_value request_grow(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value memory;
  void *base;
  size_t len;
  if (!addon_arguments(napi, info, 1, &memory, &env)) return NULL;
  if (!addon_get_bytes(env, memory, &base, &len)) return NULL;
  if (len != (size_t)ADDON_CHUNK_SLOTS * ADDON_SLOT_BYTES) {
    return addon_throw(env, "bide: a chunk of slots has another size");
  }
  addon_chunk **chunks = realloc(env->chunks, (env->chunk_count + 1) * sizeof *chunks);
  if (chunks == NULL) return addon_code(env, BIDE_ENOMEM);
  env->chunks = chunks;
  chunks[env->chunk_count] = chunk_new(env, memory, base);
  if (chunks[env->chunk_count] == NULL) return addon_code(env, BIDE_ENOMEM);
  env->chunk_count++;
  return addon_code(env, 0);
}

void addon_requests_release(addon_env *env) {
  for (uint32_t i = 0; i < env->chunk_count; i++) {
    for (uint32_t j = 0; j < ADDON_CHUNK_SLOTS; j++) {
      addon_request *request = &env->chunks[i]->requests[j];
      if (request->buffer != NULL) napi_delete_reference(env->napi, request->buffer);
    }
    napi_delete_reference(env->napi, env->chunks[i]->memory);
  }
}

void addon_requests_free(addon_env *env) {
  for (uint32_t i = 0; i < env->chunk_count; i++) {
    for (uint32_t j = 0; j < ADDON_CHUNK_SLOTS; j++) {
      addon_path_free(&env->chunks[i]->requests[j]);
      addon_output_free(&env->chunks[i]->requests[j]);
    }
    free(env->chunks[i]);
  }
  free(env->chunks);
}

/* ---- their lives ---- */

napi_value addon_request_started(addon_request *request, int code) {
  addon_env *env = request->env;
  if (code < 0) {
    addon_path_free(request);
    return addon_code(env, code);
  }
  request->state = ADDON_IN_FLIGHT;
  addon_loop_rouse(env);
  if (env->in_flight++ == 0) addon_loop_hold(env);
  return addon_code(env, 0);
}

void addon_request_done(addon_request *request, int32_t result, int32_t detail) {
  addon_env *env = request->env;
  assert(request->state == ADDON_IN_FLIGHT);
  request->state = ADDON_DONE;
  request->result = result;
  request->detail = detail;
  request->next_done = NULL;
  *env->done_end = request;
  env->done_end = &request->next_done;
}

void addon_request_cancel(addon_request *request) {
  if (request->state != ADDON_IN_FLIGHT) return;
  switch (request->kind) {
    case ADDON_READ_CACHED:
      request->cancelled = true;
      break;
    case ADDON_READ_FILE:
      bide_read_file_cancel(&request->as.file);
      break;
    case ADDON_WRITE_FILE:
      addon_write_file_cancel(request);
      break;
    case ADDON_STAT_ALL:
      addon_stat_all_cancel(request);
      break;
    case ADDON_JOB:
      bide_future_cancel(&request->as.job.offload.future);
      break;
    default:
      bide_loop_cancel(request->env->loop, &request->as.op);
  }
  addon_loop_rouse(request->env);
}

/* cancel(slot): harmless when its completion has come meanwhile. */
static napi_value request_cancel(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value argument;
  uint32_t slot;
  if (!addon_arguments(napi, info, 1, &argument, &env)) return NULL;
  if (!addon_get_uint(env, argument, &slot)) return NULL;
  addon_request *request = request_by_slot(env, slot);
  if (request != NULL) addon_request_cancel(request);
  return NULL;
}

void addon_requests_cancel_all(addon_env *env) {
  for (uint32_t slot = 0; slot < env->chunk_count * ADDON_CHUNK_SLOTS; slot++) {
    addon_request_cancel(request_by_slot(env, slot));
  }
}

/* ---- batches ---- */

napi_value addon_request_take_buffer(addon_request *request) {
  napi_env napi = request->env->napi;
  napi_value buffer = NULL;
  if (request->buffer == NULL) return NULL;
  if (napi_get_reference_value(napi, request->buffer, &buffer) != napi_ok) buffer = NULL;
  napi_delete_reference(napi, request->buffer);
  request->buffer = NULL;
  return buffer;
}

static addon_request *pop_done(addon_env *env) {
  addon_request *request = env->done;
  env->done = request->next_done;
  if (env->done == NULL) env->done_end = &env->done;
  addon_path_free(request);
  request->state = ADDON_FREE;
  if (--env->in_flight == 0) addon_loop_release(env);
  return request;
}

/* Fills the completions; returns how many. *buffers becomes an array when there are
 * any. */
static int fill(addon_env *env, napi_value *buffers) {
  uint32_t buffer_count = 0;
  int count = 0;
  while (env->done != NULL && count < ADDON_COMPLETIONS_MAX) {
    addon_request *request = pop_done(env);
    napi_value buffer = addon_request_take_buffer(request);
    if (buffer != NULL && request->result >= 0) {
      if (buffer_count == 0) napi_create_array(env->napi, buffers);
      napi_set_element(env->napi, *buffers, buffer_count++, buffer);
    }
    int32_t *row = env->completions[count++];
    row[0] = (int32_t)request->slot;
    row[1] = request->result;
    row[2] = request->detail;
  }
  return count +
         addon_timers_take(env, env->completions + count, ADDON_COMPLETIONS_MAX - count);
}

/* A throw out of `complete` or of what it resumed is an uncaught exception of the
 * program's, not an error of this call's. */
static void report_exception(napi_env napi) {
  bool pending = false;
  napi_value error;
  if (napi_is_exception_pending(napi, &pending) != napi_ok || !pending) return;
  if (napi_get_and_clear_last_exception(napi, &error) != napi_ok) return;
  napi_fatal_exception(napi, error);
}

static void deliver_batch(addon_env *env) {
  napi_env napi = env->napi;
  napi_value arguments[2], complete, global;
  napi_get_undefined(napi, &arguments[1]);
  int count = fill(env, &arguments[1]);
  /* When the environment is being terminated these fail; nobody is left to be told. */
  if (napi_create_int32(napi, count, &arguments[0]) != napi_ok) return;
  if (napi_get_reference_value(napi, env->complete, &complete) != napi_ok) return;
  if (napi_get_global(napi, &global) != napi_ok) return;
  napi_status status =
      napi_make_callback(napi, env->context, global, complete, 2, arguments, NULL);
  if (status != napi_ok) report_exception(napi);
}

void addon_deliver(addon_env *env) {
  if (env->done != NULL) env->crowded = env->in_flight > 1;
  while (env->done != NULL || env->fired != NULL) {
    napi_handle_scope scope;
    if (napi_open_handle_scope(env->napi, &scope) != napi_ok) return;
    deliver_batch(env);
    napi_close_handle_scope(env->napi, scope);
  }
}

const addon_method addon_request_methods[] = {
    {"grow", request_grow},
    {"cancel", request_cancel},
    {NULL, NULL},
};
