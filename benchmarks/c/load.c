/* A load generator: each of its connections sends a request, waits for all of the reply
 * and sends the next, until the time is over. One thread, plain epoll.
 *
 *   load [OPTION...] WHERE CONNECTIONS SECONDS
 *
 *   WHERE           the port of 127.0.0.1, or the path of a Unix socket
 *   --echo BYTES    the reply is the request, whose last byte ends a line (64)
 *   --http PATH     the request is a GET; all replies are as long as the first
 *   --churn         a request is a connection: opened, ended, and ended by the server
 *   --hold          opens the connections, says so and keeps them until its input ends
 *   --udp, --tls    instead of TCP, and over it
 *   --pid PID       measures the server's CPU time too
 *   --calls         and its system calls, which falsifies its CPU time
 *
 * What comes before the time is warming up: a tenth of it, and as long as it takes until
 * each connection has had a reply. Prints one JSON line:
 * requests, seconds, the round trip's p50 and p99 in microseconds, and the CPU time of
 * the load and of the server in seconds. Any error ends it with a message: a run is whole
 * or it is none. */
#include "histogram.h"
#include "meter.h"
#include "secure.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { EVENTS = 512, SILENCE_MAX_MS = 4000, HTTP_HEAD_MAX = 4096 };
enum { CHUNK = 256 * 1024 }; /* what is read at a time */

typedef struct connection {
  int fd;
  secure *tls;
  size_t sent;
  size_t received;
  uint64_t started_ns;
  bool warm; /* it has had a reply */
} connection;

typedef struct load {
  union {
    struct sockaddr any;
    struct sockaddr_in ip;
    struct sockaddr_un local;
  } address;
  socklen_t address_len;
  size_t connections;
  double limit_s;
  bool udp, tls, churn, hold, count_calls;
  pid_t server;

  int epoll_fd;
  char *request;
  size_t request_len;
  size_t reply_len; /* 0 while the first HTTP reply has not told */
  char *reply;      /* the last piece that was read; nobody needs more */
  size_t cold;      /* connections that have had none */
  bool over;        /* no request is begun any more */
  size_t active;    /* connections that wait for a reply */
  histogram trips;
} load;

static load self;

static void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- a connection ---- */

static ssize_t peer_send(connection *peer, const char *bytes, size_t len) {
  if (peer->tls) return secure_send(peer->tls, bytes, len);
  return send(peer->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t peer_recv(connection *peer, char *bytes, size_t len) {
  if (peer->tls) return secure_recv(peer->tls, bytes, len);
  return recv(peer->fd, bytes, len, MSG_DONTWAIT);
}

static void connection_send(connection *peer) {
  while (peer->sent < self.request_len) {
    ssize_t sent =
        peer_send(peer, self.request + peer->sent, self.request_len - peer->sent);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) fail("send");
    peer->sent += (size_t)sent;
  }
}

static void connection_open(connection *peer) {
  static const int on = 1;
  int kind = self.udp ? SOCK_DGRAM : SOCK_STREAM;
  peer->fd = socket(self.address.any.sa_family, kind | SOCK_CLOEXEC, 0);
  if (peer->fd < 0) fail("socket");
  if (connect(peer->fd, &self.address.any, self.address_len) < 0) fail("connect");
  if (!self.udp && self.address.any.sa_family == AF_INET)
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = peer};
  if (epoll_ctl(self.epoll_fd, EPOLL_CTL_ADD, peer->fd, &event) < 0) fail("epoll_ctl");
  if (!self.tls) return;
  peer->tls = secure_new(peer->fd, NULL);
  if (!peer->tls) fail("TLS");
  if (fcntl(peer->fd, F_SETFL, O_NONBLOCK) < 0) fail("fcntl");
}

static void connection_begin(connection *peer) {
  peer->sent = 0;
  peer->received = 0;
  peer->started_ns = now_ns(CLOCK_MONOTONIC);
  if (!self.churn) {
    connection_send(peer);
    return;
  }
  connection_open(peer);
  if (shutdown(peer->fd, SHUT_WR) < 0) fail("shutdown");
}

static void connection_replied(connection *peer) {
  histogram_add(&self.trips, now_ns(CLOCK_MONOTONIC) - peer->started_ns);
  if (!peer->warm) self.cold--;
  peer->warm = true;
  if (self.over)
    self.active--;
  else
    connection_begin(peer);
}

/* The first bytes of a reply: that of HTTP must be a success, and the first of them tells
 * how long all are. */
static void reply_begun(size_t len) {
  static const char success[] = "HTTP/1.1 200", length[] = "\r\ncontent-length:";
  self.reply[len] = '\0';
  errno = EPROTO;
  if (strncmp(self.reply, success, strlen(success)) != 0) fail(self.reply);
  if (self.reply_len > 0) return;
  const char *end = strstr(self.reply, "\r\n\r\n");
  const char *header = strcasestr(self.reply, length);
  if (!end || !header || header > end) fail("no content-length");
  self.reply_len =
      (size_t)(end + 4 - self.reply) + strtoul(header + strlen(length), NULL, 10);
}

static void connection_ended(connection *peer) {
  if (!self.churn) {
    errno = ECONNRESET;
    fail("the server has closed a connection");
  }
  close(peer->fd);
  connection_replied(peer);
}

/* Edge-triggered: read until the reply is whole or the socket is empty. */
static void connection_receive(connection *peer, bool http) {
  if (!self.churn && self.reply_len > 0 && peer->received == self.reply_len) return;
  for (;;) {
    ssize_t got = peer_recv(peer, self.reply, CHUNK);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) fail("recv");
    if (got == 0) {
      connection_ended(peer);
      return;
    }
    if (http && peer->received == 0) reply_begun((size_t)got);
    peer->received += (size_t)got;
    if (peer->received < self.reply_len) continue;
    errno = EPROTO;
    if (peer->received > self.reply_len) fail("more than was asked for");
    connection_replied(peer);
    return;
  }
}

/* ---- the run ---- */

static void serve_events(void) {
  struct epoll_event events[EVENTS];
  int count = epoll_wait(self.epoll_fd, events, EVENTS, SILENCE_MAX_MS);
  if (count == 0) errno = ETIMEDOUT;
  if (count <= 0) fail("epoll_wait");
  for (int i = 0; i < count; i++) {
    connection *peer = events[i].data.ptr;
    /* Also when there is something to read: TLS may have waited for that to go on. */
    if (!self.churn) connection_send(peer);
    if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP))
      connection_receive(peer, self.request[0] == 'G');
  }
}

static void serve_until(uint64_t ends_ns) {
  while (now_ns(CLOCK_MONOTONIC) < ends_ns) serve_events();
}

static void run(connection *peers) {
  meter server = {0};
  if (self.server && !meter_open(&server, self.server)) fail("--pid");
  if (self.count_calls && !meter_count_calls(&server, self.server)) fail("--calls");
  uint64_t limit_ns = (uint64_t)(self.limit_s * 1e9);
  uint64_t started_ns = now_ns(CLOCK_MONOTONIC);
  self.active = self.cold = self.connections;
  for (size_t i = 0; i < self.connections; i++) connection_begin(&peers[i]);
  serve_until(started_ns + limit_ns / 10);
  while (self.cold > 0) serve_events();

  memset(&self.trips, 0, sizeof self.trips);
  started_ns = now_ns(CLOCK_MONOTONIC);
  uint64_t load_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
  uint64_t server_ns = self.server ? meter_cpu_ns(&server) : 0;
  uint64_t calls = meter_calls(&server);
  serve_until(started_ns + limit_ns);
  /* What was begun before the time and ended in it weighs little among two of each. */
  while (self.trips.count < 2 * self.connections) serve_events();
  double seconds = (double)(now_ns(CLOCK_MONOTONIC) - started_ns) / 1e9;
  printf(
      "{\"requests\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
      "\"load_cpu_s\": %.6f",
      (unsigned long long)self.trips.count, seconds,
      histogram_percentile_us(&self.trips, 0.50),
      histogram_percentile_us(&self.trips, 0.99),
      (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - load_ns) / 1e9);
  if (self.server)
    printf(", \"server_cpu_s\": %.9f", (double)(meter_cpu_ns(&server) - server_ns) / 1e9);
  if (self.count_calls)
    printf(", \"calls\": %llu", (unsigned long long)(meter_calls(&server) - calls));
  printf("}\n");
  self.over = true;
  while (self.active > 0) serve_events();
}

static void hold(void) {
  char byte;
  printf("{\"held\": %zu}\n", self.connections);
  fflush(stdout);
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

/* The server is to be done with its connections before the next is measured. One that
 * ignores their end is not waited for. */
static void end_connections(connection *peers) {
  static const struct timeval limit = {.tv_usec = 200 * 1000};
  if (self.churn || self.udp) return;
  for (size_t i = 0; i < self.connections; i++) shutdown(peers[i].fd, SHUT_WR);
  for (size_t i = 0; i < self.connections; i++) {
    ssize_t got;
    if (self.tls && fcntl(peers[i].fd, F_SETFL, 0) < 0) fail("fcntl");
    setsockopt(peers[i].fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    while ((got = recv(peers[i].fd, self.reply, CHUNK, 0)) > 0) {
    }
    if (got < 0) return;
  }
}

static void set_address(const char *where) {
  if (where[0] == '/') {
    self.address.local.sun_family = AF_UNIX;
    snprintf(self.address.local.sun_path, sizeof self.address.local.sun_path, "%s",
             where);
    self.address_len = sizeof self.address.local;
  } else {
    self.address.ip.sin_family = AF_INET;
    self.address.ip.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self.address.ip.sin_port = htons((uint16_t)atoi(where));
    self.address_len = sizeof self.address.ip;
  }
}

static void set_echo(size_t bytes) {
  self.request = calloc(1, bytes + 1);
  if (!self.request || bytes == 0) fail("--echo");
  memset(self.request, 'x', bytes);
  self.request[bytes - 1] = '\n';
  self.request_len = self.reply_len = bytes;
}

static void set_http(const char *path) {
  int len = asprintf(&self.request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);
  if (len < 0) fail("--http");
  self.request_len = (size_t)len;
  self.reply_len = 0;
}

static bool parse(int argc, char **argv) {
  static const struct option options[] = {
      {"echo", required_argument, NULL, 'e'},
      {"http", required_argument, NULL, 'g'},
      {"churn", no_argument, NULL, 'c'},
      {"hold", no_argument, NULL, 'h'},
      {"udp", no_argument, NULL, 'u'},
      {"tls", no_argument, NULL, 't'},
      {"pid", required_argument, NULL, 'p'},
      {"calls", no_argument, NULL, 's'},
      {0},
  };
  set_echo(64);
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
      case 'e':
        set_echo(strtoul(optarg, NULL, 10));
        break;
      case 'g':
        set_http(optarg);
        break;
      case 'c':
        self.churn = true;
        break;
      case 'h':
        self.hold = true;
        break;
      case 'u':
        self.udp = true;
        break;
      case 't':
        self.tls = true;
        break;
      case 'p':
        self.server = (pid_t)atoi(optarg);
        break;
      case 's':
        self.count_calls = true;
        break;
      default:
        return false;
    }
  }
  if (argc - optind != 3 || (self.count_calls && !self.server)) return false;
  set_address(argv[optind]);
  self.connections = strtoul(argv[optind + 1], NULL, 10);
  self.limit_s = atof(argv[optind + 2]);
  return self.connections > 0;
}

int main(int argc, char **argv) {
  if (!parse(argc, argv)) {
    fprintf(stderr, "usage: load [OPTION...] WHERE CONNECTIONS SECONDS\n");
    return 2;
  }
  self.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  self.reply = malloc(CHUNK + 1);
  connection *peers = calloc(self.connections, sizeof *peers);
  if (self.epoll_fd < 0 || !self.reply || !peers) fail("start");
  for (size_t i = 0; i < self.connections && !self.churn; i++) connection_open(&peers[i]);
  if (self.hold)
    hold();
  else
    run(peers);
  end_connections(peers);
  return 0;
}
