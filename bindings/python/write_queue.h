/* write_queue.h: bytes that wait to be sent, in order. */
#ifndef BIDE_PYTHON_WRITE_QUEUE_H
#define BIDE_PYTHON_WRITE_QUEUE_H

#include <stdbool.h>

#include "compat.h"

struct iovec;

enum { WRITE_QUEUE_INLINE = 2 };

/* chunks[first .. first + count) are owned bytes objects, the first of which has been
 * sent up to `offset`. `chunks` is `inline_chunks` until more are needed. No chunk is
 * empty. */
typedef struct write_queue {
  PyObject **chunks;
  size_t capacity;
  size_t first;
  size_t count;
  size_t offset;
  size_t bytes;
  PyObject *inline_chunks[WRITE_QUEUE_INLINE];
} write_queue;

/* What may be written: bytes, a bytearray or a memoryview. */
static inline bool write_queue_takes(PyObject *data) {
  return PyBytes_Check(data) || PyByteArray_Check(data) || PyMemoryView_Check(data);
}

/* 0 for what may be written, else -1 with TypeError: the format, and in it the type's name. */
int write_queue_check(PyObject *data, const char *format);

/* What b"".join() makes of the lines, or NULL with its exception. `join` is the method's
 * interned name. */
PyObject *write_queue_join(PyObject *lines, PyObject *join);

void write_queue_init(write_queue *queue);

/* Drops everything. */
void write_queue_clear(write_queue *queue);

/* Appends a bytes object that is not empty, taking a reference. 0, or -1 with
 * MemoryError. */
int write_queue_push(write_queue *queue, PyObject *bytes);

/* Describes the first chunks, at most `max` and no more than `bytes_max` of them; returns
 * how many. */
size_t write_queue_peek(const write_queue *queue, struct iovec *parts, size_t max,
                        size_t bytes_max);

/* Drops `bytes` that were sent, no more than there are. */
void write_queue_consume(write_queue *queue, size_t bytes);

/* One callback sends no more over a socket or pipe: a reader who keeps up must not keep the
 * loop from everybody else. */
enum { WRITE_TURN_BYTES = 4 << 20 };

/* The default of the mark above which a protocol is told to pause. */
enum { WRITE_LIMIT_HIGH_BYTES = 65536 };

/* Writes to a lost connection are dropped, the first ones without a word. */
enum { WRITE_LATE_LOGGED = 5 };

/* The arguments of set_write_buffer_limits(), each a number, None or NULL, as asyncio
 * completes them. -1 with an exception, the marks unchanged. */
int write_limits_parse(PyObject *high, PyObject *low, size_t *high_bytes,
                       size_t *low_bytes);

#endif
