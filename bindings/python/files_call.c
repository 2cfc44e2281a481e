/* files_call.c: the functions of bide.fs that the core carries out. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "convert.h"
#include "files.h"

enum { FILE_MOVED_MAX = 0x7ffff000 }; /* the most that one read or write moves */

static PyObject *file_finish_none(file_op *self) {
  (void)self;
  Py_RETURN_NONE;
}

static PyObject *file_finish_count(file_op *self) {
  return PyLong_FromLong(self->result);
}

/* ---- open and close ---- */

/* With O_NONBLOCK, since an open that waits (a FIFO's, for its other end) could not be
 * cancelled everywhere; a file under a lease says EAGAIN to that, and is waited for. */
static int file_start_open(file_op *self) {
  int flags = self->phase == 0 ? self->flags | O_NONBLOCK : self->flags;
  bide_prep_openat(&self->op, self->fd, PyBytes_AS_STRING(self->path), flags, self->mode);
  return file_op_submit(self);
}

static int file_step_open(file_op *self) {
  if (self->result != -EAGAIN || self->phase != 0 || (self->flags & O_NONBLOCK) != 0)
    return FILE_ENDED;
  self->phase = 1;
  return FILE_AGAIN;
}

/* Gives the flags back as they were asked for. */
static int file_opened(const file_op *self) {
  int fd = self->result;
  if (self->phase == 0 && (self->flags & O_NONBLOCK) == 0)
    (void)fcntl(fd, F_SETFL, self->flags);
  return fd;
}

static PyObject *file_finish_open(file_op *self) {
  return PyLong_FromLong(file_opened(self));
}

static PyObject *file_finish_open_file(file_op *self) {
  int fd = file_opened(self);
  struct stat status;
  if (fstat(fd, &status) < 0) {
    int code = -errno;
    (void)close(fd);
    return convert_raise(code);
  }
  return Py_BuildValue("iIll", fd, (unsigned)status.st_mode, (long)status.st_size,
                       (long)status.st_blksize);
}

static int file_start_close(file_op *self) {
  bide_prep_close(&self->op, self->fd);
  int code = file_op_submit(self);
  if (code == 0) return 0;
  self->result = close(self->fd) < 0 ? -errno : 0;
  return FILE_ENDED;
}

/* Only the drain of a loop cancels a close; the fd must go all the same. */
static int file_step_close(file_op *self) {
  if (self->result == BIDE_ECANCELED) self->result = close(self->fd) < 0 ? -errno : 0;
  return FILE_ENDED;
}

static const file_kind file_open_kind = {
    .name = "open",
    .flags = FILE_OPENS,
    .start = file_start_open,
    .step = file_step_open,
    .finish = file_finish_open,
};

static const file_kind file_open_file_kind = {
    .name = "open",
    .flags = FILE_OPENS,
    .start = file_start_open,
    .step = file_step_open,
    .finish = file_finish_open_file,
};

static const file_kind file_close_kind = {
    .name = "close",
    .flags = FILE_RUNS_ON | FILE_WAITS,
    .start = file_start_close,
    .step = file_step_close,
    .finish = file_finish_none,
};

static PyObject *file_make_open(PyObject *module, const file_kind *kind, PyObject *args,
                                PyObject *keywords) {
  static char *names[] = {"path", "flags", "mode", "dir_fd", NULL};
  PyObject *path, *dir_fd = NULL;
  int flags, mode = 0777;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "Oi|i$O:open", names, &path, &flags,
                                   &mode, &dir_fd))
    return NULL;
  file_op *self = file_op_new(module, kind);
  if (self == NULL) return NULL;
  self->flags = flags;
  self->mode = (unsigned)mode;
  if (file_dir_fd(self, dir_fd) < 0 || file_path(self, path, "") < 0) {
    self->state = FILE_OVER;
    Py_CLEAR(self);
  }
  return (PyObject *)self;
}

static PyObject *file_open(PyObject *module, PyObject *args, PyObject *keywords) {
  return file_make_open(module, &file_open_kind, args, keywords);
}

static PyObject *file_open_file(PyObject *module, PyObject *args, PyObject *keywords) {
  return file_make_open(module, &file_open_file_kind, args, keywords);
}

/* An operation on an fd. */
static file_op *file_make(PyObject *module, const file_kind *kind, PyObject *fd) {
  file_op *self = file_op_new(module, kind);
  if (self != NULL && file_fd(self, fd) < 0) {
    self->state = FILE_OVER;
    Py_CLEAR(self);
  }
  return self;
}

static PyObject *file_close(PyObject *module, PyObject *fd) {
  return (PyObject *)file_make(module, &file_close_kind, fd);
}

/* ---- read and write ---- */

enum { FILE_UNKNOWN = 0, FILE_SEEKABLE, FILE_STREAM };

/* Pipes, terminals and sockets belong to their user, who may close them at any time: they
 * are polled and then read here, when the task goes on, so that a cancelled read has taken
 * nothing. */
static int file_find_phase(const file_op *self) {
  struct stat status;
  if (self->offset >= 0) return FILE_SEEKABLE;
  if (fstat(self->fd, &status) < 0) return -errno;
  bool seekable =
      S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) || S_ISDIR(status.st_mode);
  return seekable ? FILE_SEEKABLE : FILE_STREAM;
}

/* A write of at most PIPE_BUF bytes does not block after POLLOUT, whatever the fd's
 * mode (pipe(7)). */
static ssize_t file_move(const file_op *self, void *base, bool writing) {
  if (!writing) return read(self->fd, base, self->len);
  int flags = fcntl(self->fd, F_GETFL);
  bool blocking = flags >= 0 && (flags & O_NONBLOCK) == 0;
  size_t len = blocking && self->len > PIPE_BUF ? PIPE_BUF : self->len;
  return write(self->fd, base, len);
}

/* Moves bytes if poll says that it does not block: FILE_ENDED, or 0 when a poll is in
 * flight. */
static int file_start_stream(file_op *self, void *base, bool writing) {
  struct pollfd poller = {self->fd, writing ? POLLOUT : POLLIN, 0};
  while (poll(&poller, 1, 0) != 0) {
    ssize_t moved = file_move(self, base, writing);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0 && errno == EAGAIN) break;
    self->result = moved < 0 ? -errno : (int32_t)moved;
    self->phase = FILE_SEEKABLE; /* there is no further step */
    return FILE_ENDED;
  }
  bide_prep_poll(&self->op, self->fd, (unsigned)poller.events);
  return file_op_submit(self);
}

static int file_start_moving(file_op *self, void *base, bool writing) {
  if (self->phase == FILE_UNKNOWN) {
    int phase = file_find_phase(self);
    if (phase < 0) return phase;
    self->phase = (uint8_t)phase;
  }
  if (self->phase == FILE_STREAM) return file_start_stream(self, base, writing);
  if (writing)
    bide_prep_write(&self->op, self->fd, base, self->len, self->offset);
  else
    bide_prep_read(&self->op, self->fd, base, self->len, self->offset);
  return file_op_submit(self);
}

static int file_start_read(file_op *self) {
  void *base = self->bytes != NULL ? PyBytes_AS_STRING(self->bytes) : self->view.buf;
  return file_start_moving(self, base, false);
}

static int file_start_write(file_op *self) {
  return file_start_moving(self, self->view.buf, true);
}

/* A stream that polls ready is read now; one whose poll failed has that error. */
static int file_step_moving(file_op *self) {
  return self->phase == FILE_STREAM && self->result >= 0 ? FILE_AGAIN : FILE_ENDED;
}

static PyObject *file_finish_bytes(file_op *self) {
  PyObject *bytes = self->bytes;
  self->bytes = NULL;
  if (self->result != PyBytes_GET_SIZE(bytes)) _PyBytes_Resize(&bytes, self->result);
  return bytes;
}

static const file_kind file_read_kind = {
    .name = "read",
    .flags = FILE_WAITS,
    .start = file_start_read,
    .step = file_step_moving,
    .finish = file_finish_bytes,
};

static const file_kind file_readinto_kind = {
    .name = "readinto",
    .flags = FILE_WAITS,
    .start = file_start_read,
    .step = file_step_moving,
    .finish = file_finish_count,
};

static const file_kind file_write_kind = {
    .name = "write",
    .flags = FILE_WAITS,
    .start = file_start_write,
    .step = file_step_moving,
    .finish = file_finish_count,
};

static int file_check_count(const char *name, Py_ssize_t nargs, Py_ssize_t count) {
  if (nargs == count) return 0;
  PyErr_Format(PyExc_TypeError, "%s() takes exactly %zd arguments (%zd given)", name,
               count, nargs);
  return -1;
}

/* The explicit offset of pread and its kin. */
static int file_offset(file_op *self, PyObject *number) {
  self->offset = PyLong_AsLongLong(number);
  if (self->offset == -1 && PyErr_Occurred()) return -1;
  if (self->offset >= 0) return 0;
  convert_raise(BIDE_EINVAL);
  return -1;
}

static int file_read_size(file_op *self, PyObject *number) {
  Py_ssize_t size = PyNumber_AsSsize_t(number, PyExc_OverflowError);
  if (size == -1 && PyErr_Occurred()) return -1;
  if (size < 0) {
    convert_raise(BIDE_EINVAL);
    return -1;
  }
  self->len = (size_t)(size > FILE_MOVED_MAX ? FILE_MOVED_MAX : size);
  self->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)self->len);
  return self->bytes == NULL ? -1 : 0;
}

static int file_buffer(file_op *self, PyObject *buffer, int flags) {
  if (PyObject_GetBuffer(buffer, &self->view, flags) < 0) return -1;
  self->len = (size_t)(self->view.len > FILE_MOVED_MAX ? FILE_MOVED_MAX : self->view.len);
  return 0;
}

/* The second argument of read is a size; readinto's and write's is a buffer. */
static PyObject *file_make_moving(PyObject *module, const file_kind *kind,
                                  const char *name, PyObject *const *args,
                                  Py_ssize_t nargs, bool at_offset) {
  if (file_check_count(name, nargs, at_offset ? 3 : 2) < 0) return NULL;
  file_op *self = file_make(module, kind, args[0]);
  if (self == NULL) return NULL;
  int code = at_offset ? file_offset(self, args[2]) : 0;
  if (code == 0 && kind == &file_read_kind)
    code = file_read_size(self, args[1]);
  else if (code == 0)
    code = file_buffer(self, args[1],
                       kind == &file_readinto_kind ? PyBUF_WRITABLE : PyBUF_SIMPLE);
  if (code < 0) {
    self->state = FILE_OVER;
    Py_CLEAR(self);
  }
  return (PyObject *)self;
}

static PyObject *file_read(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
  return file_make_moving(module, &file_read_kind, "read", args, nargs, false);
}

static PyObject *file_pread(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
  return file_make_moving(module, &file_read_kind, "pread", args, nargs, true);
}

static PyObject *file_readinto(PyObject *module, PyObject *const *args,
                               Py_ssize_t nargs) {
  return file_make_moving(module, &file_readinto_kind, "readinto", args, nargs, false);
}

static PyObject *file_preadinto(PyObject *module, PyObject *const *args,
                                Py_ssize_t nargs) {
  return file_make_moving(module, &file_readinto_kind, "preadinto", args, nargs, true);
}

static PyObject *file_write(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
  return file_make_moving(module, &file_write_kind, "write", args, nargs, false);
}

static PyObject *file_pwrite(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
  return file_make_moving(module, &file_write_kind, "pwrite", args, nargs, true);
}

/* ---- fsync ---- */

static int file_start_sync(file_op *self) {
  bide_prep_fsync(&self->op, self->fd, self->flags != 0);
  return file_op_submit(self);
}

static const file_kind file_sync_kind = {
    .name = "fsync",
    .start = file_start_sync,
    .finish = file_finish_none,
};

static PyObject *file_fsync(PyObject *module, PyObject *fd) {
  return (PyObject *)file_make(module, &file_sync_kind, fd);
}

static PyObject *file_fdatasync(PyObject *module, PyObject *fd) {
  file_op *self = file_make(module, &file_sync_kind, fd);
  if (self != NULL) self->flags = 1;
  return (PyObject *)self;
}

/* ---- stat ---- */

static int file_start_stat(file_op *self) {
  const char *path = self->path == NULL ? "" : PyBytes_AS_STRING(self->path);
  bide_prep_statx(&self->op, self->fd, path, self->flags, STATX_BASIC_STATS, self->extra);
  return file_op_submit(self);
}

static double file_seconds(const struct statx_timestamp *time) {
  return (double)time->tv_sec + 1e-9 * time->tv_nsec;
}

static long long file_nanoseconds(const struct statx_timestamp *time) {
  return (long long)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* An os.stat_result: the ten of the tuple, then its further attributes. */
static PyObject *file_finish_stat(file_op *self) {
  const struct statx *file = self->extra;
  const struct statx_timestamp *a = &file->stx_atime, *m = &file->stx_mtime,
                               *c = &file->stx_ctime;
  PyObject *fields = Py_BuildValue(
      "(iKKIIIKLLLdddLLLIKK)", (int)file->stx_mode, (unsigned long long)file->stx_ino,
      (unsigned long long)makedev(file->stx_dev_major, file->stx_dev_minor),
      file->stx_nlink, file->stx_uid, file->stx_gid, (unsigned long long)file->stx_size,
      (long long)a->tv_sec, (long long)m->tv_sec, (long long)c->tv_sec, file_seconds(a),
      file_seconds(m), file_seconds(c), file_nanoseconds(a), file_nanoseconds(m),
      file_nanoseconds(c), file->stx_blksize, (unsigned long long)file->stx_blocks,
      (unsigned long long)makedev(file->stx_rdev_major, file->stx_rdev_minor));
  if (fields == NULL) return NULL;
  PyObject *result = PyObject_CallOneArg(self->loop->state->stat_result, fields);
  Py_DECREF(fields);
  return result;
}

static const file_kind file_stat_kind = {
    .name = "stat", .start = file_start_stat, .finish = file_finish_stat};
static const file_kind file_lstat_kind = {
    .name = "lstat", .start = file_start_stat, .finish = file_finish_stat};
static const file_kind file_fstat_kind = {
    .name = "fstat", .start = file_start_stat, .finish = file_finish_stat};

static PyObject *file_make_stat(PyObject *module, const file_kind *kind, PyObject *fd) {
  file_op *self = fd == NULL ? file_op_new(module, kind) : file_make(module, kind, fd);
  if (self == NULL) return NULL;
  self->flags = fd == NULL ? 0 : AT_EMPTY_PATH;
  self->extra = PyMem_Calloc(1, sizeof(struct statx));
  if (self->extra != NULL) return (PyObject *)self;
  self->state = FILE_OVER;
  Py_DECREF(self);
  return PyErr_NoMemory();
}

/* os.stat's rules for an fd in the place of a path. */
static int file_stat_check_fd(PyObject *dir_fd, int follow) {
  const char *wrong = dir_fd != NULL && dir_fd != Py_None
                          ? "stat: can't specify dir_fd without matching path"
                      : follow ? NULL
                               : "stat: cannot use fd and follow_symlinks together";
  if (wrong != NULL) PyErr_SetString(PyExc_ValueError, wrong);
  return wrong == NULL ? 0 : -1;
}

static PyObject *file_stat_path(PyObject *module, const file_kind *kind, PyObject *path,
                                PyObject *dir_fd, int flags) {
  file_op *self = (file_op *)file_make_stat(module, kind, NULL);
  if (self == NULL) return NULL;
  self->flags = flags;
  const char *also = kind == &file_stat_kind ? " or integer" : "";
  if (file_dir_fd(self, dir_fd) < 0 || file_path(self, path, also) < 0) {
    self->state = FILE_OVER;
    Py_CLEAR(self);
  }
  return (PyObject *)self;
}

static PyObject *file_stat(PyObject *module, PyObject *args, PyObject *keywords) {
  static char *names[] = {"path", "dir_fd", "follow_symlinks", NULL};
  PyObject *path, *dir_fd = NULL;
  int follow = 1;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|$Op:stat", names, &path, &dir_fd,
                                   &follow))
    return NULL;
  if (!PyIndex_Check(path))
    return file_stat_path(module, &file_stat_kind, path, dir_fd,
                          follow ? 0 : AT_SYMLINK_NOFOLLOW);
  if (file_stat_check_fd(dir_fd, follow) < 0) return NULL;
  file_op *self = (file_op *)file_make_stat(module, &file_stat_kind, path);
  if (self != NULL) self->name = Py_NewRef(path);
  return (PyObject *)self;
}

static PyObject *file_lstat(PyObject *module, PyObject *args, PyObject *keywords) {
  static char *names[] = {"path", "dir_fd", NULL};
  PyObject *path, *dir_fd = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|$O:lstat", names, &path, &dir_fd))
    return NULL;
  return file_stat_path(module, &file_lstat_kind, path, dir_fd, AT_SYMLINK_NOFOLLOW);
}

static PyObject *file_fstat(PyObject *module, PyObject *fd) {
  return file_make_stat(module, &file_fstat_kind, fd);
}

/* ---- whole files ---- */

static PyObject *file_read_file(PyObject *module, PyObject *path) {
  file_op *self = file_op_new(module, &file_read_file_kind);
  if (self != NULL && file_path(self, path, "") < 0) {
    self->state = FILE_OVER;
    Py_CLEAR(self);
  }
  return (PyObject *)self;
}

static PyObject *file_write_file(PyObject *module, PyObject *args, PyObject *keywords) {
  static char *names[] = {"path", "data", "append", "mode", NULL};
  PyObject *path, *data;
  int append = 0, mode = 0666;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|$pi:write_file", names, &path,
                                   &data, &append, &mode))
    return NULL;
  file_op *self = file_op_new(module, &file_write_file_kind);
  if (self == NULL) return NULL;
  self->flags = O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC);
  self->mode = (unsigned)mode;
  if (file_dir_fd(self, NULL) < 0 || file_path(self, path, "") < 0 ||
      PyObject_GetBuffer(data, &self->view, PyBUF_SIMPLE) < 0) {
    self->state = FILE_OVER;
    Py_CLEAR(self);
  }
  return (PyObject *)self;
}

/* ---- the table ---- */

#define FILE_FASTCALL(function) ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL
#define FILE_KEYWORDS(function) \
  ((PyCFunction)(void (*)(void))(function)), METH_VARARGS | METH_KEYWORDS

PyMethodDef file_functions[] = {
    {"open", FILE_KEYWORDS(file_open),
     "open(path, flags, mode=0o777, *, dir_fd=None)\nOpen a file as os.open does; return "
     "its descriptor."},
    {"open_file", FILE_KEYWORDS(file_open_file),
     "As open; return the descriptor with the file's mode, size and block size."},
    {"close", file_close, METH_O, "close(fd)\nClose a descriptor."},
    {"read", FILE_FASTCALL(file_read),
     "read(fd, n, /)\nRead up to n bytes from the file's own position."},
    {"pread", FILE_FASTCALL(file_pread),
     "pread(fd, n, offset, /)\nRead up to n bytes from an offset."},
    {"readinto", FILE_FASTCALL(file_readinto),
     "readinto(fd, buffer, /)\nRead into a buffer from the file's own position; return "
     "the number of bytes."},
    {"preadinto", FILE_FASTCALL(file_preadinto),
     "preadinto(fd, buffer, offset, /)\nRead into a buffer from an offset; return the "
     "number of bytes."},
    {"write", FILE_FASTCALL(file_write),
     "write(fd, data, /)\nWrite at the file's own position; return the number of bytes."},
    {"pwrite", FILE_FASTCALL(file_pwrite),
     "pwrite(fd, data, offset, /)\nWrite at an offset; return the number of bytes."},
    {"fsync", file_fsync, METH_O, "fsync(fd)\nForce what was written to the disk."},
    {"fdatasync", file_fdatasync, METH_O,
     "fdatasync(fd)\nAs fsync, without metadata that reading does not need."},
    {"stat", FILE_KEYWORDS(file_stat),
     "stat(path, *, dir_fd=None, follow_symlinks=True)\nReturn an os.stat_result."},
    {"lstat", FILE_KEYWORDS(file_lstat),
     "lstat(path, *, dir_fd=None)\nAs stat, of a symbolic link itself."},
    {"fstat", file_fstat, METH_O, "fstat(fd)\nAs stat, of an open file."},
    {"read_file", file_read_file, METH_O, "read_file(path)\nReturn a file's content."},
    {"write_file", FILE_KEYWORDS(file_write_file),
     "write_file(path, data, *, append=False, mode=0o666)\nMake a file's content data; "
     "return the number of bytes."},
    {NULL, NULL, 0, NULL},
};
