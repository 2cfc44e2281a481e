/* The echo server that one would write without a library, for the comparison: a
 * level-triggered epoll, a read, a write. A peer that does not read is waited for with
 * EPOLLOUT alone.
 *
 *   echo_epoll --fd N     serves an inherited listening socket until it is killed */
#include <errno.h>
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
  size_t len;
  size_t sent;
  char bytes[BYTES];
} connection;

static int epoll_fd;

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
  watch(peer, EPOLL_CTL_ADD, EPOLLIN);
}

static void drop(connection *peer) {
  close(peer->fd);
  free(peer);
}

/* Returns false when the connection is gone. */
static bool send_rest(connection *peer) {
  ssize_t sent =
      send(peer->fd, peer->bytes + peer->sent, peer->len - peer->sent, MSG_NOSIGNAL);
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
    ssize_t got = recv(peer->fd, peer->bytes, BYTES, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
      drop(peer);
      return;
    }
    peer->len = got > 0 ? (size_t)got : 0;
    peer->sent = 0;
  }
  if (peer->sent < peer->len && !send_rest(peer)) return;
  bool waits = peer->sent < peer->len;
  if (waits != waited) watch(peer, EPOLL_CTL_MOD, waits ? EPOLLOUT : EPOLLIN);
}

int main(int argc, char **argv) {
  if (argc != 3 || strcmp(argv[1], "--fd") != 0) {
    fprintf(stderr, "usage: echo_epoll --fd N\n");
    return 2;
  }
  int listener = atoi(argv[2]);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) {
    perror("epoll_ctl");
    return 1;
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
