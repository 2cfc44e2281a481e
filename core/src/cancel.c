/* cancel.c: see cancel.h. */
#include <bide/cancel.h>

#include "future_internal.h"
#include "list.h"
#include "loop_internal.h"

/* ---- deadlines ---- */

static void cancel_timeout_expired(bide_timer *timer) {
  bide_timeout *timeout = BIDE_CONTAINER_OF(timer, bide_timeout, timer_);
  if (bide_future_is_settled(timeout->target)) return;
  timeout->expired = true;
  bide_future_cancel(timeout->target);
}

/* The timeout may be running, on the loop's own thread: another's call leaves it alone. */
static int cancel_timeout_init(const bide_loop *loop, bide_timeout *timeout,
                               bide_future *target) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  *timeout = (bide_timeout){.target = target, .timer_ = {.cb = cancel_timeout_expired}};
  return 0;
}

int bide_timeout_start(bide_loop *loop, bide_timeout *timeout, bide_future *target,
                       uint64_t timeout_us) {
  int error = cancel_timeout_init(loop, timeout, target);
  return error < 0 ? error : bide_timer_start(loop, &timeout->timer_, timeout_us);
}

int bide_timeout_start_at(bide_loop *loop, bide_timeout *timeout, bide_future *target,
                          uint64_t deadline_us) {
  int error = cancel_timeout_init(loop, timeout, target);
  return error < 0 ? error : bide_timer_start_at(loop, &timeout->timer_, deadline_us);
}

bool bide_timeout_end(bide_loop *loop, bide_timeout *timeout) {
  if (bide_timer_stop(loop, &timeout->timer_) < 0) return false;
  return timeout->expired && timeout->target->state == BIDE_FUTURE_CANCELLED;
}

/* ---- tokens ---- */

static bide_token *cancel_token_of(bide_node *sibling) {
  return BIDE_CONTAINER_OF(sibling, bide_token, siblings_);
}

/* Takes the tree under the token apart: every token in it is marked and alone, and what was
 * bound to them is on `links`, top down. */
static void cancel_take_tree(bide_token *token, int reason, bide_node *links) {
  bide_node tokens;
  bide__list_init(&tokens);
  if (bide__list_linked(&token->siblings_)) bide__list_remove(&token->siblings_);
  bide__list_push(&tokens, &token->siblings_);
  for (bide_node *node; (node = bide__list_pop(&tokens)) != NULL;) {
    bide_token *each = cancel_token_of(node);
    each->reason = reason;
    bide_timer_stop(each->loop, &each->timer_);
    bide__list_splice(&tokens, &each->children_);
    bide__list_splice(links, &each->links_);
  }
}

/* One link at a time, since a cancel may call anybody, who may take off others. A token is
 * not looked at any more: it may be freed by then. */
static int cancel_token(bide_token *token, int reason) {
  if (BIDE__MISUSE(!bide__loop_is_ours(token->loop))) return BIDE_ETHREAD;
  if (token->reason != 0) return BIDE_EALREADY;
  bide_node links;
  bide__list_init(&links);
  cancel_take_tree(token, reason, &links);
  for (bide_node *node; (node = bide__list_pop(&links)) != NULL;) {
    bide_token_link *link = BIDE_CONTAINER_OF(node, bide_token_link, node_);
    bide_future *target = link->target_;
    bide_token_unbind(link);
    bide_future_cancel(target);
  }
  return 0;
}

static void cancel_token_expired(bide_timer *timer) {
  cancel_token(BIDE_CONTAINER_OF(timer, bide_token, timer_), BIDE_ETIME);
}

int bide_token_init(bide_token *token, bide_loop *loop, bide_token *parent) {
  *token = (bide_token){.loop = loop, .timer_ = {.cb = cancel_token_expired}};
  bide__list_init(&token->children_);
  bide__list_init(&token->links_);
  if (parent == NULL) return 0;
  if (BIDE__MISUSE(parent->loop != loop)) return BIDE_EINVAL;
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  token->reason = parent->reason;
  if (parent->reason == 0) bide__list_push(&parent->children_, &token->siblings_);
  return 0;
}

int bide_token_free(bide_token *token) {
  if (BIDE__MISUSE(!bide__loop_is_ours(token->loop))) return BIDE_ETHREAD;
  if (!bide__list_empty(&token->children_)) return BIDE_EBUSY;
  bide_timer_stop(token->loop, &token->timer_);
  if (bide__list_linked(&token->siblings_)) bide__list_remove(&token->siblings_);
  for (bide_node *node; (node = bide__list_pop(&token->links_)) != NULL;)
    bide_token_unbind(BIDE_CONTAINER_OF(node, bide_token_link, node_));
  return 0;
}

int bide_token_cancel(bide_token *token) { return cancel_token(token, BIDE_ECANCELED); }

int bide_token_cancel_at(bide_token *token, uint64_t deadline_us) {
  if (token->reason != 0) return 0;
  return bide_timer_start_at(token->loop, &token->timer_, deadline_us);
}

static void cancel_link_woken(bide_waiter *waiter, bide_future *future) {
  bide_token_link *link = BIDE_CONTAINER_OF(waiter, bide_token_link, waiter_);
  (void)future;
  link->target_ = NULL;
  bide__list_remove(&link->node_);
}

int bide_token_bind(bide_token *token, bide_token_link *link, bide_future *future) {
  if (BIDE__MISUSE(future->loop != token->loop)) return BIDE_EINVAL;
  if (BIDE__MISUSE(!bide__loop_is_ours(token->loop))) return BIDE_ETHREAD;
  *link = (bide_token_link){.waiter_ = {.wake = cancel_link_woken}};
  if (token->reason != 0) {
    bide_future_cancel(future);
  } else if (bide__future_wait(future, &link->waiter_) == 0) {
    link->target_ = future;
    bide__list_push(&token->links_, &link->node_);
  }
  return 0;
}

void bide_token_unbind(bide_token_link *link) {
  if (link->target_ == NULL) return;
  if (BIDE__MISUSE(!bide__loop_is_ours(link->target_->loop))) return;
  bide__future_forget(link->target_, &link->waiter_);
  link->target_ = NULL;
  if (bide__list_linked(&link->node_)) bide__list_remove(&link->node_);
}
