/* memory.h: the one way to the allocator, so that tests can count and fail it. */
#ifndef BIDE_SRC_MEMORY_H
#define BIDE_SRC_MEMORY_H

#include <bide/base.h>
#include <stdatomic.h>
#include <string.h>

/* As malloc, calloc, realloc and free; NULL when there is none. */
void *bide__alloc(size_t bytes);
void *bide__zalloc(size_t bytes);
void *bide__realloc(void *pointer, size_t bytes);
void bide__free(void *pointer);

/* As memcpy, where either may be NULL if there is nothing to copy. */
static inline void bide__copy(void *to, const void *from, size_t bytes) {
  if (bytes > 0) memcpy(to, from, bytes);
}

/* Raised in every child by pthread_atfork: a loop or pool that was made under another
 * number belongs to the parent. */
unsigned bide__fork_generation(void);

/* The same number, for who has asked for it before and so has the forks watched. */
extern atomic_uint bide__forks;

#endif
