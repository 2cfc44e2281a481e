/* notify.c: see sync.h. */
#include "wait.h"

void bide_notify_init(bide_notify *notify, bide_loop *loop) {
  notify->loop = loop;
  notify->notified = false;
  bide__list_init(&notify->waits_);
}

void bide_notify_wait(bide_notify *notify, bide_wait *wait) {
  if (!bide__wait_init(wait, notify->loop, notify, NULL)) return;
  if (!notify->notified) {
    bide__wait_enqueue(&notify->waits_, wait);
    return;
  }
  notify->notified = false;
  bide__wait_finish(wait, 0);
}

int bide_notify_one(bide_notify *notify) {
  if (BIDE__MISUSE(!bide__loop_is_ours(notify->loop))) return BIDE_ETHREAD;
  bide_wait *first = bide__wait_dequeue(&notify->waits_);
  if (first != NULL)
    bide__wait_finish(first, 0);
  else
    notify->notified = true;
  return 0;
}

int bide_notify_all(bide_notify *notify) {
  if (BIDE__MISUSE(!bide__loop_is_ours(notify->loop))) return BIDE_ETHREAD;
  bide__wait_finish_all(&notify->waits_);
  return 0;
}
