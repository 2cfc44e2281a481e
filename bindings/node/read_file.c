/* read_file.c: whole files read.
 *
 * First the kernel's caches are tried, which takes a few microseconds and no operation of
 * the loop's: in the call itself when nothing else is under way, else in the turn, as
 * reads.h says. What the caches have not is the core's. */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "addon.h"

enum { FILE_BYTES_MAX = INT32_MAX };

/* ---- memory ---- */

/* By JS, which throws where there is no memory: Node-API ends the process. An exception
 * that is left pending would make the delivery of the whole turn fail. */
static napi_value buffer_new(addon_env *env, size_t bytes, void **base) {
  napi_env napi = env->napi;
  napi_value allocate, global, size, buffer, exception;
  if (napi_get_reference_value(napi, env->allocate, &allocate) != napi_ok ||
      napi_get_global(napi, &global) != napi_ok ||
      napi_create_double(napi, (double)bytes, &size) != napi_ok) {
    return NULL;
  }
  if (napi_call_function(napi, global, allocate, 1, &size, &buffer) != napi_ok) {
    napi_get_and_clear_last_exception(napi, &exception);
    return NULL;
  }
  if (napi_get_buffer_info(napi, buffer, base, &bytes) != napi_ok) return NULL;
  return buffer;
}

static void buffer_drop(addon_request *request) {
  if (request->buffer != NULL) {
    napi_delete_reference(request->env->napi, request->buffer);
  }
  request->buffer = NULL;
}

/* A Buffer of its own for the request; what it had is dropped: nothing collects that before
 * it has been copied from, since no JS and no other allocation comes between. */
static void *buffer_for(addon_request *request, size_t bytes) {
  napi_env napi = request->env->napi;
  napi_handle_scope scope;
  napi_value buffer;
  napi_ref held = NULL;
  void *base = NULL;
  if (napi_open_handle_scope(napi, &scope) != napi_ok) return NULL;
  buffer = buffer_new(request->env, bytes, &base);
  if (buffer != NULL) napi_create_reference(napi, buffer, 1, &held);
  napi_close_handle_scope(napi, scope);
  if (held == NULL) return NULL;
  buffer_drop(request);
  request->buffer = held;
  return base;
}

/* ---- by the core ---- */

/* A file that does not fit its slot is read straight into a buffer of its own. This runs
 * between two callbacks of the core's, where no scope is open. */
static void *file_grow(bide_read_file *file, size_t bytes) {
  addon_request *request = file->data;
  if (request->buffer == NULL && (request->targeted || bytes > FILE_BYTES_MAX)) {
    /* What was read before it grows had no size. */
    bool too_large = bytes > FILE_BYTES_MAX;
    double size = too_large || file->len == 0 ? (double)bytes : 0;
    *(double *)(void *)request->shared = size;
    request->detail = too_large ? ADDON_TOO_LARGE : ADDON_TOO_SMALL;
    return NULL;
  }
  return buffer_for(request, bytes);
}

/* What JS is told of a file of `len` bytes. */
static int32_t detail_of(addon_request *request, size_t len) {
  if (request->buffer == NULL) return (int32_t)len;
  *(double *)(void *)request->shared = (double)len;
  return ADDON_IN_BUFFER;
}

static void on_file(bide_read_file *file) {
  addon_request *request = file->data;
  int32_t detail = request->detail;
  if (detail == 0) {
    detail = file->result < 0 ? addon_syscall_number(file->syscall)
                              : detail_of(request, file->len);
  }
  addon_request_done(request, file->result, detail);
}

static int start_in_core(addon_request *request) {
  const addon_cached_read tried = request->as.cached.file;
  buffer_drop(request);
  request->kind = ADDON_READ_FILE;
  request->as.file = (bide_read_file){.cb = on_file, .data = request, .grow = file_grow};
  bool own = !request->targeted;
  return bide_read_file_start(request->env->loop, &request->as.file, request->path,
                              own ? request->shared : tried.base,
                              own ? ADDON_SLOT_BYTES : tried.capacity);
}

/* ---- streams ---- */

static void stream_opened(addon_request *request, int fd, int32_t result) {
  if (result >= 0) {
    addon_request_done(request, fd, ADDON_STREAM);
    return;
  }
  addon_file_closed(request->env, fd);
  close(fd);
  addon_request_done(request, result, addon_syscall_number("open"));
}

static void on_pipe(bide_op *op) { stream_opened(op->data, op->fd, op->result); }

/* A pipe that nobody has opened for writing reads as if it were at its end: that somebody
 * does is what its open would have waited for. */
static int stream_open(addon_request *request) {
  const addon_cached_read tried = request->as.cached.file;
  addon_file_opened(request->env, tried.fd);
  fcntl(tried.fd, F_SETFL, O_RDONLY);
  request->kind = ADDON_OP;
  request->as.op = (bide_op){.cb = on_pipe, .data = request};
  if (tried.outcome == ADDON_CACHED_PIPE) {
    bide_prep_poll(&request->as.op, tried.fd, POLLIN);
  } else {
    bide_prep_nop(&request->as.op);
    request->as.op.fd = tried.fd;
  }
  int code = bide_loop_submit(request->env->loop, &request->as.op);
  if (code < 0) {
    addon_file_closed(request->env, tried.fd);
    close(tried.fd);
  }
  return code;
}

/* ---- from the caches ---- */

bool addon_read_make_room(addon_request *request) {
  addon_cached_read *file = &request->as.cached.file;
  unsigned char *base = request->targeted ? NULL : buffer_for(request, file->len);
  if (base == NULL) {
    addon_cached_read_end(file);
    file->outcome = ADDON_CACHED_REFUSED;
    return false;
  }
  file->base = base;
  file->capacity = file->len;
  file->outcome = ADDON_CACHED_UNTRIED;
  return true;
}

void addon_read_try(addon_request *request) {
  addon_cached_read *file = &request->as.cached.file;
  addon_cached_read_try(file, request->path);
  if (file->outcome == ADDON_CACHED_NO_ROOM && addon_read_make_room(request)) {
    addon_cached_read_try(file, request->path);
  }
}

/* What was neither read nor refused for good goes on with the loop. */
static int go_on(addon_request *request) {
  uint8_t outcome = request->as.cached.file.outcome;
  bool stream = outcome == ADDON_CACHED_PIPE || outcome == ADDON_CACHED_DEVICE;
  return stream ? stream_open(request) : start_in_core(request);
}

void addon_read_finish(addon_request *request) {
  const addon_cached_read *file = &request->as.cached.file;
  int code = BIDE_ECANCELED;
  if (request->cancelled) {
    addon_cached_read_end(&request->as.cached.file);
  } else if (file->outcome == ADDON_CACHED_READ) {
    addon_request_done(request, 0, detail_of(request, file->len));
    return;
  } else {
    code = go_on(request);
  }
  if (code < 0) addon_request_done(request, code, addon_syscall_number("open"));
}

/* ---- the call ---- */

static napi_value read_at_once(addon_request *request) {
  addon_env *env = request->env;
  const addon_cached_read *file = &request->as.cached.file;
  addon_read_try(request);
  if (file->outcome != ADDON_CACHED_READ) {
    return addon_request_started(request, go_on(request));
  }
  addon_path_free(request);
  if (detail_of(request, file->len) != ADDON_IN_BUFFER) {
    return addon_code(env, (int)file->len + 1);
  }
  return addon_request_take_buffer(request);
}

static napi_value start(addon_request *request, void *target, size_t capacity,
                        bool at_once) {
  addon_env *env = request->env;
  request->kind = ADDON_READ_CACHED;
  request->detail = 0;
  request->cancelled = false;
  request->targeted = target != NULL;
  request->as.cached.file = (addon_cached_read){
      .base = target != NULL ? target : request->shared,
      .capacity = target != NULL ? capacity : ADDON_SLOT_BYTES,
      .fd = -1,
  };
  if (at_once && addon_may_act_at_once(env)) return read_at_once(request);
  napi_value code = addon_request_started(request, 0);
  addon_reads_push(env, request);
  return code;
}

/* readFile(slot, path, target, atOnce): into that buffer alone, or, when it is undefined, into
 * the slot's memory or a buffer of its own. 0 while it is under way, or a negative code; of a
 * file that was read at once, its length and 1, or the buffer that it is in. */
static napi_value read_file(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[4];
  void *target;
  size_t capacity;
  bool at_once;
  if (!addon_arguments(napi, info, 4, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_bytes(env, values[2], &target, &capacity) ||
      !addon_get_bool(env, values[3], &at_once) || !addon_get_path(request, values[1])) {
    return NULL;
  }
  return start(request, target, capacity, at_once);
}

/* readFileNow(slot, path): readFile(slot, path, undefined, true), with less to look at. */
static napi_value read_file_now(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[2];
  if (!addon_arguments(napi, info, 2, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_path(request, values[1])) return NULL;
  return start(request, NULL, 0, true);
}

const addon_method addon_read_methods[] = {
    {"readFile", read_file},
    {"readFileNow", read_file_now},
    {NULL, NULL},
};
