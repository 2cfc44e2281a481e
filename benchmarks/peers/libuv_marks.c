/* libuv's side of bench_core.py: timers at a million, a turn with one ready callback, what a thread
 * sends to a sleeping loop, and the pool. */
#include <semaphore.h>
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

static double wall_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void time_turn(void) {
  uv_idle_t idle;
  uv_idle_init(loop, &idle);
  uv_idle_start(&idle, on_idle);
  double started_ns = cpu_ns();
  uv_run(loop, UV_RUN_DEFAULT);
  printf("\"turn\": %.2f, ", (cpu_ns() - started_ns) / MILLION);
}

/* ---- a thread's calls: each waits until the one before has run ---- */

enum { POSTS = 20 * 1000 };

static uv_async_t async;
static sem_t ran;
static int posts_left = POSTS;

static void on_async(uv_async_t *handle) {
  if (--posts_left == 0) uv_close((uv_handle_t *)handle, NULL);
  sem_post(&ran);
}

static void post(void *unused) {
  (void)unused;
  for (int i = 0; i < POSTS; i++) {
    uv_async_send(&async);
    while (sem_wait(&ran) != 0) {
    }
  }
}

static void time_post(void) {
  uv_thread_t thread;
  sem_init(&ran, 0, 0);
  uv_async_init(loop, &async, on_async);
  double started_ns = wall_ns();
  uv_thread_create(&thread, post, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  uv_thread_join(&thread);
  printf("\"thread_post\": %.2f, ", (wall_ns() - started_ns) / POSTS);
}

/* ---- the pool, of four threads ---- */

enum { LANES_MAX = 1024 };

static int jobs_left;

static void nothing(uv_work_t *work) { (void)work; }

static void job_ended(uv_work_t *work, int status) {
  (void)status;
  if (jobs_left-- > 0) uv_queue_work(loop, work, nothing, job_ended);
}

static void time_pool(int lanes, int jobs) {
  static uv_work_t works[LANES_MAX];
  jobs_left = jobs - lanes;
  double started_ns = wall_ns();
  for (int i = 0; i < lanes; i++) uv_queue_work(loop, &works[i], nothing, job_ended);
  uv_run(loop, UV_RUN_DEFAULT);
  printf("\"offload_%d\": %.2f, ", lanes, (wall_ns() - started_ns) / jobs);
}

int main(void) {
  setenv("UV_THREADPOOL_SIZE", "4", 1);
  loop = uv_default_loop();
  printf("{");
  time_timers();
  time_turn();
  time_post();
  time_pool(1, 10 * 1000);
  time_pool(64, 40 * 1000);
  time_pool(1024, 100 * 1000);
  printf("\"version\": \"%s\"}\n", uv_version_string());
  return 0;
}
