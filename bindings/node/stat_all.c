/* stat_all.c: what many files are, asked for in one call of JS's and given in one.
 *
 * A few requests go through all the paths, so that the memory is the same however many
 * there are. The results lie in two arrays of JS's, which it keeps until the end. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "addon.h"

enum { LANES = 64 };

typedef struct lane {
  bide_op op;
  addon_stat_all *all;
  uint32_t index; /* of the path at hand */
  struct statx statx;
} lane;

struct addon_stat_all {
  addon_request *request;
  char *paths; /* one after the other, each with its NUL */
  size_t *offsets;
  uint32_t count;
  uint32_t next;
  uint32_t running; /* lanes */
  int flags;
  bool cancelled;
  int32_t *codes;
  unsigned char *values; /* ADDON_STAT_VALUES of 8 bytes for each */
  lane lanes[LANES];
};

static void all_free(addon_stat_all *all) {
  free(all->paths);
  free(all->offsets);
  free(all);
}

static void finish(addon_stat_all *all) {
  addon_request *request = all->request;
  int32_t result = all->cancelled ? BIDE_ECANCELED : 0;
  all_free(all);
  addon_request_done(request, result, 0);
}

/* The next path, if there is one; false when the lane has nothing to do any more. */
static bool lane_start(lane *self) {
  addon_stat_all *all = self->all;
  while (all->next < all->count && !all->cancelled) {
    self->index = all->next++;
    bide_prep_statx(&self->op, AT_FDCWD, all->paths + all->offsets[self->index],
                    all->flags, STATX_BASIC_STATS | STATX_BTIME, &self->statx);
    int code = bide_loop_submit(all->request->env->loop, &self->op);
    if (code == 0) return true;
    all->codes[self->index] = code;
  }
  return false;
}

static void on_lane(bide_op *op) {
  lane *self = op->data;
  addon_stat_all *all = self->all;
  all->codes[self->index] = op->result;
  if (op->result >= 0) {
    size_t at = (size_t)self->index * ADDON_STAT_VALUES * 8;
    addon_stat_values(&self->statx, all->values + at, all->request->bigint);
  }
  if (!lane_start(self) && --all->running == 0) finish(all);
}

void addon_stat_all_cancel(addon_request *request) {
  addon_stat_all *all = request->as.stat_all;
  all->cancelled = true;
  for (int i = 0; i < LANES; i++) {
    if (all->lanes[i].all != NULL) {
      bide_loop_cancel(request->env->loop, &all->lanes[i].op);
    }
  }
}

/* The paths come as one buffer, each with a NUL behind it. */
static bool all_paths(addon_stat_all *all, const char *bytes, size_t len) {
  all->paths = malloc(len);
  all->offsets = malloc(all->count * sizeof *all->offsets);
  if (all->paths == NULL || all->offsets == NULL) return false;
  memcpy(all->paths, bytes, len);
  size_t at = 0;
  for (uint32_t i = 0; i < all->count && at < len; i++) {
    all->offsets[i] = at;
    at += strlen(all->paths + at) + 1;
  }
  return true;
}

static int all_start(addon_stat_all *all) {
  for (int i = 0; i < LANES; i++) {
    lane *self = &all->lanes[i];
    self->op = (bide_op){.cb = on_lane, .data = self};
    self->all = all;
    if (!lane_start(self)) {
      self->all = NULL;
      break;
    }
    all->running++;
  }
  return all->running > 0 ? 0 : BIDE_ENOMEM;
}

/* statAll(slot, paths, count, bigint, follow, codes, values); count is not 0. */
napi_value addon_stat_all_method(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[7];
  void *paths, *codes, *stats;
  size_t paths_len, codes_len, stats_len;
  uint32_t count;
  bool follow;
  if (!addon_arguments(napi, info, 7, values, &env)) return NULL;
  addon_request *request = addon_request_at(env, values[0]);
  if (request == NULL || !addon_get_bytes(env, values[1], &paths, &paths_len) ||
      !addon_get_uint(env, values[2], &count) ||
      !addon_get_bool(env, values[3], &request->bigint) ||
      !addon_get_bool(env, values[4], &follow) ||
      !addon_get_bytes(env, values[5], &codes, &codes_len) ||
      !addon_get_bytes(env, values[6], &stats, &stats_len)) {
    return NULL;
  }
  if (count == 0 || paths_len < count || codes_len < count * sizeof(int32_t) ||
      stats_len < (size_t)count * ADDON_STAT_VALUES * 8) {
    return addon_throw(env, "bide: the arrays do not fit the number of paths");
  }
  addon_stat_all *all = calloc(1, sizeof *all);
  if (all == NULL) return addon_code(env, BIDE_ENOMEM);
  all->request = request;
  all->count = count;
  all->codes = codes;
  all->values = stats;
  all->flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
  request->kind = ADDON_STAT_ALL;
  request->as.stat_all = all;
  int code = all_paths(all, paths, paths_len) ? all_start(all) : BIDE_ENOMEM;
  if (code < 0) all_free(all);
  return addon_request_started(request, code);
}
