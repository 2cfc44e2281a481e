/* libuv's side of bench_core.py: timers at a million, and a turn with one ready callback. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum { MILLION = 1000 * 1000 };

static uv_loop_t *loop;
static int fired;
static long turns_left = MILLION;

static double cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint32_t scatter(uint32_t i) { return i * 2654435761u; }

static void on_timer(uv_timer_t *timer) {
  (void)timer;
  fired++;
}

static void on_idle(uv_idle_t *idle) {
  if (--turns_left == 0) uv_idle_stop(idle);
}

static void time_timers(void) {
  uv_timer_t *timers = calloc(MILLION, sizeof *timers);
  for (uint32_t i = 0; i < MILLION; i++) uv_timer_init(loop, &timers[i]);
  double started_ns = cpu_ns();
  for (uint32_t i = 0; i < MILLION; i++)
    uv_timer_start(&timers[i], on_timer, 1000 + scatter(i) % 600000, 0);
  printf("\"timer_insert\": %.2f, ", (cpu_ns() - started_ns) / MILLION);
  started_ns = cpu_ns();
  for (uint32_t i = 0; i < MILLION; i++) uv_timer_stop(&timers[scatter(i) % MILLION]);
  printf("\"timer_cancel\": %.2f, ", (cpu_ns() - started_ns) / MILLION);
  for (uint32_t i = 0; i < MILLION; i++) uv_timer_stop(&timers[i]);
  uv_update_time(loop);
  for (uint32_t i = 0; i < MILLION; i++)
    uv_timer_start(&timers[i], on_timer, 1 + scatter(i) % 600, 0);
  usleep(700 * 1000);
  started_ns = cpu_ns();
  uv_run(loop, UV_RUN_DEFAULT);
  printf("\"timer_expire\": %.2f, ", (cpu_ns() - started_ns) / MILLION);
  if (fired != MILLION) exit(1);
}

int main(void) {
  uv_idle_t idle;
  loop = uv_default_loop();
  printf("{");
  time_timers();
  uv_idle_init(loop, &idle);
  uv_idle_start(&idle, on_idle);
  double started_ns = cpu_ns();
  uv_run(loop, UV_RUN_DEFAULT);
  printf("\"turn\": %.2f, \"version\": \"%s\"}\n", (cpu_ns() - started_ns) / MILLION,
         uv_version_string());
  return 0;
}
