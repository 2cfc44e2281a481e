#include <stdlib.h>
#include <string.h>

#include "addon.h"

/* A status other than napi_ok is never fatal: worker.terminate() makes any call fail. The
 * exception that is thrown here then goes nowhere, as it should. */
napi_value addon_throw(addon_env *env, const char *message) {
  napi_throw_type_error(env->napi, "ERR_INVALID_ARG_TYPE", message);
  return NULL;
}

bool addon_arguments(napi_env napi, napi_callback_info info, size_t count,
                     napi_value *values, addon_env **env) {
  void *data = NULL;
  size_t argc = count;
  if (napi_get_cb_info(napi, info, &argc, values, NULL, &data) != napi_ok) return false;
  *env = data;
  if (argc >= count) return true;
  addon_throw(*env, "bide: too few arguments for the addon");
  return false;
}

bool addon_get_int(addon_env *env, napi_value value, int *out) {
  int32_t number;
  if (napi_get_value_int32(env->napi, value, &number) != napi_ok) {
    addon_throw(env, "bide: the addon takes a number here");
    return false;
  }
  *out = number;
  return true;
}

bool addon_get_uint(addon_env *env, napi_value value, uint32_t *out) {
  if (napi_get_value_uint32(env->napi, value, out) == napi_ok) return true;
  addon_throw(env, "bide: the addon takes a number here");
  return false;
}

bool addon_get_int64(addon_env *env, napi_value value, int64_t *out) {
  if (napi_get_value_int64(env->napi, value, out) == napi_ok) return true;
  addon_throw(env, "bide: the addon takes a number here");
  return false;
}

bool addon_get_double(addon_env *env, napi_value value, double *out) {
  if (napi_get_value_double(env->napi, value, out) == napi_ok) return true;
  addon_throw(env, "bide: the addon takes a number here");
  return false;
}

bool addon_get_bool(addon_env *env, napi_value value, bool *out) {
  if (napi_get_value_bool(env->napi, value, out) == napi_ok) return true;
  addon_throw(env, "bide: the addon takes a boolean here");
  return false;
}

static bool path_reserve(addon_request *request, size_t len) {
  request->path = request->path_inline;
  if (len < sizeof request->path_inline) return true;
  request->path = malloc(len + 1);
  if (request->path != NULL) return true;
  addon_throw(request->env, "bide: no memory for a path");
  return false;
}

static bool path_from_string(addon_request *request, napi_value value) {
  napi_env napi = request->env->napi;
  size_t len;
  if (napi_get_value_string_utf8(napi, value, NULL, 0, &len) != napi_ok) return false;
  if (!path_reserve(request, len)) return false;
  if (napi_get_value_string_utf8(napi, value, request->path, len + 1, &len) == napi_ok) {
    return true;
  }
  addon_path_free(request);
  return false;
}

static bool path_from_bytes(addon_request *request, napi_value value) {
  void *base;
  size_t len;
  if (!addon_get_bytes(request->env, value, &base, &len)) return false;
  if (!path_reserve(request, len)) return false;
  if (len > 0) memcpy(request->path, base, len);
  request->path[len] = '\0';
  return true;
}

/* Most paths fit the request: these take one look at the string instead of two. */
bool addon_get_path(addon_request *request, napi_value value) {
  size_t len;
  napi_status status = napi_get_value_string_utf8(
      request->env->napi, value, request->path_inline, sizeof request->path_inline, &len);
  if (status == napi_string_expected) return path_from_bytes(request, value);
  if (status != napi_ok) return false;
  request->path = request->path_inline;
  /* A cut string may end up to three bytes short of the end, where a character is split. */
  if (len + 4 < sizeof request->path_inline) return true;
  return path_from_string(request, value);
}

void addon_path_free(addon_request *request) {
  if (request->path != request->path_inline) free(request->path);
  request->path = NULL;
}

bool addon_get_bytes(addon_env *env, napi_value value, void **base, size_t *len) {
  bool is_buffer = false;
  if (napi_is_buffer(env->napi, value, &is_buffer) == napi_ok && is_buffer &&
      napi_get_buffer_info(env->napi, value, base, len) == napi_ok) {
    return true;
  }
  napi_valuetype type;
  if (napi_typeof(env->napi, value, &type) == napi_ok && type == napi_undefined) {
    *base = NULL;
    *len = 0;
    return true;
  }
  addon_throw(env, "bide: the addon takes a string or a buffer here");
  return false;
}

napi_value addon_code(addon_env *env, int code) {
  napi_value value = NULL;
  napi_create_int32(env->napi, code, &value);
  return value;
}

napi_value addon_string(napi_env napi, const char *text) {
  napi_value value = NULL;
  napi_create_string_utf8(napi, text, NAPI_AUTO_LENGTH, &value);
  return value;
}
