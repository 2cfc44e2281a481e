/* runtime.h: N loops on N threads, and tasks that run on any of them.
 *
 *   bide_runtime_new(NULL, &runtime);                        // a loop a processor
 *   bide_runtime_spawn(runtime, loop, &self->work, work_poll);
 *   BIDE_AWAIT(task, &self->work.future);                    // on our own loop
 *   ...
 *   bide_runtime_shutdown(runtime, 5000000);                 // five seconds to end by itself
 *
 * A task of a runtime is a bide_remote: its bide_task runs on one of the runtime's loops, and
 * its future belongs to the home loop of whoever spawned it, which may be any loop, one of the
 * runtime's own or another. bide_runtime_spawn_on names the loop. bide_runtime_spawn leaves it
 * open: such a task is movable while it waits for its first turn. It lies in the queue of the
 * loop it was spawned from, and a loop that runs out of such tasks steals half of another's
 * (work stealing, Blumofe and Leiserson, 1994). From its first turn on it stays where it is,
 * since what it awaits belongs to that loop.
 *
 * What one loop asks of another is a post: one system call for all that come until it wakes.
 */
#ifndef BIDE_RUNTIME_H
#define BIDE_RUNTIME_H

#include "task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_runtime bide_runtime;

enum {
  BIDE_RUNTIME_PINNED = 1u << 0, /* each thread stays on one processor of its own */
};

typedef struct bide_runtime_options {
  uint32_t size;                 /* sizeof(bide_runtime_options) */
  uint32_t flags;                /* BIDE_RUNTIME_... */
  uint32_t loops;                /* 0: as many as this thread may use processors */
  const char *name;              /* of the threads, with a number; NULL: "bide" */
  const bide_loop_options *loop; /* for each loop; BIDE_LOOP_OWNS_THREAD is added */
} bide_runtime_options;

#define BIDE_RUNTIME_OPTIONS_INIT {sizeof(bide_runtime_options), 0, 0, NULL, NULL}

/* Returns when all its loops run: 0, BIDE_EINVAL for an option, BIDE_ENOMEM, what
 * bide_loop_new said, or BIDE_EAGAIN when the system grants no thread. Any thread. */
BIDE_EXTERN int bide_runtime_new(const bide_runtime_options *options,
                                 bide_runtime **runtime);

/* How many loops it has, and each of them; NULL for an index beyond. Any thread. */
BIDE_EXTERN uint32_t bide_runtime_count(const bide_runtime *runtime);
BIDE_EXTERN bide_loop *bide_runtime_loop(const bide_runtime *runtime, uint32_t index);

/* Ends it. New spawns are refused from here on; the tasks that live have timeout_us to end by
 * themselves, then they are cancelled, and waited for once more: one that swallows its cancel
 * holds the shutdown up. Then operations that are still in flight are cancelled, the loops are
 * closed, the threads end and the runtime is freed. Returns 0, or BIDE_ETIME when tasks had to
 * be cancelled; BIDE_EDEADLK, doing nothing, on one of its own threads. Any other thread; it
 * blocks. */
BIDE_EXTERN int bide_runtime_shutdown(bide_runtime *runtime, uint64_t timeout_us);

/* ---- its tasks ---- */

typedef struct bide_remote bide_remote;

/* Caller-owned; the runtime's from a spawn that succeeds until `finished`, or until the future
 * has settled where that is NULL. BIDE_FRAME(task, type, remote.task) is its frame. */
struct bide_remote {
  /* Of the home loop: settles as the task's own future did. Cancelling it asks the task to
   * end; one that has not begun never does. Not to be used without a home. */
  bide_future future;
  bide_task task; /* its `finished` is the runtime's */
  /* public: called last of all, on the home loop's thread, or without a home on that of the
   * loop that ran the task; may free the frame. NULL before the spawn if not needed. */
  void (*finished)(bide_remote *remote);
  const char *place; /* public: BIDE_HERE, for debug.h; NULL: not known */
  /* private */
  struct bide__worker *worker_; /* whose queue it lies in, or whose loop runs it */
  bide_task_fn poll_;
  bide_call call_;   /* to the loop that runs it, and back home at the end */
  bide_call cancel_; /* to the loop that runs it */
  bide_node node_;   /* on the worker's queue, then among those that it runs */
  uint32_t state_;
  bool queued_;
};

/* Runs the task on any of the loops. home: the loop whose thread calls, to which the future
 * will belong and which cannot be closed until it settles; or NULL, from any thread. Returns 0,
 * BIDE_ETHREAD, BIDE_EFORKED, or BIDE_ECANCELED when the runtime is being shut down: then
 * nothing runs. What fails later (memory, on the loop that runs it) rejects the future. */
BIDE_EXTERN int bide_runtime_spawn(bide_runtime *runtime, bide_loop *home,
                                   bide_remote *remote, bide_task_fn poll);

/* The same on the loop of that number; BIDE_EINVAL when there is none. */
BIDE_EXTERN int bide_runtime_spawn_on(bide_runtime *runtime, uint32_t index,
                                      bide_loop *home, bide_remote *remote,
                                      bide_task_fn poll);

typedef struct bide_runtime_stats {
  uint64_t spawned; /* movable tasks that came into its queue */
  uint64_t stolen;  /* movable tasks that it took from others and ran */
} bide_runtime_stats;

/* Counters of one of the loops, as they are at some moment of the call. Returns 0, or
 * BIDE_EINVAL when there is none of that number. Any thread. */
BIDE_EXTERN int bide_runtime_stats_of(const bide_runtime *runtime, uint32_t index,
                                      bide_runtime_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
