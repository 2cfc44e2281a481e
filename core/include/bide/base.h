/* base.h: what every other header of bide needs: visibility, version, the
 * forward names, the intrusive list node and the hooks.
 *
 * Conventions that hold for the whole library:
 *   - A function that can fail returns an int: 0 or a count on success, a
 *     negative code of errno.h otherwise. Out-parameters are written only on
 *     success.
 *   - Times are unsigned 64-bit microseconds of CLOCK_MONOTONIC; a name ends
 *     in its unit (timeout_us, bytes_max).
 *   - Structs that you embed have three zones: public (yours to set),
 *     read-only (yours to look at) and private (named with a trailing
 *     underscore; never touch them).
 *   - One thread runs a loop at a time. Only functions that say "any thread"
 *     may be called while another thread is in its bide_loop_run: the others
 *     refuse with BIDE_ETHREAD then, and do nothing.
 *   - Misuse that the library can see is an assert in a debug build; with
 *     NDEBUG it is refused with the code that the function names for it, and
 *     nothing is changed. What it cannot see is the caller's: pointers that are
 *     none, memory given back, or handed to an init, start or spawn function
 *     again, while the library has it, and a loop driven by two threads without
 *     bide_loop_run.
 */
#ifndef BIDE_BASE_H
#define BIDE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__linux__)
#error "bide is for Linux: its loop waits on io_uring or epoll."
#endif

#define BIDE_VERSION_MAJOR 0
#define BIDE_VERSION_MINOR 1
#define BIDE_VERSION_PATCH 0
#define BIDE_VERSION_STRING "0.1.0"

/* BIDE_EXTERN marks the public functions. A shared libbide exports these and
 * nothing else; inside an extension that compiles lib.c in (BIDE_EMBEDDED)
 * they stay hidden, so that two extensions in one process never meet. */
#if defined(BIDE_EMBEDDED)
#define BIDE_EXTERN __attribute__((visibility("hidden")))
#else
#define BIDE_EXTERN __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_loop bide_loop;
typedef struct bide_op bide_op;
typedef struct bide_pool bide_pool;
typedef struct bide_work bide_work;
typedef struct bide_timer bide_timer;
typedef struct bide_future bide_future;
typedef struct bide_task bide_task;

/* The struct of `type` whose member `member` is at `pointer`. */
#define BIDE_CONTAINER_OF(pointer, type, member) \
  ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* A node of a circular doubly linked list. Zeroed means: on no list. */
typedef struct bide_node {
  struct bide_node *next;
  struct bide_node *prev;
} bide_node;

/* Hooks: how tests put faults, virtual time and seeded schedules under a loop.
 * A NULL member means the default. The struct is copied by bide_loop_new; what
 * `user` points to must outlive the loop. All run on the loop's thread.
 *
 * The allocator is process-wide instead, since futures and pools allocate
 * before any loop exists: see bide_set_allocator. */
typedef struct bide_hooks {
  void *user;

  /* The clock in microseconds; it never goes back. */
  uint64_t (*clock_us)(void *user);

  /* Called for each operation before the backend sees it. May shorten the
   * length in op->args to force a short count. Returns true to complete the
   * operation with *result and keep it from the kernel altogether. */
  bool (*submit)(void *user, bide_op *op, int32_t *result);

  /* Called for each completion before it is delivered; returns the result to
   * deliver. To replace a success here loses what the kernel gave (an fd, say):
   * faults belong into `submit`. */
  int32_t (*complete)(void *user, bide_op *op, int32_t result);

  /* Which of `count` ready calls (count > 1) runs next: an index below count; for another
   * the first. */
  size_t (*pick)(void *user, size_t count);
} bide_hooks;

/* reallocate(user, pointer, bytes): as realloc; bytes == 0 frees and returns
 * NULL. NULL restores libc's. Call it before anything else of bide is in use:
 * memory is freed by the allocator that is set at that moment.
 * Returns 0, or BIDE_EBUSY while the library holds memory. Any thread. */
typedef void *(*bide_reallocate_fn)(void *user, void *pointer, size_t bytes);
BIDE_EXTERN int bide_set_allocator(bide_reallocate_fn reallocate, void *user);

/* "0.1.0": the version of the library that runs, which may be newer than the
 * header's BIDE_VERSION_STRING. Any thread. */
BIDE_EXTERN const char *bide_version(void);

/* CLOCK_MONOTONIC in microseconds, rounded down. Any thread. */
BIDE_EXTERN uint64_t bide_clock_us(void);

#ifdef __cplusplus
}
#endif
#endif
