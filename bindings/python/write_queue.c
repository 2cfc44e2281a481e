#include "write_queue.h"

#include <string.h>
#include <sys/uio.h>

int write_queue_check(PyObject *data, const char *format) {
  if (write_queue_takes(data)) return 0;
  const char *name = Py_TYPE(data)->tp_name, *dot = strrchr(name, '.');
  PyErr_Format(PyExc_TypeError, format, dot == NULL ? name : dot + 1);
  return -1;
}

PyObject *write_queue_join(PyObject *lines, PyObject *join) {
  PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
  if (empty == NULL) return NULL;
  PyObject *joined = PyObject_CallMethodOneArg(empty, join, lines);
  Py_DECREF(empty);
  return joined;
}

void write_queue_init(write_queue *queue) {
  memset(queue, 0, sizeof *queue);
  queue->chunks = queue->inline_chunks;
  queue->capacity = WRITE_QUEUE_INLINE;
}

void write_queue_clear(write_queue *queue) {
  PyObject **chunks = queue->chunks;
  size_t first = queue->first, count = queue->count;
  PyObject *copies[WRITE_QUEUE_INLINE];
  bool is_inline = chunks == queue->inline_chunks;
  if (is_inline) memcpy(copies, chunks, sizeof copies);
  write_queue_init(queue);
  for (size_t i = 0; i < count; i++) Py_DECREF((is_inline ? copies : chunks)[first + i]);
  if (!is_inline) PyMem_Free(chunks);
}

/* Makes room for one more at the end: by moving down what is left when at least half is
 * free, else by doubling. */
static int write_queue_grow(write_queue *queue) {
  PyObject **from = queue->chunks + queue->first;
  if (queue->first >= queue->capacity / 2) {
    memmove(queue->chunks, from, queue->count * sizeof *from);
    queue->first = 0;
    return 0;
  }
  size_t capacity = queue->capacity < 8 ? 16 : queue->capacity * 2;
  PyObject **chunks = PyMem_New(PyObject *, capacity);
  if (chunks == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  memcpy(chunks, from, queue->count * sizeof *chunks);
  if (queue->chunks != queue->inline_chunks) PyMem_Free(queue->chunks);
  queue->chunks = chunks;
  queue->capacity = capacity;
  queue->first = 0;
  return 0;
}

int write_queue_push(write_queue *queue, PyObject *bytes) {
  if (queue->first + queue->count == queue->capacity && write_queue_grow(queue) < 0)
    return -1;
  queue->chunks[queue->first + queue->count++] = Py_NewRef(bytes);
  queue->bytes += (size_t)PyBytes_GET_SIZE(bytes);
  return 0;
}

size_t write_queue_peek(const write_queue *queue, struct iovec *parts, size_t max,
                        size_t bytes_max) {
  size_t count = 0;
  for (; count < queue->count && count < max && bytes_max > 0; count++) {
    PyObject *bytes = queue->chunks[queue->first + count];
    size_t skip = count == 0 ? queue->offset : 0;
    size_t len = (size_t)PyBytes_GET_SIZE(bytes) - skip;
    if (len > bytes_max) len = bytes_max;
    parts[count].iov_base = PyBytes_AS_STRING(bytes) + skip;
    parts[count].iov_len = len;
    bytes_max -= len;
  }
  return count;
}

void write_queue_consume(write_queue *queue, size_t bytes) {
  queue->bytes -= bytes;
  bytes += queue->offset;
  while (queue->count > 0) {
    PyObject *chunk = queue->chunks[queue->first];
    size_t len = (size_t)PyBytes_GET_SIZE(chunk);
    if (bytes < len) break;
    bytes -= len;
    queue->first++;
    queue->count--;
    Py_DECREF(chunk);
  }
  queue->offset = bytes;
  if (queue->count == 0) queue->first = 0;
}

/* ---- limits ---- */

/* 1, 0 where none is given, or -1 with an exception. A float will do, as in asyncio, and what
 * is beyond counting is no limit. */
static int write_limit(PyObject *object, Py_ssize_t *bytes) {
  if (object == NULL || object == Py_None) return 0;
  PyObject *number =
      PyFloat_Check(object) ? PyNumber_Long(object) : PyNumber_Index(object);
  if (number == NULL) return -1;
  *bytes = PyNumber_AsSsize_t(number, NULL);
  Py_DECREF(number);
  return 1;
}

int write_limits_parse(PyObject *high, PyObject *low, size_t *high_bytes,
                       size_t *low_bytes) {
  Py_ssize_t high_mark = WRITE_LIMIT_HIGH_BYTES, low_mark = 0;
  int has_low = write_limit(low, &low_mark);
  if (has_low < 0) return -1;
  if (has_low) high_mark = low_mark < PY_SSIZE_T_MAX / 4 ? 4 * low_mark : low_mark;
  int has_high = write_limit(high, &high_mark);
  if (has_high < 0) return -1;
  if (!has_low) low_mark = high_mark < 0 ? -1 : high_mark / 4;
  if (high_mark < low_mark || low_mark < 0) {
    PyErr_Format(PyExc_ValueError, "high (%zd) must be >= low (%zd) must be >= 0",
                 high_mark, low_mark);
    return -1;
  }
  *high_bytes = (size_t)high_mark;
  *low_bytes = (size_t)low_mark;
  return 0;
}
