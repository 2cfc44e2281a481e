/* fs.h: whole files in one request.
 */
#ifndef BIDE_FS_H
#define BIDE_FS_H

#include "loop.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_read_file bide_read_file;
typedef void (*bide_read_file_cb)(bide_read_file *request);

/* Caller-owned; belongs to the loop from start until cb. */
struct bide_read_file {
  /* public */
  bide_read_file_cb cb;
  void *data;
  /* Where a file that does not fit goes; NULL: into memory of bide's. Else asked, in a
   * dispatch, for at least `bytes` (just the file's size where the kernel knows it); what
   * was read so far is copied over. NULL ends the request with BIDE_ENOMEM. Older memory
   * stays yours, to free in cb or later. */
  void *(*grow)(bide_read_file *request, size_t bytes);
  /* read-only, in cb */
  int32_t result;        /* 0, or the error */
  const char *syscall;   /* of the error: "open", "read" or "fstat" */
  void *base;            /* the file's bytes */
  size_t len;
  bool allocated;        /* base came from bide, not from you: bide_read_file_free */
  /* private */
  bide_loop *loop_;
  bide_op op_;
  size_t capacity_;
  uint64_t size_;
  int fd_;
  uint8_t step_;
  bool cancelled_;
};

/* Opens path, reads all of it and closes it: open, read, close for a regular file that
 * fits `base` (capacity bytes, yours, may be NULL and 0); a larger one is read on into
 * memory of bide's, or into what `grow` gives. Works for files of unknown size (pipes,
 * /proc). cb runs in a dispatch, once. path must stay valid until then. Set cb, data and
 * grow before; nothing else need be initialised. Returns 0, BIDE_EINVAL without a cb, or
 * the submit's error. The loop's thread; on another BIDE_ETHREAD, and nothing is changed. */
BIDE_EXTERN int bide_read_file_start(bide_loop *loop, bide_read_file *request,
                                     const char *path, void *base, size_t capacity);

/* cb follows with BIDE_ECANCELED, or with success if the file had been read. The loop's thread:
 * on another it does nothing. */
BIDE_EXTERN void bide_read_file_cancel(bide_read_file *request);

/* Frees what bide allocated for it, if anything. */
BIDE_EXTERN void bide_read_file_free(bide_read_file *request);

/* Takes over the allocated bytes; free them with bide_memory_free. */
BIDE_EXTERN void *bide_read_file_take(bide_read_file *request);
BIDE_EXTERN void bide_memory_free(void *memory);

#ifdef __cplusplus
}
#endif
#endif
