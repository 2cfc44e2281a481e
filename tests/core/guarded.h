/* guarded.h: buffers that catch a kernel which writes too late or too far.
 *
 * ASan and valgrind do not see the kernel write. So each buffer ends at a page that
 * cannot be touched, and guarded_free makes all of it untouchable for good: an operation
 * that still uses it completes with EFAULT, which every test below takes for a failure. */
#ifndef BIDE_TESTS_GUARDED_H
#define BIDE_TESTS_GUARDED_H

#include <sys/mman.h>

#include "harness.h"

static inline size_t guarded_pages(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

static inline void *guarded_new(size_t bytes) {
  size_t used = guarded_pages(bytes), page = (size_t)sysconf(_SC_PAGESIZE);
  char *base =
      mmap(NULL, used + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(base != MAP_FAILED);
  REQUIRE(mprotect(base + used, page, PROT_NONE) == 0);
  return base + used - bytes;
}

static inline void guarded_free(void *pointer, size_t bytes) {
  size_t used = guarded_pages(bytes);
  CHECK_INT(mprotect((char *)pointer + bytes - used, used, PROT_NONE), 0);
}

#endif
