/* test_poll.c: waiting for readiness, on fds of one's own and on those of others. */
#include <bide.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "harness.h"
#include "harness_loop.h"
#include "net_pair.h"

typedef void (*poll_prep)(bide_op *op, int fd, unsigned events);

static const poll_prep poll_preps[] = {bide_prep_poll, bide_prep_poll_foreign};
enum { POLL_PREPS = 2 };

static void poll_check_level(poll_prep prep) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op op = {0};
  prep(&op, fds[0], POLLIN);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  net_settle(loop);
  CHECK_INT(op.state, BIDE_OP_SUBMITTED);
  CHECK_INT(write(fds[1], "x", 1), 1);
  CHECK_INT(net_finish(loop, &op), POLLIN);
  for (int i = 0; i < 3; i++) {
    prep(&op, fds[0], POLLIN);
    CHECK_INT(net_do(loop, &op), POLLIN);
  }
  prep(&op, fds[0], POLLIN | POLLOUT);
  CHECK_INT(net_do(loop, &op), POLLIN | POLLOUT);
  close(fds[1]);
  prep(&op, fds[0], POLLRDHUP);
  CHECK((net_do(loop, &op) & POLLRDHUP) != 0);
  bide_loop_close_fd(loop, fds[0]);
  int file = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
  prep(&op, file, POLLIN);
  CHECK_INT(net_do(loop, &op), POLLIN);
  bide_loop_close_fd(loop, file);
  prep(&op, 9999, POLLIN);
  CHECK_INT(net_do(loop, &op), BIDE_EBADF);
  prep(&op, -1, POLLIN);
  CHECK_INT(net_do(loop, &op), BIDE_EBADF);
  harness_loop_close(loop);
}

static void poll_is_level_triggered(void) {
  for (int i = 0; i < POLL_PREPS; i++) poll_check_level(poll_preps[i]);
}

/* A reader and a writer poll the same fd; a receive shares it with both. */
static void poll_check_sharing(poll_prep prep) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op reader = {0}, writer = {0}, recv_op = {0};
  prep(&reader, fds[0], POLLIN);
  REQUIRE(bide_loop_submit(loop, &reader) == 0);
  prep(&writer, fds[0], POLLOUT);
  CHECK_INT(net_do(loop, &writer), POLLOUT);
  CHECK_INT(reader.state, BIDE_OP_SUBMITTED);
  char byte;
  bide_prep_recv(&recv_op, fds[0], &byte, 1, 0);
  REQUIRE(bide_loop_submit(loop, &recv_op) == 0);
  net_settle(loop);
  prep(&writer, fds[0], POLLOUT);
  CHECK_INT(net_do(loop, &writer), POLLOUT);
  CHECK_INT(write(fds[1], "x", 1), 1);
  CHECK_INT(net_finish(loop, &recv_op), 1);
  CHECK_INT(write(fds[1], "y", 1), 1);
  CHECK_INT(net_finish(loop, &reader) & POLLIN, POLLIN);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static void poll_shares_its_fd(void) {
  for (int i = 0; i < POLL_PREPS; i++) poll_check_sharing(poll_preps[i]);
}

/* The fd is closed by its owner and its number reused: a poll on the number tells of the
 * new file alone. */
static void poll_foreign_follows_a_reused_number(void) {
  bide_loop *loop = harness_loop_new();
  for (int i = 0; i < 50; i++) {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    bide_op op = {0}, left = {0};
    CHECK_INT(write(fds[1], "x", 1), 1);
    bide_prep_poll_foreign(&op, fds[0], POLLIN);
    CHECK_INT(net_do(loop, &op), POLLIN);
    bide_prep_poll_foreign(&left, fds[0], POLLPRI);
    REQUIRE(bide_loop_submit(loop, &left) == 0);
    net_settle(loop);
    close(fds[0]);
    int again[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, again) == 0);
    REQUIRE(again[0] == fds[0]);
    bide_prep_poll_foreign(&op, again[0], POLLIN);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    net_settle(loop);
    CHECK_INT(op.state, BIDE_OP_SUBMITTED);
    CHECK_INT(bide_loop_cancel(loop, &left), 0);
    CHECK_INT(net_finish(loop, &left), BIDE_ECANCELED);
    CHECK_INT(write(again[1], "y", 1), 1);
    CHECK_INT(net_finish(loop, &op), POLLIN);
    close(again[0]);
    close(again[1]);
    close(fds[1]);
  }
  harness_loop_close(loop);
}

/* The file lives on as a duplicate of the number that was closed, and the epoll set cannot
 * let it go: what comes for it must not wake a poll on the file that has the number now. */
static void poll_foreign_is_not_woken_by_a_duplicate(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2], again[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op op = {0};
  bide_prep_poll_foreign(&op, fds[0], POLLIN);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  net_settle(loop);
  int twin = dup(fds[0]);
  close(fds[0]);
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, again) == 0);
  REQUIRE(again[0] == fds[0]);
  CHECK_INT(bide_loop_cancel(loop, &op), 0);
  CHECK_INT(net_finish(loop, &op), BIDE_ECANCELED);
  bide_prep_poll_foreign(&op, again[0], POLLIN);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  CHECK_INT(write(fds[1], "x", 1), 1);
  net_settle(loop);
  CHECK_INT(op.state, BIDE_OP_SUBMITTED);
  CHECK_INT(write(again[1], "y", 1), 1);
  CHECK_INT(net_finish(loop, &op), POLLIN);
  close(twin);
  close(fds[1]);
  close(again[0]);
  close(again[1]);
  harness_loop_close(loop);
}

/* Who waits for a file that has lost its number goes on waiting, whatever comes for the file
 * that has it now; and the other way round, when a duplicate keeps the first one alive. */
static void poll_foreign_tells_files_of_one_number_apart(void) {
  for (int duplicated = 0; duplicated < 2; duplicated++) {
    bide_loop *loop = harness_loop_new();
    int fds[2], again[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    bide_op before = {0}, after = {0};
    bide_prep_poll_foreign(&before, fds[0], POLLIN);
    REQUIRE(bide_loop_submit(loop, &before) == 0);
    net_settle(loop);
    int twin = duplicated ? dup(fds[0]) : -1;
    close(fds[0]);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, again) == 0);
    REQUIRE(again[0] == fds[0]);
    bide_prep_poll_foreign(&after, again[0], POLLIN);
    REQUIRE(bide_loop_submit(loop, &after) == 0);
    if (duplicated) CHECK_INT(write(fds[1], "x", 1), 1);
    net_settle(loop);
    CHECK_INT(after.state, BIDE_OP_SUBMITTED);
    CHECK_INT(write(again[1], "y", 1), 1);
    CHECK_INT(net_finish(loop, &after), POLLIN);
    net_settle(loop);
    REQUIRE(before.state == BIDE_OP_SUBMITTED);
    if (duplicated)
      CHECK_INT(bide_loop_cancel(loop, &before), 0);
    else
      bide_loop_forget_fd(loop, again[0]);
    CHECK_INT(net_finish(loop, &before), BIDE_ECANCELED);
    if (duplicated) close(twin);
    close(fds[1]);
    close(again[0]);
    close(again[1]);
    harness_loop_close(loop);
  }
}

/* The first file, alive as a duplicate, gets its number back from one that was closed there:
 * who waited for that one is not told of the first one's bytes. Whether it was a poll of the
 * first file that met the second, or its cancel. */
static void poll_foreign_knows_a_file_that_comes_back(void) {
  for (int cancelled = 0; cancelled < 2; cancelled++) {
    bide_loop *loop = harness_loop_new();
    int fds[2], between[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    bide_op first = {0}, second = {0}, third = {0};
    bide_prep_poll_foreign(&first, fds[0], POLLIN);
    REQUIRE(bide_loop_submit(loop, &first) == 0);
    net_settle(loop);
    int twin = dup(fds[0]);
    close(fds[0]);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, between) == 0);
    REQUIRE(between[0] == fds[0]);
    if (cancelled) {
      CHECK_INT(bide_loop_cancel(loop, &first), 0);
      CHECK_INT(net_finish(loop, &first), BIDE_ECANCELED);
    }
    bide_prep_poll_foreign(&second, between[0], POLLIN);
    REQUIRE(bide_loop_submit(loop, &second) == 0);
    net_settle(loop);
    REQUIRE(dup2(twin, fds[0]) == fds[0]);
    bide_prep_poll_foreign(&third, fds[0], POLLIN);
    REQUIRE(bide_loop_submit(loop, &third) == 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_INT(net_finish(loop, &third), POLLIN);
    net_settle(loop);
    CHECK_INT(second.state, BIDE_OP_SUBMITTED);
    bide_loop_cancel(loop, &second);
    CHECK_INT(net_finish(loop, &second), BIDE_ECANCELED);
    if (!cancelled) {
      CHECK_INT(bide_loop_cancel(loop, &first), 0);
      CHECK_INT(net_finish(loop, &first), BIDE_ECANCELED);
    }
    close(twin);
    close(fds[0]);
    close(fds[1]);
    close(between[1]);
    harness_loop_close(loop);
  }
}

/* Who closes a socket that a loop merely watches has closed it: its peer reads the end of
 * the stream, though the poll is still there. */
static void poll_foreign_holds_no_file_open(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op op = {0};
  bide_prep_poll_foreign(&op, fds[0], POLLIN);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  net_settle(loop);
  close(fds[0]);
  struct pollfd peer = {fds[1], POLLIN, 0};
  CHECK_INT(poll(&peer, 1, 5000), 1);
  char byte;
  CHECK_INT(read(fds[1], &byte, 1), 0);
  net_settle(loop);
  CHECK_INT(op.state, BIDE_OP_SUBMITTED);
  CHECK_INT(bide_loop_cancel(loop, &op), 0);
  CHECK_INT(net_finish(loop, &op), BIDE_ECANCELED);
  close(fds[1]);
  harness_loop_close(loop);
}

/* More fds become ready at once than one look at the set takes. */
static void poll_foreign_wakes_hundreds_at_once(void) {
  enum { COUNT = 200, ROUNDS = 3 };
  bide_loop *loop = harness_loop_new();
  int fds[COUNT][2];
  bide_op *ops = calloc(COUNT, sizeof *ops);
  for (int i = 0; i < COUNT; i++)
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]) == 0);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < COUNT; i++) {
      bide_prep_poll_foreign(&ops[i], fds[i][0], POLLIN);
      REQUIRE(bide_loop_submit(loop, &ops[i]) == 0);
    }
    net_settle(loop);
    for (int i = 0; i < COUNT; i++) CHECK_INT(write(fds[i][1], "x", 1), 1);
    char byte;
    for (int i = 0; i < COUNT; i++) CHECK_INT(net_finish(loop, &ops[i]), POLLIN);
    for (int i = 0; i < COUNT; i++) CHECK_INT(read(fds[i][0], &byte, 1), 1);
  }
  for (int i = 0; i < COUNT; i++) {
    close(fds[i][0]);
    close(fds[i][1]);
  }
  free(ops);
  harness_loop_close(loop);
}

typedef struct poll_pair {
  bide_op op;
  struct poll_pair *other;
  int calls;
} poll_pair;

static void poll_on_event(bide_op *op) {
  poll_pair *pair = op->data;
  pair->calls++;
  bide_loop_cancel(op->loop_, &pair->other->op);
}

/* Two are ready in one batch and the first to be called cancels the second: each ends
 * once. */
static void poll_cancel_within_a_batch_ends_once(void) {
  for (int i = 0; i < POLL_PREPS; i++) {
    bide_loop *loop = harness_loop_new();
    int fds[2];
    net_tcp_pair(fds, O_NONBLOCK);
    poll_pair a = {0}, b = {0};
    a.other = &b;
    b.other = &a;
    a.op.data = &a;
    b.op.data = &b;
    poll_preps[i](&a.op, fds[0], POLLIN);
    poll_preps[i](&b.op, fds[0], POLLIN);
    a.op.cb = b.op.cb = poll_on_event;
    REQUIRE(bide_loop_submit(loop, &a.op) == 0);
    REQUIRE(bide_loop_submit(loop, &b.op) == 0);
    net_settle(loop);
    CHECK_INT(write(fds[1], "x", 1), 1);
    net_finish(loop, &a.op);
    net_finish(loop, &b.op);
    net_settle(loop);
    CHECK_INT(a.calls, 1);
    CHECK_INT(b.calls, 1);
    net_close_pair(loop, fds);
    harness_loop_close(loop);
  }
}

/* A process without a descriptor left can still wait for those it has. */
static void poll_foreign_needs_no_descriptor(void) {
  const char *variant = getenv("BIDE_TEST_VARIANT");
  if (variant != NULL && strcmp(variant, "valgrind") == 0)
    return; /* has fds of its own */
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  struct rlimit before, none;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  none = before;
  none.rlim_cur = 0;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  bide_op op = {0};
  bide_prep_poll_foreign(&op, fds[0], POLLOUT);
  CHECK_INT(net_do(loop, &op), POLLOUT);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* A forked child that closes its copy of the loop takes nothing from its parent's. */
static void poll_foreign_outlives_a_child(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op op = {0};
  bide_prep_poll_foreign(&op, fds[0], POLLIN);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  net_settle(loop);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    bide_loop_close_fd(loop, fds[0]);
    harness_leave(bide_loop_close(loop) == 0 ? 0 : 1);
  }
  int status = -1;
  CHECK_INT(waitpid(child, &status, 0), child);
  CHECK_INT(status, 0);
  CHECK_INT(write(fds[1], "x", 1), 1);
  CHECK_INT(net_finish(loop, &op), POLLIN);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(poll_is_level_triggered),
    HARNESS_TEST(poll_shares_its_fd),
    HARNESS_TEST(poll_foreign_follows_a_reused_number),
    HARNESS_TEST(poll_foreign_is_not_woken_by_a_duplicate),
    HARNESS_TEST(poll_foreign_tells_files_of_one_number_apart),
    HARNESS_TEST(poll_foreign_knows_a_file_that_comes_back),
    HARNESS_TEST(poll_foreign_holds_no_file_open),
    HARNESS_TEST(poll_foreign_wakes_hundreds_at_once),
    HARNESS_TEST(poll_cancel_within_a_batch_ends_once),
    HARNESS_TEST(poll_foreign_needs_no_descriptor),
    HARNESS_TEST(poll_foreign_outlives_a_child),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
