#include "convert.h"

#include <arpa/inet.h>
#include <bide/errno.h>
#include <stddef.h>
#include <string.h>

PyObject *convert_error(int code) {
  switch (code) {
    case BIDE_ENOMEM:
      return PyObject_CallNoArgs(PyExc_MemoryError);
    case BIDE_ECLOSED:
      return PyObject_CallFunction(PyExc_RuntimeError, "s", "Event loop is closed");
    case BIDE_EFORKED:
    case BIDE_ERUNNING:
    case BIDE_EQUEUEFULL:
      return PyObject_CallFunction(PyExc_RuntimeError, "s", bide_error_text(code));
    default:
      break;
  }
  int number = bide_error_errno(code);
  return PyObject_CallFunction(PyExc_OSError, "is", number, strerror(number));
}

PyObject *convert_raise(int code) {
  PyObject *error = convert_error(code);
  if (error != NULL) PyErr_SetRaisedException(error);
  return NULL;
}

bool convert_knows_family(int family) {
  return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

/* An abstract name begins with a NUL and is all that is left; a path ends at a NUL, or
 * fills the array. */
static PyObject *convert_unix(const convert_name *address) {
  const char *path = address->of.un.sun_path;
  size_t start = offsetof(struct sockaddr_un, sun_path);
  size_t len = address->len > start ? address->len - start : 0;
  if (len > sizeof address->of.un.sun_path) len = sizeof address->of.un.sun_path;
  if (len > 0 && path[0] == '\0') return PyBytes_FromStringAndSize(path, (Py_ssize_t)len);
  return PyUnicode_DecodeFSDefaultAndSize(path, (Py_ssize_t)strnlen(path, len));
}

convert_name *convert_keep_name(const convert_name *name) {
  size_t len = name->len < sizeof name->of ? name->len : sizeof name->of;
  if (len < sizeof name->of.any) len = sizeof name->of.any;
  convert_name *kept = PyMem_Malloc(offsetof(convert_name, of) + len);
  if (kept == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  memcpy(kept, name, offsetof(convert_name, of) + len);
  return kept;
}

/* What inet_ntop(3) prints, which takes it through a format. */
static Py_ssize_t convert_dotted(const struct in_addr *address, char *text) {
  const unsigned char *bytes = (const unsigned char *)address;
  char *end = text;
  for (int i = 0; i < 4; i++) {
    if (i > 0) *end++ = '.';
    if (bytes[i] >= 100) *end++ = (char)('0' + bytes[i] / 100);
    if (bytes[i] >= 10) *end++ = (char)('0' + bytes[i] / 10 % 10);
    *end++ = (char)('0' + bytes[i] % 10);
  }
  return end - text;
}

static PyObject *convert_ipv4(const struct sockaddr_in *in) {
  char text[INET_ADDRSTRLEN];
  PyObject *host = PyUnicode_FromStringAndSize(text, convert_dotted(&in->sin_addr, text));
  PyObject *port = PyLong_FromLong(ntohs(in->sin_port));
  PyObject *pair = host != NULL && port != NULL ? PyTuple_New(2) : NULL;
  if (pair == NULL) {
    Py_XDECREF(host);
    Py_XDECREF(port);
    return NULL;
  }
  PyTuple_SET_ITEM(pair, 0, host);
  PyTuple_SET_ITEM(pair, 1, port);
  return pair;
}

PyObject *convert_address(const convert_name *address) {
  char text[INET6_ADDRSTRLEN];
  int family = address->len > 0 ? address->of.any.sa_family : AF_UNSPEC;
  if (family == AF_UNIX) return convert_unix(address);
  if (family == AF_INET) return convert_ipv4(&address->of.in);
  if (family == AF_INET6) {
    const struct sockaddr_in6 *in6 = &address->of.in6;
    if (inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text) == NULL) Py_RETURN_NONE;
    return Py_BuildValue("siII", text, (int)ntohs(in6->sin6_port),
                         (unsigned)ntohl(in6->sin6_flowinfo),
                         (unsigned)in6->sin6_scope_id);
  }
  Py_RETURN_NONE;
}

int convert_fd(const module_state *state, PyObject *fileobj) {
  PyObject *number = NULL;
  if (PyLong_Check(fileobj)) {
    number = Py_NewRef(fileobj);
  } else {
    number = PyObject_CallMethodNoArgs(fileobj, state->names.fileno);
    if (number == NULL || !PyLong_Check(number)) {
      bool refused = number != NULL || PyErr_ExceptionMatches(PyExc_AttributeError) ||
                     PyErr_ExceptionMatches(PyExc_TypeError) ||
                     PyErr_ExceptionMatches(PyExc_ValueError);
      Py_XDECREF(number);
      if (!refused) return -1;
      PyErr_Clear();
      PyErr_Format(PyExc_ValueError, "Invalid file object: %R", fileobj);
      return -1;
    }
  }
  long fd = PyLong_AsLong(number);
  Py_DECREF(number);
  if (fd == -1 && PyErr_Occurred()) return -1;
  if (fd < 0 || fd > INT_MAX) {
    PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %ld", fd);
    return -1;
  }
  return (int)fd;
}

bool convert_is(PyObject *name, const char *text) {
  return PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, text) == 0;
}

PyObject *convert_argument(PyObject *const *args, Py_ssize_t nargs, PyObject *keywords,
                           const char *method, const char *name) {
  Py_ssize_t named = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
  if (nargs == 1 && named == 0) return args[0];
  if (nargs == 0 && named == 1 &&
      PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), name) == 0)
    return args[0];
  return PyErr_Format(PyExc_TypeError, "%s() takes one argument, '%s' (%zd given)",
                      method, name, nargs + named);
}
