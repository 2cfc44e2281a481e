/* datagram_io.c: datagrams between the socket and the protocol. */
#include <arpa/inet.h>
#include <bide/net.h>
#include <errno.h>
#include <poll.h>

#include "datagram.h"
#include "write_queue.h"

/* As large as the largest that asyncio takes; a Unix datagram may be longer than UDP's. The
 * batch bounds what one endpoint takes of a turn. */
enum { DATAGRAM_BATCH = 16 };

static const char datagram_read_failed[] = "Fatal read error on datagram transport";
static const char datagram_write_failed[] = "Fatal write error on datagram transport";
static const char datagram_refused[] =
    "data argument must be a bytes-like object, not '%.100s'";

/* Takes the pending exception if it says that the socket would block. */
static bool datagram_would_block(void) {
  if (!PyErr_ExceptionMatches(PyExc_BlockingIOError) &&
      !PyErr_ExceptionMatches(PyExc_InterruptedError))
    return false;
  PyErr_Clear();
  return true;
}

/* ---- receiving ---- */

static bool datagram_takes_input(const datagram_object *self) {
  return self->open && !self->closing;
}

static void datagram_on_readable(bide_op *op);

void datagram_update_reading(datagram_object *self) {
  bool wanted = datagram_takes_input(self) && !self->readable;
  if (wanted && !self->read_armed) {
    bide_prep_poll(&self->read_poll, self->fd, POLLIN);
    self->read_poll.cb = datagram_on_readable;
    int code = bide_loop_submit(self->loop->core, &self->read_poll);
    if (code < 0) {
      convert_raise(code);
      datagram_fail(self, datagram_read_failed);
      return;
    }
    self->read_armed = true;
    Py_INCREF(self);
  } else if (!wanted && self->read_armed) {
    (void)bide_loop_cancel(self->loop->core, &self->read_poll);
  }
}

/* What recvfrom gives. */
typedef struct datagram_taken {
  PyObject *data;
  PyObject *address;
} datagram_taken;

/* Of a family that only the socket module knows. 0, or -1 with an exception. */
static int datagram_ask_socket(datagram_object *self, datagram_taken *taken) {
  PyObject *pair = state_call(self->socket, self->loop->state->names.recvfrom, "(i)",
                              (int)LOOP_SCRATCH_BYTES);
  if (pair == NULL) return -1;
  taken->data = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
  taken->address = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
  Py_DECREF(pair);
  return 0;
}

/* The same of the families that are known; 1 when nothing is there. */
static int datagram_receive(datagram_object *self, datagram_taken *taken) {
  char *buffer = loop_scratch(self->loop);
  if (buffer == NULL) return -1;
  convert_name from;
  from.len = sizeof from.of;
  ssize_t count = recvfrom(self->fd, buffer, LOOP_SCRATCH_BYTES, MSG_DONTWAIT,
                           &from.of.any, &from.len);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
  if (count < 0) {
    convert_raise(-errno);
    return -1;
  }
  taken->data = PyBytes_FromStringAndSize(buffer, count);
  if (taken->data == NULL) return -1;
  taken->address = address_cache_convert(&self->heard, &from);
  if (taken->address == NULL) Py_CLEAR(taken->data);
  return taken->data != NULL ? 0 : -1;
}

/* Gives one datagram to the protocol. False when there was none, or an error. */
static bool datagram_take(datagram_object *self) {
  datagram_taken taken;
  int result = convert_knows_family(self->name.of.any.sa_family)
                   ? datagram_receive(self, &taken)
                   : datagram_ask_socket(self, &taken);
  if (result > 0) return false;
  if (result < 0) {
    if (!datagram_would_block()) datagram_receive_error(self, datagram_read_failed);
    return false;
  }
  datagram_tell(self, self->loop->state->names.datagram_received, taken.data,
                taken.address, "Exception in callback protocol.datagram_received()");
  Py_DECREF(taken.data);
  Py_DECREF(taken.address);
  return true;
}

/* Behind a full batch there are more, as a rule: they wait for the calls that are ready by
 * now, and not for the kernel to tell of them again. */
void datagram_read(datagram_object *self) {
  int count = 0;
  while (count < DATAGRAM_BATCH && self->readable && datagram_takes_input(self) &&
         datagram_take(self))
    count++;
  bool more = count == DATAGRAM_BATCH && datagram_takes_input(self);
  if (more) datagram_schedule(self);
  self->readable = more && self->queued;
  datagram_update_reading(self);
}

/* The calls that were ready before the datagram came go first, as in asyncio: so a program
 * that sends and then starts to wait misses nothing. */
static void datagram_on_readable(bide_op *op) {
  datagram_object *self = BIDE_CONTAINER_OF(op, datagram_object, read_poll);
  loop_object *loop = self->loop;
  self->read_armed = false;
  if (!loop->draining) {
    loop_enter(loop);
    self->readable = op->result >= 0;
    if (op->result < 0 && op->result != BIDE_ECANCELED && !self->closing) {
      convert_raise(op->result);
      datagram_fail(self, datagram_read_failed);
    }
    if (!self->closing) datagram_schedule(self);
    loop_leave(loop);
  }
  Py_DECREF(self);
}

/* ---- addresses ---- */

static int datagram_parse_uint(PyObject *number, unsigned long max,
                               unsigned long *value) {
  if (!PyLong_CheckExact(number)) return -1;
  *value = PyLong_AsUnsignedLong(number);
  if (PyErr_Occurred()) {
    PyErr_Clear();
    return -1;
  }
  return *value <= max ? 0 : -1;
}

/* A numeric (host, port) or (host, port, flow, scope) of the socket's family. Returns -1
 * for anything else: names, wrong types and values are the socket module's. */
static int datagram_parse_address(const datagram_object *self, PyObject *address,
                                  bide_address *to) {
  static const unsigned long max[3] = {65535, 0xfffff, 0xffffffff};
  int family = self->name.of.any.sa_family;
  Py_ssize_t count = PyTuple_CheckExact(address) ? PyTuple_GET_SIZE(address) : 0;
  unsigned long number[3] = {0};
  if (count < 2 || count > (family == AF_INET6 ? 4 : 2)) return -1;
  for (Py_ssize_t i = 1; i < count; i++)
    if (datagram_parse_uint(PyTuple_GET_ITEM(address, i), max[i - 1], &number[i - 1]) < 0)
      return -1;
  PyObject *host = PyTuple_GET_ITEM(address, 0);
  if (!PyUnicode_CheckExact(host) || !PyUnicode_IS_COMPACT_ASCII(host)) return -1;
  const char *text = (const char *)PyUnicode_1BYTE_DATA(host);
  if (strlen(text) != (size_t)PyUnicode_GET_LENGTH(host) ||
      bide_address_ip(text, (uint16_t)number[0], to) < 0 ||
      to->storage.ss_family != family)
    return -1;
  if (family == AF_INET6) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&to->storage;
    in6->sin6_flowinfo = htonl((uint32_t)number[1]);
    if (number[2] != 0) in6->sin6_scope_id = (uint32_t)number[2];
  }
  return 0;
}

/* ---- sending ---- */

struct datagram_item {
  datagram_item *next;
  PyObject *data; /* bytes */
  PyObject *address;
};

static size_t datagram_size(const datagram_item *item) {
  return (size_t)PyBytes_GET_SIZE(item->data) + COMPAT_DATAGRAM_HEADER_BYTES;
}

static void datagram_queue_pop(datagram_object *self) {
  datagram_item *item = self->first;
  self->first = item->next;
  if (self->first == NULL) self->last = NULL;
  self->bytes -= datagram_size(item);
  Py_DECREF(item->data);
  Py_DECREF(item->address);
  PyMem_Free(item);
}

void datagram_queue_clear(datagram_object *self) {
  while (self->first != NULL) datagram_queue_pop(self);
}

int datagram_queue_visit(datagram_object *self, visitproc visit, void *arg) {
  for (datagram_item *item = self->first; item != NULL; item = item->next)
    Py_VISIT(item->address);
  return 0;
}

/* Queues a copy: the caller may change what it sent. */
static int datagram_queue_push(datagram_object *self, PyObject *data, PyObject *address) {
  datagram_item *item = PyMem_Malloc(sizeof *item);
  if (item == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  item->next = NULL;
  item->data = PyBytes_CheckExact(data) ? Py_NewRef(data) : PyBytes_FromObject(data);
  if (item->data == NULL) {
    PyMem_Free(item);
    return -1;
  }
  item->address = Py_NewRef(address);
  if (self->last != NULL)
    self->last->next = item;
  else
    self->first = item;
  self->last = item;
  self->bytes += datagram_size(item);
  return 0;
}

/* Sends to an address that only the socket module can read, which may ask a resolver. */
static int datagram_send_by_socket(datagram_object *self, PyObject *data,
                                   PyObject *address) {
  PyObject *sent = PyObject_CallMethodObjArgs(
      self->socket, self->loop->state->names.sendto, data, address, NULL);
  Py_XDECREF(sent);
  return sent == NULL ? -1 : 0;
}

/* Sends one. 0, or -1 with an exception: BlockingIOError when there is no room. */
static int datagram_send(datagram_object *self, PyObject *data, PyObject *address) {
  bide_address to;
  const struct sockaddr *name = NULL;
  socklen_t len = 0;
  const address_slot *heard = address_cache_find(self->heard, address);
  if (self->peer.len == 0 && heard != NULL) {
    name = &heard->of.any;
    len = heard->len;
  } else if (self->peer.len == 0) {
    if (datagram_parse_address(self, address, &to) < 0)
      return datagram_send_by_socket(self, data, address);
    name = (const struct sockaddr *)&to.storage;
    len = to.len;
  }
  Py_buffer view;
  if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return -1;
  ssize_t sent = sendto(self->fd, view.buf, (size_t)view.len, MSG_DONTWAIT | MSG_NOSIGNAL,
                        name, len);
  int code = sent < 0 ? -errno : 0;
  PyBuffer_Release(&view);
  if (code == 0) return 0;
  convert_raise(code);
  return -1;
}

static void datagram_on_writable(bide_op *op);

static void datagram_await_writable(datagram_object *self) {
  bide_prep_poll(&self->write_poll, self->fd, POLLOUT);
  self->write_poll.cb = datagram_on_writable;
  int code = bide_loop_submit(self->loop->core, &self->write_poll);
  if (code < 0) {
    convert_raise(code);
    datagram_fail(self, datagram_write_failed);
    return;
  }
  self->write_armed = true;
  Py_INCREF(self);
}

static void datagram_send_queue(datagram_object *self) {
  while (self->first != NULL) {
    datagram_item *item = self->first;
    PyObject *data = Py_NewRef(item->data), *address = Py_NewRef(item->address);
    int result = datagram_send(self, data, address);
    bool full = result < 0 && datagram_would_block();
    Py_DECREF(data);
    Py_DECREF(address);
    if (full) return;
    datagram_queue_pop(self);
    if (result < 0) {
      datagram_receive_error(self, datagram_write_failed);
      return;
    }
  }
}

void datagram_pause_writing(datagram_object *self) {
  if (self->writing_paused || self->bytes <= self->high_bytes) return;
  self->writing_paused = true;
  datagram_tell(self, self->loop->state->names.pause_writing, NULL, NULL,
                "protocol.pause_writing() failed");
}

static void datagram_resume_writing(datagram_object *self) {
  if (!self->writing_paused || self->lost || self->bytes > self->low_bytes) return;
  self->writing_paused = false;
  datagram_tell(self, self->loop->state->names.resume_writing, NULL, NULL,
                "protocol.resume_writing() failed");
}

static void datagram_on_writable(bide_op *op) {
  datagram_object *self = BIDE_CONTAINER_OF(op, datagram_object, write_poll);
  loop_object *loop = self->loop;
  self->write_armed = false;
  if (!loop->draining) {
    loop_enter(loop);
    datagram_send_queue(self);
    datagram_resume_writing(self);
    if (self->first != NULL && !self->write_armed) datagram_await_writable(self);
    datagram_flushed(self);
    loop_leave(loop);
  }
  Py_DECREF(self);
}

/* ---- sendto ---- */

/* The address is the remote one or none. */
static int datagram_check_remote(const datagram_object *self, PyObject *address) {
  if (self->remote == NULL || address == Py_None) return 0;
  int equal = PyObject_RichCompareBool(address, self->remote, Py_EQ);
  if (equal == 0)
    PyErr_Format(PyExc_ValueError, "Invalid address: must be None or %S", self->remote);
  return equal > 0 ? 0 : -1;
}

static int datagram_send_late(datagram_object *self) {
  if (self->lost++ < WRITE_LATE_LOGGED) return 0;
  PyObject *result = PyObject_CallMethodNoArgs((PyObject *)self->loop,
                                               self->loop->state->names._late_write);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

/* Now if nothing waits before it, else in its turn. -1 with an exception that is the
 * caller's: the network's goes to the protocol, and a wrong address ends the endpoint. */
static int datagram_send_or_queue(datagram_object *self, PyObject *data,
                                  PyObject *address) {
  if (self->first == NULL) {
    if (datagram_send(self, data, address) == 0) return 0;
    if (PyErr_ExceptionMatches(PyExc_SystemExit) ||
        PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
      return -1;
    if (!datagram_would_block()) {
      datagram_receive_error(self, datagram_write_failed);
      return 0;
    }
    if (self->lost) return 0;
  }
  if (datagram_queue_push(self, data, address) < 0) return -1;
  if (!self->write_armed) datagram_await_writable(self);
  datagram_pause_writing(self);
  return 0;
}

/* The two arguments, borrowed. By position, as nearly always, they need no parser. */
static int datagram_parse_sendto(PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *keywords, PyObject **data,
                                 PyObject **address) {
  static char *names[] = {"data", "addr", NULL};
  if (keywords == NULL && (nargs == 1 || nargs == 2)) {
    *data = args[0];
    if (nargs == 2) *address = args[1];
    return 0;
  }
  PyObject *given = PyTuple_New(nargs), *named = PyDict_New();
  bool built = given != NULL && named != NULL;
  for (Py_ssize_t i = 0; built && i < nargs; i++)
    PyTuple_SET_ITEM(given, i, Py_NewRef(args[i]));
  Py_ssize_t named_count = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
  for (Py_ssize_t i = 0; built && i < named_count; i++)
    built = PyDict_SetItem(named, PyTuple_GET_ITEM(keywords, i), args[nargs + i]) == 0;
  bool parsed = built && PyArg_ParseTupleAndKeywords(given, named, "O|O:sendto", names,
                                                     data, address);
  Py_XDECREF(given);
  Py_XDECREF(named);
  return parsed ? 0 : -1;
}

/* As in asyncio, an endpoint without a remote address sends until its socket is closed,
 * which is when connection_lost has been called. */
PyObject *datagram_sendto(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *keywords) {
  datagram_object *self = (datagram_object *)object;
  PyObject *data, *address = Py_None;
  if (datagram_parse_sendto(args, nargs, keywords, &data, &address) < 0 ||
      write_queue_check(data, datagram_refused) < 0 ||
      datagram_check_remote(self, address) < 0)
    return NULL;
  if (self->remote != NULL) address = self->remote;
  bool late = self->lost && (self->remote != NULL || self->fd < 0);
  int result = late ? datagram_send_late(self) : loop_check_use(self->loop);
  if (result == 0 && !late) result = datagram_send_or_queue(self, data, address);
  if (result < 0) return NULL;
  Py_RETURN_NONE;
}
