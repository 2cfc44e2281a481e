/* base.c: the allocator, the clock, the version and the watch for forks. */
#include <bide/base.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "memory.h"

static void *base_libc_reallocate(void *user, void *pointer, size_t bytes) {
  (void)user;
  if (bytes == 0) {
    free(pointer);
    return NULL;
  }
  return realloc(pointer, bytes);
}

/* Set while the library holds no memory, read ever after: needs no lock. */
static bide_reallocate_fn base_reallocate = base_libc_reallocate;
static void *base_reallocate_user;
static atomic_size_t base_blocks;

int bide_set_allocator(bide_reallocate_fn reallocate, void *user) {
  if (atomic_load(&base_blocks) != 0) return -EBUSY;
  base_reallocate = reallocate != NULL ? reallocate : base_libc_reallocate;
  base_reallocate_user = user;
  return 0;
}

void *bide__realloc(void *pointer, size_t bytes) {
  void *moved = base_reallocate(base_reallocate_user, pointer, bytes);
  if (pointer == NULL && moved != NULL)
    atomic_fetch_add_explicit(&base_blocks, 1, memory_order_relaxed);
  return moved;
}

void *bide__alloc(size_t bytes) { return bide__realloc(NULL, bytes); }

void *bide__zalloc(size_t bytes) {
  void *pointer = bide__alloc(bytes);
  if (pointer != NULL) __builtin_memset(pointer, 0, bytes);
  return pointer;
}

void bide__free(void *pointer) {
  if (pointer == NULL) return;
  base_reallocate(base_reallocate_user, pointer, 0);
  atomic_fetch_sub_explicit(&base_blocks, 1, memory_order_relaxed);
}

atomic_uint bide__forks;
static pthread_once_t base_fork_once = PTHREAD_ONCE_INIT;

static void base_in_child(void) { atomic_fetch_add(&bide__forks, 1); }

static void base_watch_forks(void) { pthread_atfork(NULL, NULL, base_in_child); }

unsigned bide__fork_generation(void) {
  pthread_once(&base_fork_once, base_watch_forks);
  return atomic_load_explicit(&bide__forks, memory_order_relaxed);
}

const char *bide_version(void) { return BIDE_VERSION_STRING; }

uint64_t bide_clock_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}
