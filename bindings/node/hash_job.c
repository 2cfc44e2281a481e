/* hash_job.c: digests of bytes and of files. */
#include <bide/errno.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs.h"

enum { DIGEST_BYTES_MAX = 64, READ_BYTES = 64 * 1024 };

/* OpenSSL's, see EVP_DigestInit(3); 1 is success. */
static struct {
  const void *(*get_digestbyname)(const char *name);
  void *(*ctx_new)(void);
  void (*ctx_free)(void *ctx);
  int (*init)(void *ctx, const void *type, void *engine);
  int (*update)(void *ctx, const void *base, size_t len);
  int (*final)(void *ctx, unsigned char *digest, unsigned *len);
  bool found;
} evp;

static pthread_once_t evp_once = PTHREAD_ONCE_INIT;

static void evp_find(void) {
  evp.found = addon_find_symbol(&evp.get_digestbyname, "EVP_get_digestbyname") &&
              addon_find_symbol(&evp.ctx_new, "EVP_MD_CTX_new") &&
              addon_find_symbol(&evp.ctx_free, "EVP_MD_CTX_free") &&
              addon_find_symbol(&evp.init, "EVP_DigestInit_ex") &&
              addon_find_symbol(&evp.update, "EVP_DigestUpdate") &&
              addon_find_symbol(&evp.final, "EVP_DigestFinal_ex");
}

/* 0, and a context that evp.ctx_free ends. */
static int hash_begin(addon_job_call *call, void **ctx) {
  pthread_once(&evp_once, evp_find);
  if (!evp.found) return BIDE_EOPNOTSUPP;
  const void *type = evp.get_digestbyname(call->name);
  if (type == NULL) return BIDE_EINVAL;
  *ctx = evp.ctx_new();
  if (*ctx == NULL) return BIDE_ENOMEM;
  if (evp.init(*ctx, type, NULL) == 1) return 0;
  evp.ctx_free(*ctx);
  return BIDE_EINVAL;
}

/* With the result of the updates; the digest is given for 0 alone. */
static int hash_end(addon_job_call *call, void *ctx, int code) {
  unsigned len = 0;
  if (code == 0) call->output = malloc(DIGEST_BYTES_MAX);
  if (code == 0 && call->output == NULL) code = BIDE_ENOMEM;
  if (code == 0 && evp.final(ctx, call->output, &len) != 1) code = BIDE_EINVAL;
  call->output_len = len;
  evp.ctx_free(ctx);
  return code;
}

int addon_hash_bytes(addon_job_call *call) {
  void *ctx;
  int code = hash_begin(call, &ctx);
  if (code < 0) return code;
  const unsigned char *at = call->base;
  for (size_t rest = call->len; rest > 0 && code == 0;) {
    size_t piece = rest < ADDON_JOB_PIECE_BYTES ? rest : ADDON_JOB_PIECE_BYTES;
    if (evp.update(ctx, at, piece) != 1) code = BIDE_EINVAL;
    if (addon_stop_requested(call->stop)) code = BIDE_ECANCELED;
    at += piece;
    rest -= piece;
  }
  return hash_end(call, ctx, code);
}

/* The end is where a read gives nothing. */
static int hash_fd(addon_job_call *call, void *ctx, int fd, unsigned char *buffer) {
  ssize_t got;
  while ((got = read(fd, buffer, READ_BYTES)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      call->syscall = "read";
      return -errno;
    }
    call->results[0] += (double)got;
    if (evp.update(ctx, buffer, (size_t)got) != 1) return BIDE_EINVAL;
    if (addon_stop_requested(call->stop)) return BIDE_ECANCELED;
  }
  return 0;
}

int addon_hash_file(addon_job_call *call) {
  void *ctx;
  int code = hash_begin(call, &ctx);
  if (code < 0) return code;
  unsigned char *buffer = malloc(READ_BYTES);
  int fd = buffer == NULL ? -1 : open(call->path, O_RDONLY | O_CLOEXEC);
  if (buffer == NULL) {
    code = BIDE_ENOMEM;
  } else if (fd < 0) {
    code = -errno;
    call->syscall = "open";
  } else {
    code = hash_fd(call, ctx, fd, buffer);
    close(fd);
  }
  free(buffer);
  return hash_end(call, ctx, code);
}
