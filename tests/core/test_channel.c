/* Channels, watches and broadcasts. What fails here loses an item, hands it out twice, or
 * leaves a task waiting for one that has been sent. */
#include <bide.h>

#include "harness_loop.h"

enum { PASSAGES = 4 };

static void channel_check(const bide_passage *passages, const char *expected) {
  for (int i = 0; expected[i] != '\0'; i++) {
    char state = "prxc"[passages[i].future.state];
    if (state != expected[i]) printf("passage %d is %c, not %c\n", i, state, expected[i]);
    CHECK(state == expected[i]);
  }
}

static void channel_bounded_makes_senders_wait(void) {
  bide_loop *loop = harness_loop_new();
  int storage[2], items[] = {10, 11, 12, 13}, got = 0;
  bide_channel channel;
  bide_passage sends[PASSAGES], recv;
  bide_channel_init(&channel, loop, storage, sizeof(int), 2);
  for (int i = 0; i < 4; i++) bide_channel_send(&channel, &sends[i], &items[i]);
  channel_check(sends, "rrpp");
  CHECK_INT(bide_channel_try_send(&channel, &items[0]), BIDE_EAGAIN);
  for (int i = 0; i < 4; i++) {
    bide_channel_recv(&channel, &recv, &got);
    channel_check(&recv, "r");
    CHECK_INT(got, 10 + i);
    channel_check(sends, i == 0 ? "rrrp" : "rrrr");
  }
  CHECK_INT(bide_channel_try_recv(&channel, &got), BIDE_EAGAIN);
  bide_channel_free(&channel);
  harness_loop_close(loop);
}

static void channel_receivers_are_served_in_order(void) {
  bide_loop *loop = harness_loop_new();
  int storage[2], got[3] = {0, 0, 0};
  bide_channel channel;
  bide_passage recvs[3];
  bide_channel_init(&channel, loop, storage, sizeof(int), 2);
  for (int i = 0; i < 3; i++) bide_channel_recv(&channel, &recvs[i], &got[i]);
  CHECK_INT(bide_future_cancel(&recvs[1].future), 0);
  for (int i = 1; i <= 3; i++) CHECK_INT(bide_channel_try_send(&channel, &i), 0);
  channel_check(recvs, "rcr");
  CHECK_INT(got[0], 1);
  CHECK_INT(got[1], 0); /* the cancelled one has taken nothing */
  CHECK_INT(got[2], 2);
  CHECK_INT(channel.count, 1);
  bide_channel_free(&channel);
  harness_loop_close(loop);
}

static void channel_without_room_is_a_rendezvous(void) {
  bide_loop *loop = harness_loop_new();
  int first = 1, second = 2, got = 0;
  bide_channel channel;
  bide_passage sends[2], recv;
  bide_channel_init(&channel, loop, NULL, sizeof(int), 0);
  bide_channel_send(&channel, &sends[0], &first);
  bide_channel_send(&channel, &sends[1], &second);
  channel_check(sends, "pp");
  CHECK_INT(bide_future_cancel(&sends[0].future), 0);
  bide_channel_recv(&channel, &recv, &got);
  CHECK_INT(got, 2); /* what was cancelled was not sent */
  channel_check(sends, "cr");
  bide_channel_recv(&channel, &recv, &got);
  channel_check(&recv, "p");
  CHECK_INT(bide_channel_try_send(&channel, &first), 0);
  channel_check(&recv, "r");
  CHECK_INT(got, 1);
  bide_channel_free(&channel);
  harness_loop_close(loop);
}

static void channel_unbounded_grows(void) {
  enum { ITEMS = 10000 };
  bide_loop *loop = harness_loop_new();
  bide_channel channel;
  bide_channel_init_unbounded(&channel, loop, sizeof(int));
  int next = 0, got;
  for (int i = 0; i < ITEMS; i++) { /* taken in between, so that the ring wraps */
    CHECK_INT(bide_channel_try_send(&channel, &i), 0);
    if (i % 3 != 0) continue;
    CHECK_INT(bide_channel_try_recv(&channel, &got), 0);
    CHECK_INT(got, next++);
  }
  bide_channel_close(&channel);
  while (bide_channel_try_recv(&channel, &got) == 0) CHECK_INT(got, next++);
  CHECK_INT(next, ITEMS);
  CHECK_INT(bide_channel_try_recv(&channel, &got), BIDE_EOF);
  bide_channel_free(&channel);
  harness_loop_close(loop);
}

static bool channel_memory_is_short;

static void *channel_reallocate(void *user, void *pointer, size_t bytes) {
  (void)user;
  if (bytes == 0) {
    free(pointer);
    return NULL;
  }
  return channel_memory_is_short ? NULL : realloc(pointer, bytes);
}

/* What does not fit is refused, and what is in the channel stays. */
static void channel_unbounded_survives_want_of_memory(void) {
  REQUIRE(bide_set_allocator(channel_reallocate, NULL) == 0);
  bide_loop *loop = harness_loop_new();
  bide_channel channel;
  bide_passage send;
  int sent = 0, got;
  bide_channel_init_unbounded(&channel, loop, sizeof(int));
  CHECK_INT(bide_channel_try_send(&channel, &sent), 0);
  channel_memory_is_short = true;
  for (sent = 1; bide_channel_try_send(&channel, &sent) == 0; sent++) {
  }
  bide_channel_send(&channel, &send, &sent);
  CHECK_INT(send.future.error, BIDE_ENOMEM);
  channel_memory_is_short = false;
  CHECK_INT(bide_channel_try_send(&channel, &sent), 0);
  for (int i = 0; i <= sent; i++) {
    CHECK_INT(bide_channel_try_recv(&channel, &got), 0);
    CHECK_INT(got, i);
  }
  bide_channel_free(&channel);
  harness_loop_close(loop);
  CHECK_INT(bide_set_allocator(NULL, NULL), 0);
}

static void channel_close_ends_who_waits(void) {
  bide_loop *loop = harness_loop_new();
  int storage[1], item = 5, got = 0;
  bide_channel channel;
  bide_passage sends[2], recv;
  bide_channel_init(&channel, loop, storage, sizeof(int), 1);
  bide_channel_send(&channel, &sends[0], &item);
  bide_channel_send(&channel, &sends[1], &item);
  bide_channel_close(&channel);
  channel_check(sends, "rx");
  CHECK_INT(sends[1].future.error, BIDE_EPIPE);
  bide_channel_send(&channel, &sends[1], &item);
  CHECK_INT(sends[1].future.error, BIDE_EPIPE);
  bide_channel_recv(&channel, &recv, &got); /* what was sent before arrives */
  CHECK_INT(got, 5);
  bide_channel_recv(&channel, &recv, &got);
  CHECK_INT(recv.future.error, BIDE_EOF);
  bide_channel_free(&channel);
  bide_channel_init(&channel, loop, storage, sizeof(int), 1);
  bide_channel_recv(&channel, &recv, &got);
  bide_channel_close(&channel);
  CHECK_INT(recv.future.error, BIDE_EOF);
  harness_loop_close(loop);
}

/* ---- tasks over a channel ---- */

typedef struct porter {
  bide_task task;
  bide_passage passage;
  bide_channel *channel;
  int from, to, item; /* a sender's range; a receiver's has no end */
  long sum;
} porter;

static bide_poll sender_poll(bide_task *task) {
  porter *self = BIDE_FRAME(task, porter, task);
  BIDE_ASYNC_BEGIN(task);
  for (self->item = self->from; self->item < self->to; self->item++) {
    bide_channel_send(self->channel, &self->passage, &self->item);
    BIDE_AWAIT(task, &self->passage.future);
    if (bide_task_status(task) == BIDE_ECANCELED) continue; /* not sent: the next */
    self->sum += self->item;
  }
  BIDE_ASYNC_END(task, 0);
}

static bide_poll receiver_poll(bide_task *task) {
  porter *self = BIDE_FRAME(task, porter, task);
  BIDE_ASYNC_BEGIN(task);
  for (;;) {
    bide_channel_recv(self->channel, &self->passage, &self->item);
    BIDE_AWAIT(task, &self->passage.future);
    if (bide_task_status(task) == BIDE_EOF) break;
    if (bide_task_status(task) == 0) self->sum += self->item;
  }
  BIDE_ASYNC_END(task, 0);
}

/* Senders and receivers, all cancelled again and again: the sums agree, so that nothing is
 * lost and nothing comes twice. */
static void channel_loses_nothing_to_cancels(void) {
  enum { PORTERS = 8, ITEMS = 500 };
  static porter senders[PORTERS], receivers[PORTERS];
  bide_loop *loop = harness_loop_new();
  int storage[3];
  bide_channel channel;
  memset(senders, 0, sizeof senders);
  memset(receivers, 0, sizeof receivers);
  bide_channel_init(&channel, loop, storage, sizeof(int), 3);
  for (int i = 0; i < PORTERS; i++) {
    senders[i].channel = receivers[i].channel = &channel;
    senders[i].from = i * ITEMS;
    senders[i].to = (i + 1) * ITEMS;
    REQUIRE(bide_task_spawn(loop, &senders[i].task, sender_poll) == 0);
    REQUIRE(bide_task_spawn(loop, &receivers[i].task, receiver_poll) == 0);
  }
  for (int turn = 0; turn < 2000; turn++) {
    REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
    bide_task_cancel(&senders[turn % PORTERS].task);
    bide_task_cancel(&receivers[turn * 3 % PORTERS].task);
  }
  long sent = 0, received = 0;
  for (int i = 0; i < PORTERS; i++) bide_block_on(&senders[i].task.future);
  bide_channel_close(&channel);
  for (int i = 0; i < PORTERS; i++) bide_block_on(&receivers[i].task.future);
  for (int i = 0; i < PORTERS; i++) {
    sent += senders[i].sum;
    received += receivers[i].sum;
  }
  CHECK(sent > 0);
  CHECK_INT(received, sent);
  bide_channel_free(&channel);
  harness_loop_close(loop);
}

/* ---- watch ---- */

static void channel_watch_keeps_the_latest(void) {
  bide_loop *loop = harness_loop_new();
  int value = 1, got = 0;
  bide_watch watch;
  bide_wait wait;
  bide_watch_init(&watch, loop, &value, sizeof value);
  uint64_t seen = bide_watch_get(&watch, &got);
  CHECK_INT(got, 1);
  bide_watch_wait(&watch, &wait, seen);
  CHECK_INT(wait.future.state, BIDE_FUTURE_PENDING);
  for (int i = 2; i < 5; i++) bide_watch_set(&watch, &i);
  CHECK_INT(wait.future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(bide_watch_get(&watch, &got), 3);
  CHECK_INT(got, 4);
  bide_watch_wait(&watch, &wait, seen); /* it has changed since */
  CHECK_INT(wait.future.state, BIDE_FUTURE_RESOLVED);
  bide_watch_wait(&watch, &wait, 3);
  bide_watch_close(&watch);
  CHECK_INT(wait.future.error, BIDE_EOF);
  bide_watch_wait(&watch, &wait, seen); /* the last value is still news to some */
  CHECK_INT(wait.future.state, BIDE_FUTURE_RESOLVED);
  harness_loop_close(loop);
}

/* ---- broadcast ---- */

static void channel_broadcast_reaches_all_and_says_what_was_lost(void) {
  bide_loop *loop = harness_loop_new();
  int storage[4], got = 0;
  uint64_t lost = 0;
  bide_broadcast broadcast;
  bide_wait wait;
  bide_broadcast_init(&broadcast, loop, storage, sizeof(int), 4);
  int before = 1;
  CHECK_INT(bide_broadcast_send(&broadcast, &before), 0);
  bide_subscription quick = bide_broadcast_subscribe(&broadcast), slow = quick;
  CHECK_INT(bide_subscription_try_recv(&quick, &got, &lost), BIDE_EAGAIN);
  bide_subscription_wait(&quick, &wait);
  CHECK_INT(wait.future.state, BIDE_FUTURE_PENDING);
  for (int i = 10; i < 16; i++) {
    CHECK_INT(bide_broadcast_send(&broadcast, &i), 0);
    CHECK_INT(wait.future.state, BIDE_FUTURE_RESOLVED);
    CHECK_INT(bide_subscription_try_recv(&quick, &got, &lost), 0);
    CHECK_INT(got, i);
  }
  CHECK_INT(bide_subscription_try_recv(&slow, &got, &lost), BIDE_ELAGGED);
  CHECK_INT(lost, 2);
  for (int i = 12; i < 16; i++) {
    CHECK_INT(bide_subscription_try_recv(&slow, &got, NULL), 0);
    CHECK_INT(got, i);
  }
  bide_subscription_wait(&slow, &wait);
  bide_broadcast_close(&broadcast);
  CHECK_INT(wait.future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(bide_subscription_try_recv(&slow, &got, &lost), BIDE_EOF);
  CHECK_INT(bide_broadcast_send(&broadcast, &before), BIDE_EPIPE);
  harness_loop_close(loop);
}

/* Items without bytes count, and neither they nor their storage need an address. */
static void channel_items_may_have_no_bytes(void) {
  bide_loop *loop = harness_loop_new();
  bide_channel channels[2];
  bide_channel_init_unbounded(&channels[0], loop, 0);
  bide_channel_init(&channels[1], loop, NULL, 0, 20);
  for (int i = 0; i < 2; i++) {
    for (int n = 0; n < 20; n++) CHECK_INT(bide_channel_try_send(&channels[i], NULL), 0);
    CHECK_INT(channels[i].count, 20);
    for (int n = 0; n < 20; n++) CHECK_INT(bide_channel_try_recv(&channels[i], NULL), 0);
    CHECK_INT(bide_channel_try_recv(&channels[i], NULL), BIDE_EAGAIN);
    bide_channel_free(&channels[i]);
  }
  bide_watch watch;
  bide_watch_init(&watch, loop, NULL, 0);
  bide_watch_set(&watch, NULL);
  CHECK_INT(bide_watch_get(&watch, NULL), 1);
  bide_broadcast broadcast;
  bide_broadcast_init(&broadcast, loop, NULL, 0, 2);
  bide_subscription subscription = bide_broadcast_subscribe(&broadcast);
  CHECK_INT(bide_broadcast_send(&broadcast, NULL), 0);
  CHECK_INT(bide_subscription_try_recv(&subscription, NULL, NULL), 0);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(channel_items_may_have_no_bytes),
    HARNESS_TEST(channel_bounded_makes_senders_wait),
    HARNESS_TEST(channel_receivers_are_served_in_order),
    HARNESS_TEST(channel_without_room_is_a_rendezvous),
    HARNESS_TEST(channel_unbounded_grows),
    HARNESS_TEST(channel_unbounded_survives_want_of_memory),
    HARNESS_TEST(channel_close_ends_who_waits),
    HARNESS_TEST(channel_loses_nothing_to_cancels),
    HARNESS_TEST(channel_watch_keeps_the_latest),
    HARNESS_TEST(channel_broadcast_reaches_all_and_says_what_was_lost),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
