#include "socket_try.h"

#include <errno.h>
#include <sys/socket.h>

#include "convert.h"

/* Whether the socket would block; else `code` is an error, or no error. */
static bool socket_try_blocked(ssize_t code) {
  return code == -EAGAIN || code == -EWOULDBLOCK;
}

static ssize_t socket_try_recv(int fd, void *into, size_t len) {
  ssize_t count;
  do {
    count = recv(fd, into, len, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

static ssize_t socket_try_send_some(int fd, const char *from, size_t len) {
  ssize_t count;
  do {
    count = send(fd, from, len, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

/* Straight into bytes of the size that the user names. */
static PyObject *socket_try_receive_large(int fd, size_t len, bool *blocked) {
  PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
  if (data == NULL) return NULL;
  ssize_t count = socket_try_recv(fd, PyBytes_AS_STRING(data), len);
  *blocked = socket_try_blocked(count);
  if (count < 0) {
    Py_DECREF(data);
    return *blocked ? NULL : convert_raise((int)count);
  }
  if ((size_t)count < len) (void)_PyBytes_Resize(&data, (Py_ssize_t)count);
  return data;
}

PyObject *socket_try_receive(loop_object *loop, int fd, size_t len, bool *blocked) {
  if (len == 0) return PyBytes_FromStringAndSize(NULL, 0); /* as the socket's own */
  if (len > LOOP_SCRATCH_BYTES) return socket_try_receive_large(fd, len, blocked);
  char *scratch = loop_scratch(loop);
  if (scratch == NULL) return NULL;
  ssize_t count = socket_try_recv(fd, scratch, len);
  *blocked = socket_try_blocked(count);
  if (*blocked) return NULL;
  return count < 0 ? convert_raise((int)count)
                   : PyBytes_FromStringAndSize(scratch, count);
}

PyObject *socket_try_receive_into(int fd, const Py_buffer *view, bool *blocked) {
  if (view->len == 0) return PyLong_FromLong(0); /* as the socket's own method */
  ssize_t count = socket_try_recv(fd, view->buf, (size_t)view->len);
  *blocked = socket_try_blocked(count);
  if (*blocked) return NULL;
  return count < 0 ? convert_raise((int)count) : PyLong_FromSsize_t(count);
}

/* An empty datagram is sent too. */
PyObject *socket_try_send(int fd, const Py_buffer *view, size_t *sent, bool *blocked) {
  do {
    ssize_t count = socket_try_send_some(fd, (const char *)view->buf + *sent,
                                         (size_t)view->len - *sent);
    *blocked = socket_try_blocked(count);
    if (*blocked) return NULL;
    if (count < 0) return convert_raise((int)count);
    *sent += (size_t)count;
  } while (*sent < (size_t)view->len);
  Py_RETURN_NONE;
}
