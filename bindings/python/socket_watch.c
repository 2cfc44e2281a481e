#include "socket_watch.h"

#include <poll.h>
#include <sys/stat.h>

#include "convert.h"
#include "list.h"
#include "socket_call.h"

void socket_watch_free(socket_watch *self) {
  fd_slot *slot = loop_fd_find(self->loop, self->op.fd);
  if (slot != NULL && slot->watch == self) slot->watch = NULL;
  list_remove(&self->link);
  Py_DECREF(self->sock);
  PyMem_Free(self);
}

void socket_watch_end(socket_watch *self) {
  loop_fd_find(self->loop, self->op.fd)->watch = NULL;
  (void)bide_loop_cancel(self->loop->core, &self->op);
}

/* Any call may run, and cancel any other, as soon as one is woken. */
static void socket_watch_on_event(bide_op *op) {
  socket_watch *self = BIDE_CONTAINER_OF(op, socket_watch, op);
  int32_t result = op->result;
  bide_node woken;
  list_init(&woken);
  list_move(&woken, &self->waiting);
  if ((op->flags & BIDE_OP_MORE) == 0) socket_watch_free(self);
  while (!list_empty(&woken))
    socket_call_wake(BIDE_CONTAINER_OF(woken.next, socket_call, waits), result);
}

static bool socket_watch_is_of(const socket_watch *self, PyObject *sock) {
  PyObject *found = NULL;
  if (compat_weakref_get(self->sock, &found) < 0) PyErr_Clear();
  Py_XDECREF(found);
  return found == sock;
}

bool socket_watch_serves(loop_object *loop, PyObject *sock, int fd) {
  if ((PyObject *)Py_TYPE(sock) != loop->state->socket_type) return false;
  fd_slot *slot = loop_fd_find(loop, fd);
  return slot == NULL || slot->watch == NULL || list_empty(&slot->watch->waiting) ||
         socket_watch_is_of(slot->watch, sock);
}

/* The operation of the one before ends by this one's. */
static socket_watch *socket_watch_start(loop_object *loop, PyObject *sock, int fd,
                                        const struct stat *file) {
  PyObject *reference = PyWeakref_NewRef(sock, NULL);
  fd_slot *slot = reference == NULL ? NULL : loop_fd_slot(loop, fd);
  socket_watch *self = slot == NULL ? NULL : PyMem_Calloc(1, sizeof *self);
  if (self == NULL) {
    Py_XDECREF(reference);
    if (!PyErr_Occurred()) PyErr_NoMemory();
    return NULL;
  }
  self->loop = loop;
  self->sock = reference;
  self->device = file->st_dev;
  self->inode = file->st_ino;
  self->op.cb = socket_watch_on_event;
  list_init(&self->waiting);
  list_push(&loop->watches, &self->link);
  bide_prep_poll_multi(&self->op, fd, POLLIN);
  int code = bide_loop_submit(loop->core, &self->op);
  if (code < 0) {
    socket_watch_free(self);
    convert_raise(code);
    return NULL;
  }
  slot->watch = self;
  return self;
}

int socket_watch_wait(loop_object *loop, PyObject *sock, int fd, bide_node *waits) {
  fd_slot *slot = loop_fd_find(loop, fd);
  socket_watch *self = slot == NULL ? NULL : slot->watch;
  struct stat file = {0};
  (void)fstat(fd, &file); /* what fails here fails where it is registered */
  if (self == NULL || self->inode != file.st_ino || self->device != file.st_dev ||
      !socket_watch_is_of(self, sock))
    self = socket_watch_start(loop, sock, fd, &file);
  if (self == NULL) return -1;
  list_push(&self->waiting, waits);
  return 0;
}
