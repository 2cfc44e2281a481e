/* net.h: addresses, sockets and a listener that survives EMFILE.
 */
#ifndef BIDE_NET_H
#define BIDE_NET_H

#include "loop.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_address {
  struct sockaddr_storage storage;
  socklen_t len;
} bide_address;

/* A numeric IPv4 or IPv6 host ("127.0.0.1", "::1", "fe80::1%eth0") and a port.
 * Returns 0, or BIDE_EINVAL for a host that is not numeric (names are the resolver's)
 * or a zone that is no interface. Any thread. */
BIDE_EXTERN int bide_address_ip(const char *host, uint16_t port, bide_address *address);

/* A Unix path, or an abstract name when it starts with '@'. BIDE_ENAMETOOLONG above
 * what sun_path holds, BIDE_EINVAL for "". Any thread. */
BIDE_EXTERN int bide_address_unix(const char *path, bide_address *address);

/* "127.0.0.1:80", "[::1]:80", a path or "@name"; cut to len bytes with its NUL.
 * Returns the length it would have had, or BIDE_EINVAL. Any thread. */
BIDE_EXTERN int bide_address_format(const bide_address *address, char *text, size_t len);

/* A close-on-exec, non-blocking stream socket of the address's family: the fd, or an
 * error. Any thread. */
BIDE_EXTERN int bide_socket_stream(const bide_address *address);

enum {
  BIDE_LISTEN_REUSEPORT = 1u << 0, /* several listeners share the port */
  BIDE_LISTEN_V6ONLY = 1u << 1,    /* an IPv6 listener takes no IPv4 */
};

/* Binds (with SO_REUSEADDR for IP) and listens; backlog 0 means the system's largest.
 * Returns the fd, or an error. Any thread. */
BIDE_EXTERN int bide_socket_listen(const bide_address *address, int backlog,
                                   unsigned flags);

/* The address a socket is bound to. Returns 0 or an error. Any thread. */
BIDE_EXTERN int bide_socket_name(int fd, bide_address *address);

/* ---- a listener ---- */

typedef struct bide_listener bide_listener;

/* result >= 0: a new connection's fd, now yours. A negative result is news, not the
 * end: on EMFILE, ENFILE, ENOBUFS and ENOMEM the listener pauses for backoff_us and
 * goes on by itself, on ECONNABORTED and its like it goes on at once. Any other error
 * ends it. */
typedef void (*bide_listener_cb)(bide_listener *listener, int result);

/* Caller-owned; belongs to the loop from start until on_stopped. Zero it before its first
 * start. */
struct bide_listener {
  /* public */
  bide_listener_cb cb;
  void (*on_stopped)(bide_listener *listener); /* may free it; may be NULL */
  void *data;
  uint64_t backoff_us; /* 0: 1 s, as asyncio */
  /* read-only */
  bide_loop *loop;
  int fd;
  /* private */
  bide_op op_;
  bide_timer timer_;
  uint8_t state_;
};

/* Accepts on a listening fd, which stays yours to close after on_stopped. Returns 0,
 * BIDE_EINVAL without a cb, BIDE_EALREADY for one that has not stopped, or the submit's
 * error. The loop's thread. */
BIDE_EXTERN int bide_listener_start(bide_loop *loop, bide_listener *listener, int fd);

/* Ends it: on_stopped follows once nothing is in flight, in a later dispatch or, when
 * it pauses, inside this call. Connections that had been accepted still come to cb.
 * Harmless when it has stopped. The loop's thread: on another it does nothing. */
BIDE_EXTERN void bide_listener_stop(bide_listener *listener);

#ifdef __cplusplus
}
#endif
#endif
