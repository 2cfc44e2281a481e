/* scope.h: tasks that end before the block that started them does.
 *
 *   bide_scope_init(&self->scope, loop);
 *   bide_scope_spawn(&self->scope, &self->left.child, left_poll);
 *   bide_scope_spawn(&self->scope, &self->right.child, right_poll);
 *   BIDE_AWAIT(task, bide_scope_end(&self->scope));
 *   if (bide_task_status(task) < 0) ...   // the first error; both have ended
 *
 * (Structured concurrency: the nurseries of Trio, the task groups of asyncio and Swift.)
 *
 * The first child that fails cancels the others, and the scope ends with its error when all
 * have ended. A child that was cancelled alone ends alone. Cancelling the scope's future,
 * which a cancel of the task that awaits it does, cancels the children; the scope then ends
 * when they have: with the first error other than BIDE_ECANCELED, else with BIDE_ECANCELED if
 * one of them ended by it, else with success: what was achieved in spite of it counts.
 *
 * A body that returns without having awaited its scope's end leaves children behind that
 * stand in its frame: cancel the scope and await its end on every way out.
 */
#ifndef BIDE_SCOPE_H
#define BIDE_SCOPE_H

#include "task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_scope bide_scope;

/* A future that a scope waits for; caller-owned, the scope's until that future settles. */
typedef struct bide_member {
  /* read-only */
  bide_future *future;
  bide_scope *scope;
  /* private */
  bide_waiter waiter_;
  bide_node node_;
} bide_member;

/* A task of a scope: BIDE_FRAME(task, type, child.task) is its frame. */
typedef struct bide_child {
  bide_task task;
  bide_member member; /* private */
} bide_child;

/* Caller-owned; belongs to the loop until its future settles. Used on its loop's thread
 * alone. members_ holds those that have not ended. */
struct bide_scope {
  bide_future future; /* resolves with how many members resolved, when all have ended */
  /* read-only */
  uint32_t running;  /* members that have not ended */
  uint32_t resolved; /* members that ended well */
  int32_t error;     /* of the first that failed, else BIDE_ECANCELED if one ended by the
                      * scope's cancel, else 0 */
  bool cancelled;    /* the members were asked to end */
  /* private */
  bool ending_;
  bide_node members_;
};

BIDE_EXTERN void bide_scope_init(bide_scope *scope, bide_loop *loop);

/* Spawns a task that the scope waits for; child->task.finished may be set before. Children
 * may spawn further ones, also while the scope's end is awaited. Returns 0;
 * BIDE_ECANCELED when the scope's members were asked to end, BIDE_EALREADY when it has
 * ended, or bide_task_spawn's errors, which do not fail the scope: then nothing runs, and
 * the task's future is rejected with that code. */
BIDE_EXTERN int bide_scope_spawn(bide_scope *scope, bide_child *child, bide_task_fn poll);

/* What it calls: with the place of the spawn, as bide_task_spawn_at. */
BIDE_EXTERN int bide_scope_spawn_at(bide_scope *scope, bide_child *child,
                                    bide_task_fn poll, const char *place);
#define bide_scope_spawn(scope, child, poll) \
  bide_scope_spawn_at((scope), (child), (poll), BIDE_HERE)

/* Makes any future a member: an operation, a sleep, an offload, another scope's. A settled
 * one counts at once. When the members were asked to end so is this one, and the scope
 * waits for it all the same. Returns 0, BIDE_EALREADY for a scope that has ended, or
 * BIDE_EINVAL for a future of another loop. */
BIDE_EXTERN int bide_scope_add(bide_scope *scope, bide_member *member,
                               bide_future *future);

/* Asks every member to end, those that come later included. Harmless the second time: no
 * member is asked twice. Returns 0, or BIDE_EALREADY for a scope that has ended. */
BIDE_EXTERN int bide_scope_cancel(bide_scope *scope);

/* Nobody but the members adds to it any more: it ends once the last of them has. Returns
 * &scope->future, to be awaited. The loop's thread: on another nothing is changed, and the
 * future, which that cannot wait for, is returned all the same. */
BIDE_EXTERN bide_future *bide_scope_end(bide_scope *scope);

#ifdef __cplusplus
}
#endif
#endif
