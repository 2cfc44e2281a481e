/* buffers.c: see buffers.h. */
#include "buffers.h"

#include <assert.h>
#include <bide/errno.h>
#include <sys/mman.h>

#include "../memory.h"

int bide__buffers_open(bide__buffers *buffers) {
  if (buffers->memory != NULL) return 0;
  size_t ids_bytes = buffers->count * sizeof(uint16_t);
  uint16_t *ids = bide__zalloc(ids_bytes + buffers->count * sizeof *buffers->out);
  if (ids == NULL) return BIDE_ENOMEM;
  void *memory = mmap(NULL, (size_t)buffers->count * buffers->bytes,
                      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    bide__free(ids);
    return BIDE_ENOMEM;
  }
  for (uint32_t i = 0; i < buffers->count; i++)
    ids[i] = (uint16_t)(buffers->count - 1 - i);
  buffers->free = ids;
  buffers->out = (bool *)((char *)ids + ids_bytes);
  buffers->memory = memory;
  return 0;
}

void bide__buffers_close(bide__buffers *buffers) {
  if (buffers->memory == NULL) return;
  munmap(buffers->memory, (size_t)buffers->count * buffers->bytes);
  bide__free(buffers->free);
  buffers->memory = NULL;
}

int bide__buffers_lend(bide__buffers *buffers) {
  if (buffers->lent == buffers->count) return -1;
  return buffers->free[buffers->count - ++buffers->lent];
}

void bide__buffers_return(bide__buffers *buffers, uint16_t id) {
  assert(buffers->lent > 0);
  assert(id < buffers->count);
  buffers->free[buffers->count - buffers->lent--] = id;
}

void *bide__buffers_data(const bide__buffers *buffers, uint16_t id) {
  return buffers->memory + (size_t)id * buffers->bytes;
}
