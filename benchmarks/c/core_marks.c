/* What one of everything costs in bide, alone in this process: the rows of bench_core.py.
 *
 *   core_marks [QUICK]
 *
 * Prints one JSON line: nanoseconds of CPU time for one of each (of wall time where two threads
 * take part), bytes for memory. */
#include <bide.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MILLION = 1000 * 1000, BATCH = 200 };

static bide_loop *loop;
static long steps = 4 * MILLION;

static double clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

static void check(int error, const char *what) {
  if (error >= 0) return;
  fprintf(stderr, "core_marks: %s: %s\n", what, bide_error_text(error));
  exit(1);
}

static void put(const char *row, double value) { printf("\"%s\": %.2f, ", row, value); }

/* ---- tasks ---- */

typedef struct player {
  bide_task task;
  bide_future ball;
  struct player *other;
  long left;
} player;

static bide_poll player_poll(bide_task *task) {
  player *self = BIDE_FRAME(task, player, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    BIDE_AWAIT(task, &self->ball);
    bide_future_init(&self->ball, task->future.loop);
    bide_future_resolve(&self->other->ball, 0);
  }
  BIDE_ASYNC_END(task, 0);
}

static void time_await(void) {
  player one = {.left = steps / 2}, two = {.left = steps / 2};
  one.other = &two;
  two.other = &one;
  bide_future_init(&one.ball, loop);
  bide_future_init(&two.ball, loop);
  double started_ns = cpu_ns();
  bide_task_spawn(loop, &one.task, player_poll);
  bide_task_spawn(loop, &two.task, player_poll);
  bide_future_resolve(&one.ball, 0);
  bide_block_on(&one.task.future);
  bide_block_on(&two.task.future);
  put("await_resume", (cpu_ns() - started_ns) / (double)steps);
}

typedef struct taker {
  bide_task task;
  bide_future settled;
  long left;
} taker;

static bide_poll taker_poll(bide_task *task) {
  taker *self = BIDE_FRAME(task, taker, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) BIDE_AWAIT(task, &self->settled);
  BIDE_ASYNC_END(task, 0);
}

static void time_ready(void) {
  taker self = {.left = steps};
  bide_future_init(&self.settled, loop);
  bide_future_resolve(&self.settled, 0);
  double started_ns = cpu_ns();
  bide_task_spawn(loop, &self.task, taker_poll);
  bide_block_on(&self.task.future);
  put("ready_await", (cpu_ns() - started_ns) / (double)steps);
}

typedef struct parent {
  bide_task task;
  bide_task child;
  long left;
} parent;

static bide_poll child_poll(bide_task *task) { return bide_task_return(task, 0, 0); }

static bide_poll parent_poll(bide_task *task) {
  parent *self = BIDE_FRAME(task, parent, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    bide_task_spawn(task->future.loop, &self->child, child_poll);
    BIDE_AWAIT(task, &self->child.future);
  }
  BIDE_ASYNC_END(task, 0);
}

static void time_spawn(void) {
  parent self = {.left = steps / 2};
  double started_ns = cpu_ns();
  bide_task_spawn(loop, &self.task, parent_poll);
  bide_block_on(&self.task.future);
  put("spawn_await", (cpu_ns() - started_ns) / (double)(steps / 2));
}

/* ---- channels and locks ---- */

typedef struct hopper {
  bide_task task;
  bide_passage passage;
  bide_channel *from, *to;
  long left;
  int item;
} hopper;

static bide_poll hopper_poll(bide_task *task) {
  hopper *self = BIDE_FRAME(task, hopper, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    bide_channel_recv(self->from, &self->passage, &self->item);
    BIDE_AWAIT(task, &self->passage.future);
    (void)bide_channel_try_send(self->to, &self->item);
  }
  BIDE_ASYNC_END(task, 0);
}

static void time_channel(void) {
  int storage[2], item = 1;
  bide_channel there, back;
  bide_channel_init(&there, loop, &storage[0], sizeof item, 1);
  bide_channel_init(&back, loop, &storage[1], sizeof item, 1);
  hopper one = {.from = &there, .to = &back, .left = steps / 4};
  hopper two = {.from = &back, .to = &there, .left = steps / 4};
  double started_ns = cpu_ns();
  bide_task_spawn(loop, &one.task, hopper_poll);
  bide_task_spawn(loop, &two.task, hopper_poll);
  (void)bide_channel_try_send(&there, &item);
  bide_block_on(&one.task.future);
  bide_block_on(&two.task.future);
  put("channel_hop", (cpu_ns() - started_ns) / (double)(steps / 2));
}

/* ---- a million tasks asleep ---- */

typedef struct sleeper {
  bide_task task;
} sleeper;

static bide_poll sleeper_poll(bide_task *task) {
  BIDE_ASYNC_BEGIN(task);
  BIDE_SLEEP(task, 3600000000);
  BIDE_ASYNC_END(task, 0);
}

static size_t resident_bytes(void) {
  unsigned long total = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file != NULL && fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
  if (file != NULL) fclose(file);
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Woken in no order: what a resume costs when its task is in no cache. */
static void measure_crowd(void) {
  const size_t bytes = MILLION * sizeof(sleeper);
  size_t before = resident_bytes();
  sleeper *tasks =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (tasks == MAP_FAILED) check(BIDE_ENOMEM, "a million tasks");
  for (size_t i = 0; i < MILLION; i++) {
    check(bide_task_spawn(loop, &tasks[i].task, sleeper_poll), "spawn");
    if (i % BATCH == BATCH - 1) bide_loop_run(loop, BIDE_RUN_NOWAIT);
  }
  put("sleeping_bytes", (double)(resident_bytes() - before) / MILLION);
  for (size_t i = 0; i < MILLION; i++)
    bide_task_cancel(&tasks[i * 7368787 % MILLION].task);
  double started_ns = cpu_ns();
  for (size_t i = 0; i < MILLION; i++) bide_block_on(&tasks[i].task.future);
  put("random_resume", (cpu_ns() - started_ns) / MILLION);
  munmap(tasks, bytes);
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
  if (timers == NULL) check(BIDE_ENOMEM, "timers");
  for (uint32_t i = 0; i < MILLION; i++) timers[i].cb = on_timer;
  /* From one look at the clock, as libuv and libev take theirs from their turn's. */
  double started_ns = cpu_ns();
  uint64_t from_us = bide_loop_now_us(loop) + 1000000;
  for (uint32_t i = 0; i < MILLION; i++)
    bide_timer_start_at(loop, &timers[i],
                        from_us + (uint64_t)(scatter(i) % 600000) * 1000);
  put("timer_insert", (cpu_ns() - started_ns) / MILLION);
  started_ns = cpu_ns();
  for (uint32_t i = 0; i < MILLION; i++)
    bide_timer_stop(loop, &timers[scatter(i) % MILLION]);
  put("timer_cancel", (cpu_ns() - started_ns) / MILLION);
  for (uint32_t i = 0; i < MILLION; i++) bide_timer_stop(loop, &timers[i]);
  uint64_t now_us = bide_loop_now_us(loop);
  for (uint32_t i = 0; i < MILLION; i++)
    bide_timer_start_at(loop, &timers[i], now_us + 1 + scatter(i) % 600000);
  while (bide_loop_now_us(loop) <= now_us + 600000) usleep(1000);
  started_ns = cpu_ns();
  check(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), "run");
  put("timer_expire", (cpu_ns() - started_ns) / MILLION);
  free(timers);
}

/* ---- turns and posts ---- */

static long turns_left;

static void on_turn(bide_call *call) {
  if (--turns_left > 0)
    bide_loop_call_soon(loop, call);
  else
    bide_loop_stop(loop);
}

static void time_turn(void) {
  bide_call call = {.cb = on_turn};
  turns_left = steps;
  bide_loop_call_soon(loop, &call);
  double started_ns = cpu_ns();
  check(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), "run");
  put("turn", (cpu_ns() - started_ns) / (double)steps);
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
    check(bide_runtime_spawn(self->runtime, own, &each->remote, spread_poll), "spawn");
    bide_scope_add(&self->scope, &each->member, &each->remote.future);
  }
  BIDE_AWAIT(task, bide_scope_end(&self->scope));
  BIDE_ASYNC_END(task, 0);
}

static double spread_over(uint32_t loops) {
  bide_runtime_options options = BIDE_RUNTIME_OPTIONS_INIT;
  spreader self = {.tasks = calloc(SPREAD, sizeof(spread))};
  options.loops = loops;
  if (self.tasks == NULL) check(BIDE_ENOMEM, "tasks");
  check(bide_runtime_new(&options, &self.runtime), "runtime");
  double started_ns = clock_ns(CLOCK_MONOTONIC);
  check(bide_runtime_spawn_on(self.runtime, 0, loop, &self.remote, spreader_poll),
        "spawn");
  check(bide_block_on(&self.remote.future), "spreader");
  double took_ns = clock_ns(CLOCK_MONOTONIC) - started_ns;
  check(bide_runtime_shutdown(self.runtime, 0), "shutdown");
  free(self.tasks);
  return took_ns / SPREAD;
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) steps = MILLION;
  check(bide_loop_new(NULL, &loop), "loop");
  printf("{");
  time_await();
  time_ready();
  time_spawn();
  time_channel();
  time_turn();
  measure_crowd();
  time_timers();
  put("spread_one", spread_over(1));
  put("spread_two", spread_over(2));
  printf("\"backend\": \"%s\"}\n", bide_loop_backend(loop));
  return bide_loop_close(loop) < 0;
}
