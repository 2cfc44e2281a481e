/* A listener that dies of EMFILE takes its server down; one that spins takes the machine;
 * one that loses an accepted fd leaks a connection that nobody will ever answer. */
#include <bide.h>

#include <errno.h>
#include <sys/resource.h>

#include "harness_loop.h"

/* A listener and what it was told. */
typedef struct host {
  bide_listener listener;
  bide_loop *loop;
  int accepted;
  int news; /* the last negative result */
  int stopped;
  int stop_after; /* stops itself after so many calls of cb; 0: never */
  int calls;
  bool free_when_stopped;
} host;

static int hosts_stopped;

static void host_told(bide_listener *listener, int result) {
  host *self = BIDE_CONTAINER_OF(listener, host, listener);
  if (result >= 0) {
    self->accepted++;
    close(result);
  } else {
    self->news = result;
  }
  if (++self->calls == self->stop_after) bide_listener_stop(listener);
}

static void host_stopped(bide_listener *listener) {
  host *self = BIDE_CONTAINER_OF(listener, host, listener);
  self->stopped++;
  hosts_stopped++;
  if (self->free_when_stopped) free(self);
}

static void host_start(host *self, bide_loop *loop, int fd) {
  self->loop = loop;
  self->listener.cb = host_told;
  self->listener.on_stopped = host_stopped;
  CHECK_INT(bide_listener_start(loop, &self->listener, fd), 0);
}

static int listen_here(bide_address *bound) {
  bide_address address;
  REQUIRE(bide_address_ip("127.0.0.1", 0, &address) == 0);
  int fd = bide_socket_listen(&address, 128, 0);
  REQUIRE(fd >= 0);
  REQUIRE(bide_socket_name(fd, bound) == 0);
  return fd;
}

static void connect_to(int client, const bide_address *address) {
  int result = connect(client, (const struct sockaddr *)&address->storage, address->len);
  REQUIRE(result == 0 || errno == EINPROGRESS);
}

static void run_until(bide_loop *loop, const int *counter, int value) {
  while (*counter < value) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
}

static void host_stop_and_wait(host *self) {
  bide_listener_stop(&self->listener);
  run_until(self->loop, &self->stopped, 1);
  CHECK_INT(bide_loop_in_flight(self->loop), 0);
}

static void listener_accepts_every_connection(void) {
  enum { CLIENTS = 100 };
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int clients[CLIENTS];
  int fd = listen_here(&address);
  host hosts = {.stopped = 0};
  host_start(&hosts, loop, fd);
  for (int i = 0; i < CLIENTS; i++) {
    clients[i] = bide_socket_stream(&address);
    REQUIRE(clients[i] >= 0);
    connect_to(clients[i], &address);
  }
  run_until(loop, &hosts.accepted, CLIENTS);
  CHECK_INT(hosts.stopped, 0);
  host_stop_and_wait(&hosts);
  CHECK_INT(hosts.accepted, CLIENTS);
  CHECK_INT(hosts.news, 0);
  bide_listener_stop(&hosts.listener); /* harmless */
  CHECK_INT(hosts.stopped, 1);
  for (int i = 0; i < CLIENTS; i++) close(clients[i]);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

/* Who accepts one a turn, with a look at the kernel for each, is overrun by a burst. */
static void listener_accepts_a_burst_in_one_turn(void) {
  enum { CLIENTS = 20 };
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int clients[CLIENTS];
  int fd = listen_here(&address);
  host hosts = {.stopped = 0};
  for (int i = 0; i < CLIENTS; i++) {
    clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect_to(clients[i], &address);
  }
  host_start(&hosts, loop, fd);
  run_until(loop, &hosts.accepted, 1);
  CHECK_INT(hosts.accepted, CLIENTS);
  host_stop_and_wait(&hosts);
  for (int i = 0; i < CLIENTS; i++) close(clients[i]);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

#if !defined(BIDE_VALGRIND)
/* As a server sees it that has run out of fds: the real limit, then room again. */
static void listener_survives_emfile(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int fd = listen_here(&address);
  int client = bide_socket_stream(&address);
  REQUIRE(client >= 0);
  host hosts = {.listener.backoff_us = 20000};
  struct rlimit before;
  int lowest = dup(0);
  close(lowest);
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  struct rlimit full = {.rlim_cur = (rlim_t)lowest, .rlim_max = before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &full) == 0);
  host_start(&hosts, loop, fd);
  connect_to(client, &address);
  run_until(loop, &hosts.calls, 3); /* it tries again by itself */
  CHECK_INT(hosts.news, BIDE_EMFILE);
  CHECK_INT(hosts.accepted, 0);
  uint64_t third_us = bide_loop_now_us(loop);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  run_until(loop, &hosts.accepted, 1);
  CHECK_RANGE(bide_loop_now_us(loop) - third_us, 19000, INT64_MAX);
  CHECK_INT(hosts.stopped, 0);
  host_stop_and_wait(&hosts);
  close(client);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}
#endif

/* Faults for accepts, one after the other, then the kernel again. */
typedef struct faults {
  const int *results; /* ends with 0 */
  int accepts;
} faults;

static bool faults_submit(void *user, bide_op *op, int32_t *result) {
  faults *self = user;
  if (op->kind != BIDE_OP_ACCEPT_MULTI) return false;
  self->accepts++;
  if (*self->results == 0) return false;
  *result = *self->results++;
  return true;
}

static void listener_goes_on_at_once_after_a_peers_error(void) {
  static const int results[] = {BIDE_ECONNABORTED, BIDE_EPROTO, BIDE_EINTR, 0};
  faults injected = {.results = results};
  bide_hooks hooks = {.user = &injected, .submit = faults_submit};
  bide_loop *loop = harness_loop_hooked(&hooks);
  bide_address address;
  int fd = listen_here(&address);
  int client = bide_socket_stream(&address);
  host hosts = {.listener.backoff_us = 3600000000};
  host_start(&hosts, loop, fd);
  connect_to(client, &address);
  run_until(loop, &hosts.accepted, 1);
  CHECK_INT(hosts.calls, 4);
  CHECK_INT(hosts.news, BIDE_EINTR);
  host_stop_and_wait(&hosts);
  close(client);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

static void listener_ends_on_an_error_of_its_socket(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  REQUIRE(bide_address_ip("127.0.0.1", 0, &address) == 0);
  int fd = bide_socket_stream(&address); /* it does not listen */
  host hosts = {.stop_after = 1};        /* a stop from that callback is harmless */
  host_start(&hosts, loop, fd);
  run_until(loop, &hosts.stopped, 1);
  CHECK_INT(hosts.news, BIDE_EINVAL);
  CHECK_INT(hosts.calls, 1);
  CHECK_INT(hosts.stopped, 1);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

static void listener_stop_while_it_pauses_ends_it_inside(void) {
  static const int results[] = {BIDE_ENFILE, 0};
  faults injected = {.results = results};
  bide_hooks hooks = {.user = &injected, .submit = faults_submit};
  bide_loop *loop = harness_loop_hooked(&hooks);
  bide_address address;
  int fd = listen_here(&address);
  host hosts = {.stopped = 0};
  host_start(&hosts, loop, fd);
  run_until(loop, &hosts.calls, 1);
  CHECK_INT(hosts.news, BIDE_ENFILE);
  /* The default backoff, of which a moment has passed. */
  CHECK_RANGE(hosts.listener.timer_.deadline_us - bide_loop_now_us(loop), 1, 1001000);
  CHECK_INT(injected.accepts, 1);
  bide_listener_stop(&hosts.listener);
  CHECK_INT(hosts.stopped, 1);
  CHECK_INT(bide_loop_timeout(loop), -1);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

/* on_stopped may free the listener, wherever the stop came from. */
static void check_stop_from_its_callback(const int *results) {
  faults injected = {.results = results};
  bide_hooks hooks = {.user = &injected, .submit = faults_submit};
  bide_loop *loop = harness_loop_hooked(&hooks);
  bide_address address;
  int fd = listen_here(&address);
  int client = bide_socket_stream(&address);
  connect_to(client, &address);
  host *hosts = calloc(1, sizeof *hosts);
  hosts->stop_after = 1;
  hosts->free_when_stopped = true;
  hosts_stopped = 0;
  host_start(hosts, loop, fd);
  run_until(loop, &hosts_stopped, 1);
  CHECK_INT(hosts_stopped, 1);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  close(client);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

static void listener_may_be_stopped_and_freed_from_its_callback(void) {
  static const int connection[] = {0};
  static const int shortage[] = {BIDE_EMFILE, 0};
  static const int peer[] = {BIDE_ECONNABORTED, 0};
  static const int end[] = {BIDE_EBADF, 0};
  check_stop_from_its_callback(connection);
  check_stop_from_its_callback(shortage);
  check_stop_from_its_callback(peer);
  check_stop_from_its_callback(end);
}

/* Each connection is either told of or still in the backlog: a stop loses none. */
static void listener_stop_leaks_no_connection(void) {
  enum { CLIENTS = 20 };
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int clients[CLIENTS];
  int fd = listen_here(&address);
  host hosts = {.stopped = 0};
  host_start(&hosts, loop, fd);
  REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  for (int i = 0; i < CLIENTS; i++) {
    clients[i] = bide_socket_stream(&address);
    connect_to(clients[i], &address);
  }
  REQUIRE(harness_loop_wait(loop) == 0); /* some are accepted, none is told of */
  host_stop_and_wait(&hosts);
  int left = 0;
  for (int other; (other = accept(fd, NULL, NULL)) >= 0; left++) close(other);
  CHECK_INT(hosts.accepted + left, CLIENTS);
  for (int i = 0; i < CLIENTS; i++) close(clients[i]);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

static void listener_may_be_started_again(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int fd = listen_here(&address);
  for (int round = 0; round < 2; round++) {
    host hosts = {.stopped = 0};
    host_start(&hosts, loop, fd);
    int client = bide_socket_stream(&address);
    connect_to(client, &address);
    run_until(loop, &hosts.accepted, 1);
    host_stop_and_wait(&hosts);
    close(client);
  }
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

static void listener_ends_when_the_loop_is_drained(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int fd = listen_here(&address);
  host hosts = {.stopped = 0};
  host_start(&hosts, loop, fd);
  CHECK_INT(bide_loop_drain(loop), 0);
  CHECK_INT(hosts.news, BIDE_ECANCELED);
  CHECK_INT(hosts.stopped, 1);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(listener_accepts_every_connection),
    HARNESS_TEST(listener_accepts_a_burst_in_one_turn),
#if !defined(BIDE_VALGRIND) /* which accepts and drops what the limit refuses */
    HARNESS_TEST(listener_survives_emfile),
#endif
    HARNESS_TEST(listener_goes_on_at_once_after_a_peers_error),
    HARNESS_TEST(listener_ends_on_an_error_of_its_socket),
    HARNESS_TEST(listener_stop_while_it_pauses_ends_it_inside),
    HARNESS_TEST(listener_may_be_stopped_and_freed_from_its_callback),
    HARNESS_TEST(listener_stop_leaks_no_connection),
    HARNESS_TEST(listener_may_be_started_again),
    HARNESS_TEST(listener_ends_when_the_loop_is_drained),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
