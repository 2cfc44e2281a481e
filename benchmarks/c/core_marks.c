/* What one of everything costs in bide, alone in this process: the rows of bench_core.py.
 *
 *   core_marks [QUICK]
 *
 * Prints one JSON line: nanoseconds of CPU time for one of each (of wall time where two threads
 * take part), bytes for memory. */
#include <bide.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor_marks.h"
#include "marks.h"
#include "offload_marks.h"
#include "task_marks.h"

enum { MILLION = 1000 * 1000, BATCH = 200, POOL_THREADS = 4 };

static bide_loop *loop;
static bool quick;

static void put(const char *row, double value) { printf("\"%s\": %.2f, ", row, value); }

static void measure_tasks(void) {
  long steps = quick ? MILLION : 4 * MILLION;
  put("syscall", marks_syscall_ns(steps / 4));
  put("await_resume", marks_await_ns(loop, steps));
  put("await_floor", marks_await_floor_ns(steps));
  put("ready_await", marks_ready_ns(loop, steps));
  put("spawn_await", marks_spawn_ns(loop, steps / 2));
  put("spawn_floor", marks_spawn_floor_ns(steps / 2));
  put("channel_hop", marks_channel_ns(loop, steps / 2));
  put("mutex_hand_over", marks_mutex_ns(loop, steps / 2));
  put("select", marks_select_ns(loop, steps / 8));
}

/* ---- a million tasks asleep, and ten million ---- */

typedef struct sleeper {
  bide_task task;
} sleeper;

static bide_poll sleeper_poll(bide_task *task) {
  BIDE_ASYNC_BEGIN(task);
  BIDE_SLEEP(task, 3600000000);
  BIDE_ASYNC_END(task, 0);
}

/* In batches, or the ready queue that holds them all would count as theirs. */
static sleeper *put_to_sleep(size_t count, double *bytes) {
  size_t before = marks_resident_bytes();
  sleeper *tasks = mmap(NULL, count * sizeof *tasks, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (tasks == MAP_FAILED) marks_check(BIDE_ENOMEM, "tasks");
  for (size_t i = 0; i < count; i++) {
    marks_check(bide_task_spawn(loop, &tasks[i].task, sleeper_poll), "spawn");
    if (i % BATCH == BATCH - 1) bide_loop_run(loop, BIDE_RUN_NOWAIT);
  }
  *bytes = (double)(marks_resident_bytes() - before) / (double)count;
  return tasks;
}

/* Woken in no order: what a resume costs when its task is in no cache. */
static void measure_million(void) {
  double bytes;
  sleeper *tasks = put_to_sleep(MILLION, &bytes);
  put("sleeping_bytes", bytes);
  for (size_t i = 0; i < MILLION; i++)
    bide_task_cancel(&tasks[i * 7368787 % MILLION].task);
  double started_ns = marks_cpu_ns();
  for (size_t i = 0; i < MILLION; i++) bide_block_on(&tasks[i].task.future);
  put("random_resume", (marks_cpu_ns() - started_ns) / MILLION);
  munmap(tasks, MILLION * sizeof *tasks);
}

/* Left out where the memory is wanting. */
static void measure_ten_million(void) {
  const size_t count = 10 * MILLION;
  double bytes;
  double free_bytes = (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
  if (free_bytes < 2.0 * (double)(count * sizeof(sleeper))) return;
  sleeper *tasks = put_to_sleep(count, &bytes);
  put("sleeping_bytes_ten", bytes);
  for (size_t i = 0; i < count; i++) {
    bide_task_cancel(&tasks[i].task);
    if (i % BATCH == BATCH - 1) bide_loop_run(loop, BIDE_RUN_NOWAIT);
  }
  munmap(tasks, count * sizeof *tasks);
}

/* ---- timers ---- */

static int fired;

static void on_timer(bide_timer *timer) {
  (void)timer;
  if (++fired == MILLION) bide_loop_stop(loop);
}

static uint32_t scatter(uint32_t i) { return i * 2654435761u; }

static void time_timers(void) {
  bide_timer *timers = calloc(MILLION, sizeof *timers);
  if (timers == NULL) marks_check(BIDE_ENOMEM, "timers");
  for (uint32_t i = 0; i < MILLION; i++) timers[i].cb = on_timer;
  /* From one look at the clock, as libuv and libev take theirs from their turn's. */
  double started_ns = marks_cpu_ns();
  uint64_t from_us = bide_loop_now_us(loop) + 1000000;
  for (uint32_t i = 0; i < MILLION; i++)
    bide_timer_start_at(loop, &timers[i],
                        from_us + (uint64_t)(scatter(i) % 600000) * 1000);
  put("timer_insert", (marks_cpu_ns() - started_ns) / MILLION);
  started_ns = marks_cpu_ns();
  for (uint32_t i = 0; i < MILLION; i++)
    bide_timer_stop(loop, &timers[scatter(i) % MILLION]);
  put("timer_cancel", (marks_cpu_ns() - started_ns) / MILLION);
  for (uint32_t i = 0; i < MILLION; i++) bide_timer_stop(loop, &timers[i]);
  uint64_t now_us = bide_loop_now_us(loop);
  for (uint32_t i = 0; i < MILLION; i++)
    bide_timer_start_at(loop, &timers[i], now_us + 1 + scatter(i) % 600000);
  while (bide_loop_now_us(loop) <= now_us + 600000) usleep(1000);
  started_ns = marks_cpu_ns();
  marks_check(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), "run");
  put("timer_expire", (marks_cpu_ns() - started_ns) / MILLION);
  free(timers);
}

static void time_timer_floor(void) {
  marks_timers floor = marks_timer_floor(MILLION);
  put("timer_insert_floor", floor.start_ns);
  put("timer_cancel_floor", floor.stop_ns);
}

/* ---- turns, and what other threads post ---- */

static long turns_left;

static void on_turn(bide_call *call) {
  if (--turns_left > 0)
    bide_loop_call_soon(loop, call);
  else
    bide_loop_stop(loop);
}

static void time_turn(void) {
  bide_call call = {.cb = on_turn};
  const long turns = quick ? MILLION : 4 * MILLION;
  turns_left = turns;
  bide_loop_call_soon(loop, &call);
  double started_ns = marks_cpu_ns();
  marks_check(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), "run");
  put("turn", (marks_cpu_ns() - started_ns) / (double)turns);
}

/* The loop sleeps until the call comes; the thread sleeps until it has run. */
typedef struct poster {
  bide_call call;
  sem_t ran;
  long left;
} poster;

static void on_post(bide_call *call) {
  poster *self = BIDE_CONTAINER_OF(call, poster, call);
  if (--self->left == 0) bide_loop_stop(loop);
  sem_post(&self->ran);
}

static void *poster_thread(void *argument) {
  poster *self = argument;
  for (long i = self->left; i > 0; i--) {
    bide_post(loop, &self->call);
    while (sem_wait(&self->ran) != 0) {
    }
  }
  return NULL;
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *argument) {
  marks_check(-pthread_create(thread, NULL, run, argument), "thread");
}

static void measure_post(void) {
  const long posts = quick ? 10 * 1000 : 50 * 1000;
  poster self = {.call = {.cb = on_post}, .left = posts};
  pthread_t thread;
  sem_init(&self.ran, 0, 0);
  double started_ns = marks_wall_ns();
  start_thread(&thread, poster_thread, &self);
  marks_check(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), "run");
  pthread_join(thread, NULL);
  put("thread_post", (marks_wall_ns() - started_ns) / (double)posts);
  sem_destroy(&self.ran);
}

/* ---- the pool ---- */

static void measure_offload(void) {
  bide_pool_options options = {.size = sizeof options, .threads_max = POOL_THREADS};
  const int jobs = quick ? 10 * 1000 : 50 * 1000;
  bide_pool *pool;
  marks_check(bide_pool_new(&options, &pool), "pool");
  put("offload_1", marks_offload_ns(loop, pool, 1, jobs));
  put("offload_64", marks_offload_ns(loop, pool, 64, 4 * jobs));
  put("offload_1024", marks_offload_ns(loop, pool, 1024, 10 * jobs));
  put("offload_floor", marks_offload_floor_ns(1024, 10 * jobs));
  bide_pool_free(pool);
}

/* ---- one connection, with the loop asleep between two messages, and spinning ---- */

enum { MESSAGE_BYTES = 64, SPIN_US = 200 };

typedef struct echo {
  bide_task task;
  bide_io io;
  int fd;
  char bytes[MESSAGE_BYTES];
} echo;

static bide_poll echo_poll(bide_task *task) {
  echo *self = BIDE_FRAME(task, echo, task);
  BIDE_ASYNC_BEGIN(task);
  for (;;) {
    bide_prep_recv(&self->io.op, self->fd, self->bytes, MESSAGE_BYTES, 0);
    BIDE_AWAIT_IO(task, &self->io);
    if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
    if (self->io.op.result == 0) break;
    bide_prep_send(&self->io.op, self->fd, self->bytes, (size_t)self->io.op.result, 0);
    BIDE_AWAIT_IO(task, &self->io);
    if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  }
  BIDE_ASYNC_END(task, 0);
}

typedef struct client {
  int fd;
  long trips;
} client;

static void *client_thread(void *argument) {
  client *self = argument;
  char bytes[MESSAGE_BYTES] = {0};
  for (long i = 0; i < self->trips; i++) {
    if (send(self->fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes ||
        recv(self->fd, bytes, sizeof bytes, MSG_WAITALL) != (ssize_t)sizeof bytes)
      marks_check(BIDE_EIO, "client");
  }
  close(self->fd);
  return NULL;
}

/* Two ends of a TCP connection over the loopback. */
static void connect_pair(int ends[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t bytes = sizeof address;
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  ends[0] = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, bytes) != 0 ||
      listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &bytes) != 0 ||
      connect(ends[0], (struct sockaddr *)&address, bytes) != 0)
    marks_check(BIDE_EIO, "connect");
  ends[1] = accept(listener, NULL, NULL);
  for (int i = 0; i < 2; i++)
    setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  close(listener);
}

static double echo_ns(uint32_t spin_us) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  bide_loop *own;
  int ends[2];
  pthread_t thread;
  options.spin_us = spin_us;
  marks_check(bide_loop_new(&options, &own), "loop");
  connect_pair(ends);
  echo server = {.fd = ends[0]};
  client other = {.fd = ends[1], .trips = quick ? 5000 : 30 * 1000};
  bide_task_spawn(own, &server.task, echo_poll);
  double started_ns = marks_wall_ns();
  start_thread(&thread, client_thread, &other);
  marks_check(bide_block_on(&server.task.future), "echo");
  double took_ns = marks_wall_ns() - started_ns;
  pthread_join(thread, NULL);
  close(ends[0]);
  marks_check(bide_loop_close(own), "close");
  return took_ns / (double)other.trips;
}

static void measure_echo(void) {
  put("echo_parked", echo_ns(0));
  put("echo_spinning", echo_ns(SPIN_US));
}

/* ---- tasks spawned anywhere, on one loop and on two ---- */

enum { SPREAD = 4000 };

typedef struct spread {
  bide_remote remote;
  bide_member member;
} spread;

static bide_poll spread_poll(bide_task *task) {
  uint64_t until_us = bide_clock_us() + 20;
  while (bide_clock_us() < until_us) {
  }
  return bide_task_return(task, 0, 0);
}

typedef struct spreader {
  bide_remote remote;
  bide_runtime *runtime;
  bide_scope scope;
  spread *tasks;
} spreader;

static bide_poll spreader_poll(bide_task *task) {
  spreader *self = BIDE_FRAME(task, spreader, remote.task);
  bide_loop *own = task->future.loop;
  BIDE_ASYNC_BEGIN(task);
  bide_scope_init(&self->scope, own);
  for (int i = 0; i < SPREAD; i++) {
    spread *each = &self->tasks[i];
    marks_check(bide_runtime_spawn(self->runtime, own, &each->remote, spread_poll),
                "spawn");
    bide_scope_add(&self->scope, &each->member, &each->remote.future);
  }
  BIDE_AWAIT(task, bide_scope_end(&self->scope));
  BIDE_ASYNC_END(task, 0);
}

/* What each of the tasks took, of wall time; and with two loops what tells on a loaded machine too:
 * the share that the second took over, and the CPU time of each, in which what the loops do beside
 * the 20 us shows. */
static void spread_over(uint32_t loops, const char *row) {
  bide_runtime_options options = BIDE_RUNTIME_OPTIONS_INIT;
  spreader self = {.tasks = calloc(SPREAD, sizeof(spread))};
  bide_runtime_stats stats;
  options.loops = loops;
  if (self.tasks == NULL) marks_check(BIDE_ENOMEM, "tasks");
  marks_check(bide_runtime_new(&options, &self.runtime), "runtime");
  double started_ns = marks_wall_ns(), cpu_ns = marks_cpu_ns();
  marks_check(bide_runtime_spawn_on(self.runtime, 0, loop, &self.remote, spreader_poll),
              "spawn");
  marks_check(bide_block_on(&self.remote.future), "spreader");
  put(row, (marks_wall_ns() - started_ns) / SPREAD);
  if (loops == 2) {
    bide_runtime_stats_of(self.runtime, 1, &stats);
    put("spread_cpu", (marks_cpu_ns() - cpu_ns) / SPREAD);
    put("spread_share", 100.0 * (double)stats.stolen / SPREAD);
  }
  marks_check(bide_runtime_shutdown(self.runtime, 0), "shutdown");
  free(self.tasks);
}

int main(int argc, char **argv) {
  (void)argv;
  quick = argc > 1;
  marks_check(bide_loop_new(NULL, &loop), "loop");
  printf("{");
  measure_tasks();
  time_turn();
  measure_million();
  measure_ten_million();
  time_timers();
  time_timer_floor();
  measure_post();
  measure_offload();
  measure_echo();
  spread_over(1, "spread_one");
  spread_over(2, "spread_two");
  printf("\"backend\": \"%s\"}\n", bide_loop_backend(loop));
  return bide_loop_close(loop) < 0;
}
