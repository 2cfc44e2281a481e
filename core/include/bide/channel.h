/* channel.h: values on their way between the tasks of one loop.
 *
 * Three kinds: a channel gives each item to one receiver, a broadcast gives each to all who
 * subscribe, a watch keeps the latest. (One value for one receiver is a bide_future.) All
 * belong to one loop and are used on its thread alone. Items are copied by memcpy; they may be
 * 0 bytes long, to count alone, and NULL then.
 *
 * One waits with a bide_passage or, where no item is handed over, with sync.h's bide_wait;
 * both are yours and belong to the loop until their future settles. A send or receive that
 * is cancelled has handed over nothing; one that was served before the cancel came keeps
 * what it got, as any settled future does.
 */
#ifndef BIDE_CHANNEL_H
#define BIDE_CHANNEL_H

#include "sync.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- channel: many senders, many receivers, each item to one ---- */

/* A send or a receive under way. */
typedef struct bide_passage {
  bide_future future;
  /* private */
  bide_node node_;
  void *item_;
} bide_passage;

typedef struct bide_channel {
  bide_loop *loop; /* read-only */
  size_t count;    /* read-only: items that wait for a receiver */
  size_t capacity; /* read-only */
  bool closed;     /* read-only */
  bool grows_;     /* private, as is the rest */
  size_t item_bytes_;
  size_t head_;
  unsigned char *items_;
  bide_node senders_;
  bide_node receivers_;
} bide_channel;

/* A bounded channel over storage of yours for `capacity` items. With capacity 0 (storage
 * NULL) each send waits for its receiver. */
BIDE_EXTERN void bide_channel_init(bide_channel *channel, bide_loop *loop, void *storage,
                                   size_t item_bytes, size_t capacity);

/* An unbounded one, in which no send waits. Its storage grows by doubling, and is given
 * back by bide_channel_free. */
BIDE_EXTERN void bide_channel_init_unbounded(bide_channel *channel, bide_loop *loop,
                                             size_t item_bytes);

/* Closes it, drops what is in it and frees what an unbounded one has allocated. */
BIDE_EXTERN void bide_channel_free(bide_channel *channel);

/* Hands over a copy of *item, waiting for room; item must stay until the future settles.
 * Senders are served in order. Rejected with BIDE_EPIPE when the channel is closed, or is
 * being closed while it waits; BIDE_ENOMEM from an unbounded one that cannot grow. */
BIDE_EXTERN void bide_channel_send(bide_channel *channel, bide_passage *send,
                                   const void *item);

/* Waits for an item and copies it to *item, which must stay until the future settles.
 * Receivers are served in order. Rejected with BIDE_EOF when the channel is closed and
 * empty. */
BIDE_EXTERN void bide_channel_recv(bide_channel *channel, bide_passage *recv, void *item);

/* The same at once: 0, BIDE_EAGAIN for what would have to wait, or those errors. */
BIDE_EXTERN int bide_channel_try_send(bide_channel *channel, const void *item);
BIDE_EXTERN int bide_channel_try_recv(bide_channel *channel, void *item);

/* No more is sent: senders who wait are rejected, and so are receivers, if they wait.
 * What is in the channel can still be received. Returns 0, the second time too. */
BIDE_EXTERN int bide_channel_close(bide_channel *channel);

/* ---- watch: the latest value ---- */

typedef struct bide_watch {
  bide_loop *loop;  /* read-only */
  uint64_t version; /* read-only: how often it was set */
  bool closed;      /* read-only */
  void *value_;     /* private, as is the rest */
  size_t bytes_;
  bide_node waits_;
} bide_watch;

/* value: yours, `bytes` long, with the first value in it; the watch's until it is freed. */
BIDE_EXTERN void bide_watch_init(bide_watch *watch, bide_loop *loop, void *value,
                                 size_t bytes);

/* Copies *value in and wakes all who wait for a change. Returns 0. */
BIDE_EXTERN int bide_watch_set(bide_watch *watch, const void *value);

/* Copies the latest value out; returns its version. */
BIDE_EXTERN uint64_t bide_watch_get(const bide_watch *watch, void *value);

/* Waits until the version is another than the one seen; values between are skipped.
 * Rejected with BIDE_EOF when the watch is closed and nothing new is there. */
BIDE_EXTERN void bide_watch_wait(bide_watch *watch, bide_wait *wait, uint64_t seen);

/* It will not change any more. Returns 0. */
BIDE_EXTERN int bide_watch_close(bide_watch *watch);

/* ---- broadcast: each item to all who subscribe ---- */

typedef struct bide_broadcast {
  bide_loop *loop;  /* read-only */
  uint64_t sent;    /* read-only: how many items ever */
  bool closed;      /* read-only */
  size_t capacity_; /* private, as is the rest */
  size_t item_bytes_;
  unsigned char *items_;
  bide_node waits_;
} bide_broadcast;

/* A place in the broadcast; yours, copyable, owns nothing. */
typedef struct bide_subscription {
  bide_broadcast *broadcast;
  uint64_t next; /* the number of the item that comes next */
} bide_subscription;

/* Over storage of yours that keeps the latest `capacity` items. Returns 0, or BIDE_EINVAL for
 * a capacity of 0: then it is closed. */
BIDE_EXTERN int bide_broadcast_init(bide_broadcast *broadcast, bide_loop *loop,
                                    void *storage, size_t item_bytes, size_t capacity);

/* Never waits: it is the slow receivers who lose. Returns 0, or BIDE_EPIPE when closed. */
BIDE_EXTERN int bide_broadcast_send(bide_broadcast *broadcast, const void *item);

/* Begins with what is sent from now on. */
BIDE_EXTERN bide_subscription bide_broadcast_subscribe(bide_broadcast *broadcast);

/* Takes the next item: 0; BIDE_EAGAIN when there is none yet; BIDE_EOF when there will be
 * none; BIDE_ELAGGED when items were overwritten before they were taken: *lost of them, if
 * lost is not NULL, and the next call goes on with the oldest that is left. */
BIDE_EXTERN int bide_subscription_try_recv(bide_subscription *subscription, void *item,
                                           uint64_t *lost);

/* Waits until try_recv would not say EAGAIN. */
BIDE_EXTERN void bide_subscription_wait(bide_subscription *subscription, bide_wait *wait);

/* No more is sent. What was sent can still be received. Returns 0. */
BIDE_EXTERN int bide_broadcast_close(bide_broadcast *broadcast);

#ifdef __cplusplus
}
#endif
#endif
