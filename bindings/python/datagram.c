#include "datagram.h"

#include <sys/stat.h>

#include "endpoint.h"
#include "list.h"
#include "poller.h"
#include "write_queue.h"

/* ---- calling the protocol ---- */

void datagram_tell(datagram_object *self, PyObject *name, PyObject *first,
                   PyObject *second, const char *message) {
  transport_head *head = (transport_head *)self;
  PyObject *result = protocol_call_two(head, name, first, second);
  if (result == NULL) protocol_report(head, message);
  Py_XDECREF(result);
}

/* ---- from closing to closed ---- */

void datagram_schedule(datagram_object *self) {
  if (self->queued) return;
  /* The queue may lack memory: then the loop's close ends it. */
  if (bide_loop_call_soon(self->loop->core, &self->call) < 0) return;
  self->queued = true;
  Py_INCREF(self);
}

/* The port must be free when connection_lost has been called, so the socket is closed while
 * cancelled polls may still be on their way back. That is sound for polls, which hold no
 * buffer; the flush has ended their waiting. */
void datagram_release_socket(datagram_object *self) {
  int fd = self->fd;
  loop_object *loop = self->loop;
  if (fd < 0) return;
  self->fd = -1;
  if (loop->core != NULL && (self->read_armed || self->write_armed))
    (void)bide_loop_flush(loop->core);
  if (list_linked(&self->link)) list_remove(&self->link);
  endpoint_release_fd(loop, fd, (PyObject *)self, self->socket);
}

/* A socket's address is no mark of it: the first datagram sent may bind it. */
bool datagram_has_file(const datagram_object *self) {
  struct stat status;
  return fstat(self->fd, &status) == 0 && status.st_ino == self->inode;
}

static void datagram_lose(datagram_object *self) {
  self->over = true;
  PyObject *error = Py_NewRef(self->error != NULL ? self->error : Py_None);
  datagram_tell(self, self->loop->state->names.connection_lost, error, NULL,
                "Exception in callback protocol.connection_lost()");
  Py_DECREF(error);
  datagram_release_socket(self);
  Py_CLEAR(self->protocol);
  Py_CLEAR(self->error);
}

void datagram_flushed(datagram_object *self) {
  if (!self->closing || self->lost || self->first != NULL) return;
  self->lost = 1;
  datagram_schedule(self);
}

static void datagram_force_close(datagram_object *self, PyObject *error) {
  if (self->lost) return;
  self->closing = true;
  self->error = Py_XNewRef(error);
  datagram_queue_clear(self);
  if (self->write_armed) bide_loop_cancel(self->loop->core, &self->write_poll);
  datagram_update_reading(self);
  datagram_flushed(self);
}

void datagram_fail(datagram_object *self, const char *message) {
  if (loop_take_fatal(self->loop)) return;
  PyObject *error = PyErr_GetRaisedException();
  if (!PyObject_TypeCheck(error, (PyTypeObject *)PyExc_OSError))
    protocol_report_error((transport_head *)self, error, message);
  datagram_force_close(self, error);
  Py_DECREF(error);
}

void datagram_receive_error(datagram_object *self, const char *message) {
  if (!PyErr_ExceptionMatches(PyExc_OSError)) {
    datagram_fail(self, message);
    return;
  }
  PyObject *error = PyErr_GetRaisedException();
  datagram_tell(self, self->loop->state->names.error_received, error, NULL,
                "Exception in callback protocol.error_received()");
  Py_DECREF(error);
}

void datagram_evict(datagram_object *self) {
  int fd = self->fd;
  self->fd = -1;
  list_remove(&self->link);
  endpoint_abandon_fd(self->loop, fd, self->socket);
  convert_raise(BIDE_EBADF);
  datagram_fail(self, "Fatal error: the socket was closed under its transport");
}

/* A loop that is closed runs no connection_lost: the socket is all there is to close. */
void datagram_close(datagram_object *self) {
  if (self->closing) return;
  self->closing = true;
  if (self->loop->closed) {
    if (self->loop->core == NULL) datagram_release_socket(self);
    return;
  }
  datagram_update_reading(self);
  datagram_flushed(self);
}

void datagram_abort(datagram_object *self) {
  if (self->loop->closed)
    datagram_close(self);
  else
    datagram_force_close(self, NULL);
}

/* ---- making and starting ---- */

/* Who awaits the endpoint goes on before the first datagram comes. */
static void datagram_on_call(bide_call *call) {
  datagram_object *self = BIDE_CONTAINER_OF(call, datagram_object, call);
  loop_object *loop = self->loop;
  self->queued = false;
  loop_enter(loop);
  if (!self->started) {
    self->started = true;
    datagram_tell(self, loop->state->names.connection_made, (PyObject *)self, NULL,
                  "Exception in callback protocol.connection_made()");
    protocol_wake_waiter((transport_head *)self, &self->waiter);
    datagram_schedule(self);
  } else if (self->lost) {
    if (!self->over) datagram_lose(self);
  } else {
    self->open = true;
    datagram_read(self);
  }
  loop_leave(loop);
  Py_DECREF(self);
}

static datagram_object *datagram_new(loop_object *loop, int fd, PyObject *socket,
                                     PyObject *protocol) {
  PyTypeObject *type = loop->state->datagram_type;
  datagram_object *self = (datagram_object *)type->tp_alloc(type, 0);
  if (self == NULL) return NULL;
  self->loop = (loop_object *)Py_NewRef((PyObject *)loop);
  self->fd = -1;
  self->number = fd;
  self->high_bytes = WRITE_LIMIT_HIGH_BYTES;
  self->low_bytes = WRITE_LIMIT_HIGH_BYTES / 4;
  self->call.cb = datagram_on_call;
  self->protocol = Py_NewRef(protocol);
  self->context = PyContext_CopyCurrent();
  if (self->context == NULL || endpoint_take_fd(loop, fd, (PyObject *)self) < 0) {
    Py_DECREF(self);
    return NULL;
  }
  self->fd = fd;
  list_push(&loop->datagrams, &self->link);
  self->socket = Py_NewRef(socket);
  struct stat status;
  if (fstat(fd, &status) == 0) self->inode = status.st_ino;
  endpoint_read_names(fd, &self->name, &self->peer);
  return self;
}

PyObject *loop_connect_datagram(PyObject *object, PyObject *const *args,
                                Py_ssize_t nargs) {
  loop_object *loop = (loop_object *)object;
  if (nargs != 4) {
    return PyErr_Format(PyExc_TypeError,
                        "_connect_datagram() takes 4 arguments (%zd given)", nargs);
  }
  int fd = convert_fd(loop->state, args[0]);
  if (fd < 0 || loop_check_use(loop) < 0 || poller_refused(loop, fd) ||
      !protocol_can_connect(loop->state, args[1]))
    return NULL;
  datagram_object *self = datagram_new(loop, fd, args[0], args[1]);
  if (self == NULL) return NULL;
  if (args[2] != Py_None) self->remote = Py_NewRef(args[2]);
  if (args[3] != Py_None) self->waiter = Py_NewRef(args[3]);
  datagram_schedule(self);
  return (PyObject *)self;
}

int datagram_held_by_loop(const datagram_object *self) {
  return self->read_armed + self->write_armed + self->queued;
}

void datagram_forget(datagram_object *self) {
  int references = datagram_held_by_loop(self);
  self->read_armed = self->write_armed = self->queued = false;
  Py_INCREF(self);
  list_remove(&self->link);
  if (self->closing) datagram_release_socket(self);
  while (references-- >= 0) Py_DECREF(self);
}
