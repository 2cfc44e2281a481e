/* buffers.h: the pooled buffers that multishot receives fill.
 *
 * `count` buffers of `bytes` each in one mapping, touched only as they are used. A buffer
 * is free or lent; the last one freed is the next one lent, so that few stay hot. */
#ifndef BIDE_SRC_BACKEND_BUFFERS_H
#define BIDE_SRC_BACKEND_BUFFERS_H

#include <bide/base.h>

typedef struct bide__buffers {
  char *memory; /* NULL until the first multishot receive */
  uint32_t count, bytes;
  uint32_t lent;
  uint16_t *free; /* epoll: a stack of count - lent ids; io_uring, whose kernel-side ring
                   * holds them, keeps a few here */
  bool *out;      /* by id: its bytes were told of, and it was not given back since */
} bide__buffers;

/* Maps the memory, once. Returns 0 or BIDE_ENOMEM. */
int bide__buffers_open(bide__buffers *buffers);
void bide__buffers_close(bide__buffers *buffers);

/* The id of a free buffer, now lent; -1 when all are. */
int bide__buffers_lend(bide__buffers *buffers);
void bide__buffers_return(bide__buffers *buffers, uint16_t id);
void *bide__buffers_data(const bide__buffers *buffers, uint16_t id);

/* Its bytes go to the loop's user, who has it until it is given back. */
static inline void bide__buffers_give(bide__buffers *buffers, uint16_t id) {
  buffers->out[id] = true;
}

static inline bool bide__buffers_is_out(const bide__buffers *buffers, uint16_t id) {
  return buffers->memory != NULL && id < buffers->count && buffers->out[id];
}

static inline bool bide__buffers_any_free(const bide__buffers *buffers) {
  return buffers->lent < buffers->count;
}

#endif
