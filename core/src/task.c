/* A task that has not ended is in one of five places, and in one only:
 *   - it runs: its poll function is on the stack;
 *   - it is ready: on the loop's ready queue (spawned, woken or has used up its budget), as
 *     itself or, where that was full and when it has yielded, as wait_.call;
 *   - it waits: awaiting_ is pending and has wait_.waiter on its list;
 *   - woken a moment ago: awaiting_ is settled but has not come to wait_.waiter yet;
 *   - it sleeps: wait_.timer runs, and TASK_SLEEPING says so.
 * awaiting_ is NULL but in the third and fourth. While the task has not ended, its future's
 * `error` is the status of its last await.
 *
 * A cancel is delivered by cancelling what the task waits for. Without such a thing, or when
 * that succeeds all the same, it is kept in TASK_CANCEL_PENDING for the next await or yield:
 * a task in a loop of receives would outlive its scope's cancel otherwise. */
#include <bide/task.h>

#include <inttypes.h>
#include <stdio.h>

#include "future_internal.h"
#include "loop_internal.h"
#include "task_internal.h"

enum {
  TASK_CANCEL_PENDING = 1u << 0,
  TASK_SHIELDED = 1u << 1, /* a cancel leaves what awaiting_ names alone */
  TASK_SLEEPING = 1u << 2,
  TASK_DELIVERING = 1u << 3,    /* a cancel of awaiting_ is on the stack */
  TASK_DEFERRING = 1u << 4,     /* a cancel is kept until the task says otherwise */
  TASK_DETACHED = 1u << 5,      /* nobody will await it, and that is no mistake */
  TASK_CANCEL_PASSED = 1u << 6, /* on to what awaiting_ names: kept if that succeeds */
  TASK_OF_WAIT = TASK_SHIELDED | TASK_SLEEPING | TASK_CANCEL_PASSED
};

static_assert(sizeof(bide_task) <= 96 || sizeof(void *) != 8, "a million are 96 MB");

static bool task_has(const bide_task *task, unsigned flags) {
  return (task->future.flags_ & flags) != 0;
}

static void task_set(bide_task *task, unsigned flags) {
  task->future.flags_ = (uint8_t)(task->future.flags_ | flags);
}

static void task_clear(bide_task *task, unsigned flags) {
  task->future.flags_ = (uint8_t)(task->future.flags_ & ~flags);
}

/* Spends the cancel that waits for delivery, if one does and may be delivered. */
static bool task_take_cancel(bide_task *task) {
  if (!task_has(task, TASK_CANCEL_PENDING) || task_has(task, TASK_DEFERRING))
    return false;
  task_clear(task, TASK_CANCEL_PENDING);
  return true;
}

static bide__debug *task_debug(const bide_task *task) {
  return bide__loop_head_of(task->future.loop)->debug;
}

static void task_step(bide_call *call);

/* A task that waits for memory to be polled would be lost; a post needs none. */
static void task_call_soon(bide_task *task, bide_call_cb step) {
  bide_loop *loop = task->future.loop;
  task->wait_.call.cb = step;
  if (bide__loop_make_ready(loop, &task->wait_.call) == 0) return;
  task->wait_.call.state_ = BIDE__CALL_IDLE;
  bide_post(loop, &task->wait_.call);
}

/* The queue may be full, or an outer loop must be told. */
static BIDE__SELDOM void task_make_ready_slowly(bide_task *task) {
  bide_loop *loop = task->future.loop;
  bide__ready *ready = &bide__loop_head_of(loop)->ready;
  bide__loop_unpark(loop);
  if (bide__ready_make_room(ready) == 0)
    bide__ready_put_task(ready, task);
  else
    task_call_soon(task, task_step);
}

static inline void task_make_ready(bide__loop_head *head, bide_task *task) {
  if (bide__ready_takes(&head->ready))
    bide__ready_put_task(&head->ready, task);
  else
    task_make_ready_slowly(task);
}

/* Ends the wait with that status. */
static inline void task_end_wait(bide__loop_head *head, bide_task *task, int status) {
  task->awaiting_ = NULL;
  task->future.error = status;
  task_make_ready(head, task);
}

/* What a task waits for is of its own loop. */
void bide__task_wake(bide_waiter *waiter, bide_future *future) {
  bide__task_wake_lone(bide__loop_head_of(future->loop), waiter, future->error);
}

void bide__task_wake_lone(bide__loop_head *head, bide_waiter *waiter, int error) {
  task_end_wait(head, BIDE_CONTAINER_OF(waiter, bide_task, wait_.waiter), error);
}

/* The same for a wait of which a flag of TASK_OF_WAIT was set. Most have none, and are woken
 * without a look at them. */
static void task_end_noted(bide_task *task, int status) {
  if (task_has(task, TASK_CANCEL_PASSED) && status != BIDE_ECANCELED)
    task_set(task, TASK_CANCEL_PENDING);
  task_clear(task, TASK_OF_WAIT);
  task_end_wait(bide__loop_head_of(task->future.loop), task, status);
}

static void task_wake_noted(bide_waiter *waiter, bide_future *future) {
  task_end_noted(BIDE_CONTAINER_OF(waiter, bide_task, wait_.waiter), future->error);
}

/* Notes flags of the wait for awaiting_, which is pending. */
static void task_note(bide_task *task, unsigned flags) {
  task_set(task, flags);
  bide__future_spell_out(task->awaiting_);
  task->wait_.waiter.wake = task_wake_noted;
}

/* Ends the wait for a future that goes on without this task. */
static void task_detach(bide_task *task) {
  bide__future_forget(task->awaiting_, &task->wait_.waiter);
  task_end_noted(task, BIDE_ECANCELED);
}

static void task_slept(bide_timer *timer) {
  task_end_noted(BIDE_CONTAINER_OF(timer, bide_task, wait_.timer), 0);
}

static BIDE__SELDOM void task_tell_resume(bide_task *task) {
  BIDE__TRACE(bide__loop_trace(task->future.loop), BIDE_TRACE_TASK_RESUME, task, 0);
  bide__debug *debug = task_debug(task);
  if (debug != NULL) debug->resumes(debug, task);
}

static BIDE__SELDOM void task_end_without_outcome(bide_task *task) {
  bide_future_reject(&task->future, BIDE_EINVAL);
}

/* A poll function that says that its task has ended must have told how. */
static BIDE__APART void task_finish(bide_task *task) {
  if (BIDE__MISUSE(!bide__future_settled(&task->future))) task_end_without_outcome(task);
  if (task->finished != NULL) task->finished(task);
}

void bide__task_resume(bide__loop_head *head, bide_task *task) {
  head->budget = BIDE_TASK_BUDGET;
  if (task->poll_(task) != BIDE_POLL_PENDING) task_finish(task);
}

void bide__task_resume_observed(bide_task *task) {
  task_tell_resume(task);
  bide__task_resume(bide__loop_head_of(task->future.loop), task);
}

static void task_step(bide_call *call) {
  bide_task *task = BIDE_CONTAINER_OF(call, bide_task, wait_.call);
  bide__loop_head *head = bide__loop_head_of(task->future.loop);
  if (head->observed)
    bide__task_resume_observed(task);
  else
    bide__task_resume(head, task);
}

/* The step of one that is ready because it yielded: a cancel still reaches it. */
static void task_step_yielded(bide_call *call) {
  bide_task *task = BIDE_CONTAINER_OF(call, bide_task, wait_.call);
  task->future.error = task_take_cancel(task) ? BIDE_ECANCELED : 0;
  task_step(call);
}

static void task_cancel_future(bide_future *future) {
  bide_task_cancel(BIDE_CONTAINER_OF(future, bide_task, future));
}

static BIDE__SELDOM void task_tell_spawn(bide_task *task, const char *place) {
  BIDE__TRACE(bide__loop_trace(task->future.loop), BIDE_TRACE_TASK_SPAWN, task, 0);
  bide__debug *debug = task_debug(task);
  if (debug != NULL) debug->spawned(debug, task, place);
}

/* What must come first, or is told of. */
static BIDE__SELDOM int task_spawn_slowly(bide_task *task, const char *place) {
  bide_loop *loop = task->future.loop;
  int result = bide__loop_admit(loop);
  task->wait_.call.cb = task_step;
  if (result == 0) result = bide__loop_make_ready(loop, &task->wait_.call);
  if (result < 0) {
    bide__future_refuse(&task->future, loop, result);
    return result;
  }
  task_tell_spawn(task, place);
  return 0;
}

int bide_task_spawn_at(bide_loop *loop, bide_task *task, bide_task_fn poll,
                       const char *place) {
  task->future = (bide_future){.loop = loop, .cancel = task_cancel_future};
  task->poll_ = poll;
  task->locals_ = NULL;
  task->awaiting_ = NULL;
  bide__loop_head *head = bide__loop_head_of(loop);
  if (bide__loop_admit(loop) < 0 || !bide__ready_takes(&head->ready) || head->observed)
    return task_spawn_slowly(task, place);
  bide__ready_put_task(&head->ready, task);
  return 0;
}

/* In parentheses, since the macro of that name passes a place along. */
int(bide_task_spawn)(bide_loop *loop, bide_task *task, bide_task_fn poll) {
  return bide_task_spawn_at(loop, task, poll, "?");
}

void bide_task_detach(bide_task *task) {
  if (!BIDE__MISUSE(!bide__loop_is_ours(task->future.loop)))
    task_set(task, TASK_DETACHED);
}

bool bide__task_is_detached(const bide_task *task) {
  return task_has(task, TASK_DETACHED);
}

int bide_task_status(const bide_task *task) { return task->future.error; }

static bool task_is_waiting(const bide_task *task) {
  return task->awaiting_ != NULL && !bide_future_is_settled(task->awaiting_);
}

/* The task that a cancel of `task` goes on to: the one it waits for, unshielded. */
static bide_task *task_cancel_next(const bide_task *task) {
  if (!task_is_waiting(task) || task_has(task, TASK_SHIELDED | TASK_DEFERRING))
    return NULL;
  if (task->awaiting_->cancel != task_cancel_future) return NULL;
  return BIDE_CONTAINER_OF(task->awaiting_, bide_task, future);
}

/* Follows the chain of tasks that wait for tasks to its end, in a loop and not by calls,
 * since it may be long. When the tasks wait for one another in a circle, *circle is set
 * and the result is one of them (Brent's algorithm: `mark` stays while `task` goes round,
 * and moves at each power of two). */
static bide_task *task_cancel_target(bide_task *task, bool *circle) {
  const bide_task *mark = task;
  size_t steps = 0;
  size_t lap = 1;
  *circle = false;
  for (bide_task *next; (next = task_cancel_next(task)) != NULL; task = next) {
    if (next == mark) {
      *circle = true;
      break;
    }
    if (++steps == lap) {
      mark = next;
      steps = 0;
      lap *= 2;
    }
  }
  return task;
}

/* The tasks from `task` to the one before `target` wait for one another, each for the next. */
static void task_pass_cancel(bide_task *task, const bide_task *target) {
  for (; task != target; task = task_cancel_next(task))
    task_note(task, TASK_CANCEL_PASSED);
}

/* A circle of waits can only be opened by taking one out of it: its await returns, and
 * when it ends the others follow. A circle that leads through futures of other producers
 * shows as a cancel that comes back while it is being delivered. */
static void task_deliver_cancel(bide_task *task) {
  bool circle;
  bide_task *target = task_cancel_target(task, &circle);
  bool sleeps = task_has(target, TASK_SLEEPING);
  task_pass_cancel(task, target);
  if ((!sleeps && !task_is_waiting(target)) || task_has(target, TASK_DEFERRING)) {
    task_set(target, TASK_CANCEL_PENDING);
  } else if (sleeps) {
    bide_timer_stop(target->future.loop, &target->wait_.timer);
    task_end_noted(target, BIDE_ECANCELED);
  } else if (circle || task_has(target, TASK_SHIELDED | TASK_DELIVERING)) {
    task_detach(target);
  } else {
    task_note(target, TASK_DELIVERING | TASK_CANCEL_PASSED);
    bide_future_cancel(target->awaiting_);
    task_clear(target, TASK_DELIVERING);
  }
}

int bide_task_cancel(bide_task *task) {
  if (BIDE__MISUSE(!bide__loop_is_ours(task->future.loop))) return BIDE_ETHREAD;
  if (bide_future_is_settled(&task->future)) return BIDE_EALREADY;
  BIDE__TRACE(bide__loop_trace(task->future.loop), BIDE_TRACE_CANCEL, task, 0);
  bide__debug *debug = task_debug(task);
  if (debug != NULL) debug->cancelled(debug, task);
  task_deliver_cancel(task);
  return 0;
}

bool bide_task_shield(bide_task *task, bool shielded) {
  bool before = task_has(task, TASK_DEFERRING);
  if (BIDE__MISUSE(!bide__loop_is_ours(task->future.loop))) return before;
  if (shielded)
    task_set(task, TASK_DEFERRING);
  else
    task_clear(task, TASK_DEFERRING);
  return before;
}

static BIDE__SELDOM void task_wait_behind(bide_task *task, bide_future *future) {
  task->wait_.waiter.wake = bide__task_wake;
  bide__future_add(future, &task->wait_.waiter);
}

static inline void task_wait(bide_task *task, bide_future *future) {
  task->awaiting_ = future;
  if (future->waiters_ == 0)
    bide__future_add_lone(future, &task->wait_.waiter);
  else
    task_wait_behind(task, future);
}

static BIDE__SELDOM bool task_end_turn(bide_task *task) {
  task_make_ready(bide__loop_head_of(task->future.loop), task);
  return true;
}

static BIDE__SELDOM bool task_take_observed(bide_task *task, const bide_future *future) {
  bide__debug *debug = task_debug(task);
  if (debug != NULL) debug->taken(debug, future);
  return --bide__loop_head_of(task->future.loop)->budget == 0 && task_end_turn(task);
}

/* A settled future gives its result: what has been achieved is not thrown away, and a cancel
 * that is pending stays so. True when the budget is used up: the task comes back to it in its
 * next turn. */
static inline bool task_take_result(bide_task *task, const bide_future *future) {
  bide__loop_head *head = bide__loop_head_of(task->future.loop);
  task->future.error = future->error;
  if (head->observed) return task_take_observed(task, future);
  if (--head->budget > 0) return false;
  return task_end_turn(task);
}

static BIDE__SELDOM bool task_await_cancelled(bide_task *task, bide_future *future) {
  bool cancelled = task_take_cancel(task);
  task_wait(task, future);
  if (cancelled) task_deliver_cancel(task);
  return true;
}

static BIDE__SELDOM bool task_refuse_wait(bide_task *task) {
  task->future.error = BIDE_EINVAL;
  return false;
}

static inline bool task_is_foreign(const bide_task *task, const bide_future *future) {
  return future->loop != task->future.loop;
}

bool bide_task_await(bide_task *task, bide_future *future) {
  if (bide__future_settled(future)) return task_take_result(task, future);
  if (BIDE__MISUSE(task_is_foreign(task, future))) return task_refuse_wait(task);
  if (task_has(task, TASK_CANCEL_PENDING)) return task_await_cancelled(task, future);
  task_wait(task, future);
  return true;
}

bool bide_task_await_shielded(bide_task *task, bide_future *future) {
  if (bide_future_is_settled(future)) return task_take_result(task, future);
  if (BIDE__MISUSE(task_is_foreign(task, future))) return task_refuse_wait(task);
  if (task_take_cancel(task)) {
    task->future.error = BIDE_ECANCELED;
    return false;
  }
  task_wait(task, future);
  task_note(task, TASK_SHIELDED);
  return true;
}

bool bide_task_yield(bide_task *task) {
  if (task_take_cancel(task)) {
    task->future.error = BIDE_ECANCELED;
    return false;
  }
  task_call_soon(task, task_step_yielded);
  return true;
}

bool bide_task_sleep(bide_task *task, uint64_t timeout_us) {
  if (task_take_cancel(task)) {
    task->future.error = BIDE_ECANCELED;
    return false;
  }
  task_set(task, TASK_SLEEPING);
  task->wait_.timer = (bide_timer){.cb = task_slept};
  bide_timer_start(task->future.loop, &task->wait_.timer, timeout_us);
  return true;
}

static BIDE__SELDOM void task_tell_end(bide_task *task, int error) {
  BIDE__TRACE(bide__loop_trace(task->future.loop), BIDE_TRACE_TASK_DONE, task, error < 0);
  bide__debug *debug = task_debug(task);
  if (debug != NULL) debug->ended(debug, task, task->future.waiters_ != 0, error);
}

bide_poll bide_task_return(bide_task *task, intptr_t value, int error) {
  if (BIDE__MISUSE(error > 0)) error = BIDE_EINVAL;
  if (bide__loop_head_of(task->future.loop)->observed) task_tell_end(task, error);
  if (error < 0) {
    bide_future_reject(&task->future, error);
  } else {
    bide_future_resolve(&task->future, value);
  }
  return BIDE_POLL_READY;
}

const bide_future *bide__task_describe(const bide_task *task, char *text, size_t bytes) {
  if (task_is_waiting(task)) return task->awaiting_;
  if (!task_has(task, TASK_SLEEPING)) {
    snprintf(text, bytes, "is ready, or runs");
    return NULL;
  }
  uint64_t now_us = bide_loop_now_us(task->future.loop);
  uint64_t deadline_us = task->wait_.timer.deadline_us;
  snprintf(text, bytes, "sleeps for %" PRIu64 " us more",
           deadline_us > now_us ? deadline_us - now_us : 0);
  return NULL;
}
