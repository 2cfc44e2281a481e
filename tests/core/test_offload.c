/* run_in_executor of all three doors: a result that does not come back hangs an await. */
#include <bide.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "harness_loop.h"

typedef struct square {
  bide_offload offload;
  intptr_t number;
  pthread_t thread;
} square;

static intptr_t square_run(bide_offload *offload) {
  square *self = BIDE_CONTAINER_OF(offload, square, offload);
  self->thread = pthread_self();
  return self->number * self->number;
}

static bide_pool *pool_of(uint32_t threads, uint32_t queue_max) {
  bide_pool_options options = BIDE_POOL_OPTIONS_INIT;
  options.threads_max = threads;
  options.queue_max = queue_max;
  bide_pool *pool = NULL;
  REQUIRE(bide_pool_new(&options, &pool) == 0);
  return pool;
}

/* A gate that jobs wait at, so that what is behind them has not started for certain. */
typedef struct gate {
  bide_offload offload;
  atomic_bool entered;
  pthread_mutex_t lock; /* held by the test while the gate is shut */
} gate;

static intptr_t gate_run(bide_offload *offload) {
  gate *self = BIDE_CONTAINER_OF(offload, gate, offload);
  atomic_store(&self->entered, true);
  pthread_mutex_lock(&self->lock);
  pthread_mutex_unlock(&self->lock);
  return -5;
}

static void gate_shut(gate *self, bide_loop *loop, bide_pool *pool) {
  atomic_init(&self->entered, false);
  pthread_mutex_init(&self->lock, NULL);
  pthread_mutex_lock(&self->lock);
  CHECK_INT(
      bide_offload_start(loop, pool, &self->offload, gate_run, BIDE_PRIORITY_NORMAL), 0);
  while (!atomic_load(&self->entered)) sched_yield();
}

static void offload_runs_elsewhere_and_resolves_here(void) {
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = pool_of(2, 0);
  square squares = {.number = 12};
  CHECK_INT(
      bide_offload_start(loop, pool, &squares.offload, square_run, BIDE_PRIORITY_NORMAL),
      0);
  CHECK_INT(bide_block_on(&squares.offload.future), 0);
  CHECK_INT(squares.offload.future.value, 144);
  CHECK(!pthread_equal(squares.thread, pthread_self()));
  bide_pool_free(pool);
  harness_loop_close(loop);
}

static void offload_brings_all_results_back(void) {
  enum { MANY = 5000 };
  static square squares[MANY];
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = pool_of(4, 0);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < MANY; i++) {
      squares[i].number = i;
      REQUIRE(bide_offload_start(loop, pool, &squares[i].offload, square_run,
                                 (bide_priority)(i % BIDE_PRIORITY_COUNT)) == 0);
    }
    for (int i = 0; i < MANY; i++) {
      CHECK_INT(bide_block_on(&squares[i].offload.future), 0);
      CHECK_INT(squares[i].offload.future.value, (intptr_t)i * i);
    }
  }
  bide_pool_free(pool);
  harness_loop_close(loop);
}

/* Ends when as many are there as the pool has threads. */
static intptr_t meet_others(bide_offload *offload) {
  pthread_barrier_wait(offload->data);
  return 0;
}

/* Completions come in batches, the jobs themselves must not: one that waits for seven others
 * would wait for ever. */
static void offload_runs_blocking_jobs_side_by_side(void) {
  static bide_offload offloads[64];
  pthread_barrier_t all_threads;
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = pool_of(8, 0);
  pthread_barrier_init(&all_threads, NULL, 8);
  for (int i = 0; i < 64; i++) {
    offloads[i].data = &all_threads;
    bide_offload_start(loop, pool, &offloads[i], meet_others, BIDE_PRIORITY_NORMAL);
  }
  for (int i = 0; i < 64; i++) CHECK_INT(bide_block_on(&offloads[i].future), 0);
  bide_pool_free(pool);
  pthread_barrier_destroy(&all_threads);
  harness_loop_close(loop);
}

static void offload_cancel_takes_back_what_has_not_started(void) {
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = pool_of(1, 0);
  gate busy;
  square waits = {.number = 3};
  gate_shut(&busy, loop, pool);
  bide_offload_start(loop, pool, &waits.offload, square_run, BIDE_PRIORITY_NORMAL);
  CHECK_INT(bide_loop_in_flight(loop), 2);
  CHECK_INT(bide_future_cancel(&waits.offload.future), 0);
  CHECK_INT(waits.offload.future.state, BIDE_FUTURE_CANCELLED);
  CHECK_INT(bide_loop_in_flight(loop), 1);
  /* What runs, runs to its end; its memory is the worker's until then. */
  CHECK_INT(bide_future_cancel(&busy.offload.future), 0);
  CHECK(!bide_future_is_settled(&busy.offload.future));
  CHECK_INT(bide_loop_close(loop), BIDE_EBUSY);
  pthread_mutex_unlock(&busy.lock);
  CHECK_INT(bide_block_on(&busy.offload.future), 0);
  CHECK_INT(busy.offload.future.value, -5); /* a value like any other */
  bide_pool_free(pool);
  harness_loop_close(loop);
}

static void offload_tells_of_a_full_queue(void) {
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = pool_of(1, 1);
  gate busy;
  square squares[2] = {{.number = 1}, {.number = 2}};
  gate_shut(&busy, loop, pool);
  CHECK_INT(bide_offload_start(loop, pool, &squares[0].offload, square_run,
                               BIDE_PRIORITY_NORMAL),
            0);
  CHECK_INT(bide_offload_start(loop, pool, &squares[1].offload, square_run,
                               BIDE_PRIORITY_NORMAL),
            BIDE_EQUEUEFULL);
  CHECK_INT(squares[1].offload.future.error, BIDE_EQUEUEFULL);
  pthread_mutex_unlock(&busy.lock);
  CHECK_INT(bide_block_on(&squares[0].offload.future), 0);
  CHECK_INT(bide_block_on(&busy.offload.future), 0);
  bide_pool_free(pool);
  harness_loop_close(loop);
}

typedef struct job_task {
  bide_task task;
  bide_pool *pool;
  square first;
  square second;
} job_task;

static bide_poll job_task_poll(bide_task *task) {
  job_task *self = BIDE_FRAME(task, job_task, task);
  BIDE_ASYNC_BEGIN(task);
  bide_offload_start(task->future.loop, self->pool, &self->first.offload, square_run,
                     BIDE_PRIORITY_HIGH);
  BIDE_AWAIT(task, &self->first.offload.future);
  self->second.number = self->first.offload.future.value;
  bide_offload_start(task->future.loop, self->pool, &self->second.offload, square_run,
                     BIDE_PRIORITY_HIGH);
  BIDE_AWAIT(task, &self->second.offload.future);
  BIDE_ASYNC_END(task, self->second.offload.future.value);
}

static void offload_is_awaited_by_a_task(void) {
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = pool_of(1, 0);
  job_task job = {.pool = pool, .first.number = 3};
  bide_task_spawn(loop, &job.task, job_task_poll);
  CHECK_INT(bide_block_on(&job.task.future), 0);
  CHECK_INT(job.task.future.value, 81);
  bide_pool_free(pool);
  harness_loop_close(loop);
}

/* A recording in which jobs begin and do not end would show a leak that is none. */
static void offload_traces_begin_and_end_of_each(void) {
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = pool_of(1, 0);
  gate busy;
  square waits = {.number = 3};
  CHECK_INT(bide_trace_start(loop, 1024), 0);
  gate_shut(&busy, loop, pool);
  bide_offload_start(loop, pool, &waits.offload, square_run, BIDE_PRIORITY_NORMAL);
  bide_future_cancel(&waits.offload.future);
  pthread_mutex_unlock(&busy.lock);
  CHECK_INT(bide_block_on(&busy.offload.future), 0);
  bide_trace_event events[1024];
  size_t count = bide_trace_read(loop, events, 1024, NULL);
  int begun = 0;
  int ended = 0;
  for (size_t i = 0; i < count; i++) {
    if (events[i].kind == BIDE_TRACE_OFFLOAD_SUBMIT) begun++;
    if (events[i].kind == BIDE_TRACE_OFFLOAD_DONE) ended++;
  }
  CHECK_INT(begun, 2);
  CHECK_INT(ended, 2);
  bide_trace_stop(loop);
  bide_pool_free(pool);
  harness_loop_close(loop);
}

/* The worker that brought the last result may still be about to wake the loop when the
 * loop, which was awake, has ended. The loop does not sleep here, so that nothing but its
 * close orders the two. */
static void offload_lets_the_loop_close_at_once(void) {
  bide_pool *pool = pool_of(2, 0);
  for (int i = 0; i < 200; i++) {
    bide_loop_options options = harness_loop_options();
    options.file_pool = pool;
    bide_loop *loop;
    REQUIRE(bide_loop_new(&options, &loop) == 0);
    square job = {.number = 4};
    bide_op sync = {0};
    bide_prep_fsync(&sync, -1, false);
    if (i % 2 == 0) {
      bide_offload_start(loop, pool, &job.offload, square_run, BIDE_PRIORITY_NORMAL);
    } else {
      REQUIRE(bide_loop_submit(loop, &sync) == 0);
    }
    while (bide_loop_in_flight(loop) > 0)
      REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
    harness_loop_close(loop);
  }
  bide_pool_free(pool);
}

static void offload_in_a_forked_child_is_refused(void) {
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = pool_of(1, 0);
  pid_t child = fork();
  if (child == 0) {
    square squares = {.number = 1};
    int result =
        bide_offload_start(loop, pool, &squares.offload, square_run, BIDE_PRIORITY_HIGH);
    harness_leave(
        result == BIDE_EFORKED && squares.offload.future.error == BIDE_EFORKED ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_INT(status, 0);
  bide_pool_free(pool);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(offload_runs_elsewhere_and_resolves_here),
    HARNESS_TEST(offload_brings_all_results_back),
    HARNESS_TEST(offload_runs_blocking_jobs_side_by_side),
    HARNESS_TEST(offload_cancel_takes_back_what_has_not_started),
    HARNESS_TEST(offload_tells_of_a_full_queue),
    HARNESS_TEST(offload_is_awaited_by_a_task),
    HARNESS_TEST(offload_traces_begin_and_end_of_each),
    HARNESS_TEST(offload_lets_the_loop_close_at_once),
    HARNESS_TEST(offload_in_a_forked_child_is_refused),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
