/* stat.c: what a file is, for one path or descriptor. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "addon.h"

enum {
  STAT_INTEGERS = 10,
  STAT_TIMES = 4,
  STAT_MASK = STATX_BASIC_STATS | STATX_BTIME,
};

void addon_stat_values(const struct statx *from, void *to, bool bigint) {
  const uint64_t integers[STAT_INTEGERS] = {
      makedev(from->stx_dev_major, from->stx_dev_minor),
      from->stx_mode,
      from->stx_nlink,
      from->stx_uid,
      from->stx_gid,
      makedev(from->stx_rdev_major, from->stx_rdev_minor),
      from->stx_blksize,
      from->stx_ino,
      from->stx_size,
      from->stx_blocks,
  };
  const struct statx_timestamp *times[STAT_TIMES] = {&from->stx_atime, &from->stx_mtime,
                                                     &from->stx_ctime, &from->stx_btime};
  int64_t values[ADDON_STAT_VALUES];
  for (int i = 0; i < STAT_INTEGERS; i++) values[i] = (int64_t)integers[i];
  for (int i = 0; i < STAT_TIMES; i++) {
    values[STAT_INTEGERS + 2 * i] = times[i]->tv_sec;
    values[STAT_INTEGERS + 2 * i + 1] = times[i]->tv_nsec;
  }
  if (bigint) {
    memcpy(to, values, sizeof values);
    return;
  }
  double *doubles = to;
  for (int i = 0; i < ADDON_STAT_VALUES; i++) {
    doubles[i] = i < STAT_INTEGERS ? (double)integers[i] : (double)values[i];
  }
}

static void on_stat(bide_op *op) {
  addon_request *request = op->data;
  if (op->result >= 0) {
    addon_stat_values(&request->as.stat.statx, request->shared, request->bigint);
  }
  addon_request_done(request, op->result, 0);
}

/* What a filesystem on a block device knows of a file lies in memory once the file is open.
 * One without such a device (its number has no major part) may have to ask a server, and is
 * believed only when it was waited for. */
static bool stat_at_once(addon_request *request, int fd) {
  struct statx *found = &request->as.stat.statx;
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STAT_MASK, found) < 0)
    return false;
  if (found->stx_dev_major == 0) return false;
  addon_stat_values(found, request->shared, request->bigint);
  return true;
}

static bool stat_path_at_once(addon_request *request, bool follow) {
  int fd = addon_open_cached(request->path, O_PATH | (follow ? 0 : O_NOFOLLOW));
  if (fd < 0) return false;
  bool done = stat_at_once(request, fd);
  close(fd);
  return done;
}

static napi_value stat_submit(addon_request *request, int fd, const char *path,
                              int flags) {
  request->kind = ADDON_OP;
  request->as.stat.op = (bide_op){.cb = on_stat, .data = request};
  bide_prep_statx(&request->as.stat.op, fd, path, flags, STAT_MASK,
                  &request->as.stat.statx);
  return addon_request_started(
      request, bide_loop_submit(request->env->loop, &request->as.stat.op));
}

/* stat(slot, path, bigint, follow): 0 while it is under way, 1 when the slot's memory has it
 * already, or a negative code. */
static napi_value fs_stat(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[4];
  bool follow;
  if (!addon_arguments(napi, info, 4, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_bool(env, values[2], &request->bigint) ||
      !addon_get_bool(env, values[3], &follow) || !addon_get_path(request, values[1])) {
    return NULL;
  }
  if (addon_may_act_at_once(env) && stat_path_at_once(request, follow)) {
    addon_path_free(request);
    return addon_code(env, 1);
  }
  return stat_submit(request, AT_FDCWD, request->path, follow ? 0 : AT_SYMLINK_NOFOLLOW);
}

/* fstat(slot, fd, bigint): as stat. */
static napi_value fs_fstat(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[3];
  int fd;
  if (!addon_arguments(napi, info, 3, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_int(env, values[1], &fd) ||
      !addon_get_bool(env, values[2], &request->bigint)) {
    return NULL;
  }
  if (addon_may_act_at_once(env) && stat_at_once(request, fd)) return addon_code(env, 1);
  return stat_submit(request, fd, "", AT_EMPTY_PATH);
}

const addon_method addon_stat_methods[] = {
    {"stat", fs_stat},
    {"fstat", fs_fstat},
    {"statAll", addon_stat_all_method},
    {NULL, NULL},
};
