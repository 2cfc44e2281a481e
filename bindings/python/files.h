/* files.h: operations on files as coroutines.
 *
 * A file operation is an object that a task awaits or runs, as it would a coroutine of
 * Python's. Nothing happens before its first step, which submits it; then the task sleeps
 * on a future until the core has completed it.
 *
 * What the kernel may still touch (paths, buffers, the bytes read into) belongs to the
 * operation, and the operation to the loop, from the submit to the completion. */
#ifndef BIDE_PYTHON_FILES_H
#define BIDE_PYTHON_FILES_H

#include "loop.h"

typedef struct file_op file_op;

/* What a cancel does; without a flag the operation is left to end by itself, unwatched. */
enum {
  FILE_WAITS = 1u << 0,   /* raises once the kernel has let go: the user's memory is in
                            * its hands, or what was moved has to be known */
  FILE_RUNS_ON = 1u << 1, /* the kernel is not told */
  FILE_OPENS = 1u << 2,   /* an fd that nobody wants is closed */
};

/* One kind of operation; `name` is that of bide.fs. */
typedef struct file_kind {
  const char *name;
  unsigned flags;
  /* Submits a step: 0 when it is in flight, FILE_ENDED when `result` holds the outcome
   * already, or a negative code. Called again after FILE_AGAIN. */
  int (*start)(file_op *self);
  /* Looks at the `result` of a step: FILE_ENDED, or FILE_AGAIN. NULL: it has ended. */
  int (*step)(file_op *self);
  /* The value of the await; `result` is not negative. NULL with an exception. */
  PyObject *(*finish)(file_op *self);
  /* Asks for the end of a step in flight; NULL: op is cancelled. */
  void (*cancel)(file_op *self);
} file_kind;

enum { FILE_ENDED = 1, FILE_AGAIN = 2 };

typedef enum file_state {
  FILE_NEW = 0,
  FILE_IN_FLIGHT,
  FILE_COMPLETED, /* and the task not resumed yet */
  FILE_ABANDONED, /* in flight, and nobody waits for it */
  FILE_OVER,
} file_state;

/* Invariants: in flight it is on the loop's list `files`, which owns a reference to it.
 * `waiter` is the future that the awaiting task sleeps on; `thrown` what was thrown in
 * meanwhile and is raised at the end. `view` is held until the completion. */
struct file_op {
  PyObject_HEAD
  loop_object *loop; /* from the first step on */
  const file_kind *kind;
  bide_op op;
  bide_node link;
  PyObject *waiter;
  PyObject *thrown;
  PyObject *name;  /* for errors: the path or fd as it was given */
  PyObject *path;  /* bytes, for the kernel */
  PyObject *bytes; /* being read */
  Py_buffer view;
  void *extra;    /* of the kind; freed with the object */
  int64_t offset; /* -1: the file's own position */
  size_t len;
  int fd; /* of the file, or of the directory that `path` starts from */
  int flags;
  unsigned mode;
  int32_t result;
  uint8_t state;
  uint8_t phase; /* of the kind */
};

/* A new operation, a new reference; NULL with an exception. */
file_op *file_op_new(PyObject *module, const file_kind *kind);

/* A step in flight has completed with `result`; drops the loop's reference. */
void file_op_completed(file_op *self, int32_t result);

/* The loop's core is gone, in a forked child: drops the reference that the loop held. */
void file_op_forget(file_op *self);

/* Submits self->op, whose callback is set: 0, or a negative code. */
int file_op_submit(file_op *self);

/* ---- arguments: 0, or -1 with the exception that os raises ---- */

/* Sets path and name. `also` says what os takes instead: "" or " or integer". */
int file_path(file_op *self, PyObject *path, const char *also);

/* Sets fd, from an int or an object with fileno(). */
int file_fd(file_op *self, PyObject *fd);

/* Sets fd from dir_fd, None being the current directory. */
int file_dir_fd(file_op *self, PyObject *dir_fd);

/* ---- files_whole.c ---- */

extern const file_kind file_read_file_kind;
extern const file_kind file_write_file_kind;

/* The module's functions. */
extern PyMethodDef file_functions[];

#endif
