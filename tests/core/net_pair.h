/* net_pair.h: connected sockets and small waits for tests of operations. */
#ifndef BIDE_TESTS_NET_PAIR_H
#define BIDE_TESTS_NET_PAIR_H

#include <fcntl.h>
#include <sys/socket.h>

#include "harness_loop.h"

/* Submits and turns the loop until op is done; returns its result. */
static inline int32_t net_finish(bide_loop *loop, bide_op *op) {
  while (op->state != BIDE_OP_DONE) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  CHECK(op->result != BIDE_EFAULT);
  return op->result;
}

static inline int32_t net_do(bide_loop *loop, bide_op *op) {
  REQUIRE(bide_loop_submit(loop, op) == 0);
  return net_finish(loop, op);
}

/* Turns the loop without blocking, often enough for what is ready to come through. */
static inline void net_settle(bide_loop *loop) {
  for (int i = 0; i < 20; i++) REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
}

static inline int net_listen(bide_address *address) {
  REQUIRE(bide_address_ip("127.0.0.1", 0, address) == 0);
  int fd = bide_socket_listen(address, 0, 0);
  REQUIRE(fd >= 0);
  REQUIRE(bide_socket_name(fd, address) == 0);
  return fd;
}

/* A connected TCP pair over loopback; both ends non-blocking if `flags` says so. */
static inline void net_tcp_pair(int fds[2], int flags) {
  bide_address address;
  int listener = net_listen(&address);
  fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(connect(fds[0], (struct sockaddr *)&address.storage, address.len) == 0);
  fds[1] = accept(listener, NULL, NULL);
  REQUIRE(fds[1] >= 0);
  REQUIRE(fcntl(fds[0], F_SETFL, flags) == 0);
  REQUIRE(fcntl(fds[1], F_SETFL, flags) == 0);
  close(listener);
}

static inline void net_close_pair(bide_loop *loop, const int fds[2]) {
  bide_loop_close_fd(loop, fds[0]);
  bide_loop_close_fd(loop, fds[1]);
}

#endif
