/* The echo server that one would write without a library, for the comparison: a
 * level-triggered epoll, a read, a write. A peer that does not read is waited for with
 * EPOLLOUT alone.
 *
 *   echo_epoll --fd N               serves an inherited listening socket until it is killed
 *   echo_epoll --fd N --tls PEM     the same over TLS
 *   echo_epoll --fd N --udp         echoes the datagrams of an inherited socket
 *   echo_epoll --fd N --http BYTES  answers what it reads with an HTTP reply of that size
 */
#include "secure.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, BYTES = 64 * 1024 };

/* What could not be sent at once. */
typedef struct connection {
  int fd;
  secure *tls;
  size_t len;
  size_t sent;
  char bytes[BYTES];
} connection;

static int epoll_fd;
static const char *certificate; /* with TLS */
static char http_reply[BYTES];  /* instead of an echo, unless empty */
static size_t http_reply_len;

static void watch(connection *peer, int how, unsigned events) {
  struct epoll_event event = {.events = events, .data.ptr = peer};
  if (epoll_ctl(epoll_fd, how, peer->fd, &event) == 0) return;
  perror("epoll_ctl");
  exit(1);
}

static void accept_one(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  connection *peer = malloc(sizeof *peer);
  if (!peer) {
    close(fd);
    return;
  }
  peer->fd = fd;
  peer->len = peer->sent = 0;
  peer->tls = certificate ? secure_new(fd, certificate) : NULL;
  if (certificate && !peer->tls) {
    perror("echo_epoll: TLS");
    exit(1);
  }
  watch(peer, EPOLL_CTL_ADD, EPOLLIN);
}

static void drop(connection *peer) {
  if (peer->tls) secure_free(peer->tls);
  close(peer->fd);
  free(peer);
}

/* Returns false when the connection is gone. */
static bool send_rest(connection *peer) {
  const char *rest = (http_reply_len > 0 ? http_reply : peer->bytes) + peer->sent;
  size_t len = peer->len - peer->sent;
  ssize_t sent = peer->tls ? secure_send(peer->tls, rest, len)
                           : send(peer->fd, rest, len, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) {
    drop(peer);
    return false;
  }
  if (sent > 0) peer->sent += (size_t)sent;
  return true;
}

static void serve(connection *peer, unsigned events) {
  bool waited = peer->sent < peer->len;
  if (!waited && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
    ssize_t got = peer->tls ? secure_recv(peer->tls, peer->bytes, BYTES)
                            : recv(peer->fd, peer->bytes, BYTES, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
      drop(peer);
      return;
    }
    peer->len = got > 0 ? (size_t)got : 0;
    if (got > 0 && http_reply_len > 0) peer->len = http_reply_len;
    peer->sent = 0;
  }
  if (peer->sent < peer->len && !send_rest(peer)) return;
  bool waits = peer->sent < peer->len;
  if (waits != waited) watch(peer, EPOLL_CTL_MOD, waits ? EPOLLOUT : EPOLLIN);
}

static void serve_listener(int listener) {
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) {
    perror("epoll_ctl");
    exit(1);
  }
  for (;;) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr)
        serve(events[i].data.ptr, events[i].events);
      else
        accept_one(listener);
    }
  }
}

static void serve_datagrams(int fd) {
  static char bytes[BYTES];
  struct sockaddr_storage from;
  fcntl(fd, F_SETFL, 0);
  for (;;) {
    socklen_t from_len = sizeof from;
    ssize_t got =
        recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_len);
    if (got >= 0) sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, from_len);
  }
}

static void set_http_reply(size_t body) {
  int head = snprintf(http_reply, sizeof http_reply,
                      "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body);
  if ((size_t)head + body > sizeof http_reply) {
    fprintf(stderr, "echo_epoll: --http is limited to %d bytes\n", BYTES - head);
    exit(2);
  }
  memset(http_reply + head, 'x', body);
  http_reply_len = (size_t)head + body;
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"fd", required_argument, NULL, 'f'},
      {"tls", required_argument, NULL, 't'},
      {"udp", no_argument, NULL, 'u'},
      {"http", required_argument, NULL, 'h'},
      {0},
  };
  int fd = -1;
  bool udp = false;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'f') fd = atoi(optarg);
    if (option == 't') certificate = optarg;
    if (option == 'u') udp = true;
    if (option == 'h') set_http_reply(strtoul(optarg, NULL, 10));
    if (option == '?') fd = -1;
  }
  if (fd < 0) {
    fprintf(stderr, "usage: echo_epoll --fd N [--tls PEM | --udp | --http BYTES]\n");
    return 2;
  }
  if (udp)
    serve_datagrams(fd);
  else
    serve_listener(fd);
  return 0;
}
