/* Every kind of operation, on real sockets, pipes and files, with guarded buffers. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "guarded.h"
#include "net_pair.h"

static void ops_nop_completes_at_the_next_turn(void) {
  bide_loop *loop = harness_loop_new();
  bide_op op = {0};
  bide_prep_nop(&op);
  CHECK_INT(bide_loop_submit(loop, &op), 0);
  CHECK_INT(op.state, BIDE_OP_SUBMITTED);
  CHECK_INT(bide_loop_submit(loop, &op), BIDE_EINVAL);
  CHECK_INT(bide_loop_in_flight(loop), 1);
  CHECK_INT(net_finish(loop, &op), 0);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  harness_loop_close(loop);
}

static void ops_connect_and_accept_meet(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address, peer = {.len = sizeof peer.storage};
  int listener = net_listen(&address);
  int client = bide_socket_stream(&address);
  bide_op accept_op = {0}, connect_op = {0};
  bide_prep_accept(&accept_op, listener, (struct sockaddr *)&peer.storage, &peer.len);
  REQUIRE(bide_loop_submit(loop, &accept_op) == 0);
  net_settle(loop);
  CHECK_INT(accept_op.state, BIDE_OP_SUBMITTED);
  bide_prep_connect(&connect_op, client, (struct sockaddr *)&address.storage,
                    address.len);
  CHECK_INT(net_do(loop, &connect_op), 0);
  int server = net_finish(loop, &accept_op);
  CHECK(server >= 0);
  CHECK((fcntl(server, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((fcntl(server, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK_INT(peer.storage.ss_family, AF_INET);
  bide_op close_op = {0};
  bide_prep_close(&close_op, server);
  CHECK_INT(net_do(loop, &close_op), 0);
  CHECK_INT(fcntl(server, F_GETFD), -1);
  bide_loop_close_fd(loop, client);
  bide_loop_close_fd(loop, listener);
  harness_loop_close(loop);
}

static void ops_connect_reports_a_refusal(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int listener = net_listen(&address);
  close(listener);
  int client = bide_socket_stream(&address);
  bide_op op = {0};
  bide_prep_connect(&op, client, (struct sockaddr *)&address.storage, address.len);
  CHECK_INT(net_do(loop, &op), BIDE_ECONNREFUSED);
  bide_loop_close_fd(loop, client);
  harness_loop_close(loop);
}

static void ops_connect_takes_a_blocking_socket(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int listener = net_listen(&address);
  int client = socket(AF_INET, SOCK_STREAM, 0);
  bide_op op = {0};
  bide_prep_connect(&op, client, (struct sockaddr *)&address.storage, address.len);
  CHECK_INT(net_do(loop, &op), 0);
  CHECK_INT(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
  bide_loop_close_fd(loop, client);
  bide_loop_close_fd(loop, listener);
  harness_loop_close(loop);
}

/* A receive that must wait, on blocking and on non-blocking sockets. */
static void ops_recv_waits_for_bytes(void) {
  for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
    bide_loop *loop = harness_loop_new();
    int fds[2];
    net_tcp_pair(fds, flags);
    char *buffer = guarded_new(16);
    bide_op op = {0};
    bide_prep_recv(&op, fds[0], buffer, 16, 0);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    net_settle(loop);
    CHECK_INT(op.state, BIDE_OP_SUBMITTED);
    CHECK_INT(write(fds[1], "hello", 5), 5);
    CHECK_INT(net_finish(loop, &op), 5);
    CHECK(memcmp(buffer, "hello", 5) == 0);
    guarded_free(buffer, 16);

    shutdown(fds[1], SHUT_WR);
    buffer = guarded_new(16);
    bide_prep_recv(&op, fds[0], buffer, 16, 0);
    CHECK_INT(net_do(loop, &op), 0);
    guarded_free(buffer, 16);
    net_close_pair(loop, fds);
    harness_loop_close(loop);
  }
}

/* Bytes and the end of the stream arrive together: the second receive must not wait for an
 * edge that has gone by. */
static void ops_recv_sees_the_end_behind_the_bytes(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  char buffer[64];
  bide_op op = {0};
  bide_prep_recv(&op, fds[0], buffer, sizeof buffer, 0);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  net_settle(loop);
  CHECK_INT(write(fds[1], "last", 4), 4);
  shutdown(fds[1], SHUT_WR);
  CHECK_INT(net_finish(loop, &op), 4);
  bide_prep_recv(&op, fds[0], buffer, sizeof buffer, 0);
  CHECK_INT(net_do(loop, &op), 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

typedef struct ops_accepted {
  bide_op op;
  int count;
  int fds[64];
} ops_accepted;

static void ops_accepted_take(bide_op *op) {
  ops_accepted *accepted = op->data;
  if (op->result >= 0) accepted->fds[accepted->count++] = op->result;
}

static void ops_accept_multi_takes_a_storm(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int listener = net_listen(&address);
  ops_accepted accepted = {0};
  accepted.op.cb = ops_accepted_take;
  accepted.op.data = &accepted;
  bide_prep_accept_multi(&accepted.op, listener);
  REQUIRE(bide_loop_submit(loop, &accepted.op) == 0);
  int clients[64];
  for (int i = 0; i < 64; i++) {
    clients[i] = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(connect(clients[i], (struct sockaddr *)&address.storage, address.len) == 0);
  }
  while (accepted.count < 64) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  CHECK_INT(bide_loop_cancel(loop, &accepted.op), 0);
  CHECK_INT(bide_loop_cancel(loop, &accepted.op), BIDE_EALREADY);
  CHECK_INT(net_finish(loop, &accepted.op), BIDE_ECANCELED);
  for (int i = 0; i < 64; i++) {
    close(clients[i]);
    bide_loop_close_fd(loop, accepted.fds[i]);
  }
  bide_loop_close_fd(loop, listener);
  harness_loop_close(loop);
}

static void ops_sendmsg_and_recvmsg_carry_datagrams(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) == 0);
  char in[2][8];
  for (int i = 0; i < 2; i++) {
    char *first = guarded_new(2), *second = guarded_new(3);
    memcpy(first, "ab", 2);
    memcpy(second, "cde", 3);
    struct iovec out_parts[2] = {{first, 2}, {second, 3}};
    struct msghdr out = {.msg_iov = out_parts, .msg_iovlen = 2};
    struct iovec in_part = {in[i], sizeof in[i]};
    struct msghdr into = {.msg_iov = &in_part, .msg_iovlen = 1};
    bide_op recv_op = {0}, send_op = {0};
    bide_prep_recvmsg(&recv_op, fds[0], &into, 0);
    REQUIRE(bide_loop_submit(loop, &recv_op) == 0);
    bide_prep_sendmsg(&send_op, fds[1], &out, 0);
    CHECK_INT(net_do(loop, &send_op), 5);
    CHECK_INT(net_finish(loop, &recv_op), 5);
    CHECK(memcmp(in[i], "abcde", 5) == 0);
    guarded_free(first, 2);
    guarded_free(second, 3);
  }
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static void ops_send_to_a_dead_peer_fails_alone(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  struct linger reset = {1, 0};
  setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fds[1]);
  bide_op op = {0};
  bide_prep_send(&op, fds[0], "x", 1, 0);
  int32_t result = net_do(loop, &op);
  CHECK(result == BIDE_ECONNRESET || result == BIDE_EPIPE);
  bide_prep_send(&op, fds[0], "x", 1, 0);
  CHECK_INT(net_do(loop, &op), BIDE_EPIPE);
  bide_loop_close_fd(loop, fds[0]);
  harness_loop_close(loop);
}

static void ops_pipe_reads_and_writes_wait(void) {
  for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
    bide_loop *loop = harness_loop_new();
    int fds[2];
    REQUIRE(pipe2(fds, O_CLOEXEC | flags) == 0);
    char *buffer = guarded_new(8);
    bide_op read_op = {0}, write_op = {0};
    bide_prep_read(&read_op, fds[0], buffer, 8, -1);
    REQUIRE(bide_loop_submit(loop, &read_op) == 0);
    net_settle(loop);
    CHECK_INT(read_op.state, BIDE_OP_SUBMITTED);
    bide_prep_write(&write_op, fds[1], "pipe", 4, -1);
    CHECK_INT(net_do(loop, &write_op), 4);
    CHECK_INT(net_finish(loop, &read_op), 4);
    CHECK(memcmp(buffer, "pipe", 4) == 0);

    /* More than the pipe holds: the writer waits for the reader, byte for byte. */
    char *data = guarded_new(200000), *back = guarded_new(200000);
    memset(data, 'x', 200000);
    size_t written = 0, got = 0;
    bide_prep_write(&write_op, fds[1], data, 200000, -1);
    REQUIRE(bide_loop_submit(loop, &write_op) == 0);
    while (got < 200000) {
      bide_prep_read(&read_op, fds[0], back + got, 200000 - got, -1);
      int32_t count = net_do(loop, &read_op);
      REQUIRE(count > 0);
      got += (size_t)count;
      if (write_op.state != BIDE_OP_DONE || written + (size_t)write_op.result >= 200000)
        continue;
      REQUIRE(write_op.result > 0);
      written += (size_t)write_op.result;
      bide_prep_write(&write_op, fds[1], data + written, 200000 - written, -1);
      REQUIRE(bide_loop_submit(loop, &write_op) == 0);
    }
    CHECK(net_finish(loop, &write_op) > 0);
    CHECK(memcmp(data, back, 200000) == 0);
    guarded_free(data, 200000);
    guarded_free(back, 200000);
    guarded_free(buffer, 8);
    net_close_pair(loop, fds);
    harness_loop_close(loop);
  }
}

static void ops_file_is_opened_written_read_and_stated(void) {
  bide_loop *loop = harness_loop_new();
  char path[] = "/tmp/bide-ops-XXXXXX";
  int made = mkstemp(path);
  REQUIRE(made >= 0);
  close(made);
  bide_op op = {0};
  bide_prep_openat(&op, AT_FDCWD, path, O_RDWR | O_TRUNC, 0600);
  int fd = net_do(loop, &op);
  REQUIRE(fd >= 0);
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  char *buffer = guarded_new(6);
  memcpy(buffer, "abcdef", 6);
  bide_prep_write(&op, fd, buffer, 6, 0);
  CHECK_INT(net_do(loop, &op), 6);
  bide_prep_write(&op, fd, buffer, 3, 6);
  CHECK_INT(net_do(loop, &op), 3);
  bide_prep_fsync(&op, fd, false);
  CHECK_INT(net_do(loop, &op), 0);
  bide_prep_fsync(&op, fd, true);
  CHECK_INT(net_do(loop, &op), 0);
  struct statx *status = guarded_new(sizeof *status);
  bide_prep_statx(&op, fd, "", AT_EMPTY_PATH, STATX_SIZE, status);
  CHECK_INT(net_do(loop, &op), 0);
  CHECK_INT(status->stx_size, 9);
  bide_prep_statx(&op, AT_FDCWD, path, 0, STATX_SIZE, status);
  CHECK_INT(net_do(loop, &op), 0);
  CHECK_INT(status->stx_size, 9);
  guarded_free(status, sizeof *status);

  bide_prep_read(&op, fd, buffer, 6, 4);
  CHECK_INT(net_do(loop, &op), 5);
  CHECK(memcmp(buffer, "efabc", 5) == 0);
  bide_prep_read(&op, fd, buffer, 4, -1);
  CHECK_INT(net_do(loop, &op), 4);
  bide_prep_read(&op, fd, buffer, 6, -1);
  CHECK_INT(net_do(loop, &op), 5);
  bide_prep_read(&op, fd, buffer, 6, -1);
  CHECK_INT(net_do(loop, &op), 0);
  guarded_free(buffer, 6);
  bide_prep_close(&op, fd);
  CHECK_INT(net_do(loop, &op), 0);
  unlink(path);
  harness_loop_close(loop);
}

static int ops_threads(void) {
  int count = 0;
  DIR *tasks = opendir("/proc/self/task");
  REQUIRE(tasks != NULL);
  while (readdir(tasks) != NULL) count++;
  closedir(tasks);
  return count;
}

/* What was just written is cached: reading it costs no thread, and a short count is the
 * file's end. */
static void ops_cached_reads_need_no_thread(void) {
  enum { BYTES = 10000 };
  static char bytes[BYTES], buffer[2 * BYTES];
  bide_loop *loop = harness_loop_new();
  char path[] = "/tmp/bide-test-ops-XXXXXX";
  int fd = mkstemp(path);
  REQUIRE(fd >= 0 && unlink(path) == 0);
  for (int i = 0; i < BYTES; i++) bytes[i] = (char)(i * 7);
  REQUIRE(write(fd, bytes, BYTES) == BYTES);
  struct iovec part = {buffer, 1};
  bool supported = preadv2(fd, &part, 1, 0, RWF_NOWAIT) == 1;
  int threads = ops_threads();
  bide_op op = {0};
  for (int offset = 0; offset <= BYTES + 1; offset += 1000) {
    int left = offset < BYTES ? BYTES - offset : 0;
    bide_prep_read(&op, fd, buffer, sizeof buffer, offset);
    CHECK_INT(net_do(loop, &op), left);
    CHECK(memcmp(buffer, bytes + BYTES - left, (size_t)left) == 0);
    bide_prep_read(&op, fd, buffer, 100, offset);
    CHECK_INT(net_do(loop, &op), left < 100 ? left : 100);
  }
  if (supported) CHECK_INT(ops_threads(), threads);
  bide_prep_read(&op, fd, buffer, 0, 0);
  CHECK_INT(net_do(loop, &op), 0);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

static void ops_errors_come_as_results(void) {
  bide_loop *loop = harness_loop_new();
  bide_op op = {0};
  char byte;
  bide_prep_openat(&op, AT_FDCWD, "/nonexistent/file", O_RDONLY, 0);
  CHECK_INT(net_do(loop, &op), BIDE_ENOENT);
  bide_prep_recv(&op, -1, &byte, 1, 0);
  CHECK_INT(net_do(loop, &op), BIDE_EBADF);
  bide_prep_read(&op, 9999, &byte, 1, 0);
  CHECK_INT(net_do(loop, &op), BIDE_EBADF);
  bide_prep_read(&op, 9999, &byte, 1, -1);
  CHECK_INT(net_do(loop, &op), BIDE_EBADF);
  bide_prep_poll(&op, 9999, POLLIN);
  CHECK_INT(net_do(loop, &op), BIDE_EBADF);
  bide_prep_close(&op, 9999);
  CHECK_INT(net_do(loop, &op), BIDE_EBADF);
  bide_prep_shutdown(&op, 9999, SHUT_WR);
  CHECK_INT(net_do(loop, &op), BIDE_EBADF);
  int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  bide_prep_recv(&op, fd, &byte, 1, 0);
  CHECK_INT(net_do(loop, &op), BIDE_ENOTSOCK);
  bide_prep_accept(&op, fd, NULL, NULL);
  CHECK_INT(net_do(loop, &op), BIDE_ENOTSOCK);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

static void ops_timeout_is_never_early(void) {
  bide_loop *loop = harness_loop_new();
  static const uint64_t waits_us[] = {0, 1, 50, 999, 1000, 1001, 5000, 20000};
  for (size_t i = 0; i < sizeof waits_us / sizeof *waits_us; i++) {
    bide_op op = {0};
    bide_prep_timeout(&op, waits_us[i]);
    uint64_t began_us = harness_now_us();
    CHECK_INT(net_do(loop, &op), BIDE_ETIME);
    CHECK(harness_now_us() - began_us >= waits_us[i]);
  }
  bide_op op = {0};
  bide_prep_timeout(&op, 60000000);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  CHECK_INT(bide_loop_cancel(loop, &op), 0);
  CHECK_INT(net_finish(loop, &op), BIDE_ECANCELED);
  CHECK_INT(bide_loop_cancel(loop, &op), BIDE_ENOENT);
  harness_loop_close(loop);
}

/* Each kind that can wait, cancelled while it waits: exactly one completion, and its
 * buffer is free afterwards. */
static void ops_cancel_ends_what_waits(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_address address;
  int listener = net_listen(&address);
  for (int kind = 0; kind < 6; kind++) {
    char *buffer = guarded_new(64);
    struct iovec part = {buffer, 64};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    bide_op op = {0};
    if (kind == 0) bide_prep_recv(&op, fds[0], buffer, 64, 0);
    if (kind == 1) bide_prep_recvmsg(&op, fds[0], &msg, 0);
    if (kind == 2) bide_prep_recv_multi(&op, fds[0]);
    if (kind == 3) bide_prep_accept(&op, listener, NULL, NULL);
    if (kind == 4) bide_prep_accept_multi(&op, listener);
    if (kind == 5) bide_prep_poll(&op, fds[0], POLLIN);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    if (kind % 2 == 0)
      net_settle(loop); /* cancelled before and after the kernel saw it */
    CHECK_INT(bide_loop_cancel(loop, &op), 0);
    CHECK_INT(net_finish(loop, &op), BIDE_ECANCELED);
    guarded_free(buffer, 64);
  }
  net_close_pair(loop, fds);
  bide_loop_close_fd(loop, listener);
  harness_loop_close(loop);
}

/* A cancel that comes when the bytes are there keeps the bytes. */
static void ops_cancel_that_loses_keeps_the_bytes(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  size_t got = 0, sent = 0;
  for (int i = 0; i < 2000; i++) {
    char buffer[4];
    bide_op op = {0};
    bide_prep_recv(&op, fds[0], buffer, 1, 0);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    if (i % 3 != 0) REQUIRE(bide_loop_flush(loop) == 0);
    if (i % 2 == 0) sent += (size_t)write(fds[1], "x", 1);
    if (i % 5 == 0) REQUIRE(bide_loop_wait(loop, 0) == 0);
    bide_loop_cancel(loop, &op);
    int32_t result = net_finish(loop, &op);
    if (result > 0)
      got += (size_t)result;
    else
      CHECK_INT(result, BIDE_ECANCELED);
  }
  fcntl(fds[0], F_SETFL, O_NONBLOCK);
  char rest[4096];
  ssize_t left = read(fds[0], rest, sizeof rest);
  got += left > 0 ? (size_t)left : 0;
  CHECK_INT(got, sent);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* Far more operations than the submission queue has room for, all cancelled at once. */
static void ops_more_than_the_queue_holds(void) {
  enum { COUNT = 5000 };
  bide_loop_options options = harness_loop_options();
  options.ring_entries = 8;
  bide_loop *loop;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op *ops = calloc(COUNT, sizeof *ops);
  for (int i = 0; i < COUNT; i++) {
    bide_prep_poll(&ops[i], fds[0], POLLIN);
    REQUIRE(bide_loop_submit(loop, &ops[i]) == 0);
  }
  net_settle(loop);
  CHECK_INT(bide_loop_in_flight(loop), COUNT);
  CHECK_INT(bide_loop_close(loop), BIDE_EBUSY);
  CHECK_INT(bide_loop_drain(loop), 0);
  int cancelled = 0;
  for (int i = 0; i < COUNT; i++) cancelled += ops[i].result == BIDE_ECANCELED;
  CHECK_INT(cancelled, COUNT);
  free(ops);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* The close of an fd leaves nothing behind for the next file of that number. */
static void ops_reused_fd_starts_afresh(void) {
  bide_loop *loop = harness_loop_new();
  for (int i = 0; i < 200; i++) {
    int fds[2];
    net_tcp_pair(fds, O_NONBLOCK);
    char byte = 0;
    bide_op op = {0};
    bide_prep_recv(&op, fds[0], &byte, 1, 0);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    if (i % 2 == 0) net_settle(loop);
    CHECK_INT(write(fds[1], "z", 1), 1);
    if (i % 4 == 0) close(fds[1]);
    CHECK_INT(net_finish(loop, &op), 1);
    CHECK_INT(byte, 'z');
    bide_loop_close_fd(loop, fds[0]);
    if (i % 4 != 0) bide_loop_close_fd(loop, fds[1]);
  }
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(ops_nop_completes_at_the_next_turn),
    HARNESS_TEST(ops_connect_and_accept_meet),
    HARNESS_TEST(ops_connect_reports_a_refusal),
    HARNESS_TEST(ops_connect_takes_a_blocking_socket),
    HARNESS_TEST(ops_recv_waits_for_bytes),
    HARNESS_TEST(ops_recv_sees_the_end_behind_the_bytes),
    HARNESS_TEST(ops_accept_multi_takes_a_storm),
    HARNESS_TEST(ops_sendmsg_and_recvmsg_carry_datagrams),
    HARNESS_TEST(ops_send_to_a_dead_peer_fails_alone),
    HARNESS_TEST(ops_pipe_reads_and_writes_wait),
    HARNESS_TEST(ops_file_is_opened_written_read_and_stated),
    HARNESS_TEST(ops_cached_reads_need_no_thread),
    HARNESS_TEST(ops_errors_come_as_results),
    HARNESS_TEST(ops_timeout_is_never_early),
    HARNESS_TEST(ops_cancel_ends_what_waits),
    HARNESS_TEST(ops_cancel_that_loses_keeps_the_bytes),
    HARNESS_TEST(ops_more_than_the_queue_holds),
    HARNESS_TEST(ops_reused_fd_starts_afresh),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
