/* A task that works with threads of others, two ways:
 *
 *   - a device's thread that knows nothing of loops wakes it through a waker, and may go on
 *     to wake when the task has long ended;
 *   - a loop on another thread sends it items through a shared channel.
 *
 * A metronome between them shows that the loop waits for neither. */
#include <bide.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { READINGS = 3, ITEMS = 5 };

/* ---- the device: a thread that wakes ---- */

static atomic_int device_value;

static void *device_run(void *argument) {
  bide_waker *waker = argument;
  do {
    atomic_fetch_add(&device_value, 1);
  } while (bide_waker_wake(waker) == 0); /* until the task has closed it */
  bide_waker_unref(waker);
  return NULL;
}

/* ---- the producer: a loop of its own ---- */

static bide_shared_channel channel;

typedef struct producer {
  bide_task task;
  bide_transfer transfer;
  int item;
} producer;

static bide_poll producer_poll(bide_task *task) {
  producer *self = BIDE_FRAME(task, producer, task);
  BIDE_ASYNC_BEGIN(task);
  for (self->item = 1; self->item <= ITEMS; self->item++) {
    bide_shared_channel_send(&channel, task->future.loop, &self->transfer, &self->item);
    BIDE_AWAIT(task, &self->transfer.future);
  }
  bide_shared_channel_close(&channel);
  BIDE_ASYNC_END(task, 0);
}

static void *producer_run(void *argument) {
  static producer self;
  bide_loop *loop;
  (void)argument;
  if (bide_loop_new(NULL, &loop) < 0) return NULL;
  if (bide_task_spawn(loop, &self.task, producer_poll) == 0)
    bide_block_on(&self.task.future);
  bide_loop_close(loop);
  return NULL;
}

/* ---- the task ---- */

typedef struct consumer {
  bide_task task;
  bide_waker *waker;
  bide_wait wait;
  bide_transfer transfer;
  bide_interval beat;
  pthread_t device, other;
  int readings, item, sum, beats;
} consumer;

static bide_poll consumer_poll(bide_task *task) {
  consumer *self = BIDE_FRAME(task, consumer, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);

  if (bide_waker_new(loop, &self->waker) < 0) BIDE_RETURN_ERROR(task, BIDE_ENOMEM);
  pthread_create(&self->device, NULL, device_run, bide_waker_ref(self->waker));
  for (; self->readings < READINGS; self->readings++) {
    bide_waker_wait(self->waker, &self->wait);
    BIDE_AWAIT(task, &self->wait.future);
  }
  bide_waker_close(self->waker);
  bide_waker_unref(self->waker);
  pthread_join(self->device, NULL);
  printf("the device: %d readings taken\n", self->readings);

  pthread_create(&self->other, NULL, producer_run, NULL);
  for (;;) {
    bide_shared_channel_recv(&channel, loop, &self->transfer, &self->item);
    BIDE_AWAIT(task, &self->transfer.future);
    if (bide_task_status(task) < 0) break; /* BIDE_EOF */
    self->sum += self->item;
  }
  pthread_join(self->other, NULL);
  printf("the other loop: %d items, their sum %d\n", ITEMS, self->sum);

  bide_interval_start(loop, &self->beat, 1000, BIDE_MISSED_SKIP);
  for (; self->beats < 3; self->beats++)
    BIDE_AWAIT(task, bide_interval_next(&self->beat));
  printf("the metronome: %d beats\n", self->beats);

  BIDE_ASYNC_END(task, 0);
}

int main(void) {
  static consumer self;
  int storage[2];
  bide_loop *loop;
  bide_shared_channel_init(&channel, storage, sizeof *storage, 2);
  int error = bide_loop_new(NULL, &loop);
  if (error == 0) error = bide_task_spawn(loop, &self.task, consumer_poll);
  if (error == 0) error = bide_block_on(&self.task.future);
  if (error == 0) error = bide_loop_close(loop);
  bide_shared_channel_free(&channel);
  if (error < 0) fprintf(stderr, "threads: %s\n", bide_error_text(error));
  return error < 0;
}
