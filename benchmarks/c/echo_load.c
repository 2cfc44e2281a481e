/* A load generator for echo servers: each of its connections sends a message, waits for
 * all of it to come back and sends the next, until the time is over; the last ones are
 * waited for. One thread, plain epoll.
 *
 *   echo_load HOST PORT CONNECTIONS BYTES SECONDS
 *
 * Prints one JSON line: requests, seconds, and the round trip's p50 and p99 in
 * microseconds. Any error ends it with a message: a run is whole or it is none. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  EVENTS = 512,
  /* Round trips are counted in buckets a 32nd of their size wide: 3 % off at most. */
  BUCKET_BITS = 5,
  SILENCE_MAX_MS = 10 * 1000,
  BUCKETS = 64 << BUCKET_BITS
};

typedef struct connection {
  int fd;
  size_t sent;
  size_t received;
  uint64_t started_ns;
} connection;

typedef struct load {
  int epoll_fd;
  size_t bytes; /* of a message */
  char *message;
  char *reply;
  uint64_t ends_ns; /* no message is begun after that */
  size_t active;    /* connections that wait for a reply */
  uint64_t requests;
  uint64_t buckets[BUCKETS];
} load;

static void fail(const char *what) {
  fprintf(stderr, "echo_load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- the histogram ---- */

static size_t bucket_of(uint64_t ns) {
  if (ns < 1u << BUCKET_BITS) return ns;
  unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - BUCKET_BITS;
  return ((size_t)(shift + 1) << BUCKET_BITS) + (ns >> shift) - (1u << BUCKET_BITS);
}

/* The middle of a bucket. */
static double bucket_ns(size_t bucket) {
  if (bucket < 1u << BUCKET_BITS) return (double)bucket;
  size_t shift = (bucket >> BUCKET_BITS) - 1;
  uint64_t low = ((bucket & ((1u << BUCKET_BITS) - 1)) + (1u << BUCKET_BITS)) << shift;
  return (double)low + (double)(1ull << shift) / 2;
}

static double percentile_us(const load *self, double fraction) {
  uint64_t wanted = (uint64_t)((double)self->requests * fraction), seen = 0;
  for (size_t i = 0; i < BUCKETS; i++) {
    seen += self->buckets[i];
    if (seen > wanted) return bucket_ns(i) / 1000;
  }
  return 0;
}

/* ---- a connection ---- */

static void connection_send(load *self, connection *peer) {
  while (peer->sent < self->bytes) {
    ssize_t sent = send(peer->fd, self->message + peer->sent, self->bytes - peer->sent,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) fail("send");
    peer->sent += (size_t)sent;
  }
}

static void connection_begin(load *self, connection *peer) {
  peer->sent = 0;
  peer->received = 0;
  peer->started_ns = now_ns();
  connection_send(self, peer);
}

static void connection_replied(load *self, connection *peer) {
  uint64_t now = now_ns();
  self->requests++;
  self->buckets[bucket_of(now - peer->started_ns)]++;
  if (now < self->ends_ns)
    connection_begin(self, peer);
  else
    self->active--;
}

/* Edge-triggered: read until the message is whole or the socket is empty. */
static void connection_receive(load *self, connection *peer) {
  if (peer->received == self->bytes) return; /* it has ended */
  while (peer->received < self->bytes) {
    ssize_t got = recv(peer->fd, self->reply, self->bytes - peer->received, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got == 0) errno = ECONNRESET;
    if (got <= 0) fail("recv");
    peer->received += (size_t)got;
  }
  connection_replied(self, peer);
}

static void connection_open(load *self, connection *peer,
                            const struct sockaddr_in *address) {
  static const int on = 1;
  peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (peer->fd < 0) fail("socket");
  if (connect(peer->fd, (const struct sockaddr *)address, sizeof *address) < 0)
    fail("connect");
  setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = peer};
  if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, peer->fd, &event) < 0) fail("epoll_ctl");
}

/* ---- the run ---- */

static void serve_events(load *self) {
  struct epoll_event events[EVENTS];
  int count = epoll_wait(self->epoll_fd, events, EVENTS, SILENCE_MAX_MS);
  if (count == 0) errno = ETIMEDOUT;
  if (count <= 0) fail("epoll_wait");
  for (int i = 0; i < count; i++) {
    connection *peer = events[i].data.ptr;
    if (events[i].events & EPOLLOUT) connection_send(self, peer);
    if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
      connection_receive(self, peer);
  }
}

int main(int argc, char **argv) {
  static load self;
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (argc != 6 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
    fprintf(stderr, "usage: echo_load HOST PORT CONNECTIONS BYTES SECONDS\n");
    return 2;
  }
  address.sin_port = htons((uint16_t)atoi(argv[2]));
  size_t connections = (size_t)atoi(argv[3]);
  self.bytes = (size_t)atoi(argv[4]);
  double limit_s = atof(argv[5]);

  self.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  self.message = calloc(1, self.bytes);
  self.reply = malloc(self.bytes);
  connection *peers = calloc(connections, sizeof *peers);
  if (self.epoll_fd < 0 || !self.message || !self.reply || !peers) fail("start");
  for (size_t i = 0; i < connections; i++) connection_open(&self, &peers[i], &address);

  uint64_t started_ns = now_ns();
  self.ends_ns = started_ns + (uint64_t)(limit_s * 1e9);
  self.active = connections;
  for (size_t i = 0; i < connections; i++) connection_begin(&self, &peers[i]);
  while (self.active > 0) serve_events(&self);

  double seconds = (double)(now_ns() - started_ns) / 1e9;
  printf("{\"requests\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
         (unsigned long long)self.requests, seconds, percentile_us(&self, 0.50),
         percentile_us(&self, 0.99));
  for (size_t i = 0; i < connections; i++) close(peers[i].fd);
  free(peers);
  free(self.reply);
  free(self.message);
  return 0;
}
