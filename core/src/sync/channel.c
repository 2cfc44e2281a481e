/* channel.c: see channel.h.
 *
 * Receivers wait only while the channel is empty, senders only while it is full: never
 * both, and neither is left waiting when the other comes. */
#include <bide/channel.h>
#include <bide/errno.h>

#include "../future_internal.h"
#include "../list.h"
#include "../loop_internal.h"
#include "../memory.h"

enum { CHANNEL_INITIAL = 16 };

static void channel_setup(bide_channel *channel, bide_loop *loop, size_t item_bytes) {
  *channel = (bide_channel){.loop = loop, .item_bytes_ = item_bytes};
  bide__list_init(&channel->senders_);
  bide__list_init(&channel->receivers_);
}

void bide_channel_init(bide_channel *channel, bide_loop *loop, void *storage,
                       size_t item_bytes, size_t capacity) {
  channel_setup(channel, loop, item_bytes);
  channel->items_ = storage;
  channel->capacity = capacity;
}

void bide_channel_init_unbounded(bide_channel *channel, bide_loop *loop,
                                 size_t item_bytes) {
  channel_setup(channel, loop, item_bytes);
  channel->grows_ = true;
}

void bide_channel_free(bide_channel *channel) {
  if (bide_channel_close(channel) < 0) return;
  if (channel->grows_) bide__free(channel->items_);
  channel->items_ = NULL;
  channel->count = channel->capacity = 0;
}

/* ---- the ring ---- */

static void *channel_slot(const bide_channel *channel, size_t index) {
  if (channel->item_bytes_ == 0) return NULL;
  size_t slot = (channel->head_ + index) % channel->capacity;
  return channel->items_ + slot * channel->item_bytes_;
}

static int channel_grow(bide_channel *channel) {
  size_t capacity = channel->capacity == 0 ? CHANNEL_INITIAL : channel->capacity * 2;
  if (channel->item_bytes_ != 0 && capacity > SIZE_MAX / channel->item_bytes_)
    return BIDE_ENOMEM;
  size_t bytes = capacity * channel->item_bytes_;
  unsigned char *items = bytes > 0 ? bide__alloc(bytes) : NULL;
  if (items == NULL && bytes > 0) return BIDE_ENOMEM;
  for (size_t i = 0; i < channel->count; i++)
    bide__copy(items + i * channel->item_bytes_, channel_slot(channel, i),
               channel->item_bytes_);
  bide__free(channel->items_);
  channel->items_ = items;
  channel->capacity = capacity;
  channel->head_ = 0;
  return 0;
}

static int channel_push(bide_channel *channel, const void *item) {
  if (channel->count == channel->capacity) {
    int error = channel->grows_ ? channel_grow(channel) : BIDE_EAGAIN;
    if (error < 0) return error;
  }
  bide__copy(channel_slot(channel, channel->count), item, channel->item_bytes_);
  channel->count++;
  return 0;
}

static void channel_pop(bide_channel *channel, void *item) {
  bide__copy(item, channel_slot(channel, 0), channel->item_bytes_);
  channel->head_ = (channel->head_ + 1) % channel->capacity;
  channel->count--;
}

/* ---- passages ---- */

static void channel_cancel(bide_future *future) {
  bide__list_remove(&BIDE_CONTAINER_OF(future, bide_passage, future)->node_);
  bide_future_reject(future, BIDE_ECANCELED);
}

/* Settles with `code`, or queues what would have to wait. */
static void channel_begin(bide_channel *channel, bide_passage *passage, void *item,
                          bide_node *queue, int code) {
  *passage = (bide_passage){.item_ = item};
  if (code < 0 && code != BIDE_EAGAIN) {
    bide__future_refuse(&passage->future, channel->loop, code);
    return;
  }
  bide_future_init(&passage->future, channel->loop);
  passage->future.cancel = channel_cancel;
  if (code == BIDE_EAGAIN)
    bide__list_push(queue, &passage->node_);
  else
    bide_future_resolve(&passage->future, 0);
}

static bide_passage *channel_next(bide_node *queue) {
  bide_node *node = bide__list_pop(queue);
  return node != NULL ? BIDE_CONTAINER_OF(node, bide_passage, node_) : NULL;
}

/* A shared channel's ring belongs to no loop. */
static bool channel_is_ours(const bide_channel *channel) {
  return channel->loop == NULL || bide__loop_is_ours(channel->loop);
}

int bide_channel_try_send(bide_channel *channel, const void *item) {
  if (BIDE__MISUSE(!channel_is_ours(channel))) return BIDE_ETHREAD;
  if (channel->closed) return BIDE_EPIPE;
  bide_passage *receiver = channel_next(&channel->receivers_);
  if (receiver == NULL) return channel_push(channel, item);
  bide__copy(receiver->item_, item, channel->item_bytes_);
  bide_future_resolve(&receiver->future, 0);
  return 0;
}

int bide_channel_try_recv(bide_channel *channel, void *item) {
  if (BIDE__MISUSE(!channel_is_ours(channel))) return BIDE_ETHREAD;
  if (channel->count == 0 && bide__list_empty(&channel->senders_))
    return channel->closed ? BIDE_EOF : BIDE_EAGAIN;
  bide_passage *sender = channel_next(&channel->senders_);
  if (channel->count == 0) {
    bide__copy(item, sender->item_, channel->item_bytes_);
  } else {
    channel_pop(channel, item);
    if (sender != NULL)
      (void)channel_push(channel, sender->item_); /* there is room now */
  }
  if (sender != NULL) bide_future_resolve(&sender->future, 0);
  return 0;
}

void bide_channel_send(bide_channel *channel, bide_passage *send, const void *item) {
  int code = bide_channel_try_send(channel, item);
  channel_begin(channel, send, (void *)(uintptr_t)item, &channel->senders_, code);
}

void bide_channel_recv(bide_channel *channel, bide_passage *recv, void *item) {
  int code = bide_channel_try_recv(channel, item);
  channel_begin(channel, recv, item, &channel->receivers_, code);
}

int bide_channel_close(bide_channel *channel) {
  if (BIDE__MISUSE(!channel_is_ours(channel))) return BIDE_ETHREAD;
  channel->closed = true;
  bide_passage *passage;
  while ((passage = channel_next(&channel->senders_)) != NULL)
    bide_future_reject(&passage->future, BIDE_EPIPE);
  while ((passage = channel_next(&channel->receivers_)) != NULL)
    bide_future_reject(&passage->future, BIDE_EOF);
  return 0;
}
