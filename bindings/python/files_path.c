/* files_path.c: paths and descriptors as os takes them, with os's messages. */
#include <fcntl.h>

#include "files.h"

static bool file_path_is_pathlike(PyObject *path) {
  PyObject *name = PyUnicode_InternFromString("__fspath__");
  bool is = name != NULL && PyObject_HasAttr((PyObject *)Py_TYPE(path), name);
  Py_XDECREF(name);
  return is;
}

/* The path as str or bytes, a new reference. */
static PyObject *file_path_text(file_op *self, PyObject *path, const char *also) {
  if (PyUnicode_Check(path) || PyBytes_Check(path)) return Py_NewRef(path);
  PyObject *text = PyOS_FSPath(path);
  if (text != NULL || !PyErr_ExceptionMatches(PyExc_TypeError)) return text;
  PyObject *error =
      PyErr_GetRaisedException(); /* pending, it would be in the look-up's way */
  if (file_path_is_pathlike(path)) {
    PyErr_SetRaisedException(error);
    return NULL;
  }
  Py_XDECREF(error);
  PyErr_Format(
      PyExc_TypeError, "%s: path should be string, bytes%s os.PathLike%s, not %.200s",
      self->kind->name, also[0] == 0 ? " or" : ",", also, Py_TYPE(path)->tp_name);
  return NULL;
}

int file_path(file_op *self, PyObject *path, const char *also) {
  PyObject *text = file_path_text(self, path, also);
  if (text == NULL) return -1;
  Py_XSETREF(self->name, text);
  PyObject *encoded =
      PyBytes_Check(text) ? Py_NewRef(text) : PyUnicode_EncodeFSDefault(text);
  if (encoded == NULL) return -1;
  Py_XSETREF(self->path, encoded);
  if (strlen(PyBytes_AS_STRING(encoded)) == (size_t)PyBytes_GET_SIZE(encoded)) return 0;
  PyErr_Format(PyExc_ValueError, "%s: embedded null character in path", self->kind->name);
  return -1;
}

/* Unlike PyObject_AsFileDescriptor it leaves a negative number to the kernel's EBADF. */
int file_fd(file_op *self, PyObject *fd) {
  if (!PyLong_Check(fd)) {
    self->fd = PyObject_AsFileDescriptor(fd);
    return self->fd < 0 ? -1 : 0;
  }
  long number = PyLong_AsLong(fd);
  if (number == -1 && PyErr_Occurred()) return -1;
  if (number > INT_MAX || number < INT_MIN) {
    PyErr_SetString(PyExc_OverflowError, number > 0 ? "fd is greater than maximum"
                                                    : "fd is less than minimum");
    return -1;
  }
  self->fd = number < 0 ? -1 : (int)number;
  return 0;
}

int file_dir_fd(file_op *self, PyObject *dir_fd) {
  self->fd = AT_FDCWD;
  if (dir_fd == NULL || dir_fd == Py_None) return 0;
  if (PyIndex_Check(dir_fd)) {
    PyObject *number = PyNumber_Index(dir_fd);
    int code = number == NULL ? -1 : file_fd(self, number);
    Py_XDECREF(number);
    return code;
  }
  PyErr_Format(PyExc_TypeError, "argument should be integer or None, not %.200s",
               Py_TYPE(dir_fd)->tp_name);
  return -1;
}
