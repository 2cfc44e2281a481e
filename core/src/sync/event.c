/* event.c: see sync.h. */
#include "wait.h"

void bide_event_init(bide_event *event, bide_loop *loop) {
  event->loop = loop;
  event->is_set = false;
  bide__list_init(&event->waits_);
}

void bide_event_wait(bide_event *event, bide_wait *wait) {
  bide__wait_init(wait, event->loop, event, NULL);
  if (event->is_set)
    bide__wait_finish(wait, 0);
  else
    bide__wait_enqueue(&event->waits_, wait);
}

void bide_event_set(bide_event *event) {
  event->is_set = true;
  bide__wait_finish_all(&event->waits_);
}

void bide_event_clear(bide_event *event) { event->is_set = false; }
