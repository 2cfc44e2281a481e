#include "secure.h"

#include <errno.h>

#if __has_include(<openssl/ssl.h>)

#include <openssl/ssl.h>

static SSL_CTX *context;

static bool context_make(const char *certificate) {
  context = SSL_CTX_new(certificate ? TLS_server_method() : TLS_client_method());
  if (!context) return false;
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return !certificate ||
         (SSL_CTX_use_certificate_chain_file(context, certificate) == 1 &&
          SSL_CTX_use_PrivateKey_file(context, certificate, SSL_FILETYPE_PEM) == 1);
}

secure *secure_new(int fd, const char *certificate) {
  errno = EPROTO;
  if (!context && !context_make(certificate)) return NULL;
  SSL *self = SSL_new(context);
  if (!self || SSL_set_fd(self, fd) != 1) return NULL;
  if (certificate)
    SSL_set_accept_state(self);
  else
    SSL_set_connect_state(self);
  return (secure *)self;
}

void secure_free(secure *self) { SSL_free((SSL *)self); }

static ssize_t outcome(SSL *self, int result) {
  if (result > 0) return result;
  int error = SSL_get_error(self, result);
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
    errno = EAGAIN;
  else if (error != SSL_ERROR_SYSCALL || errno == 0)
    errno = EPROTO;
  return -1;
}

ssize_t secure_send(secure *self, const void *bytes, size_t len) {
  return outcome((SSL *)self, SSL_write((SSL *)self, bytes, (int)len));
}

ssize_t secure_recv(secure *self, void *bytes, size_t len) {
  return outcome((SSL *)self, SSL_read((SSL *)self, bytes, (int)len));
}

#else

secure *secure_new(int fd, const char *certificate) {
  (void)fd;
  (void)certificate;
  errno = ENOTSUP;
  return NULL;
}

void secure_free(secure *self) { (void)self; }

ssize_t secure_send(secure *self, const void *bytes, size_t len) {
  (void)self;
  (void)bytes;
  (void)len;
  errno = ENOTSUP;
  return -1;
}

ssize_t secure_recv(secure *self, void *bytes, size_t len) {
  (void)self;
  (void)bytes;
  (void)len;
  errno = ENOTSUP;
  return -1;
}

#endif
