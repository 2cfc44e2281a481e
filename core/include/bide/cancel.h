/* cancel.h: deadlines, and tokens that cancel whole trees, over anything that is a future.
 *
 *   bide_timeout_start(loop, &limit, &child.task.future, 500000);
 *   BIDE_AWAIT(task, &child.task.future);
 *   if (bide_timeout_end(loop, &limit)) { ... the child was cancelled, and has ended }
 *
 * A token is a cancel that can be handed around before it is known what it will end. What
 * is bound to it, and to the tokens below it, is cancelled with it:
 *
 *   bide_token_init(&request, loop, &server);        // below the server's
 *   bide_token_bind(&request, &link, &child.task.future);
 *   bide_token_cancel(&server);                      // ends the request's child too
 *
 * (The idea is that of Go's context.Context and of .NET's CancellationToken.)
 */
#ifndef BIDE_CANCEL_H
#define BIDE_CANCEL_H

#include "future.h"
#include "task.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- deadlines ---- */

/* Caller-owned; belongs to the loop from start until end. */
typedef struct bide_timeout {
  /* read-only */
  bide_future *target;
  bool expired;
  /* private */
  bide_timer timer_;
} bide_timeout;

/* Cancels target if it is still pending timeout_us from now. target must live until
 * bide_timeout_end. Returns 0, or BIDE_ETHREAD, changing nothing. The loop's thread. */
BIDE_EXTERN int bide_timeout_start(bide_loop *loop, bide_timeout *timeout,
                                   bide_future *target, uint64_t timeout_us);

/* The same at deadline_us of bide_loop_now_us's clock, so that several steps share one
 * deadline and none has to reckon what is left. */
BIDE_EXTERN int bide_timeout_start_at(bide_loop *loop, bide_timeout *timeout,
                                      bide_future *target, uint64_t deadline_us);

/* Stops it. True when it expired and the target did end cancelled: a target that
 * succeeded in spite of the cancel counts as success. The loop's thread: on another it stops
 * nothing and is false. */
BIDE_EXTERN bool bide_timeout_end(bide_loop *loop, bide_timeout *timeout);

/* ---- tokens ---- */

typedef struct bide_token bide_token;

/* Caller-owned; used on its loop's thread alone. It is linked to its parent, its children
 * and what is bound to it until it is cancelled or freed; none of them owns another. A
 * cancelled token is linked to nothing. */
struct bide_token {
  /* read-only */
  bide_loop *loop;
  int32_t reason; /* 0; once cancelled BIDE_ECANCELED, or BIDE_ETIME by its deadline */
  /* private */
  bide_node siblings_;
  bide_node children_;
  bide_node links_;
  bide_timer timer_;
};

/* What binds a future to a token; caller-owned, on the token's list until the future
 * settles, the token is cancelled or the link is taken off. */
typedef struct bide_token_link {
  /* private */
  bide_future *target_;
  bide_waiter waiter_;
  bide_node node_;
} bide_token_link;

/* A token below parent, which may be NULL and must be of the same loop. Below a token that
 * is cancelled it is cancelled from the start, for the same reason. Returns 0, or BIDE_EINVAL
 * below a token of another loop: then it has no parent. */
BIDE_EXTERN int bide_token_init(bide_token *token, bide_loop *loop, bide_token *parent);

/* Takes the token out of the tree and stops its deadline; its storage is yours then. What
 * is bound to it goes on. Returns 0, or BIDE_EBUSY, changing nothing, while there are tokens
 * below it: those would hang on freed memory. */
BIDE_EXTERN int bide_token_free(bide_token *token);

/* Cancels what is bound to the token and to all below it, the token's own first. All of
 * them are marked before the first cancel is made, so that whoever is called sees them
 * cancelled. Returns 0, or BIDE_EALREADY for a token that is cancelled. Recursion is not
 * used: a tree may be as deep as it likes. */
BIDE_EXTERN int bide_token_cancel(bide_token *token);

/* Cancels the token at deadline_us of bide_loop_now_us's clock, with the reason BIDE_ETIME;
 * a deadline it had before is forgotten. Deadlines nest as tokens do: the nearest one above
 * counts. Returns 0, also for a token that is cancelled, where it does nothing. */
BIDE_EXTERN int bide_token_cancel_at(bide_token *token, uint64_t deadline_us);

/* Cancels the future with the token: at once if the token is cancelled. Costs nothing when
 * the future has settled. A task waits for a token's cancel by binding a bare future that
 * nobody resolves. O(1). Returns 0, or BIDE_EINVAL for a future of another loop. */
BIDE_EXTERN int bide_token_bind(bide_token *token, bide_token_link *link,
                                bide_future *future);

/* The future is not the token's any more. Harmless when it was not, or is not any more.
 * O(waiters of the future). */
BIDE_EXTERN void bide_token_unbind(bide_token_link *link);

#ifdef __cplusplus
}
#endif
#endif
