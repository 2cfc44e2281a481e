/* runtime_struct.h: a runtime and its workers, for the files it is made of: runtime.c has the
 * threads, runtime_task.c the tasks. */
#ifndef BIDE_SRC_RUNTIME_STRUCT_H
#define BIDE_SRC_RUNTIME_STRUCT_H

#include <bide/runtime.h>
#include <pthread.h>
#include <stdatomic.h>

#include "list.h"

/* One loop and its thread. The lock guards the queue of movable tasks and its counters; a
 * remote on it has worker_ set to this. `pump` is posted, or runs, exactly while pumping is
 * true. `running` is the thread's own. */
typedef struct bide__worker {
  bide_runtime *runtime;
  bide_loop *loop;
  pthread_t thread;
  uint32_t index;
  int error; /* why its loop could not be made */
  bool reported;

  pthread_mutex_t lock;
  bide_node queue;
  size_t queued;
  bide_runtime_stats stats;

  atomic_bool pumping;
  bide_call pump;
  bide_call stop;
  bide_call cancel_all;
  bide_node running;
} bide__worker;

/* live counts the runtime itself until its shutdown, each task until it is home, and each
 * spawn under way. It goes to zero only under the lock, so that the shutdown, which waits for
 * that, frees nothing under whoever brought it there. */
struct bide_runtime {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* on CLOCK_MONOTONIC */
  atomic_size_t live;
  atomic_bool closing;    /* no new tasks */
  atomic_bool cancelling; /* those that begin, begin cancelled; set before cancel_all */
  atomic_uint turn;       /* spreads what comes from foreign threads */
  uint32_t count;
  bide_runtime_options options;
  bide__worker workers[];
};

/* Counts itself in; false when the runtime is being shut down. */
bool bide__runtime_enter(bide_runtime *runtime);
void bide__runtime_leave(bide_runtime *runtime);

/* The worker whose thread this is, or NULL. */
bide__worker *bide__runtime_current(void);

/* runtime_task.c: sets up a worker's queue and calls. */
void bide__worker_init(bide__worker *worker, bide_runtime *runtime, uint32_t index);

#endif
