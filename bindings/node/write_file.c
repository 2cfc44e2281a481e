/* write_file.c: a whole file in one request: open, write until all is written, sync if that
 * is asked for, close. The first error is kept while the file is being closed. */
#include <fcntl.h>
#include <unistd.h>

#include "addon.h"

enum { STEP_OPEN, STEP_WRITE, STEP_SYNC, STEP_CLOSE };

static const char *const step_syscalls[] = {"open", "write", "fsync", "close"};

enum { WRITE_AT_ONCE_MAX = 0x7ffff000 /* of one call, whatever it is asked for */ };

static int step_submit(addon_request *request) {
  addon_write_file *file = &request->as.write;
  size_t rest = file->len - file->written;
  switch (file->step) {
    case STEP_OPEN:
      bide_prep_openat(&file->op, AT_FDCWD, request->path, file->flags, file->mode);
      break;
    case STEP_WRITE:
      if (rest > WRITE_AT_ONCE_MAX) rest = WRITE_AT_ONCE_MAX;
      bide_prep_write(&file->op, file->fd, file->base + file->written, rest, -1);
      break;
    case STEP_SYNC:
      bide_prep_fsync(&file->op, file->fd, false);
      break;
    default:
      bide_prep_close(&file->op, file->fd);
      break;
  }
  return bide_loop_submit(request->env->loop, &file->op);
}

static void finish(addon_request *request) {
  const addon_write_file *file = &request->as.write;
  const char *syscall = file->result < 0 ? step_syscalls[file->failed_step] : NULL;
  addon_request_done(request, file->result, addon_syscall_number(syscall));
}

static void fail(addon_write_file *file, int32_t result) {
  if (file->result < 0) return;
  file->result = result;
  file->failed_step = file->step;
}

static void close_file(addon_request *request) {
  addon_write_file *file = &request->as.write;
  if (file->fd >= 0) {
    file->step = STEP_CLOSE;
    if (step_submit(request) == 0) return;
    close(file->fd);
  }
  finish(request);
}

static void step_next(addon_request *request) {
  addon_write_file *file = &request->as.write;
  if (file->step == STEP_OPEN) file->step = STEP_WRITE;
  if (file->step == STEP_WRITE && file->written == file->len) {
    file->step = file->flush ? STEP_SYNC : STEP_CLOSE;
  } else if (file->step == STEP_SYNC) {
    file->step = STEP_CLOSE;
  }
  if (file->step == STEP_CLOSE) {
    close_file(request);
    return;
  }
  int code = file->cancelled ? BIDE_ECANCELED : step_submit(request);
  if (code == 0) return;
  fail(file, code);
  close_file(request);
}

/* A close that only the environment's end has cancelled closes all the same. */
static void closed(addon_request *request, int32_t result) {
  addon_write_file *file = &request->as.write;
  if (result == BIDE_ECANCELED) {
    close(file->fd);
  } else if (result < 0) {
    fail(file, result);
  }
  finish(request);
}

static void on_step(bide_op *op) {
  addon_request *request = op->data;
  addon_write_file *file = &request->as.write;
  int32_t result = op->result;
  if (file->step == STEP_CLOSE) {
    closed(request, result);
    return;
  }
  if (file->step == STEP_WRITE && result == 0) result = BIDE_EIO;
  if (result < 0 && (result != BIDE_EINTR || file->cancelled)) {
    fail(file, result);
    close_file(request);
    return;
  }
  if (file->step == STEP_OPEN && result >= 0) file->fd = result;
  if (file->step == STEP_WRITE && result > 0) file->written += (size_t)result;
  if (result == BIDE_EINTR && step_submit(request) == 0) return;
  step_next(request);
}

/* A close goes on, and what was written stays written. */
void addon_write_file_cancel(addon_request *request) {
  addon_write_file *file = &request->as.write;
  file->cancelled = true;
  if (file->step != STEP_CLOSE) bide_loop_cancel(request->env->loop, &file->op);
}

/* writeFile(slot, path, flags, mode, buffer, length, flush): buffer is undefined for the
 * slot's own memory. */
static napi_value write_file(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[7];
  void *base;
  size_t bytes;
  uint32_t len;
  addon_write_file file = {.fd = -1, .step = STEP_OPEN};
  if (!addon_arguments(napi, info, 7, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_int(env, values[2], &file.flags) ||
      !addon_get_uint(env, values[3], &file.mode) ||
      !addon_get_bytes(env, values[4], &base, &bytes) ||
      !addon_get_uint(env, values[5], &len) ||
      !addon_get_bool(env, values[6], &file.flush)) {
    return NULL;
  }
  if (base == NULL) {
    base = request->shared;
    bytes = ADDON_SLOT_BYTES;
  }
  if (len > bytes) return addon_throw(env, "bide: the length exceeds the buffer");
  if (!addon_get_path(request, values[1])) return NULL;
  file.base = base;
  file.len = len;
  request->kind = ADDON_WRITE_FILE;
  request->as.write = file;
  request->as.write.op = (bide_op){.cb = on_step, .data = request};
  return addon_request_started(request, step_submit(request));
}

const addon_method addon_write_methods[] = {
    {"writeFile", write_file},
    {NULL, NULL},
};
