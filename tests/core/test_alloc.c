/* The hot path allocates nothing: a million echoes, resumes and timers, with every call of
 * malloc, calloc, realloc and mmap in the process counted. */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "net_pair.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    defined(BIDE_VALGRIND) || !defined(__GLIBC__)
/* Those tools stand between the program and its allocator themselves, and the calls behind
 * malloc are glibc's own. */
int main(void) {
  printf("not counted under a sanitizer or valgrind, nor without glibc\n");
  return 77;
}
#else

static size_t alloc_calls;

/* One of the builds does the whole million. */
static size_t alloc_times(void) {
  const char *variant = getenv("BIDE_TEST_VARIANT");
  bool tenth = variant != NULL && strcmp(variant, "one") == 0;
  return tenth ? 100000 : harness_scale(1000000);
}

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *pointer, size_t bytes);

void *malloc(size_t bytes) {
  alloc_calls++;
  return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
  alloc_calls++;
  return __libc_calloc(count, bytes);
}

void *realloc(void *pointer, size_t bytes) {
  alloc_calls++;
  return __libc_realloc(pointer, bytes);
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  alloc_calls++;
  return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

/* The counters themselves count: a test that cannot fail would be worth nothing. */
static void alloc_counters_count(void) {
  size_t before = alloc_calls;
  void *volatile block = malloc(10);
  block = realloc(block, 20);
  free(block);
  void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(map, 4096);
  CHECK_INT(alloc_calls - before, 3);
}

typedef struct alloc_echo {
  bide_loop *loop;
  bide_op serve_recv, serve_send, ask_send, ask_recv;
  char out[64], back[64], in[64];
  size_t left;
} alloc_echo;

static void alloc_served(bide_op *op) {
  alloc_echo *echo = op->data;
  if (op->result <= 0) return;
  memcpy(echo->back, op->buffer, (size_t)op->result);
  bide_buffer_release(echo->loop, op->buffer_id);
  bide_prep_send(&echo->serve_send, op->fd, echo->back, (size_t)op->result, 0);
  REQUIRE(bide_loop_submit(echo->loop, &echo->serve_send) == 0);
}

static void alloc_ask(alloc_echo *echo) {
  bide_prep_send(&echo->ask_send, echo->ask_send.fd, echo->out, sizeof echo->out, 0);
  bide_prep_recv(&echo->ask_recv, echo->ask_recv.fd, echo->in, sizeof echo->in, 0);
  REQUIRE(bide_loop_submit(echo->loop, &echo->ask_send) == 0);
  REQUIRE(bide_loop_submit(echo->loop, &echo->ask_recv) == 0);
}

static void alloc_answered(bide_op *op) {
  alloc_echo *echo = op->data;
  REQUIRE(op->result == (int32_t)sizeof echo->in);
  if (--echo->left == 0)
    bide_loop_stop(echo->loop);
  else
    alloc_ask(echo);
}

static void alloc_run_echoes(alloc_echo *echo, size_t count) {
  echo->left = count;
  alloc_ask(echo);
  REQUIRE(bide_loop_run(echo->loop, BIDE_RUN_UNTIL_STOPPED) == 0);
}

static void alloc_no_echo_allocates(void) {
  static alloc_echo echo;
  int fds[2];
  echo.loop = harness_loop_new();
  net_tcp_pair(fds, O_NONBLOCK);
  echo.serve_recv = (bide_op){.cb = alloc_served, .data = &echo};
  echo.serve_send = (bide_op){.data = &echo};
  echo.ask_send = (bide_op){.data = &echo, .fd = fds[1]};
  echo.ask_recv = (bide_op){.cb = alloc_answered, .data = &echo, .fd = fds[1]};
  bide_prep_recv_multi(&echo.serve_recv, fds[0]);
  REQUIRE(bide_loop_submit(echo.loop, &echo.serve_recv) == 0);
  alloc_run_echoes(&echo, 100);
  size_t before = alloc_calls;
  alloc_run_echoes(&echo, alloc_times());
  CHECK_INT(alloc_calls - before, 0);
  REQUIRE(bide_loop_drain(echo.loop) == 0);
  net_close_pair(echo.loop, fds);
  harness_loop_close(echo.loop);
}

typedef struct alloc_worker {
  bide_task task;
  bide_sleep sleep;
  bide_timer timer;
  bide_io io;
  size_t left;
} alloc_worker;

static void alloc_never(bide_timer *timer) { (void)timer; }

static bide_poll alloc_work(bide_task *task) {
  alloc_worker *self = BIDE_FRAME(task, alloc_worker, task);
  BIDE_ASYNC_BEGIN(task);
  for (; self->left > 0; self->left--) {
    bide_timer_start(task->future.loop, &self->timer, 1000000 + self->left);
    BIDE_YIELD(task);
    BIDE_AWAIT_SLEEP(task, &self->sleep, 0);
    bide_prep_nop(&self->io.op);
    BIDE_AWAIT_IO(task, &self->io);
    bide_timer_stop(task->future.loop, &self->timer);
  }
  BIDE_ASYNC_END(task, 0);
}

static void alloc_no_resume_or_timer_allocates(void) {
  static alloc_worker worker;
  bide_loop *loop = harness_loop_new();
  worker.timer.cb = alloc_never;
  worker.left = 100;
  REQUIRE(bide_task_spawn(loop, &worker.task, alloc_work) == 0);
  REQUIRE(bide_block_on(&worker.task.future) == 0);
  size_t before = alloc_calls;
  worker.left = alloc_times();
  REQUIRE(bide_task_spawn(loop, &worker.task, alloc_work) == 0);
  REQUIRE(bide_block_on(&worker.task.future) == 0);
  CHECK_INT(alloc_calls - before, 0);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(alloc_counters_count),
    HARNESS_TEST(alloc_no_echo_allocates),
    HARNESS_TEST(alloc_no_resume_or_timer_allocates),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
#endif
