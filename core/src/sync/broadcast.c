/* broadcast.c: see channel.h. Items are numbered for ever; the ring keeps the latest. */
#include <bide/channel.h>

#include "../memory.h"
#include "wait.h"

int bide_broadcast_init(bide_broadcast *broadcast, bide_loop *loop, void *storage,
                        size_t item_bytes, size_t capacity) {
  bool useless = BIDE__MISUSE(capacity == 0);
  *broadcast = (bide_broadcast){.loop = loop,
                                .closed = useless,
                                .capacity_ = capacity,
                                .item_bytes_ = item_bytes,
                                .items_ = storage};
  bide__list_init(&broadcast->waits_);
  return useless ? BIDE_EINVAL : 0;
}

static void *broadcast_slot(const bide_broadcast *broadcast, uint64_t number) {
  if (broadcast->item_bytes_ == 0) return NULL;
  return broadcast->items_ + number % broadcast->capacity_ * broadcast->item_bytes_;
}

int bide_broadcast_send(bide_broadcast *broadcast, const void *item) {
  if (BIDE__MISUSE(!bide__loop_is_ours(broadcast->loop))) return BIDE_ETHREAD;
  if (broadcast->closed) return BIDE_EPIPE;
  bide__copy(broadcast_slot(broadcast, broadcast->sent), item, broadcast->item_bytes_);
  broadcast->sent++;
  bide__wait_finish_all(&broadcast->waits_);
  return 0;
}

bide_subscription bide_broadcast_subscribe(bide_broadcast *broadcast) {
  return (bide_subscription){broadcast, broadcast->sent};
}

int bide_subscription_try_recv(bide_subscription *subscription, void *item,
                               uint64_t *lost) {
  const bide_broadcast *broadcast = subscription->broadcast;
  if (BIDE__MISUSE(!bide__loop_is_ours(broadcast->loop))) return BIDE_ETHREAD;
  uint64_t behind = broadcast->sent - subscription->next;
  if (behind == 0) return broadcast->closed ? BIDE_EOF : BIDE_EAGAIN;
  if (behind > broadcast->capacity_) {
    uint64_t missed = behind - broadcast->capacity_;
    subscription->next += missed;
    if (lost != NULL) *lost = missed;
    return BIDE_ELAGGED;
  }
  bide__copy(item, broadcast_slot(broadcast, subscription->next++),
             broadcast->item_bytes_);
  return 0;
}

void bide_subscription_wait(bide_subscription *subscription, bide_wait *wait) {
  bide_broadcast *broadcast = subscription->broadcast;
  if (!bide__wait_init(wait, broadcast->loop, broadcast, NULL)) return;
  if (subscription->next == broadcast->sent && !broadcast->closed)
    bide__wait_enqueue(&broadcast->waits_, wait);
  else
    bide__wait_finish(wait, 0);
}

int bide_broadcast_close(bide_broadcast *broadcast) {
  if (BIDE__MISUSE(!bide__loop_is_ours(broadcast->loop))) return BIDE_ETHREAD;
  broadcast->closed = true;
  bide__wait_finish_all(&broadcast->waits_);
  return 0;
}
