/* pipe.h: one end of a pipe, FIFO, terminal or socket with a protocol on top, which reads
 * or writes.
 *
 *   made --connection_made--> open --close--> closing --> ended --connection_lost--> over
 *
 * While closing a write pipe still writes what it was given; once ended nothing is read
 * or written any more and the call is queued, which calls connection_lost and closes the
 * file. The file belongs to a Python object, which the user may close at any time: a
 * number that stands for another file by then is neither read, written nor closed. */
#ifndef BIDE_PYTHON_PIPE_H
#define BIDE_PYTHON_PIPE_H

#include <sys/stat.h>

#include "convert.h"
#include "protocol.h"
#include "write_queue.h"

typedef struct pipe_object pipe_object;

/* What reading and writing do differently. Both members are called for an open pipe. */
typedef struct pipe_kind {
  /* connection_made has been called, or reading may have changed: waits for what is
   * wanted now. */
  void (*update)(pipe_object *self);
  /* Nothing is wanted any more: cancels the waiting. */
  void (*stop)(pipe_object *self);
} pipe_kind;

/* References to itself: one while queued, one for each operation that waits. `link` is on
 * the loop's list while `open`. `fd` keeps its number once closed, for the repr. */
struct pipe_object {
  TRANSPORT_HEAD
  const pipe_kind *kind;
  PyObject *pipe;   /* the Python object that holds the file */
  PyObject *waiter; /* a future, or NULL */
  PyObject *error;  /* what connection_lost will be told, or NULL */
  bide_op poll;
  bide_call call;
  bide_node link;
  int fd;
  mode_t mode;
  dev_t device;
  ino_t inode;
  bool open;
  bool started; /* connection_made has been called */
  bool closing;
  bool ended;
  bool queued;
  bool poll_armed;
};

typedef struct read_pipe_object {
  pipe_object base;
  bool paused;
} read_pipe_object;

/* base.poll waits until the pipe takes more, `hangup` until nobody reads it any more. */
typedef struct write_pipe_object {
  pipe_object base;
  write_queue queue;
  size_t high_bytes, low_bytes;
  bide_op hangup;
  unsigned late_writes;
  bool hangup_armed;
  bool writing_paused;
} write_pipe_object;

/* loop._read_pipe(pipe, protocol, waiter) and loop._write_pipe(...). */
PyObject *loop_read_pipe(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *loop_write_pipe(PyObject *self, PyObject *const *args, Py_ssize_t nargs);

/* How many of its references to itself are the loop's to drop. */
int pipe_held_by_loop(const pipe_object *self);

/* The loop's core is gone: drops the references that its operations held. */
void pipe_forget(pipe_object *self);

/* ---- between the pipes' own files ---- */

/* A pipe of `type` from the three arguments of `method`, its connection_made queued. The
 * file must be of a kind that can be waited on, else ValueError with `refusal`. */
pipe_object *pipe_connect(loop_object *loop, PyTypeObject *type, const pipe_kind *kind,
                          const char *method, const char *refusal, PyObject *const *args,
                          Py_ssize_t nargs);

/* Whether fd still stands for the file that the transport was made for. */
bool pipe_has_file(const pipe_object *self);

/* Waits with `op` for `events`, taking a reference to self. False, the pipe having
 * failed, when that cannot be. */
bool pipe_arm(pipe_object *self, bide_op *op, unsigned events);

/* Ends it; connection_lost will be told `error` or None. Harmless once ended. */
void pipe_end(pipe_object *self, PyObject *error);

/* pipe_end without an error, in the thread that has the loop. */
void pipe_abort(PyObject *self);

/* Ends it with the pending exception, which is also reported when `reported`. */
void pipe_fail(pipe_object *self, const char *message, bool reported);

/* Calls protocol.name(argument); an exception is reported and the pipe goes on. */
void pipe_tell(pipe_object *self, PyObject *name, PyObject *argument);

/* Shared by the two types. */
int pipe_traverse(PyObject *object, visitproc visit, void *arg);
int pipe_clear(PyObject *object);
void pipe_finalize(PyObject *object);
void pipe_dealloc(PyObject *object);

/* As in "<Name closing fd=5 " without what follows, a new reference. */
PyObject *pipe_repr_begin(const pipe_object *self, const char *name);

/* What follows: how it waits. */
const char *pipe_waits(const pipe_object *self);

PyObject *pipe_get_extra_info(PyObject *object, PyObject *args, PyObject *keywords);
PyObject *pipe_is_closing(PyObject *object, PyObject *unused);

#define PIPE_METHODS \
  {"get_extra_info", (PyCFunction)(void (*)(void))pipe_get_extra_info, \
   METH_VARARGS | METH_KEYWORDS, \
   "get_extra_info(name, default=None)\nReturn 'pipe', the object that was connected."}, \
      {"set_protocol", CONVERT_METHOD_ENTRY(protocol_set_method), \
       "set_protocol(protocol)\nSet the protocol."}, \
      {"get_protocol", protocol_get_method, METH_NOARGS, "Return the protocol."}, \
      {"is_closing", pipe_is_closing, METH_NOARGS, \
       "Return True once the transport closes or has closed."}

#endif
