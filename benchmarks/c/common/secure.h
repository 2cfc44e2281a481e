/* TLS over a non-blocking socket, for the load and for the floor of the TLS rows. Built
 * without OpenSSL's headers, secure_new fails with ENOTSUP. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct secure secure;

/* A client when `certificate` is NULL, which trusts anybody; else a server that shows the
 * certificate and key of that PEM file. NULL with errno set on failure. The socket stays
 * the caller's. */
secure *secure_new(int fd, const char *certificate);
void secure_free(secure *self);

/* As send and recv: -1 and EAGAIN when the socket must be waited for, 0 at the peer's
 * end. Both carry the handshake on where it has not ended. */
ssize_t secure_send(secure *self, const void *bytes, size_t len);
ssize_t secure_recv(secure *self, void *bytes, size_t len);
