/* What tasks cost on this machine: the time of an await, of a yield and of a spawn, and
 * the memory of a million tasks that are alive at once.
 *
 *   task_costs [--json]
 *
 * Each time is CPU time, the median of several rounds; the memory is what the process grew by, read
 * from /proc/self/statm, beside what sizeof says. */
#include <bide.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 7, STEPS = 500 * 1000, ALIVE = 1000 * 1000, BATCH = 1000 };

/* ---- a yield: let others run, and go on ---- */

typedef struct counter {
  bide_task task;
  int left;
} counter;

static bide_poll yielding_poll(bide_task *task) {
  counter *self = BIDE_FRAME(task, counter, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) BIDE_YIELD(task);
  BIDE_ASYNC_END(task, 0);
}

/* ---- a ready await: the future has settled before ---- */

typedef struct ready {
  bide_task task;
  bide_future settled;
  int left;
} ready;

static bide_poll ready_poll(bide_task *task) {
  ready *self = BIDE_FRAME(task, ready, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) BIDE_AWAIT(task, &self->settled);
  BIDE_ASYNC_END(task, 0);
}

/* ---- an await: suspend, be woken by another task, resume ---- */

/* Two players. Each await suspends until the other resolves its future. */
typedef struct player {
  bide_task task;
  bide_future ball;
  struct player *other;
  int left;
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

/* ---- a spawn: start a child and await its end ---- */

typedef struct parent {
  bide_task task;
  bide_task child;
  int left;
} parent;

static bide_poll child_poll(bide_task *task) {
  BIDE_ASYNC_BEGIN(task);
  BIDE_ASYNC_END(task, 0);
}

static bide_poll parent_poll(bide_task *task) {
  parent *self = BIDE_FRAME(task, parent, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    bide_task_spawn(task->future.loop, &self->child, child_poll);
    BIDE_AWAIT(task, &self->child.future);
  }
  BIDE_ASYNC_END(task, 0);
}

/* ---- the rounds ---- */

/* The process's CPU time: nothing here waits, and other programs' use of the machine is
 * none of the task's cost. */
static double cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double time_yield(bide_loop *loop) {
  counter self = {.left = STEPS};
  double started_ns = cpu_ns();
  bide_task_spawn(loop, &self.task, yielding_poll);
  bide_block_on(&self.task.future);
  return (cpu_ns() - started_ns) / STEPS;
}

static double time_ready(bide_loop *loop) {
  ready self = {.left = STEPS};
  bide_future_init(&self.settled, loop);
  bide_future_resolve(&self.settled, 0);
  double started_ns = cpu_ns();
  bide_task_spawn(loop, &self.task, ready_poll);
  bide_block_on(&self.task.future);
  return (cpu_ns() - started_ns) / STEPS;
}

static double time_await(bide_loop *loop) {
  player one = {.left = STEPS}, two = {.left = STEPS};
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
  return (cpu_ns() - started_ns) / (2.0 * STEPS);
}

static double time_spawn(bide_loop *loop) {
  parent self = {.left = STEPS};
  double started_ns = cpu_ns();
  bide_task_spawn(loop, &self.task, parent_poll);
  bide_block_on(&self.task.future);
  return (cpu_ns() - started_ns) / STEPS;
}

static int by_size(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static double median_ns(bide_loop *loop, double (*measure)(bide_loop *)) {
  double rounds[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) rounds[i] = measure(loop);
  qsort(rounds, ROUNDS, sizeof rounds[0], by_size);
  return rounds[ROUNDS / 2];
}

/* ---- a million at once ---- */

typedef struct sleeper {
  bide_task task;
  bide_future *gate;
} sleeper;

static bide_poll sleeper_poll(bide_task *task) {
  sleeper *self = BIDE_FRAME(task, sleeper, task);
  BIDE_ASYNC_BEGIN(task);
  BIDE_AWAIT(task, self->gate);
  BIDE_ASYNC_END(task, 0);
}

static size_t resident_bytes(void) {
  unsigned long total = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file) {
    if (fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
    fclose(file);
  }
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

typedef struct crowd {
  size_t tasks;        /* that were suspended at the same time */
  double bytes_a_task; /* what the process grew by */
  double resume_ns;    /* to wake, resume and end one of them, all in one go */
} crowd;

static int measure_crowd(bide_loop *loop, crowd *result) {
  const size_t bytes = ALIVE * sizeof(sleeper);
  bide_future gate;
  size_t before = resident_bytes();
  sleeper *tasks =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (tasks == MAP_FAILED) return BIDE_ENOMEM;

  /* In batches, so that the memory is the tasks' own and not that of a ready queue which
   * holds them all. */
  bide_future_init(&gate, loop);
  for (size_t i = 0; i < ALIVE; i++) {
    tasks[i].gate = &gate;
    int error = bide_task_spawn(loop, &tasks[i].task, sleeper_poll);
    if (error < 0) return error;
    if (i % BATCH == BATCH - 1) bide_loop_run(loop, BIDE_RUN_NOWAIT);
  }
  result->bytes_a_task = (double)(resident_bytes() - before) / ALIVE;
  result->tasks = 0;
  for (size_t i = 0; i < ALIVE; i++)
    result->tasks += !bide_future_is_settled(&tasks[i].task.future);

  double started_ns = cpu_ns();
  bide_future_resolve(&gate, 0);
  bide_block_on(&tasks[ALIVE - 1].task.future);
  result->resume_ns = (cpu_ns() - started_ns) / ALIVE;
  for (size_t i = 0; i < ALIVE; i++) bide_block_on(&tasks[i].task.future);
  munmap(tasks, bytes);
  return 0;
}

int main(int argc, char **argv) {
  bide_loop *loop;
  crowd alive = {0};
  int error = bide_loop_new(NULL, &loop);
  if (error == 0) error = measure_crowd(loop, &alive);
  if (error < 0) {
    fprintf(stderr, "%s: %s\n", argv[0], bide_error_text(error));
    return 1;
  }
  double await_ns = median_ns(loop, time_await), ready_ns = median_ns(loop, time_ready);
  double spawn_ns = median_ns(loop, time_spawn), yield_ns = median_ns(loop, time_yield);

  if (argc > 1 && strcmp(argv[1], "--json") == 0) {
    printf(
        "{\"await_ns\": %.2f, \"ready_await_ns\": %.2f, \"yield_ns\": %.2f, "
        "\"spawn_await_ns\": %.2f, \"tasks_alive\": %zu, \"bytes_a_task\": %.1f, "
        "\"sizeof_task\": %zu, \"mass_resume_ns\": %.1f}\n",
        await_ns, ready_ns, yield_ns, spawn_ns, alive.tasks, alive.bytes_a_task,
        sizeof(bide_task), alive.resume_ns);
  } else {
    printf("an await, woken by another task   %7.1f ns\n", await_ns);
    printf("an await of what is ready         %7.1f ns\n", ready_ns);
    printf("a yield                           %7.1f ns\n", yield_ns);
    printf("a spawn and the await of its end  %7.1f ns\n", spawn_ns);
    printf("%zu tasks alive: %.0f bytes each, of which %zu are the bide_task;\n",
           alive.tasks, alive.bytes_a_task, sizeof(bide_task));
    printf("all woken at once: %.1f ns each\n", alive.resume_ns);
  }
  return bide_loop_close(loop) < 0;
}
