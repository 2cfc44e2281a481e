/* timers.c: timers by number, in microseconds.
 *
 * JS owns the numbers, as it does those of the slots; a timer is 64 bytes where a slot is 16
 * KiB, so a million of them may wait. Those that have fired lie in a list until they are
 * delivered, in rows of the completions. */
#include <assert.h>
#include <stdlib.h>

#include "addon.h"

enum { TIMERS_A_CHUNK = 256 };

struct addon_timer {
  bide_timer timer;
  addon_env *env;
  addon_timer *next_fired;
  uint32_t number;
  bool holds; /* the process alive until it is delivered or stopped */
  bool fired; /* on env->fired */
};

static addon_timer *timer_at(addon_env *env, uint32_t number) {
  if (number / TIMERS_A_CHUNK >= env->timer_chunk_count) return NULL;
  return &env->timers[number / TIMERS_A_CHUNK][number % TIMERS_A_CHUNK];
}

static void on_fired(bide_timer *timer) {
  addon_timer *self = BIDE_CONTAINER_OF(timer, addon_timer, timer);
  addon_env *env = self->env;
  self->fired = true;
  self->next_fired = NULL;
  *env->fired_end = self;
  env->fired_end = &self->next_fired;
}

static bool timers_grow(addon_env *env) {
  uint32_t count = env->timer_chunk_count;
  addon_timer **chunks = realloc(env->timers, (count + 1) * sizeof *chunks);
  if (chunks == NULL) return false;
  env->timers = chunks;
  chunks[count] = calloc(TIMERS_A_CHUNK, sizeof **chunks);
  if (chunks[count] == NULL) return false;
  for (uint32_t i = 0; i < TIMERS_A_CHUNK; i++) {
    chunks[count][i].timer.cb = on_fired;
    chunks[count][i].env = env;
    chunks[count][i].number = count * TIMERS_A_CHUNK + i;
  }
  env->timer_chunk_count++;
  return true;
}

static void timer_release(addon_timer *self) {
  if (!self->holds) return;
  self->holds = false;
  if (--self->env->in_flight == 0) addon_loop_release(self->env);
}

/* timerStart(number, us, holds): a new number is the last one and one. 0 or an error. */
static napi_value timer_start(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value values[3];
  uint32_t number;
  double us;
  bool holds;
  if (!addon_arguments(napi, info, 3, values, &env)) return NULL;
  if (!addon_get_uint(env, values[0], &number) ||
      !addon_get_double(env, values[1], &us) || !addon_get_bool(env, values[2], &holds)) {
    return NULL;
  }
  if (timer_at(env, number) == NULL && !timers_grow(env)) {
    return addon_code(env, BIDE_ENOMEM);
  }
  int code = addon_loop_open_timer(env);
  if (code < 0) return addon_code(env, code);
  addon_timer *self = timer_at(env, number);
  if (self == NULL || self->fired || bide_timer_is_active(&self->timer)) {
    return addon_throw(env, "bide: no free timer has this number");
  }
  bide_timer_start(env->loop, &self->timer, (uint64_t)us);
  self->holds = holds;
  if (holds && env->in_flight++ == 0) addon_loop_hold(env);
  addon_loop_rouse(env);
  return addon_code(env, 0);
}

/* timerStop(number): false when it has fired and waits for its delivery. */
static napi_value timer_stop(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value value, stopped = NULL;
  uint32_t number;
  if (!addon_arguments(napi, info, 1, &value, &env)) return NULL;
  if (!addon_get_uint(env, value, &number)) return NULL;
  addon_timer *self = timer_at(env, number);
  if (self == NULL) return addon_throw(env, "bide: no timer has this number");
  if (!self->fired) {
    bide_timer_stop(env->loop, &self->timer);
    timer_release(self);
  }
  napi_get_boolean(napi, !self->fired, &stopped);
  return stopped;
}

int addon_timers_take(addon_env *env, int32_t (*rows)[3], int max) {
  int count = 0;
  while (env->fired != NULL && count < max) {
    addon_timer *self = env->fired;
    env->fired = self->next_fired;
    if (env->fired == NULL) env->fired_end = &env->fired;
    self->fired = false;
    timer_release(self);
    rows[count][0] = (int32_t)self->number;
    rows[count][1] = 0;
    rows[count++][2] = ADDON_TIMER;
  }
  return count;
}

void addon_timers_stop(addon_env *env) {
  for (uint32_t i = 0; i < env->timer_chunk_count; i++) {
    for (int j = 0; j < TIMERS_A_CHUNK; j++) {
      bide_timer_stop(env->loop, &env->timers[i][j].timer);
    }
  }
}

void addon_timers_free(addon_env *env) {
  for (uint32_t i = 0; i < env->timer_chunk_count; i++) free(env->timers[i]);
  free(env->timers);
}

const addon_method addon_timer_methods[] = {
    {"timerStart", timer_start},
    {"timerStop", timer_stop},
    {NULL, NULL},
};
