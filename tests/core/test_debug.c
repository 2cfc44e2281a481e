/* Debugging and metrics. What fails here hides the mistake that costs a user his evening, or
 * accuses code that is right. */
#include <pthread.h>
#include <signal.h>

#include "task_frames.h"

typedef struct seen {
  int count[3];
  bide_debug_report last;
  char place[64], name[16];
} seen;

static void seen_report(void *user, const bide_debug_report *report) {
  seen *self = user;
  self->count[report->kind]++;
  self->last = *report;
  snprintf(self->place, sizeof self->place, "%s", report->place);
  snprintf(self->name, sizeof self->name, "%s", report->name);
}

static bide_loop *debug_loop(seen *all, uint64_t slow_us) {
  bide_loop *loop = harness_loop_new();
  bide_debug_options options = BIDE_DEBUG_OPTIONS_INIT;
  memset(all, 0, sizeof *all);
  options.slow_us = slow_us;
  CHECK_INT(bide_debug_start(loop, &options), BIDE_EINVAL);
  options.report = seen_report;
  options.user = all;
  CHECK_INT(bide_debug_start(loop, &options), 0);
  CHECK_INT(bide_debug_start(loop, &options), BIDE_EALREADY);
  return loop;
}

static bool debug_ends_with(const char *text, const char *end) {
  size_t len = strlen(text), end_len = strlen(end);
  return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bide_poll ending_poll(bide_task *task) { return bide_task_return(task, 1, 0); }

static void ending_finished(bide_task *task) { (void)task; }

/* Of seven tasks that end, one was forgotten: its place is told, when its frame is used again
 * and once more at the end. */
static void debug_names_the_task_that_nobody_awaits(void) {
  seen all;
  bide_loop *loop = debug_loop(&all, 0);
  bide_task before = {.finished = NULL}, after = before, detached = before, ends = before;
  bide_task combined = before, known = {.finished = ending_finished}, forgotten = before;
  bide_combination both;
  bide_branch branch = {.future = &combined.future};
  bide_task *tasks[] = {&before, &after, &detached, &ends, &combined, &known};
  for (int i = 0; i < 6; i++) CHECK_INT(bide_task_spawn(loop, tasks[i], ending_poll), 0);
  bide_task_detach(&detached);
  CHECK_INT(bide_block_on(&before.future), 0); /* awaited before its end */
  CHECK_INT(bide_block_on(&after.future), 0);  /* and after it */
  CHECK_INT(bide_block_on(&ends.future), 0);
  bide_all_start(loop, &both, &branch, 1);
  char place[64];
  for (int round = 0; round < 2; round++) {
    snprintf(place, sizeof place, "test_debug.c:%d", __LINE__ + 1);
    CHECK_INT(bide_task_spawn(loop, &forgotten, ending_poll), 0);
    run_ready(loop);
    CHECK_INT(all.count[BIDE_DEBUG_UNAWAITED], round);
  }
  harness_loop_close(loop); /* which stops it */
  CHECK_INT(all.count[BIDE_DEBUG_UNAWAITED], 2);
  CHECK(debug_ends_with(all.place, place));
  CHECK_INT(all.count[BIDE_DEBUG_SWALLOWED], 0);
}

/* The table grows and shrinks under it, and forgets nobody. */
static void debug_keeps_many_apart(void) {
  enum { MANY = 3000 };
  seen all;
  bide_loop *loop = debug_loop(&all, 0);
  bide_task *tasks = calloc(MANY, sizeof *tasks);
  REQUIRE(tasks != NULL);
  for (int i = 0; i < MANY; i++)
    REQUIRE(bide_task_spawn(loop, &tasks[i], ending_poll) == 0);
  run_ready(loop);
  for (int i = 0; i < MANY; i++)
    if (i % 3 != 0) REQUIRE(bide_block_on(&tasks[i].future) == 0);
  bide_debug_stop(loop);
  CHECK_INT(all.count[BIDE_DEBUG_UNAWAITED], MANY / 3);
  bide_debug_stop(loop);
  free(tasks);
  harness_loop_close(loop);
}

typedef struct stubborn {
  bide_task task;
  bide_local name;
  bide_sleep nap;
} stubborn;

static bide_poll stubborn_poll(bide_task *task) {
  stubborn *self = BIDE_FRAME(task, stubborn, task);
  BIDE_ASYNC_BEGIN(task);
  BIDE_AWAIT_SLEEP(task, &self->nap, 3600000000);
  BIDE_ASYNC_END(task, 0);
}

static void debug_names_the_task_that_swallows_a_cancel(void) {
  seen all;
  bide_loop *loop = debug_loop(&all, 0);
  stubborn swallows = {.task.finished = NULL};
  awaiter passes_on = {0}, wins = {0};
  bide_future never, success;
  bide_future_init(&never, loop);
  bide_future_init(&success, loop);
  CHECK_INT(bide_task_spawn(loop, &swallows.task, stubborn_poll), 0);
  bide_task_set_name(&swallows.task, &swallows.name, "stubborn");
  awaiter_spawn(loop, &passes_on, &never);
  awaiter_spawn(loop, &wins, &success);
  run_ready(loop);
  bide_future_resolve(&success, 1);
  bide_task *tasks[] = {&swallows.task, &passes_on.task, &wins.task};
  for (int i = 0; i < 3; i++) CHECK_INT(bide_task_cancel(tasks[i]), 0);
  CHECK_INT(bide_block_on(&passes_on.task.future), BIDE_ECANCELED);
  CHECK_INT(bide_block_on(&wins.task.future), 0);
  CHECK_INT(bide_block_on(&swallows.task.future), 0);
  CHECK_INT(all.count[BIDE_DEBUG_SWALLOWED], 1);
  CHECK_STR(all.name, "stubborn");
  harness_loop_close(loop);
  CHECK_INT(all.count[BIDE_DEBUG_UNAWAITED], 0);
}

/* ---- slow callbacks ---- */

typedef struct slow {
  bide_task task;
  bide_call call;
  bide_timer timer;
  bide_op op;
  uint64_t *now_us;
  int line;
} slow;

static bide_poll slow_poll(bide_task *task) {
  slow *self = BIDE_FRAME(task, slow, task);
  BIDE_ASYNC_BEGIN(task);
  self->line = __LINE__ + 1;
  BIDE_YIELD(task);
  *self->now_us += 2000;
  BIDE_ASYNC_END(task, 0);
}

static void slow_called(bide_call *call) {
  *BIDE_CONTAINER_OF(call, slow, call)->now_us += 3000;
}

static void slow_fired(bide_timer *timer) {
  *BIDE_CONTAINER_OF(timer, slow, timer)->now_us += 4000;
}

static void slow_completed(bide_op *op) {
  *BIDE_CONTAINER_OF(op, slow, op)->now_us += 5000;
}

static void debug_names_what_holds_the_loop(void) {
  seen all = {.place = ""};
  bide_virtual time;
  bide_debug_options options = BIDE_DEBUG_OPTIONS_INIT;
  bide_virtual_init(&time, 1000);
  bide_loop *loop = harness_loop_hooked(&time.hooks);
  options = (bide_debug_options){sizeof options, 2000, seen_report, &all};
  CHECK_INT(bide_debug_start(loop, &options), 0);
  slow self = {.now_us = &time.now_us,
               .call = {.cb = slow_called},
               .timer = {.cb = slow_fired},
               .op = {.cb = slow_completed}};
  char place[64];
  snprintf(place, sizeof place, "test_debug.c:%d", __LINE__ + 1);
  CHECK_INT(bide_task_spawn(loop, &self.task, slow_poll), 0);
  CHECK_INT(bide_block_on(&self.task.future), 0);
  CHECK_INT(all.count[BIDE_DEBUG_SLOW], 1);
  CHECK_INT(all.last.duration_us, 2000);
  CHECK_INT(all.last.line, self.line);
  CHECK(all.last.function == (void (*)(void))slow_poll);
  CHECK(debug_ends_with(all.place, place));

  bide_loop_call_soon(loop, &self.call);
  REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  CHECK_INT(all.last.duration_us, 3000);
  CHECK(all.last.function == (void (*)(void))slow_called);
  CHECK_STR(all.place, "");
  bide_timer_start(loop, &self.timer, 0);
  REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  CHECK_INT(all.last.duration_us, 4000);
  bide_prep_nop(&self.op);
  REQUIRE(bide_loop_submit(loop, &self.op) == 0);
  REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  CHECK_INT(all.last.duration_us, 5000);
  CHECK_INT(all.count[BIDE_DEBUG_SLOW], 4);
  harness_loop_close(loop);
}

/* ---- dumps ---- */

static bide_debug_dumper dumper;

static void dump_on_signal(int number) {
  (void)number;
  bide_debug_request_dump(&dumper);
}

static bide_poll asleep_poll(bide_task *task) {
  BIDE_ASYNC_BEGIN(task);
  BIDE_SLEEP(task, 3600000000);
  BIDE_ASYNC_END(task, 0);
}

/* Who waits on what, asked for by a signal. */
static void debug_dumps_who_waits_on_what(void) {
  seen all;
  bide_loop *loop = debug_loop(&all, 0);
  int pair[2], out[2];
  char text[2048] = "", expected[64];
  socket_pair(pair);
  REQUIRE(pipe(out) == 0);
  receiver receives = {.fd = pair[0]};
  awaiter waits = {0};
  bide_task asleep = {.finished = NULL};
  stubborn naps = {.task.finished = NULL};
  int line = __LINE__ + 1;
  CHECK_INT(bide_task_spawn(loop, &receives.task, receiver_poll), 0);
  awaiter_spawn(loop, &waits, &receives.task.future);
  CHECK_INT(bide_task_spawn(loop, &asleep, asleep_poll), 0);
  CHECK_INT(bide_task_spawn(loop, &naps.task, stubborn_poll), 0);
  bide_task_set_name(&naps.task, &naps.name, "naps");
  run_ready(loop);
  dumper = (bide_debug_dumper){.loop = loop, .fd = out[1]};
  struct sigaction action = {.sa_handler = dump_on_signal}, before;
  REQUIRE(sigaction(SIGUSR1, &action, &before) == 0);
  raise(SIGUSR1);
  raise(SIGUSR1);
  run_ready(loop);
  sigaction(SIGUSR1, &before, NULL);
  REQUIRE(read(out[0], text, sizeof text - 1) > 0);
  snprintf(expected, sizeof expected, "waits for the operation RECV on fd %d\n", pair[0]);
  CHECK(strstr(text, expected) != NULL);
  snprintf(expected, sizeof expected, "test_debug.c:%d\n", line);
  CHECK(strstr(text, "waits for the task of ") != NULL);
  CHECK(strstr(text, expected) != NULL);
  CHECK(strstr(text, ": sleeps for 3") != NULL);
  CHECK(strstr(text, "task \"naps\" of ") != NULL);
  CHECK(strstr(text, "waits for a sleep\n") != NULL);
  snprintf(expected, sizeof expected, "loop on %s: 4 tasks, 1 op",
           bide_loop_backend(loop));
  CHECK(strstr(text, expected) != NULL);
  CHECK(strstr(strstr(text, "loop on ") + 1, "loop on ") == NULL); /* one for both */
  CHECK_INT(bide_debug_dump(loop, -1), BIDE_EBADF);
  bide_debug_stop(loop);
  CHECK_INT(bide_debug_dump(loop, out[1]), 0);
  bide_task *tasks[] = {&waits.task, &asleep, &naps.task};
  for (int i = 0; i < 3; i++) bide_task_cancel(tasks[i]);
  for (int i = 0; i < 3; i++) (void)bide_block_on(&tasks[i]->future);
  socket_pair_close(loop, pair);
  close(out[0]);
  close(out[1]);
  harness_loop_close(loop);
}

/* ---- metrics ---- */

static void metrics_count_what_the_loop_does(void) {
  bide_virtual time;
  bide_virtual_init(&time, 1000);
  bide_loop *loop = harness_loop_hooked(&time.hooks);
  bide_metrics metrics;
  slow self = {.now_us = &time.now_us,
               .call = {.cb = slow_called},
               .timer = {.cb = slow_fired},
               .op = {.cb = slow_completed}};
  CHECK_INT(bide_metrics_time(loop, false), 0);
  bide_loop_call_soon(loop, &self.call);
  bide_timer_start(loop, &self.timer, 0);
  REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  bide_metrics_get(loop, &metrics);
  CHECK_INT(metrics.turns, 1);
  CHECK_INT(metrics.calls, 1);
  CHECK_INT(metrics.timers, 1);
  CHECK_INT(metrics.turn.sum_us, 0);
  CHECK_INT(bide_metrics_time(loop, true), 0);
  CHECK_INT(bide_histogram_quantile_us(&metrics.turn, 0.5), 0);
  bide_loop_call_soon(loop, &self.call);
  bide_prep_nop(&self.op);
  REQUIRE(bide_loop_submit(loop, &self.op) == 0);
  REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  bide_metrics_get(loop, &metrics);
  CHECK_INT(metrics.calls, 3); /* the sample's own is among them */
  CHECK_INT(metrics.completions, 1);
  CHECK_INT(metrics.turn.longest_us, 8000);
  CHECK_INT(metrics.turn.counts[13], 1); /* 4096 to 8191 */
  CHECK_INT(metrics.ready_wait.longest_us, 3000);
  CHECK_INT(bide_histogram_quantile_us(&metrics.turn, 0.99), 8000);
  CHECK_INT(bide_loop_timeout(loop), -1); /* the sampling keeps no loop awake */
  CHECK_INT(bide_metrics_time(loop, false), 0);
  harness_loop_close(loop);
}

/* ---- the spin before a sleep ---- */

static bide_loop *spin_loop(uint32_t spin_us) {
  bide_loop_options options = harness_loop_options();
  bide_loop *loop = NULL;
  options.spin_us = spin_us;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  return loop;
}

static void *spin_post(void *argument) {
  bide_waker *waker = argument;
  bide_waker_wake(waker);
  bide_waker_unref(waker);
  return NULL;
}

/* What comes while it spins is found, whichever way it comes, and no timer is early or lost. */
static void spin_finds_what_comes_meanwhile(void) {
  bide_loop *loop = spin_loop(10000000);
  bide_waker *waker;
  bide_wait wait;
  bide_sleep nap;
  pthread_t thread;
  int pair[2];
  uint64_t started_us = bide_loop_now_us(loop);
  REQUIRE(bide_waker_new(loop, &waker) == 0);
  bide_waker_wait(waker, &wait);
  REQUIRE(pthread_create(&thread, NULL, spin_post, bide_waker_ref(waker)) == 0);
  CHECK_INT(bide_block_on(&wait.future), 0);
  pthread_join(thread, NULL);
  bide_waker_close(waker);
  bide_waker_unref(waker);
  socket_pair(pair);
  receiver receives = {.fd = pair[0]};
  REQUIRE(bide_task_spawn(loop, &receives.task, receiver_poll) == 0);
  run_ready(loop);
  CHECK(write(pair[1], "soon", 4) == 4);
  CHECK_INT(bide_block_on(&receives.task.future), 0);
  CHECK_INT(receives.task.future.value, 4);
  uint64_t slept_us = bide_loop_now_us(loop);
  bide_sleep_start(loop, &nap, 700);
  CHECK_INT(bide_block_on(&nap.future), 0);
  CHECK(bide_loop_now_us(loop) >= slept_us + 700);
  CHECK(bide_loop_now_us(loop) - started_us < 10000000); /* nothing waited for its end */
  socket_pair_close(loop, pair);
  harness_loop_close(loop);
}

static uint64_t spin_cpu_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A loop that has little to do soon sleeps again: thirty waits of 2 ms, each with up to 1.5 ms
 * of spinning, would be 45 ms of a processor. */
static void spin_gives_up_on_a_quiet_loop(void) {
  bide_loop *loop = spin_loop(1500);
  bide_sleep nap;
  uint64_t before_us = spin_cpu_us();
  for (int i = 0; i < 30; i++) {
    bide_sleep_start(loop, &nap, 2000);
    CHECK_INT(bide_block_on(&nap.future), 0);
  }
  if (!harness_is_slow()) CHECK_RANGE(spin_cpu_us() - before_us, 1000, 25000);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(debug_names_the_task_that_nobody_awaits),
    HARNESS_TEST(debug_keeps_many_apart),
    HARNESS_TEST(debug_names_the_task_that_swallows_a_cancel),
    HARNESS_TEST(debug_names_what_holds_the_loop),
    HARNESS_TEST(debug_dumps_who_waits_on_what),
    HARNESS_TEST(metrics_count_what_the_loop_does),
    HARNESS_TEST(spin_finds_what_comes_meanwhile),
    HARNESS_TEST(spin_gives_up_on_a_quiet_loop),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
