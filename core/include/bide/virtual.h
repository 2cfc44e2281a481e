/* virtual.h: virtual time, in which an hour of timers passes in a moment.
 *
 *   bide_virtual time;
 *   bide_virtual_init(&time, 0);
 *   options.hooks = &time.hooks;
 *   bide_loop_new(&options, &loop);
 *   bide_virtual_run(loop, &time, &task.future);   // instead of bide_block_on
 *
 * The loop reads this clock instead of the machine's, and it stands still but for these
 * functions: they move it to the next timer whenever nothing is ready. A program under it does
 * the same in each run, and its timeouts of minutes cost nothing. What comes from outside
 * knows nothing of it: an operation in flight is looked for before each move and not waited
 * for while a timer could come first, so that a test of both gives the peer its turn itself.
 */
#ifndef BIDE_VIRTUAL_H
#define BIDE_VIRTUAL_H

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Caller-owned; must outlive the loop. The other hooks may be set before the loop is made. */
typedef struct bide_virtual {
  bide_hooks hooks;
  uint64_t now_us; /* read-only */
} bide_virtual;

/* A clock that shows start_us. */
BIDE_EXTERN void bide_virtual_init(bide_virtual *time, uint64_t start_us);

/* Moves the clock on by that much, no further than the last moment that it can show, and runs
 * what is due on the way, each timer at its own moment. Returns 0 or an error of
 * bide_loop_run's. The loop's thread, outside a run. */
BIDE_EXTERN int bide_virtual_advance(bide_loop *loop, bide_virtual *time,
                                     uint64_t duration_us);

/* Runs the loop until the future settles, moving the clock to the next timer when nothing is
 * ready, and waiting for operations when no timer is set. Returns as bide_block_on does, or
 * BIDE_EDEADLK when nothing is in flight, set or ready that could settle it: the program under
 * test waits for what never comes. The loop's thread, outside a run. */
BIDE_EXTERN int bide_virtual_run(bide_loop *loop, bide_virtual *time,
                                 bide_future *future);

#ifdef __cplusplus
}
#endif
#endif
