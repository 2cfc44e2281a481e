/* debug_hooks.h: what the loop and the tasks tell debug.c, each behind a branch that is
 * seldom taken. */
#ifndef BIDE_SRC_DEBUG_HOOKS_H
#define BIDE_SRC_DEBUG_HOOKS_H

#include <bide/loop.h>

/* NULL in a loop's head when off. By pointer, since the loop and tasks lie below debug.c. */
typedef struct bide__debug {
  /* A callback has returned: `function` is what was called. */
  void (*called)(struct bide__debug *debug, void (*function)(void), uint64_t began_us);
  void (*spawned)(struct bide__debug *debug, bide_task *task, const char *place);
  void (*resumes)(struct bide__debug *debug, bide_task *task);
  void (*cancelled)(struct bide__debug *debug, bide_task *task);
  void (*ended)(struct bide__debug *debug, bide_task *task, bool awaited, int error);
  /* Somebody has taken the outcome of a future that was settled. */
  void (*taken)(struct bide__debug *debug, const bide_future *future);
} bide__debug;

#endif
