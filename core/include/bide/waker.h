/* waker.h: how threads that know nothing of loops wake a task.
 *
 *   bide_waker_new(loop, &waker);                     // the task's thread
 *   start_device(bide_waker_ref(waker));              // the thread gets a reference
 *   bide_waker_wait(waker, &self->wait);
 *   BIDE_AWAIT(task, &self->wait.future);
 *   ...
 *   bide_waker_wake(waker);                           // that thread, at any time
 *   bide_waker_unref(waker);
 *
 * A waker is a counted object: it outlives the task that waits and the loop itself, whoever
 * comes first. Waking after either has ended is harmless and says so. Wakes do not add up:
 * one that nobody has waited for yet is kept for the next wait, as with bide_notify. Many
 * wakes cost one post and at most one system call until the loop has come to them.
 */
#ifndef BIDE_WAKER_H
#define BIDE_WAKER_H

#include "sync.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_waker bide_waker;

/* With one reference, the caller's. Returns 0 or BIDE_ENOMEM. The loop's thread. */
BIDE_EXTERN int bide_waker_new(bide_loop *loop, bide_waker **waker);

/* One reference more; returns the waker. Any thread that has one. */
BIDE_EXTERN bide_waker *bide_waker_ref(bide_waker *waker);

/* Gives a reference back. The last one, given back on any thread, frees a waker that is
 * closed; one that is not is freed when its loop is. NULL is harmless. */
BIDE_EXTERN void bide_waker_unref(bide_waker *waker);

/* Wakes who waits, or who waits next. Returns 0, or BIDE_ECANCELED when the waker was closed
 * or its loop is gone. Any thread with a reference; not in signal handlers (it takes a lock:
 * there bide_post is the way). */
BIDE_EXTERN int bide_waker_wake(bide_waker *waker);

/* Resolves with 0 at the next wake; at once, if one has come since the last wait. Several may
 * wait: one is woken by one wake. Rejected with BIDE_ECANCELED when the waker is closed. The
 * loop's thread. */
BIDE_EXTERN void bide_waker_wait(bide_waker *waker, bide_wait *wait);

/* The task's end of it: wakes are refused from here on, and waits are cancelled. The
 * references stay what they are. Returns 0, the second time too. The loop's thread. */
BIDE_EXTERN int bide_waker_close(bide_waker *waker);

#ifdef __cplusplus
}
#endif
#endif
