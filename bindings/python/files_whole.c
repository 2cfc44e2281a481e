/* files_whole.c: a whole file in one await. */
#include <bide/fs.h>
#include <unistd.h>

#include "files.h"
#include "list.h"

/* ---- read_file ---- */

enum {
  FILE_FIRST_BYTES = 16384
}; /* what most files fit into: no second read, no statx */

/* `older` is the memory before self->bytes, from which the core still copies. */
typedef struct file_reading {
  bide_read_file request;
  file_op *owner;
  PyObject *older;
} file_reading;

static void *file_reading_grow(bide_read_file *request, size_t bytes) {
  file_reading *reading = BIDE_CONTAINER_OF(request, file_reading, request);
  if (bytes > PY_SSIZE_T_MAX) return NULL;
  PyObject *larger = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
  if (larger == NULL) {
    PyErr_Clear();
    return NULL;
  }
  Py_XSETREF(reading->older, reading->owner->bytes);
  reading->owner->bytes = larger;
  return PyBytes_AS_STRING(larger);
}

static void file_reading_ended(bide_read_file *request) {
  file_reading *reading = BIDE_CONTAINER_OF(request, file_reading, request);
  file_op *self = reading->owner;
  Py_CLEAR(reading->older);
  self->len = request->len;
  file_op_completed(self, request->result);
}

static int file_start_read_file(file_op *self) {
  file_reading *reading = PyMem_Calloc(1, sizeof *reading);
  self->extra = reading;
  self->bytes = PyBytes_FromStringAndSize(NULL, FILE_FIRST_BYTES);
  if (self->extra == NULL || self->bytes == NULL) {
    PyErr_Clear();
    return BIDE_ENOMEM;
  }
  reading->owner = self;
  reading->request.cb = file_reading_ended;
  reading->request.grow = file_reading_grow;
  return bide_read_file_start(self->loop->core, &reading->request,
                              PyBytes_AS_STRING(self->path),
                              PyBytes_AS_STRING(self->bytes), FILE_FIRST_BYTES);
}

static PyObject *file_finish_read_file(file_op *self) {
  PyObject *bytes = self->bytes;
  self->bytes = NULL;
  if ((Py_ssize_t)self->len != PyBytes_GET_SIZE(bytes))
    _PyBytes_Resize(&bytes, (Py_ssize_t)self->len);
  return bytes;
}

static void file_cancel_read_file(file_op *self) {
  bide_read_file_cancel(&((file_reading *)self->extra)->request);
}

const file_kind file_read_file_kind = {
    .name = "read_file",
    .start = file_start_read_file,
    .finish = file_finish_read_file,
    .cancel = file_cancel_read_file,
};

/* ---- write_file: open, write until all is written, close ---- */

enum { FILE_WRITE_OPEN = 0, FILE_WRITE_WRITE, FILE_WRITE_CLOSE, FILE_WRITE_OVER };

static void file_writing_step(bide_op *op);

static int file_writing_submit(file_op *self) {
  const size_t at_once_max = 1 << 30;
  size_t left = (size_t)self->view.len - self->len;
  switch (self->phase) {
    case FILE_WRITE_OPEN:
      bide_prep_openat(&self->op, self->fd, PyBytes_AS_STRING(self->path), self->flags,
                       self->mode);
      break;
    case FILE_WRITE_WRITE:
      bide_prep_write(&self->op, self->fd, (char *)self->view.buf + self->len,
                      left < at_once_max ? left : at_once_max, -1);
      break;
    default:
      bide_prep_close(&self->op, self->fd);
      break;
  }
  self->op.cb = file_writing_step;
  return bide_loop_submit(self->loop->core, &self->op);
}

/* Ends with `result`, the first error, once the file is closed. */
static void file_writing_close(file_op *self, int32_t result) {
  self->result = result;
  if (self->phase != FILE_WRITE_OPEN) {
    self->phase = FILE_WRITE_CLOSE;
    if (file_writing_submit(self) == 0) return;
    (void)close(self->fd);
  }
  file_op_completed(self, result);
}

static void file_writing_closed(file_op *self, int32_t result) {
  if (result == BIDE_ECANCELED) result = close(self->fd) < 0 ? -errno : 0;
  file_op_completed(self, self->result < 0 ? self->result : result);
}

static void file_writing_go_on(file_op *self) {
  bool written = self->len == (size_t)self->view.len;
  int code = written                         ? 0
             : self->thrown != NULL          ? BIDE_ECANCELED
             : self->loop->draining          ? BIDE_ECANCELED
             : self->state == FILE_ABANDONED ? BIDE_ECANCELED
                                             : file_writing_submit(self);
  if (written || code < 0) file_writing_close(self, code);
}

static void file_writing_step(bide_op *op) {
  file_op *self = BIDE_CONTAINER_OF(op, file_op, op);
  if (self->phase == FILE_WRITE_CLOSE) {
    file_writing_closed(self, op->result);
  } else if (op->result < 0) {
    file_writing_close(self, op->result);
  } else if (self->phase == FILE_WRITE_OPEN) {
    self->fd = op->result;
    self->phase = FILE_WRITE_WRITE;
    file_writing_go_on(self);
  } else {
    self->len += (size_t)op->result;
    file_writing_go_on(self);
  }
}

static PyObject *file_finish_write_file(file_op *self) {
  return PyLong_FromSize_t(self->len);
}

/* A close goes on. */
static void file_cancel_write_file(file_op *self) {
  if (self->phase != FILE_WRITE_CLOSE)
    (void)bide_loop_cancel(self->loop->core, &self->op);
}

const file_kind file_write_file_kind = {
    .name = "write_file",
    .flags = FILE_WAITS,
    .start = file_writing_submit,
    .finish = file_finish_write_file,
    .cancel = file_cancel_write_file,
};
