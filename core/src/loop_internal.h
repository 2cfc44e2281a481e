/* loop_internal.h: what the files above the loop (futures, tasks, files ...) may know of
 * it beyond loop.h. */
#ifndef BIDE_SRC_LOOP_INTERNAL_H
#define BIDE_SRC_LOOP_INTERNAL_H

#include <bide/loop.h>

#include "debug_hooks.h"
#include "hints.h"
#include "memory.h"
#include "misuse.h"
#include "ready.h"
#include "trace_ring.h"

/* What is told when its loop is closed, on the loop's list of those; taken off before. */
typedef struct bide__closer {
  bide_node node;
  void (*closed)(struct bide__closer *closer);
} bide__closer;

/* The part of every loop that lies first in it. */
typedef struct bide__loop_head {
  bide__ready ready;
  bide__trace *trace; /* NULL when off, as is debug */
  bide__debug *debug;
  bool observed;             /* either is on */
  unsigned generation;       /* of forks, when the loop was made */
  _Atomic(uintptr_t) runner; /* the thread in bide_loop_run, or 0 */
  uint32_t budget;           /* awaits that the task under way may make without suspending */
  size_t in_flight;          /* operations, and what else holds the loop (bide__loop_hold) */
  bide_hooks hooks;
  bide_node closers;
} bide__loop_head;

static inline bide__loop_head *bide__loop_head_of(bide_loop *loop) {
  return (bide__loop_head *)(void *)loop;
}

static inline const bide__loop_head *bide__loop_head_of_const(const bide_loop *loop) {
  return (const bide__loop_head *)(const void *)loop;
}

/* False where another thread runs the loop. Nearly always this one does. */
static inline bool bide__loop_is_ours(const bide_loop *loop) {
  uintptr_t runner =
      atomic_load_explicit(&bide__loop_head_of_const(loop)->runner, memory_order_relaxed);
  return __builtin_expect(runner == bide__thread(), 1) || runner == 0;
}

/* The loop that this thread runs, in bide_loop_run, or NULL. Whoever finds the loop of what it
 * settles to be this one goes on with this: the other it has by way of a task, a future and the
 * ready ring, each of which the processor would wait for before it began to look at the ring. */
extern BIDE__THREAD_LOCAL bide_loop *bide__running;

/* 0, or BIDE_EFORKED in a child of the loop's process. */
static inline int bide__loop_check(const bide_loop *loop) {
  unsigned forks = atomic_load_explicit(&bide__forks, memory_order_relaxed);
  return bide__loop_head_of_const(loop)->generation == forks ? 0 : BIDE_EFORKED;
}

/* 0, BIDE_EFORKED, or BIDE_ETHREAD where another thread runs the loop. */
static inline int bide__loop_admit(const bide_loop *loop) {
  if (bide__loop_check(loop) < 0) return BIDE_EFORKED;
  return BIDE__MISUSE(!bide__loop_is_ours(loop)) ? BIDE_ETHREAD : 0;
}

static inline bide__trace *bide__loop_trace(bide_loop *loop) {
  return bide__loop_head_of(loop)->trace;
}

/* After trace or debug were turned on or off. A run of ready calls, which nobody observes, ends
 * with the look. */
static inline void bide__loop_observe(bide_loop *loop) {
  bide__loop_head *head = bide__loop_head_of(loop);
  head->observed = head->trace != NULL || head->debug != NULL;
  bide_loop_look(loop);
}

/* The moment that comes so long after another, or the last that a clock can show. */
static inline uint64_t bide__later_us(uint64_t from_us, uint64_t by_us) {
  uint64_t at_us;
  return __builtin_add_overflow(from_us, by_us, &at_us) ? UINT64_MAX : at_us;
}

/* Something that is no operation (an offload) is in flight: the loop must not be closed.
 * The loop's thread. */
void bide__loop_hold(bide_loop *loop);
void bide__loop_release(bide_loop *loop);

/* An outer loop waits on the fd alone, until the next wait. */
static inline bool bide__loop_is_parked(const bide__loop_head *head) {
  return head->ready.parked;
}

/* Something was given to the loop: if it is parked the outer loop is told. */
static inline void bide__loop_unpark(bide_loop *loop) {
  bide__loop_head *head = bide__loop_head_of(loop);
  if (!bide__loop_is_parked(head)) return;
  bide__ready_unpark(&head->ready);
  bide_wake(loop);
}

/* Around each callback: with debug on, what took how long. */
static inline uint64_t bide__loop_before_call(bide_loop *loop) {
  return bide__loop_head_of(loop)->debug == NULL ? 0 : bide_loop_now_us(loop);
}

static inline void bide__loop_after_call(bide_loop *loop, void (*function)(void),
                                         uint64_t began_us) {
  bide__debug *debug = bide__loop_head_of(loop)->debug;
  if (debug != NULL && began_us != 0) debug->called(debug, function, began_us);
}

/* As bide_loop_call_soon for a call that is not queued, inline for what resumes tasks. */
static inline int bide__loop_make_ready(bide_loop *loop, bide_call *call) {
  bide__loop_unpark(loop);
  return bide__ready_push(&bide__loop_head_of(loop)->ready, call);
}

/* task.c's: what a loop does with a task that is ready; and where trace or debug are on. */
void bide__task_resume(bide__loop_head *head, bide_task *task);
void bide__task_resume_observed(bide_task *task);

#endif
