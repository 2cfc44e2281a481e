/* combine.h: one future made of several.
 *
 *   bide_branch branches[] = {{.future = &a.future}, {.future = &b.task.future}};
 *   bide_all_start(loop, &both, branches, 2);
 *   BIDE_AWAIT(task, &both.future);
 *
 * all, all_settled, any and race are structured: what is decided early cancels the branches
 * that are left, and the combination settles when every branch has. Nothing goes on behind
 * it, and whatever the branches use may be freed then. select alone leaves its losers
 * running, to be selected from again.
 *
 * Cancelling a combination's future cancels its branches; it settles when they have, with
 * the success that they reached all the same, if they did: an all when each has resolved, an
 * any when one has, a race when the first to settle has. Else all and race are rejected with
 * the error of the first branch that did not resolve, which is BIDE_ECANCELED unless that
 * one failed by itself, and any with BIDE_ECANCELED whatever failed before. all_settled
 * resolves also then, with the number that resolved; its branches tell the rest.
 */
#ifndef BIDE_COMBINE_H
#define BIDE_COMBINE_H

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_combination bide_combination;

/* One of the futures; caller-owned, in an array that lives as long as the combination. A
 * future may be in several branches. */
typedef struct bide_branch {
  bide_future *future; /* public */
  /* private */
  bide_waiter waiter_;
  bide_combination *owner_;
} bide_branch;

/* Caller-owned; belongs to the loop until its future settles. */
struct bide_combination {
  bide_future future;
  /* read-only */
  bide_branch *branches;
  size_t count;
  /* private */
  size_t pending_;
  intptr_t value_;
  int32_t error_;
  uint8_t kind_;
  bool decided_, asked_;
};

/* Each starts to wait. branches[i].future must be set, and stay valid until the combination
 * settles. Branches that have settled count at once. An empty all or all_settled resolves;
 * an empty any, race or select is rejected with BIDE_EINVAL, and so is one with a branch of
 * another loop, which waits for none. The loop's thread: on another it is rejected with
 * BIDE_ETHREAD. */

/* Resolves with 0 when every branch has resolved. The first that does not cancels the
 * rest; then it is rejected with that branch's error. */
BIDE_EXTERN void bide_all_start(bide_loop *loop, bide_combination *all,
                                bide_branch *branches, size_t count);

/* Resolves with the number of branches that resolved when every one has settled. */
BIDE_EXTERN void bide_all_settled_start(bide_loop *loop, bide_combination *all,
                                        bide_branch *branches, size_t count);

/* The first branch to resolve cancels the rest; resolves with its index. Rejected, with the
 * first error, when none resolves. */
BIDE_EXTERN void bide_any_start(bide_loop *loop, bide_combination *any,
                                bide_branch *branches, size_t count);

/* The first branch to settle, however, cancels the rest; resolves with its index, or is
 * rejected with its error. */
BIDE_EXTERN void bide_race_start(bide_loop *loop, bide_combination *race,
                                 bide_branch *branches, size_t count);

/* Resolves with the index of a branch that has settled, however it did: the first in the
 * array of those that had settled before, else the first to settle. The others go on.
 * Cancelling it cancels no branch. */
BIDE_EXTERN void bide_select_start(bide_loop *loop, bide_combination *select,
                                   bide_branch *branches, size_t count);

#ifdef __cplusplus
}
#endif
#endif
