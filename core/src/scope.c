/* scope.c: see scope.h.
 *
 * A member is on members_ exactly while its future is pending; `running` counts those, and
 * one more while a call is at work that must not let the scope end within it. */
#include <bide/scope.h>

#include <assert.h>

#include "future_internal.h"
#include "list.h"
#include "loop_internal.h"

static void scope_release(bide_scope *scope) {
  assert(scope->running > 0);
  if (--scope->running > 0 || !scope->ending_) return;
  if (scope->error < 0)
    bide_future_reject(&scope->future, scope->error);
  else
    bide_future_resolve(&scope->future, (intptr_t)scope->resolved);
}

/* Each is put back before it is asked, so that it is asked once, whoever else ends by it. */
static void scope_cancel_members(bide_scope *scope) {
  bide_node asked;
  if (scope->cancelled) return;
  scope->cancelled = true;
  scope->running++;
  bide__list_init(&asked);
  bide__list_splice(&asked, &scope->members_);
  for (bide_node *node; (node = bide__list_pop(&asked)) != NULL;) {
    bide__list_push(&scope->members_, node);
    bide_future_cancel(BIDE_CONTAINER_OF(node, bide_member, node_)->future);
  }
  scope_release(scope);
}

static void scope_count(bide_scope *scope, int32_t error) {
  if (error == 0) {
    scope->resolved++;
  } else if (error == BIDE_ECANCELED) {
    if (scope->cancelled && scope->error == 0) scope->error = error;
  } else if (scope->error == 0 || scope->error == BIDE_ECANCELED) {
    scope->error = error;
    scope_cancel_members(scope);
  }
}

static void scope_member_ended(bide_waiter *waiter, bide_future *future) {
  bide_member *member = BIDE_CONTAINER_OF(waiter, bide_member, waiter_);
  bide_scope *scope = member->scope;
  bide__list_remove(&member->node_);
  scope_count(scope, future->error);
  scope_release(scope);
}

static void scope_cancel(bide_future *future) {
  scope_cancel_members(BIDE_CONTAINER_OF(future, bide_scope, future));
}

void bide_scope_init(bide_scope *scope, bide_loop *loop) {
  *scope = (bide_scope){.running = 0};
  bide_future_init(&scope->future, loop);
  scope->future.cancel = scope_cancel;
  bide__list_init(&scope->members_);
}

static int scope_refusal(const bide_scope *scope) {
  if (bide_future_is_settled(&scope->future)) return BIDE_EALREADY;
  return scope->cancelled ? BIDE_ECANCELED : 0;
}

int bide_scope_spawn_at(bide_scope *scope, bide_child *child, bide_task_fn poll,
                        const char *place) {
  bide_loop *loop = scope->future.loop;
  int error = scope_refusal(scope);
  if (error < 0) {
    bide__future_refuse(&child->task.future, loop, error);
    return error;
  }
  error = bide_task_spawn_at(loop, &child->task, poll, place);
  return error < 0 ? error : bide_scope_add(scope, &child->member, &child->task.future);
}

int(bide_scope_spawn)(bide_scope *scope, bide_child *child, bide_task_fn poll) {
  return bide_scope_spawn_at(scope, child, poll, "?");
}

int bide_scope_add(bide_scope *scope, bide_member *member, bide_future *future) {
  if (BIDE__MISUSE(future->loop != scope->future.loop)) return BIDE_EINVAL;
  if (BIDE__MISUSE(!bide__loop_is_ours(future->loop))) return BIDE_ETHREAD;
  if (bide_future_is_settled(&scope->future)) return BIDE_EALREADY;
  *member = (bide_member){
      .future = future, .scope = scope, .waiter_ = {.wake = scope_member_ended}};
  if (bide__future_wait(future, &member->waiter_) < 0) {
    scope_count(scope, future->error);
    return 0;
  }
  scope->running++;
  bide__list_push(&scope->members_, &member->node_);
  if (scope->cancelled) bide_future_cancel(future);
  return 0;
}

int bide_scope_cancel(bide_scope *scope) { return bide_future_cancel(&scope->future); }

bide_future *bide_scope_end(bide_scope *scope) {
  if (BIDE__MISUSE(!bide__loop_is_ours(scope->future.loop))) return &scope->future;
  if (scope->ending_) return &scope->future;
  scope->ending_ = true;
  scope->running++;
  scope_release(scope);
  return &scope->future;
}
