/* What the core's parts cost one by one: timers, the offload pool, small files.
 *
 *   core_costs FOLDER       a folder for a file of 4 KiB
 *
 * Prints one JSON line, nanoseconds for one of each: of CPU time for the timers, which
 * never wait, of wall time for the rest. */
#include <bide.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "marks.h"
#include "offload_marks.h"

enum { TIMERS = 1000 * 1000, JOBS = 20 * 1000, READS = 20 * 1000, LANES_MAX = 64 };
enum { FILE_BYTES = 4096 };

static bide_loop *loop;

static double ns_each(uint64_t started_us, int count) {
  return (double)(bide_clock_us() - started_us) * 1000 / count;
}

/* ---- timers: a million alive, spread over ten minutes ---- */

static int fired;

static void on_timer(bide_timer *timer) {
  (void)timer;
  if (++fired == TIMERS) bide_loop_stop(loop);
}

/* A fixed sequence that visits the deadlines in no order. */
static uint32_t scatter(uint32_t i) { return i * 2654435761u; }

static void time_timers(void) {
  bide_timer *timers = calloc(TIMERS, sizeof *timers);
  if (!timers) marks_check(BIDE_ENOMEM, "timers");
  double started_ns = marks_cpu_ns();
  for (uint32_t i = 0; i < TIMERS; i++) {
    timers[i].cb = on_timer;
    bide_timer_start(loop, &timers[i], 1000000 + scatter(i) % 600000000);
  }
  printf("\"timer_start\": %.1f, ", (marks_cpu_ns() - started_ns) / TIMERS);

  started_ns = marks_cpu_ns();
  for (uint32_t i = 0; i < TIMERS; i++) bide_timer_stop(loop, &timers[i]);
  printf("\"timer_stop\": %.1f, ", (marks_cpu_ns() - started_ns) / TIMERS);

  /* All due by the time the loop looks: only the expiring is timed. */
  uint64_t now_us = bide_loop_now_us(loop);
  for (uint32_t i = 0; i < TIMERS; i++)
    bide_timer_start_at(loop, &timers[i], now_us + 1 + scatter(i) % 1000);
  while (bide_loop_now_us(loop) <= now_us + 1000) {
  }
  started_ns = marks_cpu_ns();
  marks_check(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), "run");
  printf("\"timer_expire\": %.1f, ", (marks_cpu_ns() - started_ns) / TIMERS);
  free(timers);
}

/* ---- lanes: so many things in flight, each started again when it ends ---- */

static int left;
static int active;

static void lane_ended(void) {
  if (--active == 0) bide_loop_stop(loop);
}

/* ---- files: open, read and close one of 4 KiB that the page cache holds ---- */

typedef struct reader {
  bide_read_file request;
  const char *path;
  char bytes[2 * FILE_BYTES];
} reader;

static void reader_start(reader *self) {
  if (left-- <= 0) {
    lane_ended();
    return;
  }
  marks_check(bide_read_file_start(loop, &self->request, self->path, self->bytes,
                                   sizeof self->bytes),
              "read_file");
}

static void reader_ended(bide_read_file *request) {
  marks_check(request->result, "read_file");
  reader_start(request->data);
}

static void time_files(const char *path, int lanes) {
  static reader readers[LANES_MAX];
  left = READS;
  active = lanes;
  uint64_t started_us = bide_clock_us();
  for (int i = 0; i < lanes; i++) {
    readers[i].path = path;
    readers[i].request.cb = reader_ended;
    readers[i].request.data = &readers[i];
    reader_start(&readers[i]);
  }
  marks_check(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), "run");
  printf("\"file_%d\": %.0f, ", lanes, ns_each(started_us, READS));
}

/* The same by plain calls on this thread: what there is to gain or lose. */
static void time_plain_files(const char *path) {
  char bytes[2 * FILE_BYTES];
  uint64_t started_us = bide_clock_us();
  for (int i = 0; i < READS; i++) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, bytes, sizeof bytes) != FILE_BYTES)
      marks_check(BIDE_EIO, path);
    close(fd);
  }
  printf("\"file_plain\": %.0f}\n", ns_each(started_us, READS));
}

static void make_file(const char *path) {
  static const char bytes[FILE_BYTES];
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, bytes, sizeof bytes) != FILE_BYTES) marks_check(BIDE_EIO, path);
  close(fd);
}

int main(int argc, char **argv) {
  bide_pool *pool;
  char path[4096];
  if (argc != 2) {
    fprintf(stderr, "usage: core_costs FOLDER\n");
    return 2;
  }
  snprintf(path, sizeof path, "%s/bide_core_costs_%ld", argv[1], (long)getpid());
  make_file(path);
  marks_check(bide_loop_new(NULL, &loop), "loop");
  marks_check(bide_pool_new(NULL, &pool), "pool");
  printf("{");
  time_timers();
  printf("\"offload_1\": %.0f, ", marks_offload_ns(loop, pool, 1, JOBS));
  printf("\"offload_64\": %.0f, ", marks_offload_ns(loop, pool, LANES_MAX, JOBS));
  time_files(path, 1);
  time_files(path, 8);
  time_files(path, LANES_MAX);
  time_plain_files(path);
  unlink(path);
  bide_pool_free(pool);
  return bide_loop_close(loop) < 0;
}
