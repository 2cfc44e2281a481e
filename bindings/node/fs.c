/* fs.c: file operations, one method each. They take numbers, paths and bytes as the
 * system calls do; what Node's options mean is decided in JS, which also keeps the buffers
 * alive until their completion. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "addon.h"

/* ---- single operations ---- */

static void on_op(bide_op *op) { addon_request_done(op->data, op->result, 0); }

static bide_op *op_of(addon_request *request) {
  request->kind = ADDON_OP;
  request->as.op = (bide_op){.cb = on_op, .data = request};
  return &request->as.op;
}

static napi_value submit(addon_request *request) {
  return addon_request_started(request,
                               bide_loop_submit(request->env->loop, &request->as.op));
}

/* An open that was cancelled may have succeeded all the same: from its completion on the
 * descriptor is the environment's. */
static void on_open(bide_op *op) {
  addon_request *request = op->data;
  if (op->result >= 0) addon_file_opened(request->env, op->result);
  addon_request_done(request, op->result, 0);
}

/* open(slot, path, flags, mode) */
static napi_value fs_open(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[4];
  int flags;
  uint32_t mode;
  if (!addon_arguments(napi, info, 4, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_int(env, values[2], &flags) ||
      !addon_get_uint(env, values[3], &mode) || !addon_get_path(request, values[1])) {
    return NULL;
  }
  bide_op *op = op_of(request);
  op->cb = on_open;
  bide_prep_openat(op, AT_FDCWD, request->path, flags, mode);
  return submit(request);
}

/* Only the end of the environment cancels a close; the descriptor is closed then with
 * those that have no owner. */
static void on_close(bide_op *op) {
  addon_request *request = op->data;
  if (op->result != BIDE_ECANCELED) addon_file_closed(request->env, op->fd);
  addon_request_done(request, op->result, 0);
}

/* close(slot, fd) */
static napi_value fs_close(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[2];
  int fd;
  if (!addon_arguments(napi, info, 2, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_int(env, values[1], &fd)) return NULL;
  addon_file_opened(env, fd);
  bide_op *op = op_of(request);
  op->cb = on_close;
  bide_prep_close(op, fd);
  return submit(request);
}

/* closeNow(fd): at once, for a descriptor that nobody waits for. */
static napi_value fs_close_now(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value value;
  int fd;
  if (!addon_arguments(napi, info, 1, &value, &env)) return NULL;
  if (!addon_get_int(env, value, &fd)) return NULL;
  addon_file_closed(env, fd);
  return addon_code(env, bide_loop_close_fd(env->loop, fd));
}

typedef struct transfer {
  addon_request *request;
  int fd;
  void *base;
  uint32_t len;
  int64_t position;
} transfer;

/* (slot, fd, buffer, length, position): buffer is undefined for the slot's own memory. */
static bool transfer_arguments(napi_env napi, napi_callback_info info, transfer *to) {
  addon_env *env;
  napi_value values[5];
  size_t bytes;
  if (!addon_arguments(napi, info, 5, values, &env)) return false;
  to->request = addon_request_at(env, values[0]);
  if (to->request == NULL || !addon_get_int(env, values[1], &to->fd) ||
      !addon_get_bytes(env, values[2], &to->base, &bytes) ||
      !addon_get_uint(env, values[3], &to->len) ||
      !addon_get_int64(env, values[4], &to->position)) {
    return false;
  }
  if (to->base == NULL) {
    to->base = to->request->shared;
    bytes = ADDON_SLOT_BYTES;
  }
  if (to->len <= bytes) return true;
  addon_throw(env, "bide: the length exceeds the buffer");
  return false;
}

static napi_value fs_read(napi_env napi, napi_callback_info info) {
  transfer to;
  if (!transfer_arguments(napi, info, &to)) return NULL;
  bide_prep_read(op_of(to.request), to.fd, to.base, to.len, to.position);
  return submit(to.request);
}

static napi_value fs_write(napi_env napi, napi_callback_info info) {
  transfer to;
  if (!transfer_arguments(napi, info, &to)) return NULL;
  bide_prep_write(op_of(to.request), to.fd, to.base, to.len, to.position);
  return submit(to.request);
}

/* sync(slot, fd, dataOnly) */
static napi_value fs_sync(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[3];
  int fd;
  bool data_only;
  if (!addon_arguments(napi, info, 3, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_int(env, values[1], &fd) ||
      !addon_get_bool(env, values[2], &data_only)) {
    return NULL;
  }
  bide_prep_fsync(op_of(request), fd, data_only);
  return submit(request);
}

const addon_method addon_fs_methods[] = {
    {"open", fs_open}, {"close", fs_close}, {"closeNow", fs_close_now},
    {"read", fs_read}, {"write", fs_write}, {"sync", fs_sync},
    {NULL, NULL},
};
