/* shared_channel.h: a channel between loops on several threads.
 *
 * As channel.h's, each item to one receiver, first come, first served on both sides, but
 * senders and receivers may be on any loops: each waits on its own. A send that finds a
 * receiver hands the item over by itself; the receiver's loop is woken by a post, one system
 * call for as many as come until it wakes. A mutex guards the whole and is never held across a
 * wait. Items are copied by memcpy.
 */
#ifndef BIDE_SHARED_CHANNEL_H
#define BIDE_SHARED_CHANNEL_H

#include <pthread.h>

#include "channel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_shared_channel bide_shared_channel;

/* A send or a receive under way. Caller-owned; belongs to its loop until its future settles,
 * and keeps that loop from being closed as long. */
typedef struct bide_transfer {
  bide_future future;
  /* private */
  bide_shared_channel *channel_;
  bide_node node_;
  bide_call call_;
  void *item_;
  int32_t result_;
  bool queued_; /* on one of the channel's lists; not touched by the loop while it is not */
} bide_transfer;

/* Caller-owned; any thread may use it, between init and free. */
struct bide_shared_channel {
  /* private */
  pthread_mutex_t lock_;
  bide_channel ring_;
  bide_node senders_;
  bide_node receivers_;
};

/* Bounded, over storage of yours for `capacity` items; with 0 each send waits for its
 * receiver. */
BIDE_EXTERN void bide_shared_channel_init(bide_shared_channel *channel, void *storage,
                                          size_t item_bytes, size_t capacity);

/* Unbounded: no send waits; the storage grows by doubling until bide_shared_channel_free. */
BIDE_EXTERN void bide_shared_channel_init_unbounded(bide_shared_channel *channel,
                                                    size_t item_bytes);

/* Closes it and frees what it has allocated. When nobody uses it any more. */
BIDE_EXTERN void bide_shared_channel_free(bide_shared_channel *channel);

/* As bide_channel_send and bide_channel_recv, for a task of `loop`, on its thread: the same
 * errors, and cancelled as those are: a transfer that is cancelled has handed over nothing,
 * and one that was served before the cancel came keeps what it got. */
BIDE_EXTERN void bide_shared_channel_send(bide_shared_channel *channel, bide_loop *loop,
                                          bide_transfer *send, const void *item);
BIDE_EXTERN void bide_shared_channel_recv(bide_shared_channel *channel, bide_loop *loop,
                                          bide_transfer *recv, void *item);

/* The same at once, on any thread: 0, BIDE_EAGAIN for what would have to wait, or those
 * errors. */
BIDE_EXTERN int bide_shared_channel_try_send(bide_shared_channel *channel,
                                             const void *item);
BIDE_EXTERN int bide_shared_channel_try_recv(bide_shared_channel *channel, void *item);

/* No more is sent; as bide_channel_close. Any thread. */
BIDE_EXTERN void bide_shared_channel_close(bide_shared_channel *channel);

#ifdef __cplusplus
}
#endif
#endif
