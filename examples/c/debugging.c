/* Four mistakes that raise no error, and what bide says of them: a task that nobody awaits, one
 * that swallows its cancel, a callback that holds the loop, and a program that hangs. The last
 * is asked with a signal: who waits on what? */
#include <bide.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *file_of(const char *place) {
  const char *slash = strrchr(place, '/');
  return slash != NULL ? slash + 1 : place;
}

static void on_report(void *user, const bide_debug_report *report) {
  static const char *const texts[] = {"nobody awaits the task of",
                                      "a cancel was swallowed by",
                                      "the loop was held by the task of"};
  (void)user;
  printf("%s %s\n", texts[report->kind], file_of(report->place));
  fflush(stdout);
}

static bide_poll quick_poll(bide_task *task) { return bide_task_return(task, 0, 0); }

static bide_poll sleeping_poll(bide_task *task) {
  BIDE_ASYNC_BEGIN(task);
  BIDE_SLEEP(task, 3600000000); /* and does not look at how it ended */
  BIDE_ASYNC_END(task, 0);
}

static bide_poll blocking_poll(bide_task *task) {
  const struct timespec while_ns = {.tv_nsec = 30 * 1000 * 1000};
  nanosleep(&while_ns, NULL);
  return bide_task_return(task, 0, 0);
}

static bide_debug_dumper dumper;

static void on_usr1(int number) {
  (void)number;
  bide_debug_request_dump(&dumper);
}

static int run(bide_loop *loop) {
  static bide_task forgotten, swallows, blocks, hangs;
  static bide_local name;
  bide_debug_options options = BIDE_DEBUG_OPTIONS_INIT;
  bide_timeout limit;
  options.report = on_report;
  options.slow_us = 20000;
  int error = bide_debug_start(loop, &options);
  if (error < 0) return error;

  bide_task_spawn(loop, &blocks, blocking_poll);
  bide_task_spawn(loop, &forgotten, quick_poll);
  bide_block_on(&blocks.future);

  bide_task_spawn(loop, &swallows, sleeping_poll);
  bide_timeout_start(loop, &limit, &swallows.future, 1000);
  bide_block_on(&swallows.future);
  bide_timeout_end(loop, &limit);

  signal(SIGUSR1, on_usr1);
  dumper = (bide_debug_dumper){.loop = loop, .fd = STDOUT_FILENO};
  bide_task_spawn(loop, &hangs, sleeping_poll);
  bide_task_set_name(&hangs, &name, "hangs");
  bide_loop_run(loop, BIDE_RUN_NOWAIT);
  raise(SIGUSR1);
  bide_loop_run(loop, BIDE_RUN_ONCE);

  bide_metrics metrics;
  bide_metrics_get(loop, &metrics);
  printf("resumed %s\n", metrics.calls >= 4 ? "four tasks or more" : "too few");
  return 0;
}

int main(void) {
  bide_loop *loop;
  int error = bide_loop_new(NULL, &loop);
  if (error == 0) error = run(loop);
  if (error == 0) error = bide_loop_close(loop); /* tells what was never awaited */
  if (error < 0) fprintf(stderr, "debugging: %s\n", bide_error_text(error));
  return error < 0;
}
