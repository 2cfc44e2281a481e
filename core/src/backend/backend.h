/* backend.h: what a loop asks of io_uring or epoll: one table of functions.
 *
 * A backend turns submitted operations into completions and calls nobody. It runs on the
 * loop's thread. Operations that complete without the kernel's wait (a hook's verdict, a
 * timer, everything on epoll) go to `done`, which reap hands out first.
 *
 * Where an op is, while it is submitted, stands in op->phase_ (bide__phase); where it
 * lies, in its scratch space. */
#ifndef BIDE_SRC_BACKEND_BACKEND_H
#define BIDE_SRC_BACKEND_BACKEND_H

#include <bide/op.h>
#include <bide/pool.h>
#include <bide/timer.h>

#include "buffers.h"
#include "waker.h"

typedef enum bide__phase {
  BIDE__PHASE_NONE = 0,
  BIDE__PHASE_KERNEL,  /* io_uring has it */
  BIDE__PHASE_POLL,    /* io_uring polls its fd, after an EAGAIN */
  BIDE__PHASE_BACKLOG, /* on a list until the submission queue has room */
  BIDE__PHASE_WAITING, /* epoll: on a list of its fd */
  BIDE__PHASE_AGAIN,   /* epoll: on the list of those to be tried without an event */
  BIDE__PHASE_STARVED, /* on a list until a pooled buffer comes back */
  BIDE__PHASE_POOL,    /* epoll: a worker has it */
  BIDE__PHASE_TIMER,   /* in the loop's wheel */
  BIDE__PHASE_DONE,    /* on `done`, its outcome in its scratch space */
} bide__phase;

/* What a finished op will complete with. Not kept in the op's own fields: those show the
 * completion delivered last, and a multishot op may be finished before that. */
typedef struct bide__outcome {
  int32_t result;
  uint16_t flags, buffer_id;
} bide__outcome;

/* An op's scratch space. */
typedef struct bide__scratch {
  union {
    bide__outcome outcome; /* DONE */
    bide_node wait;        /* BACKLOG, WAITING, AGAIN, STARVED */
    bide_timer timer;
    bide_work work;
  } as;
  bide_node done; /* DONE; on io_uring also: a cancel that found no room */
} bide__scratch;

_Static_assert(sizeof(bide__scratch) <= sizeof(((bide_op *)0)->scratch_),
               "an op's scratch space holds what the backends put there");

typedef struct bide__backend bide__backend;

typedef struct bide__backend_class {
  const char *name;
  void (*free)(bide__backend *backend, bool forked);
  int (*submit)(bide__backend *backend, bide_op *op);
  void (*cancel)(bide__backend *backend, bide_op *op);
  int (*flush)(bide__backend *backend);
  /* True when a wait would find something; no system call. */
  bool (*peek)(const bide__backend *backend);
  /* Submits, and blocks for timeout_us at most (-1: no limit). Returns 0, or BIDE_EINTR
   * or another error. */
  int (*wait)(bide__backend *backend, int64_t timeout_us);
  int (*reap)(bide__backend *backend, bide_completion *completions, int max);
  int (*fd)(const bide__backend *backend);
  /* fd is about to be closed. */
  void (*forget)(bide__backend *backend, int fd);
  void (*release_buffer)(bide__backend *backend, uint16_t id);
  /* See bide_receive. */
  int (*receive)(bide__backend *backend, bide_op *op, void *base, size_t len);
} bide__backend_class;

struct bide__backend {
  const bide__backend_class *class;
  bide_node done;
  bide__buffers buffers;
  bide__waker waker;
};

/* ring_for_files: for io_uring: it becomes another backend's `ring`, and that one is woken.
 * ring: for epoll: what takes the operations on regular files in place of the pool, or NULL;
 * epoll's to free once it is made. */
typedef struct bide__backend_config {
  uint32_t ring_entries;
  uint32_t buffer_count, buffer_bytes;
  bool owns_thread;
  bool ring_for_files;
  bide__backend *ring;
  bide_pool *file_pool;
} bide__backend_config;

/* Each returns 0 or an error; uring's is what the kernel refused the ring with. */
int bide__uring_new(const bide__backend_config *config, bide__backend **backend);
int bide__epoll_new(const bide__backend_config *config, bide__backend **backend);

/* ---- for the two of them ---- */

int bide__backend_init(bide__backend *backend, const bide__backend_class *class,
                       const bide__backend_config *config);
void bide__backend_destroy(bide__backend *backend, bool forked);

static inline bide__scratch *bide__scratch_of(bide_op *op) {
  return (bide__scratch *)(void *)op->scratch_;
}

bide_op *bide__op_of_wait(bide_node *node);
bide_op *bide__op_of_done(bide_node *node);

/* The op is on no list: its result is known and waits to be reaped, without a pooled
 * buffer unless the outcome is given one. */
void bide__backend_done(bide__backend *backend, bide_op *op, int32_t result,
                        unsigned flags);

/* Takes one op off `done` and fills in its completion; NULL when there is none. */
bide_op *bide__backend_take_done(bide__backend *backend, bide_completion *completion);

/* Carries out, here and now, the kinds that never wait (NOP, SHUTDOWN). */
bool bide__backend_at_once(bide__backend *backend, bide_op *op);

#endif
