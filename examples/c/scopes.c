/* A request that asks three back ends at once, three times over:
 *
 *   - all answer, and the request has what it needs;
 *   - one fails: the scope ends the others, and the one that must give back what it holds
 *     does so under a shield before the scope ends;
 *   - none is quick enough: the deadline of the request's token ends all of them.
 *
 * Whatever happens, no back end is at work any more when the request ends. */
#include <bide.h>
#include <stdio.h>

static const char request_key; /* its address is the key under which tasks find theirs */

typedef struct request {
  bide_task task;
  bide_scope scope;
  bide_token token;
  bide_token_link link;
  bide_local own;
  uint64_t deadline_us; /* from its start */
  int number;
  struct ask {
    bide_child child;
    bide_sleep work;
    bide_local name;
    uint64_t takes_us;
    int error; /* what it ends with, if it is left to end */
  } asks[3];
} request;

static bide_poll ask_poll(bide_task *task) {
  struct ask *self = BIDE_FRAME(task, struct ask, child.task);
  const request *of = bide_local_get(task, &request_key);
  BIDE_ASYNC_BEGIN(task);

  BIDE_AWAIT_SLEEP(task, &self->work, self->takes_us);
  if (bide_task_status(task) < 0) {
    /* What is awaited from here on belongs to the cleaning up: no cancel reaches it. */
    bide_task_shield(task, true);
    BIDE_AWAIT_SLEEP(task, &self->work, 1000);
    printf("  request %d, %s: gave its connection back\n", of->number,
           bide_task_name(task));
    BIDE_RETURN_ERROR(task, BIDE_ECANCELED);
  }
  if (self->error < 0) BIDE_RETURN_ERROR(task, self->error);
  printf("  request %d, %s: answered\n", of->number, bide_task_name(task));

  BIDE_ASYNC_END(task, 0);
}

static void request_ask(request *self, int index, const char *name) {
  struct ask *ask = &self->asks[index];
  if (bide_scope_spawn(&self->scope, &ask->child, ask_poll) < 0) return;
  bide_local_inherit(&ask->child.task, &self->task);
  bide_task_set_name(&ask->child.task, &ask->name, name);
}

static bide_poll request_poll(bide_task *task) {
  request *self = BIDE_FRAME(task, request, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);

  bide_local_set(task, &self->own, &request_key, self);
  bide_scope_init(&self->scope, loop);
  bide_token_init(&self->token, loop, NULL);
  bide_token_bind(&self->token, &self->link, &self->scope.future);
  bide_token_cancel_at(&self->token, bide_loop_now_us(loop) + self->deadline_us);
  request_ask(self, 0, "users");
  request_ask(self, 1, "orders");
  request_ask(self, 2, "prices");
  BIDE_AWAIT(task, bide_scope_end(&self->scope));

  if (self->token.reason == BIDE_ETIME)
    printf("request %d: too late\n", self->number);
  else if (bide_task_status(task) < 0)
    printf("request %d: %s\n", self->number, bide_error_text(bide_task_status(task)));
  else
    printf("request %d: complete\n", self->number);
  bide_token_free(&self->token);

  BIDE_ASYNC_END(task, 0);
}

int main(void) {
  static request requests[] = {
      {.number = 1,
       .deadline_us = 10000000,
       .asks = {{.takes_us = 10000}, {.takes_us = 20000}, {.takes_us = 30000}}},
      {.number = 2,
       .deadline_us = 10000000,
       .asks = {{.takes_us = 10000},
                {.takes_us = 9000000},
                {.takes_us = 20000, .error = BIDE_ECONNRESET}}},
      {.number = 3,
       .deadline_us = 20000,
       .asks = {{.takes_us = 9000000}, {.takes_us = 9000000}, {.takes_us = 9000000}}},
  };
  bide_loop *loop;
  int error = bide_loop_new(NULL, &loop);
  for (int i = 0; error == 0 && i < 3; i++) {
    error = bide_task_spawn(loop, &requests[i].task, request_poll);
    if (error == 0) error = bide_block_on(&requests[i].task.future);
  }
  if (error == 0) error = bide_loop_close(loop);
  if (error < 0) fprintf(stderr, "scopes: %s\n", bide_error_text(error));
  return error < 0;
}
