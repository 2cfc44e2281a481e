/* libev's side of bench_core.py: timers at a million. */
#include <ev.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MILLION = 1000 * 1000 };

static int fired;

static double cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint32_t scatter(uint32_t i) { return i * 2654435761u; }

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events) {
  (void)loop;
  (void)timer;
  (void)events;
  fired++;
}

int main(void) {
  struct ev_loop *loop = ev_default_loop(0);
  ev_timer *timers = calloc(MILLION, sizeof *timers);
  double started_ns = cpu_ns();
  for (uint32_t i = 0; i < MILLION; i++) {
    ev_timer_init(&timers[i], on_timer, 1 + (scatter(i) % 600000) * 1e-3, 0.);
    ev_timer_start(loop, &timers[i]);
  }
  printf("{\"timer_insert\": %.2f, ", (cpu_ns() - started_ns) / MILLION);
  started_ns = cpu_ns();
  for (uint32_t i = 0; i < MILLION; i++)
    ev_timer_stop(loop, &timers[scatter(i) % MILLION]);
  printf("\"timer_cancel\": %.2f, ", (cpu_ns() - started_ns) / MILLION);
  for (uint32_t i = 0; i < MILLION; i++) ev_timer_stop(loop, &timers[i]);
  ev_now_update(loop);
  for (uint32_t i = 0; i < MILLION; i++) {
    ev_timer_init(&timers[i], on_timer, (1 + scatter(i) % 600000) * 1e-6, 0.);
    ev_timer_start(loop, &timers[i]);
  }
  usleep(700 * 1000);
  started_ns = cpu_ns();
  ev_run(loop, 0);
  printf("\"timer_expire\": %.2f, \"version\": \"%d.%d\"}\n",
         (cpu_ns() - started_ns) / MILLION, ev_version_major(), ev_version_minor());
  return fired != MILLION;
}
