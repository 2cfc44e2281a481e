/* gzip_job.c: gzip and back. */
#include <bide/errno.h>
#include <stdlib.h>

#include "jobs.h"

/* zlib's, see its zlib.h: the layout and the numbers have not changed since 1.0. */
typedef struct zlib_stream {
  const unsigned char *next_in;
  unsigned avail_in;
  unsigned long total_in;
  unsigned char *next_out;
  unsigned avail_out;
  unsigned long total_out;
  const char *msg;
  void *state, *zalloc, *zfree, *opaque;
  int data_type;
  unsigned long adler, reserved;
} zlib_stream;

enum {
  ZLIB_NO_FLUSH = 0,
  ZLIB_FINISH = 4,
  ZLIB_OK = 0,
  ZLIB_STREAM_END = 1,
  ZLIB_MEM_ERROR = -4,
  ZLIB_BUF_ERROR = -5,
  ZLIB_DEFLATED = 8,
  ZLIB_GZIP_BITS = 15 + 16,
  ZLIB_MEMORY_LEVEL = 8,
  GZIP_FIRST_BYTE = 0x1f,
};

static struct {
  int (*deflate_init)(zlib_stream *stream, int level, int method, int bits, int memory,
                      int strategy, const char *version, int size);
  int (*deflate)(zlib_stream *stream, int flush);
  int (*deflate_end)(zlib_stream *stream);
  int (*inflate_init)(zlib_stream *stream, int bits, const char *version, int size);
  int (*inflate)(zlib_stream *stream, int flush);
  int (*inflate_reset)(zlib_stream *stream);
  int (*inflate_end)(zlib_stream *stream);
  bool found;
} zlib;

static pthread_once_t zlib_once = PTHREAD_ONCE_INIT;

static const char zlib_version[] = "1.2.11"; /* of which it compares the first digit */

static void zlib_find(void) {
  zlib.found = addon_find_symbol(&zlib.deflate_init, "deflateInit2_") &&
               addon_find_symbol(&zlib.deflate, "deflate") &&
               addon_find_symbol(&zlib.deflate_end, "deflateEnd") &&
               addon_find_symbol(&zlib.inflate_init, "inflateInit2_") &&
               addon_find_symbol(&zlib.inflate, "inflate") &&
               addon_find_symbol(&zlib.inflate_reset, "inflateReset") &&
               addon_find_symbol(&zlib.inflate_end, "inflateEnd");
}

static int zlib_code(int result) {
  if (result == ZLIB_OK || result == ZLIB_STREAM_END) return 0;
  return result == ZLIB_MEM_ERROR ? BIDE_ENOMEM : BIDE_EINVAL;
}

/* Makes room for more output: half as much again, no more than `max`. */
static int output_grow(addon_job_call *call, size_t *capacity, size_t max) {
  size_t wanted = *capacity + *capacity / 2 + ADDON_JOB_PIECE_BYTES;
  if (wanted > max) wanted = max;
  if (wanted == *capacity) return BIDE_EFBIG;
  void *output = realloc(call->output, wanted);
  if (output == NULL) return BIDE_ENOMEM;
  call->output = output;
  *capacity = wanted;
  return 0;
}

static size_t input_add(addon_job_call *call, zlib_stream *stream, size_t taken) {
  size_t rest = call->len - taken;
  if (rest > ADDON_JOB_PIECE_BYTES) rest = ADDON_JOB_PIECE_BYTES;
  stream->next_in = (const unsigned char *)call->base + taken;
  stream->avail_in = (unsigned)rest;
  return taken + rest;
}

/* One step, into what room there is for output; returns zlib's own number. */
static int zlib_step(addon_job_call *call, zlib_stream *stream, size_t capacity,
                     int flush, int (*step)(zlib_stream *stream, int flush)) {
  size_t room = capacity - call->output_len;
  if (room > ADDON_JOB_PIECE_BYTES) room = ADDON_JOB_PIECE_BYTES;
  stream->next_out = (unsigned char *)call->output + call->output_len;
  stream->avail_out = (unsigned)room;
  int result = step(stream, flush);
  size_t made = room - stream->avail_out;
  call->output_len += made;
  /* For want of room, not of input, unless nothing came of it. */
  return result == ZLIB_BUF_ERROR && made > 0 ? ZLIB_OK : result;
}

static int zlib_run(addon_job_call *call, zlib_stream *stream, size_t max,
                    int (*step)(zlib_stream *stream, int flush)) {
  size_t taken = 0, capacity = 0;
  for (;;) {
    if (addon_stop_requested(call->stop)) return BIDE_ECANCELED;
    if (stream->avail_in == 0) taken = input_add(call, stream, taken);
    int code = call->output_len == capacity ? output_grow(call, &capacity, max) : 0;
    if (code < 0) return code;
    bool last = taken == call->len;
    int result =
        zlib_step(call, stream, capacity, last ? ZLIB_FINISH : ZLIB_NO_FLUSH, step);
    if (result == ZLIB_STREAM_END) {
      /* Members that follow one another are one file; what else follows is none. */
      if (stream->avail_in == 0 && !last) taken = input_add(call, stream, taken);
      if (stream->avail_in == 0 || *stream->next_in != GZIP_FIRST_BYTE) return 0;
      result = zlib.inflate_reset(stream);
    }
    if (result != ZLIB_OK && (result != ZLIB_BUF_ERROR || last)) return zlib_code(result);
  }
}

int addon_gzip(addon_job_call *call) {
  zlib_stream stream = {0};
  pthread_once(&zlib_once, zlib_find);
  if (!zlib.found) return BIDE_EOPNOTSUPP;
  call->syscall = "deflate";
  int code = zlib_code(zlib.deflate_init(&stream, (int)call->limit, ZLIB_DEFLATED,
                                         ZLIB_GZIP_BITS, ZLIB_MEMORY_LEVEL, 0,
                                         zlib_version, (int)sizeof stream));
  if (code < 0) return code;
  code = zlib_run(call, &stream, SIZE_MAX, zlib.deflate);
  zlib.deflate_end(&stream);
  return code;
}

int addon_gunzip(addon_job_call *call) {
  zlib_stream stream = {0};
  pthread_once(&zlib_once, zlib_find);
  if (!zlib.found) return BIDE_EOPNOTSUPP;
  call->syscall = "inflate";
  int code = zlib_code(
      zlib.inflate_init(&stream, ZLIB_GZIP_BITS, zlib_version, (int)sizeof stream));
  if (code < 0) return code;
  code = zlib_run(call, &stream, (size_t)call->limit, zlib.inflate);
  zlib.inflate_end(&stream);
  return code;
}
