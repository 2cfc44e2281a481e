/* watch.c: see channel.h. */
#include <bide/channel.h>

#include "../memory.h"
#include "wait.h"

void bide_watch_init(bide_watch *watch, bide_loop *loop, void *value, size_t bytes) {
  *watch = (bide_watch){.loop = loop, .value_ = value, .bytes_ = bytes};
  bide__list_init(&watch->waits_);
}

int bide_watch_set(bide_watch *watch, const void *value) {
  if (BIDE__MISUSE(!bide__loop_is_ours(watch->loop))) return BIDE_ETHREAD;
  bide__copy(watch->value_, value, watch->bytes_);
  watch->version++;
  bide__wait_finish_all(&watch->waits_);
  return 0;
}

uint64_t bide_watch_get(const bide_watch *watch, void *value) {
  bide__copy(value, watch->value_, watch->bytes_);
  return watch->version;
}

void bide_watch_wait(bide_watch *watch, bide_wait *wait, uint64_t seen) {
  if (!bide__wait_init(wait, watch->loop, watch, NULL)) return;
  if (seen == watch->version && !watch->closed) {
    bide__wait_enqueue(&watch->waits_, wait);
    return;
  }
  if (seen == watch->version) wait->error_ = BIDE_EOF;
  bide__wait_finish(wait, 0);
}

int bide_watch_close(bide_watch *watch) {
  if (BIDE__MISUSE(!bide__loop_is_ours(watch->loop))) return BIDE_ETHREAD;
  watch->closed = true;
  bide__wait_fail_all(&watch->waits_, BIDE_EOF);
  return 0;
}
