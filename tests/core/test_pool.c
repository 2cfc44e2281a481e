/* The pool carries the files of epoll loops and every run_in_executor: a job it loses
 * hangs an await, jobs it runs one after the other freeze a server. */
#include <bide/pool.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "harness.h"

typedef struct job {
  bide_work work;
  struct job_log *log;
  int number;
} job;

/* What the jobs of a test share. */
typedef struct job_log {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool gate_open; /* gated jobs wait for it */
  int started;
  int done;
  int order[64]; /* the numbers of the jobs that were done */
} job_log;

#define JOB_LOG_INIT \
  { \
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, 0, { 0 } \
  }

static void job_started(job_log *log) {
  pthread_mutex_lock(&log->lock);
  log->started++;
  pthread_cond_broadcast(&log->changed);
  pthread_mutex_unlock(&log->lock);
}

static void job_run(bide_work *work) {
  job_started(BIDE_CONTAINER_OF(work, job, work)->log);
}

static void job_run_gated(bide_work *work) {
  job_log *log = BIDE_CONTAINER_OF(work, job, work)->log;
  job_started(log);
  pthread_mutex_lock(&log->lock);
  while (!log->gate_open) pthread_cond_wait(&log->changed, &log->lock);
  pthread_mutex_unlock(&log->lock);
}

/* Ends when as many are there as the pool has threads. */
static void job_run_with_others(bide_work *work) {
  job_started(BIDE_CONTAINER_OF(work, job, work)->log);
  pthread_barrier_wait(work->data);
}

static void job_done(bide_work *work) {
  job *finished = BIDE_CONTAINER_OF(work, job, work);
  job_log *log = finished->log;
  pthread_mutex_lock(&log->lock);
  if (log->done < 64) log->order[log->done] = finished->number;
  log->done++;
  pthread_cond_broadcast(&log->changed);
  pthread_mutex_unlock(&log->lock);
}

static job job_make(job_log *log, int number, void (*run)(bide_work *work)) {
  return (job){.work = {.run = run, .done = job_done}, .log = log, .number = number};
}

static void log_wait(job_log *log, const int *counter, int count) {
  pthread_mutex_lock(&log->lock);
  while (*counter < count) pthread_cond_wait(&log->changed, &log->lock);
  pthread_mutex_unlock(&log->lock);
}

static void log_open_gate(job_log *log) {
  pthread_mutex_lock(&log->lock);
  log->gate_open = true;
  pthread_cond_broadcast(&log->changed);
  pthread_mutex_unlock(&log->lock);
}

static bide_pool *pool_of(uint32_t threads, uint32_t queue_max) {
  bide_pool_options options = BIDE_POOL_OPTIONS_INIT;
  options.threads_max = threads;
  options.queue_max = queue_max;
  bide_pool *pool = NULL;
  REQUIRE(bide_pool_new(&options, &pool) == 0);
  return pool;
}

/* A gated job that keeps a thread busy until its gate opens. */
static void pool_occupy(bide_pool *pool, job *gate) {
  REQUIRE(bide_pool_submit(pool, &gate->work, BIDE_PRIORITY_NORMAL) == 0);
  log_wait(gate->log, &gate->log->started, 1);
}

/* Batching must not serialise: each of 64 jobs waits for seven others, so that all eight
 * threads must come, time and again, or none of them ends. */
static void pool_runs_blocking_jobs_side_by_side(void) {
  job_log log = JOB_LOG_INIT;
  job jobs[64];
  pthread_barrier_t all_threads;
  bide_pool *pool = pool_of(8, 0);
  pthread_barrier_init(&all_threads, NULL, 8);
  for (int i = 0; i < 64; i++) {
    jobs[i] = job_make(&log, i, job_run_with_others);
    jobs[i].work.data = &all_threads;
    CHECK_INT(bide_pool_submit(pool, &jobs[i].work, BIDE_PRIORITY_NORMAL), 0);
  }
  log_wait(&log, &log.done, 64);
  bide_pool_stats stats;
  bide_pool_stats_get(pool, &stats);
  CHECK_INT(stats.threads, 8);
  CHECK_INT(stats.queued, 0);
  bide_pool_free(pool);
  pthread_barrier_destroy(&all_threads);
}

/* An idle server must not hold threads it never needed. */
static void pool_starts_threads_only_when_needed(void) {
  job_log log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(8, 0);
  bide_pool_stats stats;
  bide_pool_stats_get(pool, &stats);
  CHECK_INT(stats.threads, 0);
  for (int i = 1; i <= 20; i++) {
    job once = job_make(&log, i, job_run);
    REQUIRE(bide_pool_submit(pool, &once.work, BIDE_PRIORITY_NORMAL) == 0);
    log_wait(&log, &log.done, i);
    do { /* until the worker waits again */
      sched_yield();
      bide_pool_stats_get(pool, &stats);
    } while (stats.idle == 0);
  }
  CHECK_INT(stats.threads, 1);
  CHECK_INT(stats.done, 20);
  bide_pool_free(pool);
}

/* Two jobs that come at once to one idle thread: the second must not wait for the first,
 * which may be what it has to end. */
static void pool_counts_an_idle_thread_once(void) {
  for (int round = 0; round < 20; round++) {
    job_log log = JOB_LOG_INIT;
    bide_pool *pool = pool_of(2, 0);
    job quick = job_make(&log, 0, job_run);
    job gates[2] = {job_make(&log, 1, job_run_gated), job_make(&log, 2, job_run_gated)};
    bide_pool_submit(pool, &quick.work, BIDE_PRIORITY_NORMAL);
    bide_pool_stats stats;
    do {
      sched_yield();
      bide_pool_stats_get(pool, &stats);
    } while (stats.idle == 0);
    bide_pool_submit(pool, &gates[0].work, BIDE_PRIORITY_NORMAL);
    bide_pool_submit(pool, &gates[1].work, BIDE_PRIORITY_NORMAL);
    log_wait(&log, &log.started, 3);
    log_open_gate(&log);
    bide_pool_free(pool);
  }
}

/* Jobs that a worker has set aside for itself must not wait behind the one that it runs:
 * another may be what that one waits for. */
static void pool_shares_what_a_blocked_worker_set_aside(void) {
  job_log first = JOB_LOG_INIT, second = JOB_LOG_INIT, blocked = JOB_LOG_INIT,
          log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(2, 0);
  job gates[3] = {job_make(&first, 0, job_run_gated), job_make(&second, 0, job_run_gated),
                  job_make(&blocked, 0, job_run_gated)};
  job jobs[20];
  pool_occupy(pool, &gates[0]);
  pool_occupy(pool, &gates[1]);
  bide_pool_submit(pool, &gates[2].work, BIDE_PRIORITY_NORMAL);
  for (int i = 0; i < 20; i++) {
    jobs[i] = job_make(&log, i, job_run);
    bide_pool_submit(pool, &jobs[i].work, BIDE_PRIORITY_NORMAL);
  }
  log_open_gate(&first);
  log_wait(&blocked, &blocked.started, 1);
  bide_pool_stats stats;
  bide_pool_stats_get(pool, &stats);
  CHECK_INT(stats.queued, 20);
  CHECK_INT(bide_pool_cancel(pool, &jobs[0].work), 0); /* wherever it lies */
  CHECK_INT(bide_pool_cancel(pool, &jobs[19].work), 0);
  log_open_gate(&second);
  log_wait(&log, &log.done, 18);
  log_open_gate(&blocked);
  bide_pool_free(pool);
  CHECK_INT(log.started, 18);
}

/* What is urgent goes before what a worker has set aside. */
static void pool_puts_urgent_jobs_before_those_set_aside(void) {
  job_log gate = JOB_LOG_INIT, log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(1, 0);
  job first = job_make(&gate, 0, job_run_gated), urgent = job_make(&log, 9, job_run);
  job jobs[4];
  pool_occupy(pool, &first);
  for (int i = 0; i < 4; i++) {
    jobs[i] = job_make(&log, i, i == 0 ? job_run_gated : job_run);
    bide_pool_submit(pool, &jobs[i].work, BIDE_PRIORITY_NORMAL);
  }
  log_open_gate(&gate);
  log_wait(&log, &log.started, 1); /* the others are set aside */
  bide_pool_submit(pool, &urgent.work, BIDE_PRIORITY_HIGH);
  log_open_gate(&log);
  bide_pool_free(pool);
  CHECK_INT(log.order[0], 0);
  CHECK_INT(log.order[1], 9);
  CHECK_INT(log.order[4], 3);
}

static void pool_cancels_what_has_not_started(void) {
  job_log log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(1, 0);
  job gate = job_make(&log, 0, job_run_gated);
  job cancelled = job_make(&log, 1, job_run);
  job kept = job_make(&log, 2, job_run);
  pool_occupy(pool, &gate);
  bide_pool_submit(pool, &cancelled.work, BIDE_PRIORITY_NORMAL);
  bide_pool_submit(pool, &kept.work, BIDE_PRIORITY_NORMAL);
  CHECK_INT(bide_pool_cancel(pool, &cancelled.work), 0);
  CHECK_INT(bide_pool_cancel(pool, &cancelled.work), BIDE_EALREADY);
  CHECK_INT(bide_pool_cancel(pool, &gate.work), BIDE_EALREADY);
  log_open_gate(&log);
  log_wait(&log, &log.done, 2);
  CHECK_INT(bide_pool_cancel(pool, &kept.work), BIDE_EALREADY);
  bide_pool_free(pool);
  CHECK_INT(log.done, 2);
  CHECK_INT(log.order[1], 2);
}

static void pool_refuses_more_than_its_queue_holds(void) {
  job_log log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(1, 2);
  job gate = job_make(&log, 0, job_run_gated);
  job jobs[3];
  pool_occupy(pool, &gate);
  for (int i = 0; i < 3; i++) {
    jobs[i] = job_make(&log, i + 1, job_run);
    CHECK_INT(bide_pool_submit(pool, &jobs[i].work, BIDE_PRIORITY_HIGH),
              i < 2 ? 0 : BIDE_EQUEUEFULL);
  }
  CHECK_INT(bide_pool_cancel(pool, &jobs[0].work), 0); /* makes room */
  CHECK_INT(bide_pool_submit(pool, &jobs[2].work, BIDE_PRIORITY_HIGH), 0);
  log_open_gate(&log);
  bide_pool_free(pool);
  CHECK_INT(log.done, 3);
}

static void pool_takes_higher_priorities_first(void) {
  static const bide_priority priorities[] = {BIDE_PRIORITY_LOW,  BIDE_PRIORITY_NORMAL,
                                             BIDE_PRIORITY_HIGH, BIDE_PRIORITY_NORMAL,
                                             BIDE_PRIORITY_LOW,  BIDE_PRIORITY_HIGH};
  static const int expected[] = {0, 3, 6, 2, 4, 1, 5}; /* equal ones as they came */
  job_log log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(1, 0);
  job gate = job_make(&log, 0, job_run_gated);
  job jobs[6];
  pool_occupy(pool, &gate);
  for (int i = 0; i < 6; i++) {
    jobs[i] = job_make(&log, i + 1, job_run);
    bide_pool_submit(pool, &jobs[i].work, priorities[i]);
  }
  log_open_gate(&log);
  bide_pool_free(pool);
  for (int i = 0; i < 7; i++) CHECK_INT(log.order[i], expected[i]);
}

static void pool_free_finishes_what_waits(void) {
  job_log log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(2, 0);
  job jobs[40];
  for (int i = 0; i < 40; i++) {
    jobs[i] = job_make(&log, i, job_run);
    bide_pool_submit(pool, &jobs[i].work, BIDE_PRIORITY_LOW);
  }
  bide_pool_free(pool);
  CHECK_INT(log.done, 40);
  bide_pool_free(NULL);
}

enum { SUBMITTERS = 8, JOBS_EACH = 2000 };

typedef struct heap_job {
  bide_work work;
  atomic_int *done;
} heap_job;

typedef struct submitter {
  bide_pool *pool;
  atomic_int *done;
} submitter;

static void heap_job_run(bide_work *work) { (void)work; }

/* The pool's last touch: the job is freed here. */
static void heap_job_done(bide_work *work) {
  heap_job *finished = BIDE_CONTAINER_OF(work, heap_job, work);
  atomic_fetch_add(finished->done, 1);
  free(finished);
}

static void *submitter_run(void *argument) {
  submitter *self = argument;
  for (int i = 0; i < JOBS_EACH; i++) {
    heap_job *made = calloc(1, sizeof *made);
    made->work.run = heap_job_run;
    made->work.done = heap_job_done;
    made->done = self->done;
    bide_pool_submit(self->pool, &made->work, (bide_priority)(i % BIDE_PRIORITY_COUNT));
  }
  return NULL;
}

static void pool_loses_no_job_of_many_submitters(void) {
  bide_pool *pool = pool_of(4, 0);
  atomic_int done = 0;
  pthread_t threads[SUBMITTERS];
  submitter submitters[SUBMITTERS];
  for (int i = 0; i < SUBMITTERS; i++) {
    submitters[i] = (submitter){.pool = pool, .done = &done};
    REQUIRE(pthread_create(&threads[i], NULL, submitter_run, &submitters[i]) == 0);
  }
  for (int i = 0; i < SUBMITTERS; i++) pthread_join(threads[i], NULL);
  bide_pool_free(pool);
  CHECK_INT(atomic_load(&done), SUBMITTERS * JOBS_EACH);
}

/* Cancels race with the workers: each job is either taken back or done, never both. */
static void pool_cancel_races_lose_nothing(void) {
  enum { RACES = 3000 };
  static job jobs[RACES];
  job_log log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(2, 0);
  int taken_back = 0;
  for (int i = 0; i < RACES; i++) {
    jobs[i] = job_make(&log, i, job_run);
    bide_pool_submit(pool, &jobs[i].work, BIDE_PRIORITY_NORMAL);
    if (i % 3 == 0 && bide_pool_cancel(pool, &jobs[i / 2].work) == 0) taken_back++;
  }
  bide_pool_free(pool);
  CHECK_INT(log.done + taken_back, RACES);
  CHECK_INT(log.started, log.done);
}

typedef struct thread_facts {
  bide_work work;
  char name[16];
  sigset_t blocked;
} thread_facts;

static void thread_facts_run(bide_work *work) {
  thread_facts *facts = BIDE_CONTAINER_OF(work, thread_facts, work);
  pthread_getname_np(pthread_self(), facts->name, sizeof facts->name);
  pthread_sigmask(SIG_SETMASK, NULL, &facts->blocked);
}

static void thread_facts_done(bide_work *work) { (void)work; }

/* A worker that took the program's SIGINT would keep it from the loop. */
static void pool_threads_are_named_and_take_no_signals(void) {
  bide_pool_options options = BIDE_POOL_OPTIONS_INIT;
  options.name = "fifteen-letters";
  options.stack_bytes = 256 * 1024;
  bide_pool *pool = NULL;
  REQUIRE(bide_pool_new(&options, &pool) == 0);
  thread_facts facts = {.work = {.run = thread_facts_run, .done = thread_facts_done}};
  bide_pool_submit(pool, &facts.work, BIDE_PRIORITY_NORMAL);
  bide_pool_free(pool);
  CHECK_STR(facts.name, "fifteen-letters");
  CHECK(sigismember(&facts.blocked, SIGINT) == 1);
  CHECK(sigismember(&facts.blocked, SIGCHLD) == 1);
  sigset_t own;
  pthread_sigmask(SIG_SETMASK, NULL, &own);
  CHECK(sigismember(&own, SIGINT) == 0);
}

static void pool_refuses_bad_options(void) {
  bide_pool *pool = NULL;
  bide_pool_options options = BIDE_POOL_OPTIONS_INIT;
  options.size = 4;
  CHECK_INT(bide_pool_new(&options, &pool), BIDE_EINVAL);
  options = (bide_pool_options)BIDE_POOL_OPTIONS_INIT;
  options.name = "sixteen-letters!";
  CHECK_INT(bide_pool_new(&options, &pool), BIDE_EINVAL);
  options.name = NULL;
  options.stack_bytes = 1;
  CHECK_INT(bide_pool_new(&options, &pool), BIDE_EINVAL);
  CHECK(pool == NULL);
}

/* Runs `child` in a forked process and expects true of it. */
static void check_in_child(bool (*child)(bide_pool *pool), bide_pool *pool) {
  pid_t pid = fork();
  if (pid == 0) harness_leave(child(pool) ? 0 : 1);
  int status = -1;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_INT(status, 0);
}

static bool child_frees(bide_pool *pool) {
  job_log log = JOB_LOG_INIT;
  job extra = job_make(&log, 1, job_run);
  bool refused = bide_pool_submit(pool, &extra.work, BIDE_PRIORITY_HIGH) == BIDE_EFORKED;
  bide_pool_free(pool);
  return refused;
}

/* The child of a fork has the pool's memory and none of its threads: a join would hang. */
static void pool_in_a_forked_child_is_only_freed(void) {
  job_log log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(1, 0);
  job gate = job_make(&log, 0, job_run_gated);
  pool_occupy(pool, &gate);
  check_in_child(child_frees, pool);
  log_open_gate(&log);
  bide_pool_free(pool);
  CHECK_INT(log.done, 1);
}

typedef struct hammer {
  bide_pool *pool;
  atomic_bool ending;
} hammer;

static void *hammer_run(void *argument) {
  hammer *self = argument;
  bide_pool_stats stats;
  while (!atomic_load(&self->ending)) bide_pool_stats_get(self->pool, &stats);
  return NULL;
}

/* Another thread may hold the pool's lock at the fork; in the child nobody gives it back. */
static void pool_in_a_forked_child_takes_no_lock(void) {
  hammer hammers = {.pool = pool_of(1, 0)};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, hammer_run, &hammers) == 0);
  for (int i = 0; i < 30; i++) check_in_child(child_frees, hammers.pool);
  atomic_store(&hammers.ending, true);
  pthread_join(thread, NULL);
  bide_pool_free(hammers.pool);
}

/* ThreadSanitizer itself allows no new threads in the child of a threaded process. */
#if !defined(__SANITIZE_THREAD__)
static bool child_makes_its_own(bide_pool *pool) {
  job_log log = JOB_LOG_INIT;
  job extra = job_make(&log, 1, job_run);
  bide_pool_free(pool);
  bide_pool *own = pool_of(2, 0);
  bide_pool_submit(own, &extra.work, BIDE_PRIORITY_HIGH);
  bide_pool_free(own);
  return log.done == 1;
}

static void pool_in_a_forked_child_can_be_made_anew(void) {
  job_log log = JOB_LOG_INIT;
  bide_pool *pool = pool_of(1, 0);
  job gate = job_make(&log, 0, job_run_gated);
  pool_occupy(pool, &gate);
  check_in_child(child_makes_its_own, pool);
  log_open_gate(&log);
  bide_pool_free(pool);
}
#endif

static const harness_test tests[] = {
    HARNESS_TEST(pool_runs_blocking_jobs_side_by_side),
    HARNESS_TEST(pool_starts_threads_only_when_needed),
    HARNESS_TEST(pool_counts_an_idle_thread_once),
    HARNESS_TEST(pool_shares_what_a_blocked_worker_set_aside),
    HARNESS_TEST(pool_puts_urgent_jobs_before_those_set_aside),
    HARNESS_TEST(pool_cancels_what_has_not_started),
    HARNESS_TEST(pool_refuses_more_than_its_queue_holds),
    HARNESS_TEST(pool_takes_higher_priorities_first),
    HARNESS_TEST(pool_free_finishes_what_waits),
    HARNESS_TEST(pool_loses_no_job_of_many_submitters),
    HARNESS_TEST(pool_cancel_races_lose_nothing),
    HARNESS_TEST(pool_threads_are_named_and_take_no_signals),
    HARNESS_TEST(pool_refuses_bad_options),
    HARNESS_TEST(pool_in_a_forked_child_is_only_freed),
    HARNESS_TEST(pool_in_a_forked_child_takes_no_lock),
#if !defined(__SANITIZE_THREAD__)
    HARNESS_TEST(pool_in_a_forked_child_can_be_made_anew),
#endif
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
