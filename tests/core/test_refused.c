/* Kernels and containers that refuse system calls: a loop falls back, or one operation
 * fails, and nothing hangs. A seccomp filter refuses; it cannot be taken back, so that each
 * test lives in a child of its own. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net_pair.h"

enum {
  REFUSED_EPOLL_PWAIT2 = 441,
  REFUSED_RING_SETUP = 425,
  REFUSED_RING_REGISTER = 427
};

static void refused_install(unsigned number, int error) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void refused_in_child(void (*run)(void)) {
  const char *variant = getenv("BIDE_TEST_VARIANT");
  if (variant != NULL && strcmp(variant, "valgrind") == 0) return; /* needs them itself */
  fflush(stdout);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    harness_failures = 0;
    alarm(10);
    run();
    fflush(stdout);
    harness_leave(harness_failures > 0);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_INT(status, 0);
}

static bide_loop *refused_loop(bide_backend backend) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  options.backend = backend;
  bide_loop *loop = NULL;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  return loop;
}

/* Ten timeouts of 300 us: none early, none as late as a lost wake would be. */
static void refused_keep_time(void) {
  bide_loop *loop = refused_loop(BIDE_BACKEND_EPOLL);
  for (int i = 0; i < 10; i++) {
    bide_op op = {0};
    uint64_t began_us = bide_loop_now_us(loop);
    bide_prep_timeout(&op, 300);
    CHECK_INT(net_do(loop, &op), BIDE_ETIME);
    CHECK_RANGE(bide_loop_now_us(loop) - began_us, 300, 1000000);
  }
  harness_loop_close(loop);
}

static void refused_pwait2(void) {
  refused_install(REFUSED_EPOLL_PWAIT2, ENOSYS);
  refused_keep_time();
}

static void refused_pwait2_and_timerfd(void) {
  refused_install(REFUSED_EPOLL_PWAIT2, ENOSYS);
  refused_install(SYS_timerfd_create, EMFILE);
  refused_keep_time();
}

/* Linux before 5.11, and a process without a descriptor left: the timers go on. */
static void refused_pwait2_costs_no_timer(void) { refused_in_child(refused_pwait2); }
static void refused_timerfd_costs_no_timer(void) {
  refused_in_child(refused_pwait2_and_timerfd);
}

static void refused_ring(void) {
  refused_install(REFUSED_RING_SETUP, EPERM);
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  options.backend = BIDE_BACKEND_IO_URING;
  bide_loop *loop = NULL;
  int error = bide_loop_new(&options, &loop);
  CHECK(error == BIDE_EPERM || error == BIDE_ENOSYS); /* the latter on an old kernel */
  CHECK(loop == NULL);
  unsetenv("BIDE_BACKEND");
  loop = refused_loop(BIDE_BACKEND_AUTO);
  CHECK_STR(bide_loop_backend(loop), "epoll");
  const char *reason = bide_loop_backend_reason(loop);
  CHECK(strstr(reason, bide_error_name(error)) != NULL);
  harness_loop_close(loop);
}

/* A container that refuses io_uring: a demand fails, and auto falls back and says why. */
static void refused_ring_falls_back(void) { refused_in_child(refused_ring); }

static void refused_buffers(void) {
  refused_install(REFUSED_RING_REGISTER, ENOMEM);
  bide_loop *loop = harness_loop_new();
  bool ring = strcmp(bide_loop_backend(loop), "io_uring") == 0;
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op op = {0};
  bide_prep_recv_multi(&op, fds[0]);
  CHECK_INT(bide_loop_submit(loop, &op), ring ? BIDE_ENOMEM : 0);
  REQUIRE(bide_loop_drain(loop) == 0);
  char byte;
  bide_prep_recv(&op, fds[0], &byte, 1, 0);
  CHECK_INT(write(fds[1], "x", 1), 1);
  CHECK_INT(net_do(loop, &op), 1);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* No memory for pooled buffers: the multishot receive fails, its socket does not. */
static void refused_buffers_cost_one_operation(void) {
  refused_in_child(refused_buffers);
}

static const harness_test tests[] = {
    HARNESS_TEST(refused_pwait2_costs_no_timer),
    HARNESS_TEST(refused_timerfd_costs_no_timer),
    HARNESS_TEST(refused_ring_falls_back),
    HARNESS_TEST(refused_buffers_cost_one_operation),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
