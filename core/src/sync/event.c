/* event.c: see sync.h. */
#include "wait.h"

void bide_event_init(bide_event *event, bide_loop *loop) {
  event->loop = loop;
  event->is_set = false;
  bide__list_init(&event->waits_);
}

void bide_event_wait(bide_event *event, bide_wait *wait) {
  if (!bide__wait_init(wait, event->loop, event, NULL)) return;
  if (event->is_set)
    bide__wait_finish(wait, 0);
  else
    bide__wait_enqueue(&event->waits_, wait);
}

int bide_event_set(bide_event *event) {
  if (BIDE__MISUSE(!bide__loop_is_ours(event->loop))) return BIDE_ETHREAD;
  event->is_set = true;
  bide__wait_finish_all(&event->waits_);
  return 0;
}

int bide_event_clear(bide_event *event) {
  if (BIDE__MISUSE(!bide__loop_is_ours(event->loop))) return BIDE_ETHREAD;
  event->is_set = false;
  return 0;
}
