#include <bide/net.h>

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <unistd.h>

int bide_socket_stream(const bide_address *address) {
  int fd =
      socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd >= 0 ? fd : -errno;
}

static int socket_enable(int fd, int level, int option, bool on) {
  int value = on;
  return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

/* IPV6_V6ONLY is set both ways: its default is the administrator's. */
static int socket_listen_options(int fd, sa_family_t family, unsigned flags) {
  int result = 0;
  if (family != AF_UNIX) result = socket_enable(fd, SOL_SOCKET, SO_REUSEADDR, true);
  if (result == 0 && (flags & BIDE_LISTEN_REUSEPORT) != 0) {
    result = socket_enable(fd, SOL_SOCKET, SO_REUSEPORT, true);
  }
  if (result == 0 && family == AF_INET6) {
    result =
        socket_enable(fd, IPPROTO_IPV6, IPV6_V6ONLY, (flags & BIDE_LISTEN_V6ONLY) != 0);
  }
  return result;
}

/* The kernel cuts a backlog to net.core.somaxconn, so "the largest" is any larger one. */
int bide_socket_listen(const bide_address *address, int backlog, unsigned flags) {
  if (backlog < 0) return BIDE_EINVAL;
  int fd = bide_socket_stream(address);
  if (fd < 0) return fd;
  int result = socket_listen_options(fd, address->storage.ss_family, flags);
  if (result == 0 &&
      (bind(fd, (const struct sockaddr *)&address->storage, address->len) < 0 ||
       listen(fd, backlog > 0 ? backlog : INT_MAX) < 0)) {
    result = -errno;
  }
  if (result < 0) {
    close(fd);
    return result;
  }
  return fd;
}

int bide_socket_name(int fd, bide_address *address) {
  bide_address name = {.len = sizeof name.storage};
  if (getsockname(fd, (struct sockaddr *)&name.storage, &name.len) < 0) return -errno;
  *address = name;
  return 0;
}
