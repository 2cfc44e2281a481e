/* loop.c: the core's loop as a guest of libuv's.
 *
 * What JS submits goes to the kernel in a prepare step, once for all of a turn, right
 * before libuv would block. Completions make the core's descriptor readable, which wakes
 * libuv. Where the kernel completes at once (cached files, mostly), the prepare step
 * finds the result itself and libuv never waits. */
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "addon.h"

enum {
  /* A whole file is three operations, one after the other. */
  ROUNDS_MAX = 4,
  /* How long bide may go on with work that its own deliveries bring before libuv's
   * timers and sockets have their turn. */
  TURN_US_MAX = 200,
  /* JS may go on in one turn of its own before libuv has another. */
  AT_ONCE_US_MAX = 200,
};

bool addon_may_act_at_once(addon_env *env) {
  if (env->in_flight > 0 || env->crowded) return false;
  uint64_t now_us = bide_clock_us();
  if (env->at_once_end_us == 0) env->at_once_end_us = now_us + AT_ONCE_US_MAX;
  return now_us < env->at_once_end_us;
}

static void settle(addon_env *env) {
  for (int round = 0; round < ROUNDS_MAX; round++) {
    env->dirty = false;
    int code = bide_loop_wait(env->loop, 0);
    if (code < 0 && code != BIDE_EINTR) return;
    if (bide_loop_dispatch(env->loop) <= 0) return;
  }
}

static void on_idle(uv_idle_t *idle) { (void)idle; }

/* While the idle handle runs libuv does not block: this step's prepare may be over, when what
 * runs is JS that another addon's prepare step has called. */
void addon_loop_rouse(addon_env *env) {
  if (env->dirty) return;
  env->dirty = true;
  uv_idle_start(&env->idle, on_idle);
}

/* timer_fd for the core's next timer, which libuv, that counts in milliseconds, would be
 * late for. One that is set for an earlier time is left to fire for nothing. */
static void arm_timer(addon_env *env, int64_t timeout_us) {
  if (env->timer_fd < 0 || timeout_us <= 0) return;
  uint64_t deadline_us = bide_clock_us() + (uint64_t)timeout_us;
  if (env->timer_us != 0 && env->timer_us <= deadline_us) return;
  struct itimerspec spec = {.it_value = {(time_t)(deadline_us / 1000000),
                                         (long)(deadline_us % 1000000 * 1000)}};
  timerfd_settime(env->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
  env->timer_us = deadline_us;
}

static void turn(addon_env *env) {
  uint64_t end_us = bide_clock_us() + TURN_US_MAX;
  do {
    addon_reads_run(env);
    settle(env);
    addon_deliver(env);
  } while ((env->dirty || addon_reads_wait(env)) && bide_clock_us() < end_us);
  bide_loop_flush(env->loop);
  env->dirty = false;
  int64_t timeout_us = bide_loop_timeout(env->loop);
  arm_timer(env, timeout_us);
  if (timeout_us == 0 || addon_reads_wait(env)) {
    uv_idle_start(&env->idle, on_idle);
  } else {
    uv_idle_stop(&env->idle);
  }
}

static void on_prepare(uv_prepare_t *prepare) {
  addon_env *env = prepare->data;
  env->at_once_end_us = 0;
  if (env->dirty || uv_is_active((uv_handle_t *)&env->idle)) turn(env);
}

/* status is an error only when the descriptor is bad, which then shows in the turn. */
static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  turn(poll->data);
}

static void on_timer(uv_poll_t *poll, int status, int events) {
  addon_env *env = poll->data;
  uint64_t count;
  (void)status;
  (void)events;
  if (read(env->timer_fd, &count, sizeof count) < 0) return;
  env->timer_us = 0;
  turn(env);
}

int addon_loop_open_timer(addon_env *env) {
  if (env->timer_fd >= 0) return 0;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0) return -errno;
  int code = uv_poll_init(env->uv, &env->timer, fd);
  if (code < 0) {
    close(fd);
    return code;
  }
  env->timer_fd = fd;
  env->timer.data = env;
  env->handles_open++;
  uv_poll_start(&env->timer, UV_READABLE, on_timer);
  uv_unref((uv_handle_t *)&env->timer);
  return 0;
}

int addon_loop_open(addon_env *env) {
  int code = uv_poll_init(env->uv, &env->poll, bide_loop_fd(env->loop));
  if (code < 0) return code;
  /* From here on nothing can fail: these only link the handles into libuv's lists. */
  uv_prepare_init(env->uv, &env->prepare);
  uv_idle_init(env->uv, &env->idle);
  env->handles_open = 3;
  env->poll.data = env->prepare.data = env->idle.data = env;
  uv_prepare_start(&env->prepare, on_prepare);
  uv_poll_start(&env->poll, UV_READABLE, on_readable);
  uv_unref((uv_handle_t *)&env->prepare);
  uv_unref((uv_handle_t *)&env->poll);
  uv_unref((uv_handle_t *)&env->idle);
  return 0;
}

void addon_loop_hold(addon_env *env) { uv_ref((uv_handle_t *)&env->poll); }

void addon_loop_release(addon_env *env) { uv_unref((uv_handle_t *)&env->poll); }

static void on_closed(uv_handle_t *handle) {
  addon_env *env = handle->data;
  if (--env->handles_open == 0) env->closed(env);
}

static void on_timer_closed(uv_handle_t *handle) {
  addon_env *env = handle->data;
  close(env->timer_fd);
  on_closed(handle);
}

void addon_loop_drain(addon_env *env) {
  addon_stop_request(&env->stop);
  addon_timers_stop(env);
  addon_requests_cancel_all(env);
  addon_reads_end(env);
  bide_loop_drain(env->loop);
  addon_reads_end(env); /* and what the helper had */
}

void addon_loop_close(addon_env *env) {
  addon_loop_drain(env);
  uv_close((uv_handle_t *)&env->poll, on_closed);
  uv_close((uv_handle_t *)&env->prepare, on_closed);
  uv_close((uv_handle_t *)&env->idle, on_closed);
  if (env->timer_fd >= 0) uv_close((uv_handle_t *)&env->timer, on_timer_closed);
}
