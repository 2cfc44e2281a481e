/* combine.c: see combine.h.
 *
 * A combination is decided when its outcome is known, and settles when no branch is left
 * pending. Cancelling the rest may settle branches, and so decide and count, from within
 * the loop that starts or cancels them: `pending_` holds one more while that runs, so that
 * the end comes once and last. */
#include <bide/combine.h>
#include <bide/errno.h>

#include <assert.h>

#include "future_internal.h"
#include "loop_internal.h"

enum { COMBINE_ALL, COMBINE_ALL_SETTLED, COMBINE_ANY, COMBINE_RACE, COMBINE_SELECT };

static void combine_release(bide_combination *self) {
  assert(self->pending_ > 0);
  if (--self->pending_ > 0) return;
  if (self->error_ < 0)
    bide_future_reject(&self->future, self->error_);
  else
    bide_future_resolve(&self->future, self->value_);
}

static void combine_cancel_branches(bide_combination *self) {
  self->asked_ = true;
  self->pending_++;
  for (size_t i = 0; i < self->count; i++) bide_future_cancel(self->branches[i].future);
  combine_release(self);
}

/* What a select leaves is not waited for. */
static void combine_let_go(bide_combination *self) {
  for (size_t i = 0; i < self->count; i++)
    bide__future_forget(self->branches[i].future, &self->branches[i].waiter_);
  self->pending_ = 1;
}

/* Branches that were asked to end once may be cleaning up: they are not asked again. */
static void combine_decide(bide_combination *self, intptr_t value, int32_t error) {
  self->decided_ = true;
  self->value_ = value;
  self->error_ = error;
  if (self->kind_ == COMBINE_SELECT)
    combine_let_go(self);
  else if (!self->asked_)
    combine_cancel_branches(self);
}

/* Takes the outcome of a branch into account. */
static void combine_count(bide_combination *self, const bide_branch *branch) {
  int32_t error = branch->future->error;
  intptr_t index = branch - self->branches;
  if (self->decided_) return;
  switch (self->kind_) {
    case COMBINE_ALL:
      if (error < 0) combine_decide(self, 0, error);
      break;
    case COMBINE_ALL_SETTLED:
      if (error == 0) self->value_++;
      break;
    case COMBINE_ANY:
      if (error == 0)
        combine_decide(self, index, 0);
      else if (self->error_ == 0)
        self->error_ = error;
      break;
    default:
      combine_decide(self, index, self->kind_ == COMBINE_RACE ? error : 0);
  }
}

static void combine_wake(bide_waiter *waiter, bide_future *future) {
  bide_branch *branch = BIDE_CONTAINER_OF(waiter, bide_branch, waiter_);
  (void)future;
  combine_count(branch->owner_, branch);
  combine_release(branch->owner_);
}

static void combine_cancel(bide_future *future) {
  bide_combination *self = BIDE_CONTAINER_OF(future, bide_combination, future);
  if (self->kind_ != COMBINE_SELECT) {
    if (self->kind_ == COMBINE_ANY && !self->decided_) self->error_ = BIDE_ECANCELED;
    combine_cancel_branches(self);
    return;
  }
  combine_decide(self, 0, BIDE_ECANCELED);
  combine_release(self);
}

/* A branch that has settled has no owner. */
static void combine_wait(bide_combination *self, bide_branch *branch) {
  branch->waiter_ = (bide_waiter){.wake = combine_wake};
  bool waits = bide__future_wait(branch->future, &branch->waiter_) == 0;
  branch->owner_ = waits ? self : NULL;
  if (waits) self->pending_++;
}

static bool combine_any_foreign(const bide_loop *loop, const bide_branch *branches,
                                size_t count) {
  for (size_t i = 0; i < count; i++)
    if (branches[i].future->loop != loop) return true;
  return false;
}

static int combine_refusal(const bide_loop *loop, const bide_branch *branches,
                           size_t count) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  return BIDE__MISUSE(combine_any_foreign(loop, branches, count)) ? BIDE_EINVAL : 0;
}

static void combine_start(bide_loop *loop, bide_combination *self, int kind,
                          bide_branch *branches, size_t count) {
  *self = (bide_combination){
      .branches = branches, .count = count, .pending_ = 1, .kind_ = (uint8_t)kind};
  int error = combine_refusal(loop, branches, count);
  if (error < 0) {
    bide__future_refuse(&self->future, loop, error);
    return;
  }
  bide_future_init(&self->future, loop);
  self->future.cancel = combine_cancel;
  if (count == 0 && kind > COMBINE_ALL_SETTLED) self->error_ = BIDE_EINVAL;
  for (size_t i = 0; i < count; i++) combine_wait(self, &branches[i]);
  /* Counted once all have begun, since what is decided cancels them. */
  for (size_t i = 0; i < count; i++)
    if (branches[i].owner_ == NULL) combine_count(self, &branches[i]);
  combine_release(self);
}

void bide_all_start(bide_loop *loop, bide_combination *all, bide_branch *branches,
                    size_t count) {
  combine_start(loop, all, COMBINE_ALL, branches, count);
}

void bide_all_settled_start(bide_loop *loop, bide_combination *all, bide_branch *branches,
                            size_t count) {
  combine_start(loop, all, COMBINE_ALL_SETTLED, branches, count);
}

void bide_any_start(bide_loop *loop, bide_combination *any, bide_branch *branches,
                    size_t count) {
  combine_start(loop, any, COMBINE_ANY, branches, count);
}

void bide_race_start(bide_loop *loop, bide_combination *race, bide_branch *branches,
                     size_t count) {
  combine_start(loop, race, COMBINE_RACE, branches, count);
}

void bide_select_start(bide_loop *loop, bide_combination *select, bide_branch *branches,
                       size_t count) {
  combine_start(loop, select, COMBINE_SELECT, branches, count);
}
