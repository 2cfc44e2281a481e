/* foreign_waker.c: see waker.h.
 *
 * The lock guards `loop` and `posted`: a thread posts only while it holds it and loop is set,
 * so that the loop cannot be closed under the post. While the call is posted it has a
 * reference of its own. The waker is on its loop's list of those to be told of the loop's end
 * as long as it is open or posted, and that list has a reference too. */
#include <bide/waker.h>

#include <pthread.h>
#include <stdatomic.h>

#include "../loop_internal.h"
#include "../memory.h"
#include "wait.h"

struct bide_waker {
  atomic_uint references;
  pthread_mutex_t lock;
  bide_loop *loop; /* NULL once closed */
  bool posted;
  bide_call call;
  bide__closer closer;
  bide_notify notify; /* the loop's thread alone */
};

bide_waker *bide_waker_ref(bide_waker *waker) {
  atomic_fetch_add_explicit(&waker->references, 1, memory_order_relaxed);
  return waker;
}

void bide_waker_unref(bide_waker *waker) {
  if (waker == NULL) return;
  if (atomic_fetch_sub_explicit(&waker->references, 1, memory_order_acq_rel) > 1) return;
  pthread_mutex_destroy(&waker->lock);
  bide__free(waker);
}

/* Sets what a post needs, and says whether one is under way. */
static bool foreign_waker_shut(bide_waker *waker) {
  pthread_mutex_lock(&waker->lock);
  waker->loop = NULL;
  bool posted = waker->posted;
  pthread_mutex_unlock(&waker->lock);
  return posted;
}

static void foreign_waker_leave(bide_waker *waker) {
  bide__list_remove(&waker->closer.node);
  bide_waker_unref(waker);
}

/* A call that was posted will not run any more. */
static void foreign_waker_loop_closed(bide__closer *closer) {
  bide_waker *waker = BIDE_CONTAINER_OF(closer, bide_waker, closer);
  if (foreign_waker_shut(waker)) bide_waker_unref(waker);
  bide_waker_unref(waker);
}

static void foreign_waker_woken(bide_call *call) {
  bide_waker *waker = BIDE_CONTAINER_OF(call, bide_waker, call);
  pthread_mutex_lock(&waker->lock);
  waker->posted = false;
  bool open = waker->loop != NULL;
  pthread_mutex_unlock(&waker->lock);
  if (open)
    bide_notify_one(&waker->notify);
  else
    foreign_waker_leave(waker);
  bide_waker_unref(waker);
}

int bide_waker_new(bide_loop *loop, bide_waker **waker) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  bide_waker *made = bide__zalloc(sizeof *made);
  if (made == NULL) return BIDE_ENOMEM;
  atomic_init(&made->references, 2);
  pthread_mutex_init(&made->lock, NULL);
  made->loop = loop;
  made->call.cb = foreign_waker_woken;
  made->closer.closed = foreign_waker_loop_closed;
  bide_notify_init(&made->notify, loop);
  bide__list_push(&bide__loop_head_of(loop)->closers, &made->closer.node);
  *waker = made;
  return 0;
}

int bide_waker_wake(bide_waker *waker) {
  pthread_mutex_lock(&waker->lock);
  bool open = waker->loop != NULL;
  if (open && !waker->posted) {
    waker->posted = true;
    bide_waker_ref(waker);
    bide_post(waker->loop, &waker->call);
  }
  pthread_mutex_unlock(&waker->lock);
  return open ? 0 : BIDE_ECANCELED;
}

void bide_waker_wait(bide_waker *waker, bide_wait *wait) {
  bide_notify_wait(&waker->notify, wait);
  if (waker->loop == NULL) bide_future_cancel(&wait->future);
}

int bide_waker_close(bide_waker *waker) {
  if (waker->loop == NULL) return 0;
  if (BIDE__MISUSE(!bide__loop_is_ours(waker->loop))) return BIDE_ETHREAD;
  bide_waker_ref(waker);
  if (!foreign_waker_shut(waker)) foreign_waker_leave(waker);
  bide__wait_fail_all(&waker->notify.waits_, BIDE_ECANCELED);
  bide_waker_unref(waker);
  return 0;
}
