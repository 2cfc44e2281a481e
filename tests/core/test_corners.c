/* What seldom happens: a child after fork, arguments that cannot be, a want of memory, an old
 * kernel. Each is answered by a code, and leaves nothing behind. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "net_pair.h"

/* ---- memory that is refused on demand ---- */

static atomic_bool memory_refused;

static void *refuse_memory(void *user, void *pointer, size_t bytes) {
  (void)user;
  if (bytes == 0) {
    free(pointer);
    return NULL;
  }
  return atomic_load(&memory_refused) ? NULL : realloc(pointer, bytes);
}

static void corners_report(void *user, const bide_debug_report *report) {
  (void)user;
  (void)report;
}

static void corners_without_memory(void) {
  bide_loop *loop = harness_loop_new(), *other = NULL;
  bide_runtime *runtime = NULL;
  bide_pool *pool = NULL;
  bide_debug_options debug = {.size = sizeof debug, .report = corners_report};
  atomic_store(&memory_refused, true);
  CHECK_INT(bide_loop_new(NULL, &other), BIDE_ENOMEM);
  CHECK_INT(bide_pool_new(NULL, &pool), BIDE_ENOMEM);
  CHECK_INT(bide_runtime_new(NULL, &runtime), BIDE_ENOMEM);
  CHECK_INT(bide_trace_start(loop, 100), BIDE_ENOMEM);
  CHECK_INT(bide_debug_start(loop, &debug), BIDE_ENOMEM);
  CHECK_INT(bide_metrics_time(loop, true), BIDE_ENOMEM);
  atomic_store(&memory_refused, false);
  CHECK_INT(bide_metrics_time(loop, true), 0);
  harness_loop_close(loop);
}

/* ---- a child after fork ---- */

static void corners_nothing(bide_work *work) { (void)work; }

static intptr_t corners_zero(bide_offload *offload) {
  (void)offload;
  return 0;
}

static bide_poll corners_task(bide_task *task) { return bide_task_return(task, 0, 0); }

/* Everything that a child may call by mistake says so, and does nothing. */
static void corners_in_child(bide_loop *loop, bide_pool *pool, bide_runtime *runtime) {
  bide_op op = {0};
  bide_completion completion;
  bide_task task = {.finished = NULL};
  bide_remote remote = {.finished = NULL};
  bide_offload offload = {.data = NULL};
  bide_work work = {.run = corners_nothing, .done = corners_nothing};
  bide_future future;
  bide_pool_stats stats;
  bide_prep_nop(&op);
  bide_future_init(&future, loop);
  CHECK_INT(bide_loop_check(loop), BIDE_EFORKED);
  CHECK_INT(bide_loop_submit(loop, &op), BIDE_EFORKED);
  CHECK_INT(bide_loop_cancel(loop, &op), BIDE_EFORKED);
  CHECK_INT(bide_loop_reap(loop, &completion, 1), BIDE_EFORKED);
  CHECK_INT(bide_loop_wait(loop, 0), BIDE_EFORKED);
  CHECK_INT(bide_loop_flush(loop), BIDE_EFORKED);
  CHECK_INT(bide_loop_park(loop), BIDE_EFORKED);
  CHECK_INT(bide_loop_dispatch(loop), BIDE_EFORKED);
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_NOWAIT), BIDE_EFORKED);
  CHECK_INT(bide_loop_drain(loop), BIDE_EFORKED);
  bide_loop_forget_fd(loop, 0);
  CHECK_INT(bide_block_on(&future), BIDE_EFORKED);
  CHECK_INT(bide_task_spawn(loop, &task, corners_task), BIDE_EFORKED);
  CHECK_INT(task.future.error, BIDE_EFORKED);
  CHECK_INT(bide_offload_start(loop, pool, &offload, corners_zero, BIDE_PRIORITY_NORMAL),
            BIDE_EFORKED);
  CHECK_INT(bide_pool_submit(pool, &work, BIDE_PRIORITY_NORMAL), BIDE_EFORKED);
  CHECK_INT(bide_pool_cancel(pool, &work), BIDE_EFORKED);
  bide_pool_stats_get(pool, &stats);
  CHECK_INT(stats.threads, 0);
  CHECK_INT(bide_runtime_spawn(runtime, loop, &remote, corners_task), BIDE_EFORKED);
  CHECK_INT(bide_runtime_spawn_on(runtime, 0, loop, &remote, corners_task), BIDE_EFORKED);
  bide_pool_free(pool);
  CHECK_INT(bide_loop_close(loop), 0);
}

static void corners_after_fork(void) {
  bide_loop *loop = harness_loop_new();
  bide_pool *pool;
  bide_runtime *runtime;
  REQUIRE(bide_pool_new(NULL, &pool) == 0);
  REQUIRE(bide_runtime_new(NULL, &runtime) == 0);
  fflush(stdout);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    harness_failures = 0;
    corners_in_child(loop, pool, runtime);
    fflush(stdout);
    harness_leave(harness_failures > 0);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_INT(status, 0);
  CHECK_INT(bide_runtime_shutdown(runtime, UINT64_MAX), 0);
  bide_pool_free(pool);
  harness_loop_close(loop);
}

/* ---- arguments that cannot be ---- */

static void corners_refuse(const bide_loop_options *options) {
  bide_loop *loop = NULL;
  CHECK_INT(bide_loop_new(options, &loop), BIDE_EINVAL);
  CHECK(loop == NULL);
}

static void corners_options_that_cannot_be(void) {
  bide_loop_options options[8];
  for (int i = 0; i < 8; i++) options[i] = (bide_loop_options)BIDE_LOOP_OPTIONS_INIT;
  options[0].size = 0;
  options[1].size = sizeof options[1] + 1;
  options[2].flags = 1u << 31;
  options[3].backend = (bide_backend)99;
  options[4].recv_buffer_count = 3;
  options[5].recv_buffer_count = 65536;
  options[6].ring_entries = 32769;
  options[7].recv_buffer_bytes = UINT32_MAX;
  for (int i = 0; i < 8; i++) corners_refuse(&options[i]);
}

static void corners_runtimes_that_cannot_be(void) {
  bide_runtime *runtime = NULL;
  bide_runtime_options options = BIDE_RUNTIME_OPTIONS_INIT;
  options.size = 1;
  CHECK_INT(bide_runtime_new(&options, &runtime), BIDE_EINVAL);
  options = (bide_runtime_options)BIDE_RUNTIME_OPTIONS_INIT;
  options.flags = 1u << 31;
  CHECK_INT(bide_runtime_new(&options, &runtime), BIDE_EINVAL);
  options.flags = 0;
  options.loops = 100000;
  CHECK_INT(bide_runtime_new(&options, &runtime), BIDE_EINVAL);
  bide_loop_options loops = BIDE_LOOP_OPTIONS_INIT;
  loops.recv_buffer_count = 3;
  options.loops = 2;
  options.loop = &loops;
  CHECK_INT(bide_runtime_new(&options, &runtime), BIDE_EINVAL);
  CHECK(runtime == NULL);
}

static void corners_sockets_that_cannot_be(void) {
  bide_address address, taken;
  int fd = net_listen(&taken);
  CHECK_INT(bide_socket_listen(&taken, -1, 0), BIDE_EINVAL);
  CHECK_INT(bide_socket_listen(&taken, 1, 0), BIDE_EADDRINUSE);
  CHECK_INT(bide_socket_listen(&taken, 1, BIDE_LISTEN_REUSEPORT), BIDE_EADDRINUSE);
  close(fd);
  address = taken;
  address.storage.ss_family = 9999;
  CHECK_INT(bide_socket_stream(&address), BIDE_EAFNOSUPPORT);
  CHECK_INT(bide_socket_listen(&address, 1, 0), BIDE_EAFNOSUPPORT);
  CHECK_INT(bide_socket_name(-1, &address), BIDE_EBADF);
  REQUIRE(bide_address_ip("::1", 0, &address) == 0);
  fd = bide_socket_listen(&address, 1, BIDE_LISTEN_V6ONLY | BIDE_LISTEN_REUSEPORT);
  CHECK(fd >= 0 || fd == BIDE_EADDRNOTAVAIL || fd == BIDE_EAFNOSUPPORT);
  if (fd >= 0) close(fd);
}

static void corners_small_answers(void) {
  bide_loop *loop = harness_loop_new();
  bide_trace_event event;
  bide_timer timer = {.cb = NULL};
  uint64_t lost = 7;
  CHECK_INT(bide_loop_close(NULL), 0);
  CHECK_STR(bide_op_kind_name(BIDE_OP_KIND_COUNT), "?");
  CHECK_INT(bide_trace_read(loop, &event, 1, NULL), 0);
  CHECK_INT(bide_trace_read(loop, &event, 1, &lost), 0);
  CHECK_INT(lost, 0);
  CHECK_INT(bide_loop_close_fd(loop, -1), BIDE_EBADF);
  CHECK_INT(bide_debug_dump(loop, -1), 0);
  CHECK_INT(bide_debug_start(loop, NULL), BIDE_EINVAL);
  CHECK_INT(bide_metrics_time(loop, false), 0);
  bide_debug_stop(loop);
  REQUIRE(bide_trace_start(loop, 16) == 0);
  CHECK_INT(bide_trace_start(loop, 16), BIDE_EALREADY);
  bide_timer_start(loop, &timer, UINT64_MAX);
  CHECK_INT(timer.deadline_us, UINT64_MAX);
  bide_timer_stop(loop, &timer);
  bide_op op = {0};
  bide_prep_timeout(&op, 1000000);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  CHECK_INT(bide_loop_cancel(loop, &op), 0);
  CHECK_INT(net_finish(loop, &op), BIDE_ECANCELED);
  CHECK_INT(bide_trace_read(loop, &event, 1, NULL), 1);
  harness_loop_close(loop);
}

/* ---- the closed and the lagging ---- */

static void corners_closed_watches_and_broadcasts(void) {
  bide_loop *loop = harness_loop_new();
  bide_watch watch;
  bide_broadcast broadcast;
  bide_wait wait;
  int value = 1, storage[2];
  bide_watch_init(&watch, loop, &value, sizeof value);
  bide_watch_wait(&watch, &wait, watch.version + 1);
  CHECK_INT(wait.future.state, BIDE_FUTURE_RESOLVED);
  bide_watch_close(&watch);
  bide_watch_wait(&watch, &wait, watch.version);
  CHECK_INT(wait.future.error, BIDE_EOF);
  bide_watch_wait(&watch, &wait, watch.version + 1);
  CHECK_INT(wait.future.state, BIDE_FUTURE_RESOLVED);

  bide_broadcast_init(&broadcast, loop, storage, sizeof storage[0], 2);
  bide_subscription slow = bide_broadcast_subscribe(&broadcast);
  for (int i = 0; i < 3; i++) CHECK_INT(bide_broadcast_send(&broadcast, &i), 0);
  CHECK_INT(bide_subscription_try_recv(&slow, &value, NULL), BIDE_ELAGGED);
  CHECK_INT(bide_subscription_try_recv(&slow, &value, NULL), 0);
  CHECK_INT(value, 1);
  bide_subscription_wait(&slow, &wait);
  CHECK_INT(wait.future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(bide_subscription_try_recv(&slow, &value, NULL), 0);
  bide_broadcast_close(&broadcast);
  bide_subscription_wait(&slow, &wait);
  CHECK_INT(wait.future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(bide_subscription_try_recv(&slow, &value, NULL), BIDE_EOF);
  harness_loop_close(loop);
}

/* ---- virtual time ---- */

typedef struct nested {
  bide_loop *loop;
  bide_virtual time;
  bide_call call;
  bide_future never;
  int answer;
} nested;

static void corners_run_again(bide_call *call) {
  nested *self = BIDE_CONTAINER_OF(call, nested, call);
  self->answer = bide_virtual_run(self->loop, &self->time, &self->never);
}

static void corners_virtual_time(void) {
  nested self = {.call = {.cb = corners_run_again}};
  bide_virtual_init(&self.time, 1000);
  self.loop = harness_loop_hooked(&self.time.hooks);
  bide_future_init(&self.never, self.loop);
  bide_loop_call_soon(self.loop, &self.call);
  CHECK_INT(bide_virtual_advance(self.loop, &self.time, 0), 0);
  CHECK_INT(self.answer, BIDE_ERUNNING);
  CHECK_INT(bide_virtual_run(self.loop, &self.time, &self.never), BIDE_EDEADLK);
  bide_sleep sleep;
  bide_sleep_start(self.loop, &sleep, 500);
  CHECK_INT(bide_virtual_advance(self.loop, &self.time, 100), 0);
  CHECK(!bide_future_is_settled(&sleep.future));
  CHECK_INT(bide_virtual_advance(self.loop, &self.time, 100000), 0);
  CHECK_INT(sleep.future.error, 0);
  CHECK_INT(self.time.now_us, 1000 + 100 + 100000);
  /* Without a timer it waits for what is in flight. */
  bide_io io = {.op = {0}};
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_prep_poll(&io.op, fds[0], POLLOUT);
  bide_io_start(self.loop, &io);
  CHECK_INT(bide_virtual_run(self.loop, &self.time, &io.future), 0);
  net_close_pair(self.loop, fds);
  harness_loop_close(self.loop);
}

/* ---- which backend ---- */

static void corners_with(const char *wanted, uint32_t flags, int expected,
                         const char *name, const char *reason) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  bide_loop *loop = NULL;
  options.flags = flags;
  if (wanted == NULL)
    unsetenv("BIDE_BACKEND");
  else
    setenv("BIDE_BACKEND", wanted, 1);
  CHECK_INT(bide_loop_new(&options, &loop), expected);
  if (loop == NULL) return;
  if (name != NULL) CHECK_STR(bide_loop_backend(loop), name);
  CHECK(strstr(bide_loop_backend_reason(loop), reason) != NULL);
  harness_loop_close(loop);
}

#if defined(__GLIBC__)
/* The kernel's release, when a test says another. */
static const char *corners_release;

int uname(struct utsname *kernel) {
  int (*real)(struct utsname *);
  *(void **)(void *)&real = dlsym(RTLD_NEXT, "uname");
  int result = real(kernel);
  if (corners_release != NULL)
    snprintf(kernel->release, sizeof kernel->release, "%s", corners_release);
  return result;
}
#endif

static void corners_backends(void) {
  const char *before = getenv("BIDE_BACKEND");
  char *kept = before != NULL ? strdup(before) : NULL;
  corners_with("bogus", 0, BIDE_EINVAL, NULL, "");
  corners_with("", 0, 0, NULL, "");
  corners_with(NULL, 0, 0, NULL, "");
  corners_with(NULL, BIDE_LOOP_RING_FOR_FILES, 0, NULL, "");
  corners_with("epoll", 0, 0, "epoll", "BIDE_BACKEND in the environment");
#if defined(__GLIBC__)
  corners_release = "5.4.0-old";
  corners_with("auto", 0, 0, "epoll", "Linux 5.4 is older than 6.1");
  corners_with("io_uring", 0, BIDE_ENOSYS, NULL, "");
  corners_release = "6.0.1";
  corners_with("auto", 0, 0, "epoll", "Linux 6.0 is older than 6.1");
  corners_release = "nameless";
  corners_with("auto", 0, 0, "epoll", "older");
  corners_release = NULL;
#endif
  if (kept != NULL)
    setenv("BIDE_BACKEND", kept, 1);
  else
    unsetenv("BIDE_BACKEND");
  free(kept);
}

/* ---- a debugged task ---- */

typedef struct debugged {
  bide_task task;
  bide_future settled;
  int left;
} debugged;

static bide_poll debugged_poll(bide_task *task) {
  debugged *self = BIDE_FRAME(task, debugged, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) BIDE_AWAIT(task, &self->settled);
  BIDE_AWAIT_SHIELDED(task, &self->settled);
  BIDE_ASYNC_END(task, 0);
}

/* The budget holds under debug as well, and a shielded await of what is settled returns. */
static void corners_debugged_budget(void) {
  bide_loop *loop = harness_loop_new();
  bide_debug_options options = {.size = sizeof options, .report = corners_report};
  debugged self = {.left = 3 * BIDE_TASK_BUDGET};
  bide_metrics metrics;
  REQUIRE(bide_debug_start(loop, &options) == 0);
  CHECK_INT(bide_debug_start(loop, &options), BIDE_EALREADY);
  bide_future_init(&self.settled, loop);
  bide_future_resolve(&self.settled, 0);
  bide_task_spawn(loop, &self.task, debugged_poll);
  CHECK_INT(bide_block_on(&self.task.future), 0);
  bide_metrics_get(loop, &metrics);
  CHECK_RANGE(metrics.calls, 3, 10);
  harness_loop_close(loop);
}

/* ---- histograms ---- */

/* A callback that holds the loop, for the histograms to show; nothing waits for its end. */
static void corners_stall(bide_call *call) {
  (void)call;
  usleep(3000);
}

static void corners_histograms(void) {
  bide_loop *loop = harness_loop_new();
  bide_call calls[2] = {{.cb = corners_stall}, {.cb = corners_stall}};
  bide_metrics metrics;
  REQUIRE(bide_metrics_time(loop, true) == 0);
  for (int round = 0; round < 2; round++) {
    bide_loop_call_soon(loop, &calls[0]);
    bide_loop_call_soon(loop, &calls[1]);
    REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
    REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
    REQUIRE(bide_metrics_time(loop, round == 0) == 0); /* zeroes them, then keeps them */
  }
  bide_metrics_get(loop, &metrics);
  /* A busy machine may make one call so long that the turn is cut before the other. */
  CHECK_RANGE(metrics.turn.longest_us, 3000, 60000000);
  CHECK_RANGE(metrics.ready_wait.longest_us, 3000, 60000000);
  CHECK_RANGE(bide_histogram_quantile_us(&metrics.turn, 1.0), 3000, 60000000);
  bide_histogram empty = {.sum_us = 0}, longest = {.longest_us = UINT64_MAX};
  longest.counts[BIDE_HISTOGRAM_BUCKETS - 1] = 1;
  CHECK_INT(bide_histogram_quantile_us(&empty, 0.5), 0);
  CHECK(bide_histogram_quantile_us(&longest, 0.5) == UINT64_MAX);
  harness_loop_close(loop);
}

/* A receive that waits keeps none of the others from being sampled, and counts at its end. */
static void corners_operations_are_timed(void) {
  bide_loop *loop = harness_loop_new();
  bide_histogram received, timeouts;
  bide_op waiting = {0}, timeout = {0};
  char byte;
  int fds[2];
  bide_metrics_get_operation(loop, BIDE_OP_RECV, &received);
  CHECK_INT(received.longest_us, 0);
  REQUIRE(bide_metrics_time(loop, true) == 0);
  net_tcp_pair(fds, O_NONBLOCK);
  bide_prep_recv(&waiting, fds[0], &byte, 1, 0);
  REQUIRE(bide_loop_submit(loop, &waiting) == 0);
  for (int i = 0; i < 3; i++) {
    bide_prep_timeout(&timeout, 500);
    CHECK_INT(net_do(loop, &timeout), BIDE_ETIME);
  }
  bide_metrics_get_operation(loop, BIDE_OP_RECV, &received);
  bide_metrics_get_operation(loop, BIDE_OP_TIMEOUT, &timeouts);
  CHECK_INT(received.sum_us, 0);
  CHECK_RANGE(timeouts.sum_us, 1500, 60000000);
  CHECK_INT(write(fds[1], "x", 1), 1);
  CHECK_INT(net_finish(loop, &waiting), 1);
  bide_metrics_get_operation(loop, BIDE_OP_RECV, &received);
  CHECK_RANGE(received.longest_us, 1500, 60000000);
  REQUIRE(bide_metrics_time(loop, false) == 0);
  bide_prep_timeout(&timeout, 1);
  CHECK_INT(net_do(loop, &timeout), BIDE_ETIME);
  bide_histogram after;
  bide_metrics_get_operation(loop, BIDE_OP_TIMEOUT, &after);
  CHECK_INT(after.sum_us, timeouts.sum_us);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(corners_without_memory),
    HARNESS_TEST(corners_after_fork),
    HARNESS_TEST(corners_options_that_cannot_be),
    HARNESS_TEST(corners_runtimes_that_cannot_be),
    HARNESS_TEST(corners_sockets_that_cannot_be),
    HARNESS_TEST(corners_small_answers),
    HARNESS_TEST(corners_closed_watches_and_broadcasts),
    HARNESS_TEST(corners_virtual_time),
    HARNESS_TEST(corners_backends),
    HARNESS_TEST(corners_debugged_budget),
    HARNESS_TEST(corners_histograms),
    HARNESS_TEST(corners_operations_are_timed),
};

int main(int argc, char **argv) {
  if (bide_set_allocator(refuse_memory, NULL) < 0) return 1;
  return HARNESS_MAIN(tests, argc, argv);
}
