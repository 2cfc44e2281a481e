/* One op after the other: OPEN, then READs until the end, then CLOSE once there is an fd.
 * request->result keeps the first error while the fd is being closed.
 *
 * Where the end is: a read of 0 bytes says so always, at the price of one more operation.
 * So does the size of a regular file, asked for once it is open, which tells how much
 * memory it takes too. A read that falls short alone does not: pipes and files of /proc
 * give less than was asked for before their end. */
#include <bide/fs.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../loop_internal.h"

enum { READ_FILE_OPEN = 0, READ_FILE_READ, READ_FILE_CLOSE };

enum {
  READ_FILE_FIRST_BYTES = 16384, /* the first allocation for a file of unknown size */
  /* Of one op. A ring copies what the page cache has while it takes the op, on the loop's own
   * thread: some 100 us for so much, between which others have their turn. */
  READ_FILE_AT_ONCE_MAX = 1 << 20
};

/* Called in a dispatch, as the last touch: the callback may free the request. */
static void read_file_finish(bide_read_file *request) {
  if (request->result < 0) {
    bide_read_file_free(request);
    request->len = 0;
  }
  request->cb(request);
}

static int read_file_submit(bide_read_file *request) {
  bide_op *op = &request->op_;
  size_t room = request->capacity_ - request->len;
  switch (request->step_) {
    case READ_FILE_OPEN:
      bide_prep_openat(op, AT_FDCWD, op->args.open.path, O_RDONLY, 0);
      break;
    case READ_FILE_READ:
      /* Pipes take the file's own position alone; with one given, epoll needs no thread
       * for what is in the page cache, nor a second look for the end that is known. */
      if (request->size_ > request->len && room > request->size_ - request->len)
        room = (size_t)(request->size_ - request->len);
      if (room > READ_FILE_AT_ONCE_MAX) room = READ_FILE_AT_ONCE_MAX;
      bide_prep_read(op, request->fd_, (char *)request->base + request->len, room,
                     request->size_ > 0 ? (int64_t)request->len : -1);
      break;
    default:
      bide_prep_close(op, request->fd_);
      break;
  }
  return bide_loop_submit(request->loop_, op);
}

/* Ends with that result, once the fd is closed. */
static void read_file_end(bide_read_file *request, int32_t result) {
  static const char *const syscalls[] = {"open", "read"};
  request->result = result;
  request->syscall = result < 0 ? syscalls[request->step_] : NULL;
  if (request->fd_ >= 0) {
    request->step_ = READ_FILE_CLOSE;
    if (read_file_submit(request) == 0) return;
    close(request->fd_);
  }
  read_file_finish(request);
}

/* The size that the kernel has at hand for a regular file, 0 when it is unknown. A direct
 * system call: DONT_SYNC asks no file server, and a statx op would cost a worker thread. */
static uint64_t read_file_size(const bide_read_file *request) {
  struct statx file;
  if (statx(request->fd_, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE,
            &file) < 0 ||
      !S_ISREG(file.stx_mode)) {
    return 0;
  }
  return file.stx_size;
}

/* Other memory for `bytes` of the file: the caller's, or bide's. */
static void *read_file_memory(bide_read_file *request, size_t bytes) {
  if (request->grow != NULL) return request->grow(request, bytes);
  return bide__realloc(request->allocated ? request->base : NULL, bytes);
}

/* Makes room: for just the file where its size is known, else for as much again as there
 * is. */
static int read_file_grow(bide_read_file *request) {
  uint64_t capacity = 2 * (uint64_t)request->len;
  if (capacity < READ_FILE_FIRST_BYTES) capacity = READ_FILE_FIRST_BYTES;
  if (request->size_ > 0) capacity = request->size_;
  if (capacity > SIZE_MAX) return BIDE_ENOMEM;
  void *base = read_file_memory(request, (size_t)capacity);
  if (base == NULL) return BIDE_ENOMEM;
  if (!request->allocated && request->len > 0) memcpy(base, request->base, request->len);
  request->base = base;
  request->capacity_ = (size_t)capacity;
  request->allocated = request->grow == NULL;
  return 0;
}

static bool read_file_is_full(const bide_read_file *request) {
  return request->len == request->capacity_ || request->size_ > request->capacity_;
}

static void read_file_read_on(bide_read_file *request) {
  int result = request->cancelled_ ? BIDE_ECANCELED : 0;
  if (result == 0 && read_file_is_full(request)) result = read_file_grow(request);
  if (result == 0) result = read_file_submit(request);
  if (result < 0) read_file_end(request, result);
}

static void read_file_got(bide_read_file *request, int32_t bytes) {
  request->len += (size_t)bytes;
  if (bytes == 0 || request->len == request->size_) {
    read_file_end(request, 0);
  } else {
    read_file_read_on(request);
  }
}

static void read_file_again(bide_read_file *request) {
  int result = request->cancelled_ ? BIDE_ECANCELED : read_file_submit(request);
  if (result < 0) read_file_end(request, result);
}

static void read_file_completed(bide_op *op) {
  bide_read_file *request = BIDE_CONTAINER_OF(op, bide_read_file, op_);
  int32_t result = op->result;
  if (request->step_ == READ_FILE_CLOSE) {
    /* Only a drain of the loop cancels a close; the fd must go all the same. */
    if (result == BIDE_ECANCELED) close(request->fd_);
    read_file_finish(request);
  } else if (result == BIDE_EINTR) {
    read_file_again(request);
  } else if (result < 0) {
    read_file_end(request, result);
  } else if (request->step_ == READ_FILE_OPEN) {
    request->fd_ = result;
    request->size_ = read_file_size(request);
    request->step_ = READ_FILE_READ;
    read_file_read_on(request);
  } else {
    read_file_got(request, result);
  }
}

int bide_read_file_start(bide_loop *loop, bide_read_file *request, const char *path,
                         void *base, size_t capacity) {
  if (BIDE__MISUSE(request->cb == NULL)) return BIDE_EINVAL;
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  request->result = 0;
  request->syscall = NULL;
  request->base = base;
  request->len = 0;
  request->allocated = false;
  request->loop_ = loop;
  request->op_ = (bide_op){.cb = read_file_completed, .args.open.path = path};
  request->capacity_ = base != NULL ? capacity : 0;
  request->fd_ = -1;
  request->step_ = READ_FILE_OPEN;
  request->size_ = 0;
  request->cancelled_ = false;
  return read_file_submit(request);
}

/* A close goes on: what had been read stays read. */
void bide_read_file_cancel(bide_read_file *request) {
  if (BIDE__MISUSE(!bide__loop_is_ours(request->loop_))) return;
  request->cancelled_ = true;
  if (request->step_ != READ_FILE_CLOSE) {
    bide_loop_cancel(request->loop_, &request->op_);
  }
}

void bide_read_file_free(bide_read_file *request) {
  bide_memory_free(bide_read_file_take(request));
}

void *bide_read_file_take(bide_read_file *request) {
  if (!request->allocated) return NULL;
  void *base = request->base;
  request->base = NULL;
  request->allocated = false;
  return base;
}

void bide_memory_free(void *memory) { bide__free(memory); }
