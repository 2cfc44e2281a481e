/* Wakers for foreign threads and channels between loops. What fails here loses a wake-up or an
 * item between two threads, or touches a task or a loop that is gone. */
#include <pthread.h>
#include <stdatomic.h>

#include "task_frames.h"

/* ---- wakers ---- */

enum { WAKES = 2000, THREADS = 3 };

typedef struct waking {
  pthread_t thread;
  bide_waker *waker;
  atomic_int *turn; /* of the ping-pong; NULL to wake without pause until refused */
  int wakes;
} waking;

static void *waking_run(void *argument) {
  waking *self = argument;
  while (self->turn == NULL || self->wakes < WAKES) {
    if (self->turn != NULL && atomic_load(self->turn) != self->wakes) continue;
    if (bide_waker_wake(self->waker) < 0) break;
    self->wakes++;
  }
  bide_waker_unref(self->waker);
  return NULL;
}

typedef struct woken {
  bide_task task;
  bide_waker *waker;
  bide_wait wait;
  atomic_int turns;
  int left;
} woken;

static bide_poll woken_poll(bide_task *task) {
  woken *self = BIDE_FRAME(task, woken, task);
  BIDE_ASYNC_BEGIN(task);
  while (self->left-- > 0) {
    bide_waker_wait(self->waker, &self->wait);
    BIDE_AWAIT(task, &self->wait.future);
    if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
    atomic_fetch_add(&self->turns, 1);
  }
  BIDE_ASYNC_END(task, 0);
}

/* Each wake is answered before the next is made: one that is lost ends the test by time. */
static void waker_loses_no_wake(void) {
  bide_loop *loop = harness_loop_new();
  woken task = {.left = WAKES};
  waking other = {.turn = &task.turns};
  REQUIRE(bide_waker_new(loop, &task.waker) == 0);
  other.waker = bide_waker_ref(task.waker);
  REQUIRE(bide_task_spawn(loop, &task.task, woken_poll) == 0);
  REQUIRE(pthread_create(&other.thread, NULL, waking_run, &other) == 0);
  CHECK_INT(bide_block_on(&task.task.future), 0);
  pthread_join(other.thread, NULL);
  CHECK_INT(other.wakes, WAKES);
  bide_waker_close(task.waker);
  bide_waker_unref(task.waker);
  harness_loop_close(loop);
}

/* Threads that wake without pause while the task ends, and in the end the loop. */
static void waker_outlives_its_task_and_its_loop(void) {
  for (int close_first = 0; close_first < 2; close_first++) {
    bide_loop *loop = harness_loop_new();
    woken *task = calloc(1, sizeof *task);
    waking others[THREADS] = {0};
    REQUIRE(task != NULL && bide_waker_new(loop, &task->waker) == 0);
    bide_waker *waker = task->waker;
    task->left = 100;
    for (int i = 0; i < THREADS; i++) {
      others[i].waker = bide_waker_ref(waker);
      REQUIRE(pthread_create(&others[i].thread, NULL, waking_run, &others[i]) == 0);
    }
    REQUIRE(bide_task_spawn(loop, &task->task, woken_poll) == 0);
    CHECK_INT(bide_block_on(&task->task.future), 0);
    if (close_first) bide_waker_close(waker);
    free(task);
    harness_loop_close(loop);
    for (int i = 0; i < THREADS; i++) pthread_join(others[i].thread, NULL);
    CHECK_INT(bide_waker_wake(waker), BIDE_ECANCELED);
    bide_waker_unref(waker);
  }
}

static void waker_keeps_one_wake_and_cancels_waits_when_closed(void) {
  bide_loop *loop = harness_loop_new();
  bide_waker *waker;
  bide_wait waits[3];
  REQUIRE(bide_waker_new(loop, &waker) == 0);
  CHECK_INT(bide_waker_wake(waker), 0);
  CHECK_INT(bide_waker_wake(waker), 0);
  run_ready(loop);
  bide_waker_wait(waker, &waits[0]);
  bide_waker_wait(waker, &waits[1]);
  CHECK_INT(waits[0].future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(waits[1].future.state, BIDE_FUTURE_PENDING);
  CHECK_INT(bide_waker_wake(waker), 0); /* under way when it is closed */
  bide_waker_close(waker);
  bide_waker_close(waker);
  CHECK_INT(waits[1].future.error, BIDE_ECANCELED);
  bide_waker_wait(waker, &waits[2]);
  CHECK_INT(waits[2].future.error, BIDE_ECANCELED);
  CHECK_INT(bide_waker_wake(waker), BIDE_ECANCELED);
  bide_waker_unref(waker);
  run_ready(loop);
  harness_loop_close(loop);
}

/* ---- channels between loops ---- */

enum { ITEMS = 3000 };

/* A sender or receiver on a loop and a thread of its own. Each third transfer is cancelled
 * while it waits, if it still does. */
typedef struct peer {
  pthread_t thread;
  bide_shared_channel *channel;
  bide_task task;
  bide_transfer transfer;
  bool sends;
  int first, moved, cancelled;
  int64_t sum;
  int32_t item;
  int status;
  bide_call cancel;
} peer;

static void peer_cancels(bide_call *call) {
  bide_future_cancel(&BIDE_CONTAINER_OF(call, peer, cancel)->transfer.future);
}

static void peer_start(peer *self) {
  bide_loop *loop = self->task.future.loop;
  if (self->sends) {
    self->item = self->first + self->moved;
    bide_shared_channel_send(self->channel, loop, &self->transfer, &self->item);
  } else {
    bide_shared_channel_recv(self->channel, loop, &self->transfer, &self->item);
  }
  if ((self->moved + self->cancelled) % 3 == 0) bide_loop_call_soon(loop, &self->cancel);
}

static bide_poll peer_poll(bide_task *task) {
  peer *self = BIDE_FRAME(task, peer, task);
  BIDE_ASYNC_BEGIN(task);
  self->cancel = (bide_call){.cb = peer_cancels};
  while (!self->sends || self->moved < ITEMS) {
    peer_start(self);
    BIDE_AWAIT(task, &self->transfer.future);
    self->status = bide_task_status(task);
    if (self->status == BIDE_ECANCELED) {
      self->cancelled++;
      continue;
    }
    if (self->status < 0) break;
    self->moved++;
    self->sum += self->item;
  }
  bide_call_cancel(task->future.loop, &self->cancel);
  BIDE_ASYNC_END(task, 0);
}

static void *peer_run(void *argument) {
  peer *self = argument;
  bide_loop *loop = harness_loop_new();
  REQUIRE(bide_task_spawn(loop, &self->task, peer_poll) == 0);
  CHECK_INT(bide_block_on(&self->task.future), 0);
  harness_loop_close(loop);
  return NULL;
}

/* Two loops send, two receive: every item arrives once, also from and to those who cancel. */
static void shared_channel_moves_each_item_once(bide_shared_channel *channel) {
  peer peers[4];
  memset(peers, 0, sizeof peers);
  for (int i = 0; i < 4; i++) {
    peers[i].channel = channel;
    peers[i].sends = i < 2;
    peers[i].first = i * ITEMS;
    REQUIRE(pthread_create(&peers[i].thread, NULL, peer_run, &peers[i]) == 0);
  }
  for (int i = 0; i < 2; i++) pthread_join(peers[i].thread, NULL);
  bide_shared_channel_close(channel);
  for (int i = 2; i < 4; i++) pthread_join(peers[i].thread, NULL);
  CHECK_INT(peers[2].moved + peers[3].moved, 2 * ITEMS);
  CHECK_INT(peers[2].sum + peers[3].sum, (int64_t)2 * ITEMS * (2 * ITEMS - 1) / 2);
  CHECK_INT(peers[2].status, BIDE_EOF);
  bide_shared_channel_free(channel);
}

static void shared_channel_bounded_moves_each_item_once(void) {
  for (size_t capacity = 0; capacity < 9; capacity += 4) {
    int32_t storage[8];
    bide_shared_channel channel;
    bide_shared_channel_init(&channel, storage, sizeof *storage, capacity);
    shared_channel_moves_each_item_once(&channel);
  }
}

static void shared_channel_unbounded_moves_each_item_once(void) {
  bide_shared_channel channel;
  bide_shared_channel_init_unbounded(&channel, sizeof(int32_t));
  shared_channel_moves_each_item_once(&channel);
}

static void shared_channel_serves_in_order_and_tells_of_its_end(void) {
  bide_loop *loop = harness_loop_new();
  bide_shared_channel channel;
  bide_transfer sends[3], recvs[2];
  int32_t storage[1], items[] = {1, 2, 3}, got = 0, later = 0;
  bide_shared_channel_init(&channel, storage, sizeof *storage, 1);
  CHECK_INT(bide_shared_channel_try_recv(&channel, &got), BIDE_EAGAIN);
  for (int i = 0; i < 3; i++)
    bide_shared_channel_send(&channel, loop, &sends[i], &items[i]);
  CHECK_INT(bide_shared_channel_try_send(&channel, &items[0]), BIDE_EAGAIN);
  CHECK_INT(bide_loop_close(loop), BIDE_EBUSY); /* two wait on it */
  for (int i = 0; i < 2; i++) {
    CHECK_INT(bide_shared_channel_try_recv(&channel, &got), 0);
    CHECK_INT(got, i + 1);
  }
  CHECK_INT(sends[2].future.state, BIDE_FUTURE_PENDING);
  run_ready(loop);
  CHECK_INT(sends[2].future.state, BIDE_FUTURE_RESOLVED);
  bide_shared_channel_recv(&channel, loop, &recvs[0], &got);
  bide_shared_channel_recv(&channel, loop, &recvs[1], &later);
  CHECK_INT(got, 3);
  CHECK_INT(bide_shared_channel_try_send(&channel, &items[1]), 0);
  CHECK_INT(bide_future_cancel(&recvs[1].future), 0); /* too late: it has its item */
  run_ready(loop);
  CHECK_INT(recvs[1].future.state, BIDE_FUTURE_RESOLVED);
  CHECK_INT(later, 2);
  bide_shared_channel_recv(&channel, loop, &recvs[0], &got);
  bide_shared_channel_close(&channel);
  run_ready(loop);
  CHECK_INT(recvs[0].future.error, BIDE_EOF);
  bide_shared_channel_send(&channel, loop, &sends[0], &items[0]);
  CHECK_INT(sends[0].future.error, BIDE_EPIPE);
  bide_shared_channel_free(&channel);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(waker_loses_no_wake),
    HARNESS_TEST(waker_outlives_its_task_and_its_loop),
    HARNESS_TEST(waker_keeps_one_wake_and_cancels_waits_when_closed),
    HARNESS_TEST(shared_channel_bounded_moves_each_item_once),
    HARNESS_TEST(shared_channel_unbounded_moves_each_item_once),
    HARNESS_TEST(shared_channel_serves_in_order_and_tells_of_its_end),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
