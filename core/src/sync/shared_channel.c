/* shared_channel.c: see shared_channel.h.
 *
 * The items lie in an ordinary channel that belongs to no loop and on which nobody waits. Who
 * waits here is on senders_ or receivers_, never on both lists at a time. Under the lock a
 * transfer is taken off its list, served and posted; from then on its own loop has it alone.
 * The hold on that loop lasts until the posted call has run, so that the loop is there for the
 * post. */
#include <bide/shared_channel.h>

#include "../future_internal.h"
#include "../list.h"
#include "../loop_internal.h"
#include "../memory.h"

static void shared_channel_setup(bide_shared_channel *channel) {
  pthread_mutex_init(&channel->lock_, NULL);
  bide__list_init(&channel->senders_);
  bide__list_init(&channel->receivers_);
}

void bide_shared_channel_init(bide_shared_channel *channel, void *storage,
                              size_t item_bytes, size_t capacity) {
  shared_channel_setup(channel);
  bide_channel_init(&channel->ring_, NULL, storage, item_bytes, capacity);
}

void bide_shared_channel_init_unbounded(bide_shared_channel *channel, size_t item_bytes) {
  shared_channel_setup(channel);
  bide_channel_init_unbounded(&channel->ring_, NULL, item_bytes);
}

void bide_shared_channel_free(bide_shared_channel *channel) {
  bide_shared_channel_close(channel);
  bide_channel_free(&channel->ring_);
  pthread_mutex_destroy(&channel->lock_);
}

/* ---- transfers ---- */

static void shared_channel_settle(bide_transfer *transfer, int result) {
  if (result < 0)
    bide_future_reject(&transfer->future, result);
  else
    bide_future_resolve(&transfer->future, 0);
}

static void shared_channel_served(bide_call *call) {
  bide_transfer *transfer = BIDE_CONTAINER_OF(call, bide_transfer, call_);
  bide__loop_release(transfer->future.loop);
  shared_channel_settle(transfer, transfer->result_);
}

/* Its last touch: the transfer's loop may run, settle and free it at once. */
static void shared_channel_serve(bide_transfer *transfer, int result) {
  transfer->queued_ = false;
  transfer->result_ = result;
  bide_post(transfer->future.loop, &transfer->call_);
}

static bide_transfer *shared_channel_next(bide_node *queue) {
  bide_node *node = bide__list_pop(queue);
  return node != NULL ? BIDE_CONTAINER_OF(node, bide_transfer, node_) : NULL;
}

/* One that was served already settles by its call. */
static void shared_channel_cancel(bide_future *future) {
  bide_transfer *transfer = BIDE_CONTAINER_OF(future, bide_transfer, future);
  pthread_mutex_t *lock = &transfer->channel_->lock_;
  pthread_mutex_lock(lock);
  bool waiting = transfer->queued_;
  if (waiting) bide__list_remove(&transfer->node_);
  transfer->queued_ = false;
  pthread_mutex_unlock(lock);
  if (!waiting) return;
  bide__loop_release(future->loop);
  bide_future_reject(future, BIDE_ECANCELED);
}

/* False on a thread that is not the loop's, on which the transfer is refused. */
static bool shared_channel_prepare(bide_shared_channel *channel, bide_loop *loop,
                                   bide_transfer *transfer, void *item) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) {
    bide__future_refuse(&transfer->future, loop, BIDE_ETHREAD);
    return false;
  }
  *transfer = (bide_transfer){
      .channel_ = channel, .item_ = item, .call_ = {.cb = shared_channel_served}};
  bide_future_init(&transfer->future, loop);
  transfer->future.cancel = shared_channel_cancel;
  return true;
}

/* Under the lock: what has to wait waits. */
static void shared_channel_enqueue(bide_transfer *transfer, bide_node *queue) {
  transfer->queued_ = true;
  bide__loop_hold(transfer->future.loop);
  bide__list_push(queue, &transfer->node_);
}

/* ---- under the lock ---- */

static int shared_channel_send_locked(bide_shared_channel *channel, const void *item) {
  if (channel->ring_.closed) return BIDE_EPIPE;
  bide_transfer *receiver = shared_channel_next(&channel->receivers_);
  if (receiver == NULL) return bide_channel_try_send(&channel->ring_, item);
  bide__copy(receiver->item_, item, channel->ring_.item_bytes_);
  shared_channel_serve(receiver, 0);
  return 0;
}

/* A sender who waits comes into the room that this makes; without any room it hands its item
 * over directly. */
static int shared_channel_recv_locked(bide_shared_channel *channel, void *item) {
  int result = bide_channel_try_recv(&channel->ring_, item);
  if (result < 0 && result != BIDE_EAGAIN) return result;
  bide_transfer *sender = shared_channel_next(&channel->senders_);
  if (sender == NULL) return result;
  if (result == 0)
    (void)bide_channel_try_send(&channel->ring_, sender->item_);
  else
    bide__copy(item, sender->item_, channel->ring_.item_bytes_);
  shared_channel_serve(sender, 0);
  return 0;
}

/* ---- the calls ---- */

int bide_shared_channel_try_send(bide_shared_channel *channel, const void *item) {
  pthread_mutex_lock(&channel->lock_);
  int result = shared_channel_send_locked(channel, item);
  pthread_mutex_unlock(&channel->lock_);
  return result;
}

int bide_shared_channel_try_recv(bide_shared_channel *channel, void *item) {
  pthread_mutex_lock(&channel->lock_);
  int result = shared_channel_recv_locked(channel, item);
  pthread_mutex_unlock(&channel->lock_);
  return result;
}

void bide_shared_channel_send(bide_shared_channel *channel, bide_loop *loop,
                              bide_transfer *send, const void *item) {
  if (!shared_channel_prepare(channel, loop, send, (void *)(uintptr_t)item)) return;
  pthread_mutex_lock(&channel->lock_);
  int result = shared_channel_send_locked(channel, item);
  if (result == BIDE_EAGAIN) shared_channel_enqueue(send, &channel->senders_);
  pthread_mutex_unlock(&channel->lock_);
  if (result != BIDE_EAGAIN) shared_channel_settle(send, result);
}

void bide_shared_channel_recv(bide_shared_channel *channel, bide_loop *loop,
                              bide_transfer *recv, void *item) {
  if (!shared_channel_prepare(channel, loop, recv, item)) return;
  pthread_mutex_lock(&channel->lock_);
  int result = shared_channel_recv_locked(channel, item);
  if (result == BIDE_EAGAIN) shared_channel_enqueue(recv, &channel->receivers_);
  pthread_mutex_unlock(&channel->lock_);
  if (result != BIDE_EAGAIN) shared_channel_settle(recv, result);
}

void bide_shared_channel_close(bide_shared_channel *channel) {
  bide_transfer *transfer;
  pthread_mutex_lock(&channel->lock_);
  bide_channel_close(&channel->ring_);
  while ((transfer = shared_channel_next(&channel->senders_)) != NULL)
    shared_channel_serve(transfer, BIDE_EPIPE);
  while ((transfer = shared_channel_next(&channel->receivers_)) != NULL)
    shared_channel_serve(transfer, BIDE_EOF);
  pthread_mutex_unlock(&channel->lock_);
}
