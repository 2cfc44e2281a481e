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

#include "marks.h"
#include "task_marks.h"

enum { ROUNDS = 7, STEPS = 500 * 1000, ALIVE = 1000 * 1000, BATCH = 1000 };

/* ---- the rounds ---- */

static int by_size(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static double median_ns(bide_loop *loop, double (*measure)(bide_loop *, long)) {
  double rounds[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) rounds[i] = measure(loop, STEPS);
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

typedef struct crowd {
  size_t tasks;        /* that were suspended at the same time */
  double bytes_a_task; /* what the process grew by */
  double resume_ns;    /* to wake, resume and end one of them, all in one go */
} crowd;

static int measure_crowd(bide_loop *loop, crowd *result) {
  const size_t bytes = ALIVE * sizeof(sleeper);
  bide_future gate;
  size_t before = marks_resident_bytes();
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
  result->bytes_a_task = (double)(marks_resident_bytes() - before) / ALIVE;
  result->tasks = 0;
  for (size_t i = 0; i < ALIVE; i++)
    result->tasks += !bide_future_is_settled(&tasks[i].task.future);

  double started_ns = marks_cpu_ns();
  bide_future_resolve(&gate, 0);
  bide_block_on(&tasks[ALIVE - 1].task.future);
  result->resume_ns = (marks_cpu_ns() - started_ns) / ALIVE;
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
  double await_ns = median_ns(loop, marks_await_ns),
         ready_ns = median_ns(loop, marks_ready_ns);
  double spawn_ns = median_ns(loop, marks_spawn_ns),
         yield_ns = median_ns(loop, marks_yield_ns);

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
