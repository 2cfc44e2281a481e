/* A handler that saves three orders. Forgetting to await them, it returns before anything
 * is saved, and nobody would hear of an error. The repair is to await them; or, where the
 * caller should not wait, to keep them in a place that somebody does wait for. */
#include <stdio.h>

#include "fetch.h"

enum { ORDERS = 3 };

/* Saves one order and counts it. */
typedef struct save {
  bide_task task;
  fetch fetch;
  int order;
  int *saved;
} save;

static bide_poll save_poll(bide_task *task) {
  save *self = BIDE_FRAME(task, save, task);
  BIDE_ASYNC_BEGIN(task);
  BIDE_AWAIT(task, fetch_get(task->future.loop, &self->fetch, "/save/%d?delay_ms=50",
                             self->order));
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  BIDE_ASYNC_END(task, ++*self->saved);
}

/* The orders on their way. In C these frames have an owner by necessity; what can be
 * forgotten is to wait for them. */
typedef struct batch {
  save saves[ORDERS];
  int saved;
} batch;

static void batch_start(bide_loop *loop, batch *self) {
  self->saved = 0;
  for (int i = 0; i < ORDERS; i++) {
    self->saves[i].order = i + 1;
    self->saves[i].saved = &self->saved;
    bide_task_spawn(loop, &self->saves[i].task, save_poll);
  }
}

/* The handler. With `waits` it ends when its orders are saved, else at once. */
typedef struct handler {
  bide_task task;
  batch *batch;
  bool waits;
  int next;
} handler;

static bide_poll handler_poll(bide_task *task) {
  handler *self = BIDE_FRAME(task, handler, task);
  BIDE_ASYNC_BEGIN(task);
  batch_start(task->future.loop, self->batch);
  for (self->next = 0; self->waits && self->next < ORDERS; self->next++) {
    BIDE_AWAIT(task, &self->batch->saves[self->next].task.future);
    if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  }
  BIDE_ASYNC_END(task, 0);
}

static void handle(bide_loop *loop, batch *orders, bool waits) {
  static handler self;
  self.batch = orders;
  self.waits = waits;
  bide_task_spawn(loop, &self.task, handler_poll);
  bide_block_on(&self.task.future);
}

/* Waits for what a handler left running. */
static void batch_finish(batch *self) {
  for (int i = 0; i < ORDERS; i++) bide_block_on(&self->saves[i].task.future);
}

int main(int argc, char **argv) {
  static batch forgotten, awaited, background;
  bide_loop *loop;
  fetch_server(argc, argv);
  int error = bide_loop_new(NULL, &loop);
  if (error < 0) {
    fprintf(stderr, "%s: %s\n", argv[0], bide_error_text(error));
    return 1;
  }

  handle(loop, &forgotten, false);
  printf("forgotten: %d of 3 saved when the handler returned\n", forgotten.saved);
  /* They have not even begun. Closed now, the loop would forget them in its turn; and they
   * are not to be forgotten before their frames may go. */
  batch_finish(&forgotten);

  handle(loop, &awaited, true);
  printf("awaited: %d of 3 saved when the handler returned\n", awaited.saved);

  handle(loop, &background, false);
  printf("in the background: %d of 3 saved when the handler returned", background.saved);
  batch_finish(&background);
  printf(", %d of 3 when the program ended\n", background.saved);

  return bide_loop_close(loop) < 0;
}
