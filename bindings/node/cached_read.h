/* cached_read.h: a file read by the thread that is here, if it need not wait for it.
 *
 * The kernel is asked for what its caches hold and for nothing else: an open whose path it
 * would have to look up on a disk, and a read of bytes that are not in memory, are refused
 * by it. So no thread is held up, and no JS is needed: any thread may try. */
#ifndef BIDE_NODE_CACHED_READ_H
#define BIDE_NODE_CACHED_READ_H

#include <stddef.h>
#include <stdint.h>

enum { ADDON_CACHED_BYTES_MAX = 1 << 20 /* some 100 us of copying */ };

typedef enum addon_cached_outcome {
  ADDON_CACHED_UNTRIED,
  ADDON_CACHED_READ,    /* all of it, `len` bytes, lies at `base` */
  ADDON_CACHED_NO_ROOM, /* it is open: try again with room for `len` bytes */
  ADDON_CACHED_PIPE,    /* fd is a pipe with a name, open; it is yours */
  ADDON_CACHED_DEVICE,  /* fd is a terminal or the like, open; it is yours */
  ADDON_CACHED_REFUSED, /* nothing is open, and nothing is known of it */
} addon_cached_outcome;

/* Begin with {.base, .capacity, .fd = -1}. */
typedef struct addon_cached_read {
  unsigned char *base;
  size_t capacity;
  size_t len;
  int fd; /* open after NO_ROOM, PIPE and DEVICE, else -1 */
  uint8_t outcome;
} addon_cached_read;

/* A descriptor of what is at `path`, closed on exec; -1 where the kernel would have to look
 * for it, and before Linux 5.12: that leaves all to the core. */
int addon_open_cached(const char *path, int flags);

void addon_cached_read_try(addon_cached_read *file, const char *path);

/* Closes what is open. */
void addon_cached_read_end(addon_cached_read *file);

#endif
