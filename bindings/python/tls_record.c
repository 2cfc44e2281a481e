/* tls_record.c: records in and out of the ssl objects.
 *
 * A transport below may call connection_lost() from the middle of any call to it, and a
 * callback of the user's ssl context may make it: then nothing is there to read or send.
 *
 * Plain text is read into the memory where it is wanted and written from where it lies:
 * memoryviews that live for one call spare the copies. */
#include "tls.h"

/* ---- making them ---- */

/* What ssl.SSLObject calls in its turn. Its name is private, so its absence only means
 * the longer way. */
static int tls_record_find_raw(tls_object *self) {
  module_state *state = self->loop->state;
  if ((PyObject *)Py_TYPE(self->ssl_object) != state->SSLObject) return 0;
  self->raw = PyObject_GetAttr(self->ssl_object, state->names._sslobj);
  if (self->raw != NULL) return 0;
  if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
  PyErr_Clear();
  return 0;
}

int tls_record_open(tls_object *self, PyObject *server_hostname) {
  module_state *state = self->loop->state;
  self->incoming = PyObject_CallNoArgs(state->MemoryBIO);
  self->outgoing = PyObject_CallNoArgs(state->MemoryBIO);
  if (self->incoming == NULL || self->outgoing == NULL) return -1;
  PyObject *wrap = PyObject_GetAttr(self->ssl_context, state->names.wrap_bio);
  PyObject *args = PyTuple_Pack(2, self->incoming, self->outgoing);
  PyObject *keywords =
      Py_BuildValue("{sOsO}", "server_side", self->server_side ? Py_True : Py_False,
                    "server_hostname", server_hostname);
  if (wrap != NULL && args != NULL && keywords != NULL)
    self->ssl_object = PyObject_Call(wrap, args, keywords);
  Py_XDECREF(wrap);
  Py_XDECREF(args);
  Py_XDECREF(keywords);
  return self->ssl_object == NULL ? -1 : tls_record_find_raw(self);
}

/* ---- outcomes ---- */

/* Takes the exception that only says to wait for input. */
static bool tls_record_again(tls_object *self) {
  const module_state *state = self->loop->state;
  if (!PyErr_ExceptionMatches(state->SSLWantReadError) &&
      !PyErr_ExceptionMatches(state->SSLSyscallError))
    return false;
  PyErr_Clear();
  return true;
}

/* The number that a call has returned; takes the reference. */
static ssize_t tls_record_size(tls_object *self, PyObject *number) {
  if (number == NULL) return tls_record_again(self) ? TLS_AGAIN : -1;
  ssize_t size = PyLong_AsSsize_t(number);
  Py_DECREF(number);
  return size;
}

static int tls_record_done(tls_object *self, PyObject *result) {
  if (result == NULL) return tls_record_again(self) ? TLS_AGAIN : -1;
  Py_DECREF(result);
  return 0;
}

/* ---- in ---- */

int tls_record_feed(tls_object *self, PyObject *data) {
  PyObject *count =
      PyObject_CallMethodOneArg(self->incoming, self->loop->state->names.write, data);
  Py_XDECREF(count);
  return count == NULL ? -1 : 0;
}

/* A read ends with its record: one that has got less than it could take leaves no plain
 * text, and OpenSSL need not be asked. */
static ssize_t tls_record_plain(tls_object *self) {
  if (self->raw != NULL && !self->filled) return 0;
  PyObject *object = self->raw != NULL ? self->raw : self->ssl_object;
  return tls_record_size(
      self, PyObject_CallMethodNoArgs(object, self->loop->state->names.pending));
}

/* Plain text that is left of a record, and records not looked at. What OpenSSL has read
 * of an incomplete one is in neither. */
ssize_t tls_record_pending(tls_object *self) {
  if (self->incoming == NULL) return 0;
  module_state *state = self->loop->state;
  ssize_t plain = tls_record_plain(self);
  if (plain < 0) return -1;
  ssize_t records =
      tls_record_size(self, PyObject_GetAttr(self->incoming, state->names.pending));
  return records < 0 ? -1 : plain + records;
}

/* The peer's close_notify after our own is an exception. */
static ssize_t tls_record_read_size(tls_object *self, PyObject *number) {
  if (number == NULL && PyErr_ExceptionMatches(self->loop->state->SSLZeroReturnError)) {
    PyErr_Clear();
    return 0;
  }
  return tls_record_size(self, number);
}

/* A subclass's read() might keep the buffer that it is given, so it gives its own. */
static ssize_t tls_record_read_copy(tls_object *self, char *into, size_t len) {
  PyObject *most = PyLong_FromSize_t(len);
  PyObject *data = most == NULL
                       ? NULL
                       : PyObject_CallMethodOneArg(self->ssl_object,
                                                   self->loop->state->names.read, most);
  Py_XDECREF(most);
  if (data == NULL) return tls_record_read_size(self, NULL);
  ssize_t size = -1;
  if (!PyBytes_Check(data) || (size_t)PyBytes_GET_SIZE(data) > len) {
    PyErr_Format(PyExc_TypeError, "%R.read(%zu) returned %R", self->ssl_object, len,
                 data);
  } else {
    size = PyBytes_GET_SIZE(data);
    memcpy(into, PyBytes_AS_STRING(data), (size_t)size);
  }
  Py_DECREF(data);
  return size;
}

ssize_t tls_record_read(tls_object *self, char *into, size_t len) {
  if (self->raw == NULL) return tls_record_read_copy(self, into, len);
  PyObject *view = PyMemoryView_FromMemory(into, (Py_ssize_t)len, PyBUF_WRITE);
  PyObject *size = PyLong_FromSize_t(len);
  PyObject *args[] = {self->raw, size, view};
  PyObject *number = NULL;
  if (view != NULL && size != NULL)
    number = PyObject_VectorcallMethod(self->loop->state->names.read, args,
                                       3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  Py_XDECREF(size);
  Py_XDECREF(view);
  ssize_t count = tls_record_read_size(self, number);
  self->filled = count > 0 && (size_t)count == len;
  return count;
}

/* ---- out ---- */

ssize_t tls_record_write_bytes(tls_object *self, PyObject *bytes) {
  PyObject *object = self->raw != NULL ? self->raw : self->ssl_object;
  return tls_record_size(
      self, PyObject_CallMethodOneArg(object, self->loop->state->names.write, bytes));
}

ssize_t tls_record_write(tls_object *self, const char *from, size_t len) {
  PyObject *data = self->raw != NULL ? PyMemoryView_FromMemory(
                                           (char *)from, (Py_ssize_t)len, PyBUF_READ)
                                     : PyBytes_FromStringAndSize(from, (Py_ssize_t)len);
  if (data == NULL) return -1;
  ssize_t size = tls_record_write_bytes(self, data);
  Py_DECREF(data);
  return size;
}

int tls_record_shake(tls_object *self) {
  return tls_record_done(
      self,
      PyObject_CallMethodNoArgs(self->ssl_object, self->loop->state->names.do_handshake));
}

int tls_record_unwrap(tls_object *self) {
  return tls_record_done(
      self, PyObject_CallMethodNoArgs(self->ssl_object, self->loop->state->names.unwrap));
}

int tls_record_send(tls_object *self) {
  if (self->outgoing == NULL) return 0;
  PyObject *data =
      PyObject_CallMethodNoArgs(self->outgoing, self->loop->state->names.read);
  if (data == NULL) return -1;
  int result = 0;
  if (PyBytes_GET_SIZE(data) > 0) result = tls_lower_write(self, data);
  Py_DECREF(data);
  return result;
}
