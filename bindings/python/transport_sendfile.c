/* transport_sendfile.c: a file on its way to the socket, after what was written before. */
#include <errno.h>
#include <sys/sendfile.h>

#include "convert.h"
#include "transport.h"

/* One callback sends no more, so that a fast reader does not keep the loop from the rest. */
enum { SENDFILE_TURN_BYTES = 4 << 20 };

bool transport_sends_file(const transport_object *self) {
  return self->sendfile.waiter != NULL;
}

/* Ends the job and tells who waits: of the pending exception, if there is one. */
static void sendfile_settle(transport_object *self) {
  const module_state *state = self->loop->state;
  PyObject *waiter = self->sendfile.waiter;
  PyObject *error = PyErr_GetRaisedException();
  self->sendfile.waiter = NULL;
  PyObject *done = PyObject_CallMethodNoArgs(waiter, state->names.done);
  PyObject *result = done;
  if (done == Py_False) {
    Py_DECREF(done);
    result = error == NULL
                 ? PyObject_CallMethodOneArg(waiter, state->names.set_result, Py_None)
                 : PyObject_CallMethodOneArg(waiter, state->names.set_exception, error);
  }
  if (result == NULL) loop_swallow(self->loop);
  Py_XDECREF(result);
  Py_XDECREF(error);
  Py_DECREF(waiter);
}

/* What the peer did ends the connection too; what the file did is for who sends it. */
static void sendfile_fail(transport_object *self, int code) {
  bool peer = code == BIDE_EPIPE || code == BIDE_ECONNRESET || code == BIDE_ENOTCONN ||
              code == BIDE_ETIMEDOUT;
  convert_raise(code);
  sendfile_settle(self);
  if (peer) transport_fail_code(self, code, "Fatal write error on socket transport");
}

void transport_continue_file(transport_object *self) {
  transport_sendfile *job = &self->sendfile;
  size_t turn = SENDFILE_TURN_BYTES;
  while (job->left > 0 && turn > 0) {
    size_t len = job->left < turn ? job->left : turn;
    ssize_t sent = sendfile(self->fd, job->fd, &job->offset, len);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) {
      sendfile_fail(self, -errno);
      return;
    }
    if (sent < 0) break;
    if (sent == 0) {
      job->left = 0;
      break;
    }
    job->sent += (size_t)sent;
    job->left -= (size_t)sent;
    turn -= (size_t)sent;
  }
  if (job->left == 0)
    sendfile_settle(self);
  else
    transport_await_writable(self);
}

void transport_fail_file(transport_object *self) {
  if (!transport_sends_file(self)) return;
  PyErr_SetString(PyExc_ConnectionError, "Connection is closed by peer");
  sendfile_settle(self);
}

PyObject *transport_start_file(PyObject *object, PyObject *args) {
  transport_object *self = (transport_object *)object;
  int fd;
  long long offset;
  Py_ssize_t count;
  PyObject *waiter;
  if (!PyArg_ParseTuple(args, "iLnO:_start_file", &fd, &offset, &count, &waiter) ||
      transport_check_write(self, "sendfile") < 0)
    return NULL;
  self->sendfile = (transport_sendfile){.waiter = Py_NewRef(waiter),
                                        .fd = fd,
                                        .offset = (off_t)offset,
                                        .left = (size_t)count};
  if (self->lost)
    transport_fail_file(self);
  else
    transport_flush(self);
  Py_RETURN_NONE;
}

PyObject *transport_end_file(PyObject *object, PyObject *unused) {
  (void)unused;
  transport_object *self = (transport_object *)object;
  if (loop_check_here(self->loop) < 0) return NULL;
  if (transport_sends_file(self)) {
    Py_CLEAR(self->sendfile.waiter);
    /* What was asked for meanwhile waited for the file. */
    if (self->queue.count == 0 && !self->lost) transport_flushed(self);
  }
  return PyLong_FromSize_t(self->sendfile.sent);
}
