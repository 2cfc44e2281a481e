/* Values on their way between tasks, four ways:
 *
 *   - a channel with room for two makes the one who sends wait for those who work;
 *   - a broadcast reaches all who subscribe, and tells the slow one what it has missed;
 *   - a watch shows the latest value, to whoever looks;
 *   - a select waits for a channel, an operation and a timer at once, and goes on with the
 *     first. The others go on too: what they bring later is not lost. */
#include <bide.h>
#include <stdio.h>
#include <unistd.h>

/* ---- a channel: one sends, two work ---- */

enum { ORDERS = 6, ROOM = 2 };

typedef struct shop {
  bide_channel orders;
  int storage[ROOM];
  int most_waiting, done[2];
} shop;

typedef struct clerk {
  bide_child child;
  bide_passage passage;
  shop *shop;
  int order, number;
} clerk;

static bide_poll seller_poll(bide_task *task) {
  clerk *self = BIDE_FRAME(task, clerk, child.task);
  shop *here = self->shop;
  BIDE_ASYNC_BEGIN(task);
  for (self->order = 1; self->order <= ORDERS; self->order++) {
    bide_channel_send(&here->orders, &self->passage, &self->order);
    BIDE_AWAIT(task, &self->passage.future); /* waits while there is no room */
    if ((int)here->orders.count > here->most_waiting)
      here->most_waiting = (int)here->orders.count;
  }
  bide_channel_close(&here->orders);
  BIDE_ASYNC_END(task, 0);
}

static bide_poll worker_poll(bide_task *task) {
  clerk *self = BIDE_FRAME(task, clerk, child.task);
  BIDE_ASYNC_BEGIN(task);
  for (;;) {
    bide_channel_recv(&self->shop->orders, &self->passage, &self->order);
    BIDE_AWAIT(task, &self->passage.future);
    if (bide_task_status(task) == BIDE_EOF) break; /* closed, and empty */
    self->shop->done[self->number]++;
    BIDE_YIELD(task); /* it takes its time */
  }
  BIDE_ASYNC_END(task, 0);
}

/* ---- a broadcast and a watch ---- */

enum { NEWS = 5, KEPT = 3 };

static void tell_news(bide_loop *loop) {
  bide_broadcast news;
  int storage[KEPT], item;
  uint64_t lost = 0;
  bide_broadcast_init(&news, loop, storage, sizeof item, KEPT);
  bide_subscription slow = bide_broadcast_subscribe(&news);
  for (item = 1; item <= NEWS; item++) bide_broadcast_send(&news, &item);
  if (bide_subscription_try_recv(&slow, &item, &lost) == BIDE_ELAGGED)
    printf("the slow reader has missed %d", (int)lost);
  while (bide_subscription_try_recv(&slow, &item, &lost) == 0) printf(", reads %d", item);
  printf("\n");
}

typedef struct thermometer {
  bide_child child;
  bide_watch watch;
  bide_wait wait;
  uint64_t seen;
  int degrees, shown;
} thermometer;

static bide_poll thermometer_poll(bide_task *task) {
  thermometer *self = BIDE_FRAME(task, thermometer, child.task);
  BIDE_ASYNC_BEGIN(task);
  for (;;) {
    bide_watch_wait(&self->watch, &self->wait, self->seen);
    BIDE_AWAIT(task, &self->wait.future);
    if (bide_task_status(task) < 0) break;
    self->seen = bide_watch_get(&self->watch, &self->shown);
    printf("the thermometer shows %d\n", self->shown);
  }
  BIDE_ASYNC_END(task, 0);
}

/* ---- a select ---- */

enum { FROM_CHANNEL, FROM_PIPE, FROM_TIMER, WAYS };

typedef struct chooser {
  bide_child child;
  bide_channel channel;
  bide_passage passage;
  bide_io read;
  bide_sleep patience;
  bide_branch branches[WAYS];
  bide_combination select;
  int item, storage, pipe[2];
  char byte;
} chooser;

static void chooser_begin(chooser *self, bide_loop *loop) {
  bide_channel_init(&self->channel, loop, &self->storage, sizeof self->item, 1);
  bide_channel_recv(&self->channel, &self->passage, &self->item);
  bide_prep_read(&self->read.op, self->pipe[0], &self->byte, 1, -1);
  bide_io_start(loop, &self->read);
  bide_sleep_start(loop, &self->patience, 3600000000);
  self->branches[FROM_CHANNEL].future = &self->passage.future;
  self->branches[FROM_PIPE].future = &self->read.future;
  self->branches[FROM_TIMER].future = &self->patience.future;
}

static bide_poll chooser_poll(bide_task *task) {
  chooser *self = BIDE_FRAME(task, chooser, child.task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);
  chooser_begin(self, loop);

  if (write(self->pipe[1], "x", 1) != 1) BIDE_RETURN_ERROR(task, BIDE_EIO);
  bide_select_start(loop, &self->select, self->branches, WAYS);
  BIDE_AWAIT(task, &self->select.future);
  if (self->select.future.value == FROM_PIPE)
    printf("the pipe was first: %c\n", self->byte);

  self->item = 0;
  bide_channel_try_send(&self->channel, &(int){42}); /* its receive has been waiting */
  self->branches[FROM_PIPE].future = &self->patience.future;
  bide_select_start(loop, &self->select, self->branches, WAYS);
  BIDE_AWAIT(task, &self->select.future);
  if (self->select.future.value == FROM_CHANNEL)
    printf("then the channel: %d\n", self->item);

  bide_future_cancel(&self->patience.future);
  BIDE_AWAIT(task, &self->patience.future);
  printf("the timer was taken back\n");
  BIDE_ASYNC_END(task, 0);
}

/* ---- all of it ---- */

typedef struct tour {
  bide_task task;
  bide_scope scope;
  shop shop;
  clerk seller, workers[2];
  thermometer thermometer;
  chooser chooser;
} tour;

static int tour_open_shop(tour *self, bide_loop *loop) {
  bide_channel_init(&self->shop.orders, loop, self->shop.storage, sizeof(int), ROOM);
  self->seller.shop = &self->shop;
  int error = bide_scope_spawn(&self->scope, &self->seller.child, seller_poll);
  for (int i = 0; i < 2 && error == 0; i++) {
    self->workers[i].shop = &self->shop;
    self->workers[i].number = i;
    error = bide_scope_spawn(&self->scope, &self->workers[i].child, worker_poll);
  }
  return error;
}

static bide_poll tour_poll(bide_task *task) {
  tour *self = BIDE_FRAME(task, tour, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);
  bide_scope_init(&self->scope, loop);
  if (tour_open_shop(self, loop) < 0) bide_scope_cancel(&self->scope);
  BIDE_AWAIT(task, bide_scope_end(&self->scope));
  printf("%d orders done, never more than %d waiting\n",
         self->shop.done[0] + self->shop.done[1], self->shop.most_waiting);

  tell_news(loop);

  bide_scope_init(&self->scope, loop);
  bide_watch_init(&self->thermometer.watch, loop, &self->thermometer.degrees,
                  sizeof(int));
  if (bide_scope_spawn(&self->scope, &self->thermometer.child, thermometer_poll) < 0)
    bide_scope_cancel(&self->scope);
  BIDE_YIELD(task);
  bide_watch_set(&self->thermometer.watch, &(int){20});
  bide_watch_set(&self->thermometer.watch, &(int){21}); /* 20 is gone before it is read */
  BIDE_YIELD(task);
  bide_watch_close(&self->thermometer.watch);
  if (bide_scope_spawn(&self->scope, &self->chooser.child, chooser_poll) < 0)
    bide_scope_cancel(&self->scope);
  BIDE_AWAIT(task, bide_scope_end(&self->scope));
  if (self->scope.error == BIDE_EOF) printf("the thermometer was closed\n");
  BIDE_ASYNC_END(task, 0);
}

int main(void) {
  static tour self;
  bide_loop *loop;
  if (pipe(self.chooser.pipe) != 0) return 1;
  int error = bide_loop_new(NULL, &loop);
  if (error == 0) error = bide_task_spawn(loop, &self.task, tour_poll);
  if (error == 0) error = bide_block_on(&self.task.future);
  if (error == 0) error = bide_loop_close(loop);
  close(self.chooser.pipe[0]);
  close(self.chooser.pipe[1]);
  if (error < 0) fprintf(stderr, "channels: %s\n", bide_error_text(error));
  return error < 0;
}
