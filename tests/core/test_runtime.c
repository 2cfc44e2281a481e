/* Runtimes of several loops. What fails here runs a task twice or never, leaves one behind that
 * a cancel or a shutdown should have ended, or lets a processor idle beside a full queue. */
#include <sched.h>
#include <stdatomic.h>

#include "task_frames.h"

static bide_runtime *runtime_make(uint32_t loops, uint32_t flags) {
  bide_runtime_options options = BIDE_RUNTIME_OPTIONS_INIT;
  options.loops = loops;
  options.flags = flags;
  bide_runtime *runtime = NULL;
  REQUIRE(bide_runtime_new(&options, &runtime) == 0);
  return runtime;
}

/* Runs once, notes where, and ends with what it was told to. */
typedef struct job {
  bide_remote remote;
  bide_loop *ran_on;
  bide_sleep nap;
  uint64_t nap_us;
  int outcome;
  int processors;
  atomic_int runs;
} job;

static atomic_int jobs_run;

static bide_poll job_poll(bide_task *task) {
  job *self = BIDE_FRAME(task, job, remote.task);
  BIDE_ASYNC_BEGIN(task);
  cpu_set_t allowed;
  self->ran_on = task->future.loop;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    self->processors = CPU_COUNT(&allowed);
  atomic_fetch_add(&self->runs, 1);
  atomic_fetch_add(&jobs_run, 1);
  if (self->nap_us > 0) {
    BIDE_SLEEP(task, self->nap_us);
    if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  }
  if (self->outcome < 0) BIDE_RETURN_ERROR(task, self->outcome);
  BIDE_ASYNC_END(task, self->outcome);
}

static void runtime_runs_a_task_where_it_is_told(void) {
  bide_loop *home = harness_loop_new();
  bide_runtime *runtime = runtime_make(3, BIDE_RUNTIME_PINNED);
  CHECK_INT(bide_runtime_count(runtime), 3);
  for (uint32_t i = 0; i < 3; i++) {
    job jobs[2] = {{.outcome = 40 + (int)i}, {.outcome = BIDE_EDOM, .nap_us = 100}};
    for (int k = 0; k < 2; k++)
      CHECK_INT(bide_runtime_spawn_on(runtime, i, home, &jobs[k].remote, job_poll), 0);
    CHECK_INT(bide_loop_close(home), BIDE_EBUSY); /* they will come back to it */
    CHECK_INT(bide_block_on(&jobs[0].remote.future), 0);
    CHECK_INT(jobs[0].remote.future.value, 40 + (int)i);
    CHECK_INT(bide_block_on(&jobs[1].remote.future), BIDE_EDOM);
    CHECK(jobs[0].ran_on == bide_runtime_loop(runtime, i));
    CHECK(jobs[1].ran_on == jobs[0].ran_on);
    CHECK_INT(jobs[0].processors, 1);
  }
  job lost = {0};
  CHECK_INT(bide_runtime_spawn_on(runtime, 3, home, &lost.remote, job_poll), BIDE_EINVAL);
  CHECK_INT(bide_runtime_shutdown(runtime, 0), 0);
  harness_loop_close(home);
}

/* ---- stealing ---- */

enum { SHARED = 400 };

/* Spawns many from its loop and then blocks that loop until another has run one of them. */
typedef struct hog {
  bide_remote remote;
  bide_runtime *runtime;
  bide_scope scope;
  bide_member members[SHARED];
  job jobs[SHARED];
} hog;

static void hog_waits_for_a_thief(void) {
  uint64_t limit_us = harness_now_us() + 20000000;
  while (atomic_load(&jobs_run) == 0 && harness_now_us() < limit_us) sched_yield();
}

static bide_poll hog_poll(bide_task *task) {
  hog *self = BIDE_FRAME(task, hog, remote.task);
  BIDE_ASYNC_BEGIN(task);
  bide_scope_init(&self->scope, task->future.loop);
  for (int i = 0; i < SHARED; i++) {
    bide_remote *each = &self->jobs[i].remote;
    CHECK_INT(bide_runtime_spawn(self->runtime, task->future.loop, each, job_poll), 0);
    CHECK_INT(bide_scope_add(&self->scope, &self->members[i], &each->future), 0);
  }
  hog_waits_for_a_thief();
  BIDE_AWAIT(task, bide_scope_end(&self->scope));
  BIDE_ASYNC_END(task, self->scope.future.value);
}

static void runtime_idle_loops_steal_what_waits(void) {
  bide_loop *home = harness_loop_new();
  bide_runtime *runtime = runtime_make(2, 0);
  hog *self = calloc(1, sizeof *self);
  REQUIRE(self != NULL);
  self->runtime = runtime;
  atomic_store(&jobs_run, 0);
  CHECK_INT(bide_runtime_spawn_on(runtime, 0, home, &self->remote, hog_poll), 0);
  CHECK_INT(bide_block_on(&self->remote.future), 0);
  CHECK_INT(self->remote.future.value, SHARED);
  bide_runtime_stats owner, thief;
  bide_runtime_stats_of(runtime, 0, &owner);
  bide_runtime_stats_of(runtime, 1, &thief);
  CHECK_INT(owner.spawned, SHARED);
  CHECK_RANGE(thief.stolen, 1, SHARED + 1);
  for (int i = 0; i < SHARED; i++) CHECK_INT(atomic_load(&self->jobs[i].runs), 1);
  CHECK_INT(bide_runtime_shutdown(runtime, 0), 0);
  free(self);
  harness_loop_close(home);
}

/* ---- cancel ---- */

/* Keeps its loop busy until it is let go. */
typedef struct blocker {
  bide_remote remote;
  atomic_bool *go;
} blocker;

static atomic_int blockers_in;

static bide_poll blocker_poll(bide_task *task) {
  blocker *self = BIDE_FRAME(task, blocker, remote.task);
  BIDE_ASYNC_BEGIN(task);
  atomic_fetch_add(&blockers_in, 1);
  while (!atomic_load(self->go)) sched_yield();
  BIDE_ASYNC_END(task, 0);
}

static void runtime_cancel_takes_back_what_has_not_begun(void) {
  bide_loop *home = harness_loop_new();
  bide_runtime *runtime = runtime_make(2, 0);
  atomic_bool go = false;
  blocker blockers[2] = {{.go = &go}, {.go = &go}};
  job queued = {0}, running = {.nap_us = 3600000000};
  atomic_store(&blockers_in, 0);
  for (uint32_t i = 0; i < 2; i++)
    bide_runtime_spawn_on(runtime, i, home, &blockers[i].remote, blocker_poll);
  while (atomic_load(&blockers_in) < 2) sched_yield();
  CHECK_INT(bide_runtime_spawn(runtime, home, &queued.remote, job_poll), 0);
  CHECK_INT(bide_future_cancel(&queued.remote.future), 0);
  CHECK_INT(queued.remote.future.error, BIDE_ECANCELED);
  atomic_store(&go, true);
  CHECK_INT(bide_runtime_spawn(runtime, home, &running.remote, job_poll), 0);
  while (atomic_load(&running.runs) == 0) sched_yield();
  CHECK_INT(bide_future_cancel(&running.remote.future), 0);
  CHECK_INT(bide_future_cancel(&running.remote.future), 0);
  CHECK_INT(bide_block_on(&running.remote.future), BIDE_ECANCELED);
  for (int i = 0; i < 2; i++) CHECK_INT(bide_block_on(&blockers[i].remote.future), 0);
  CHECK_INT(bide_runtime_shutdown(runtime, 0), 0);
  CHECK_INT(atomic_load(&queued.runs), 0);
  harness_loop_close(home);
}

/* Cancels that meet tasks at every stage: queued, stolen, running, ending and ended. */
static void runtime_settles_each_once_whatever_is_cancelled(void) {
  enum { ROUNDS = 20, TASKS = 200 };
  bide_loop *home = harness_loop_new();
  bide_runtime *runtime = runtime_make(2, 0);
  static job jobs[TASKS];
  int cancelled = 0;
  for (int round = 0; round < (harness_is_slow() ? ROUNDS / 4 : ROUNDS); round++) {
    memset(jobs, 0, sizeof jobs);
    for (int i = 0; i < TASKS; i++) {
      jobs[i].nap_us = i % 4 == 0 ? 0 : (uint64_t)(i % 7) * 50;
      bide_remote *each = &jobs[i].remote;
      int error = i % 2 == 0
                      ? bide_runtime_spawn(runtime, home, each, job_poll)
                      : bide_runtime_spawn_on(runtime, i % 4 / 2, home, each, job_poll);
      REQUIRE(error == 0);
      int other = (i + round) / 2;
      if (i % 3 == 0 && other <= i) bide_future_cancel(&jobs[other].remote.future);
      if (i % 16 == 0) run_ready(home);
    }
    for (int i = 0; i < TASKS; i++) {
      int result = bide_block_on(&jobs[i].remote.future);
      CHECK(result == 0 || result == BIDE_ECANCELED);
      cancelled += result < 0;
      CHECK_RANGE(atomic_load(&jobs[i].runs), result == 0, 2);
    }
  }
  CHECK_RANGE(cancelled, 1, ROUNDS * TASKS);
  CHECK_INT(bide_runtime_shutdown(runtime, 0), 0);
  harness_loop_close(home);
}

/* ---- without a home, and the end ---- */

static atomic_int freed;

static void job_free(bide_remote *remote) {
  free(BIDE_CONTAINER_OF(remote, job, remote));
  atomic_fetch_add(&freed, 1);
}

static void runtime_spawn_without_home(bide_runtime *runtime, uint64_t nap_us) {
  job *each = calloc(1, sizeof *each);
  REQUIRE(each != NULL);
  each->nap_us = nap_us;
  each->remote.finished = job_free;
  CHECK_INT(bide_runtime_spawn(runtime, NULL, &each->remote, job_poll), 0);
}

static void runtime_shutdown_waits_for_what_ends_by_itself(void) {
  bide_runtime *runtime = runtime_make(2, 0);
  atomic_store(&freed, 0);
  for (int i = 0; i < 100; i++) runtime_spawn_without_home(runtime, 1 + (unsigned)i * 20);
  CHECK_INT(bide_runtime_shutdown(runtime, 60000000), 0);
  CHECK_INT(atomic_load(&freed), 100);
}

static void runtime_shutdown_cancels_at_its_deadline(void) {
  bide_runtime *runtime = runtime_make(2, 0);
  atomic_store(&freed, 0);
  uint64_t started_us = harness_now_us();
  for (int i = 0; i < 100; i++) runtime_spawn_without_home(runtime, 3600000000);
  CHECK_INT(bide_runtime_shutdown(runtime, 5000), BIDE_ETIME);
  CHECK_INT(atomic_load(&freed), 100);
  CHECK_RANGE(harness_now_us() - started_us, 5000, 60000000);
}

/* Tries what a task of the runtime must be refused. */
typedef struct refused {
  bide_remote remote;
  bide_runtime *runtime;
  job late;
  int shutdown, spawn;
  atomic_bool begun;
} refused;

static bide_poll refused_poll(bide_task *task) {
  refused *self = BIDE_FRAME(task, refused, remote.task);
  BIDE_ASYNC_BEGIN(task);
  self->shutdown = bide_runtime_shutdown(self->runtime, 0);
  atomic_store(&self->begun, true);
  BIDE_SLEEP(task, 3600000000);
  self->spawn =
      bide_runtime_spawn(self->runtime, task->future.loop, &self->late.remote, job_poll);
  BIDE_ASYNC_END(task, 0);
}

static void runtime_that_ends_takes_nothing_new(void) {
  bide_runtime *runtime = runtime_make(1, 0);
  refused self = {.runtime = runtime};
  CHECK_INT(bide_runtime_spawn(runtime, NULL, &self.remote, refused_poll), 0);
  while (!atomic_load(&self.begun)) sched_yield();
  CHECK_INT(bide_runtime_shutdown(runtime, 0), BIDE_ETIME);
  CHECK_INT(self.shutdown, BIDE_EDEADLK);
  CHECK_INT(self.spawn, BIDE_ECANCELED);
  CHECK_INT(atomic_load(&self.late.runs), 0);
}

static void runtime_refuses_wrong_options(void) {
  bide_runtime_options options = BIDE_RUNTIME_OPTIONS_INIT;
  bide_loop_options loop = BIDE_LOOP_OPTIONS_INIT;
  bide_runtime *runtime = NULL;
  options.flags = 1u << 7;
  CHECK_INT(bide_runtime_new(&options, &runtime), BIDE_EINVAL);
  options = (bide_runtime_options)BIDE_RUNTIME_OPTIONS_INIT;
  options.size++;
  CHECK_INT(bide_runtime_new(&options, &runtime), BIDE_EINVAL);
  options = (bide_runtime_options)BIDE_RUNTIME_OPTIONS_INIT;
  loop.recv_buffer_count = 3; /* no power of two: each thread's loop is refused */
  options.loop = &loop;
  options.loops = 2;
  CHECK_INT(bide_runtime_new(&options, &runtime), BIDE_EINVAL);
  CHECK(runtime == NULL);
}

static const harness_test tests[] = {
    HARNESS_TEST(runtime_runs_a_task_where_it_is_told),
    HARNESS_TEST(runtime_idle_loops_steal_what_waits),
    HARNESS_TEST(runtime_cancel_takes_back_what_has_not_begun),
    HARNESS_TEST(runtime_settles_each_once_whatever_is_cancelled),
    HARNESS_TEST(runtime_shutdown_waits_for_what_ends_by_itself),
    HARNESS_TEST(runtime_shutdown_cancels_at_its_deadline),
    HARNESS_TEST(runtime_that_ends_takes_nothing_new),
    HARNESS_TEST(runtime_refuses_wrong_options),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
