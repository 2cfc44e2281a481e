/* task.h: stackless tasks, the state machine behind async/await.
 *
 * A task is a frame of yours whose first member is a bide_task, and a poll function
 * that switches on a resume point. Locals that live across an await are members of
 * the frame; C's own locals do not survive one.
 *
 *   typedef struct {
 *     bide_task task;
 *     int left;
 *   } countdown;
 *
 *   static bide_poll countdown_poll(bide_task *task) {
 *     countdown *self = BIDE_FRAME(task, countdown, task);
 *     BIDE_ASYNC_BEGIN(task);
 *     while (self->left-- > 0) {
 *       BIDE_SLEEP(task, 1000);
 *       if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
 *     }
 *     BIDE_ASYNC_END(task, 0);
 *   }
 *
 * BIDE_AWAIT(task, future) expands to
 *
 *   do {
 *     task->future.resume_ = __LINE__;                      // where to go on
 *     if (bide_task_await(task, future)) return BIDE_POLL_PENDING;
 *   case __LINE__:;                                         // woken: here we are
 *   } while (0)
 *
 * so one await a line, and none inside a switch of your own.
 *
 * Cancellation. bide_task_cancel (or bide_future_cancel on task->future) is
 * delivered at the await the task stands at, or at its next one: the awaited future
 * is cancelled and waited for, then the await returns with bide_task_status
 * BIDE_ECANCELED. If the awaited future ends otherwise all the same, with success above
 * all, the await returns that, so that no result is lost, and the cancel is kept for the
 * next await that would suspend. A task may catch a cancel by going on, and clean up with
 * further awaits; bide_task_shield keeps the next cancel from those. A circle of tasks that
 * await one another, or of one that awaits itself, is opened by the cancel of any: one of the
 * awaits returns BIDE_ECANCELED.
 *
 * Budget. An await of what has settled goes on at once, but BIDE_TASK_BUDGET of them in a row
 * make the task wait for its next turn, so that one that always finds work (a channel that
 * never runs empty) cannot keep the others, timers and I/O from theirs. Nothing is lost by
 * it, and a cancel that comes meanwhile is kept for the next await. (Tokio's cooperative
 * budgeting.)
 */
#ifndef BIDE_TASK_H
#define BIDE_TASK_H

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bide_poll { BIDE_POLL_PENDING = 0, BIDE_POLL_READY = 1 } bide_poll;

/* Runs the task until it awaits or ends. Called on the loop's thread. BIDE_POLL_READY is what
 * bide_task_return returns; without that call the task's future is rejected with BIDE_EINVAL. */
typedef bide_poll (*bide_task_fn)(bide_task *task);

/* Caller-owned; belongs to the loop from spawn until its future settles and
 * `finished`, if set, has been called. */
struct bide_task {
  bide_future future; /* settles when the task ends: await it, cancel it */
  /* public: called last of all, after the waiters were woken; may free the frame.
   * NULL: the frame's owner frees it some time after the future has settled. Set it
   * before spawn. */
  void (*finished)(bide_task *task);
  /* private */
  bide_task_fn poll_;
  struct bide_local *locals_;
  bide_future *awaiting_;
  union { /* what it is known by where it waits: it waits in one place at a time */
    bide_call call;
    bide_waiter waiter;
    bide_timer timer;
  } wait_;
};

enum { BIDE_TASK_BUDGET = 128 };

/* The frame that a task is the member `member` of. */
#define BIDE_FRAME(task, type, member) BIDE_CONTAINER_OF(task, type, member)

/* Makes the task ready; its first poll comes at the next dispatch. Keeps `finished`;
 * initialises the rest. Returns 0, BIDE_ENOMEM (the ready queue), BIDE_EFORKED or
 * BIDE_ETHREAD; on an error the future is rejected with it, and neither poll nor `finished` is
 * called. */
BIDE_EXTERN int bide_task_spawn(bide_loop *loop, bide_task *task, bide_task_fn poll);

/* What bide_task_spawn calls, with the place ("file.c:12") that debug.h names the task by; it
 * must live as long as the loop, as string literals do. */
BIDE_EXTERN int bide_task_spawn_at(bide_loop *loop, bide_task *task, bide_task_fn poll,
                                   const char *place);
#define bide_task_spawn(loop, task, poll) \
  bide_task_spawn_at((loop), (task), (poll), BIDE_HERE)

/* "file.c:12", where it is written. */
#define BIDE_HERE __FILE__ ":" BIDE_TEXT_(__LINE__)
#define BIDE_TEXT_(value) BIDE_TEXT_OF_(value)
#define BIDE_TEXT_OF_(value) #value

/* Nobody will await the task, and that is no mistake (debug.h would report one). After the
 * spawn. The loop's thread, as the shield below: on another they change nothing. */
BIDE_EXTERN void bide_task_detach(bide_task *task);

/* Asks the task to end; see above. Returns 0, or BIDE_EALREADY when it has ended. */
BIDE_EXTERN int bide_task_cancel(bide_task *task);

/* What the last await of this task returned: 0, or the awaited future's error. */
BIDE_EXTERN int bide_task_status(const bide_task *task);

/* While a task is shielded no cancel of it is delivered: one that comes is kept, and the
 * first await or yield after the shield's end that would suspend gets it. What the task
 * awaits meanwhile is not cancelled through it. Returns whether it was shielded before, to be
 * given back at the end, so that shields nest:
 *
 *   bool before = bide_task_shield(task, true);   // in the frame, if awaits come between
 *   ...
 *   bide_task_shield(task, before);
 */
BIDE_EXTERN bool bide_task_shield(bide_task *task, bool shielded);

/* For the macros. Return true when the task must suspend. The status of an await of a future of
 * another loop is BIDE_EINVAL, at once. */
BIDE_EXTERN bool bide_task_await(bide_task *task, bide_future *future);
BIDE_EXTERN bool bide_task_await_shielded(bide_task *task, bide_future *future);
BIDE_EXTERN bool bide_task_yield(bide_task *task);
BIDE_EXTERN bool bide_task_sleep(bide_task *task, uint64_t timeout_us);

/* Settles the task's future: `error` is 0 or a negative code; one above 0 is BIDE_EINVAL. */
BIDE_EXTERN bide_poll bide_task_return(bide_task *task, intptr_t value, int error);

#if defined(__GNUC__) && __GNUC__ >= 7 || defined(__clang__)
#define BIDE_FALLTHROUGH_ __attribute__((fallthrough))
#else
#define BIDE_FALLTHROUGH_ (void)0
#endif

#define BIDE_ASYNC_BEGIN(task)  \
  switch ((task)->future.resume_) { \
    case 0:

/* The body's end: resolves the task's future with `value`. */
#define BIDE_ASYNC_END(task, value) \
  } \
  return bide_task_return((task), (intptr_t)(value), 0)

/* Ends the task early, from anywhere in the body. */
#define BIDE_RETURN(task, value) \
  return bide_task_return((task), (intptr_t)(value), 0)
#define BIDE_RETURN_ERROR(task, error) return bide_task_return((task), 0, (error))

#define BIDE_SUSPEND_IF_(task, condition) \
  do { \
    (task)->future.resume_ = (uint16_t)__LINE__; \
    if (condition) return BIDE_POLL_PENDING; \
    BIDE_FALLTHROUGH_; \
    case (uint16_t)__LINE__:; \
  } while (0)

/* Suspends until the future settles; then bide_task_status tells how, and
 * future->value holds the value. */
#define BIDE_AWAIT(task, future) \
  BIDE_SUSPEND_IF_(task, bide_task_await((task), (future)))

/* The same, but a cancel of the task leaves the future alone: the await returns at
 * once with BIDE_ECANCELED, and the future goes on. */
#define BIDE_AWAIT_SHIELDED(task, future) \
  BIDE_SUSPEND_IF_(task, bide_task_await_shielded((task), (future)))

/* Submits a prepared bide_io and awaits it; the result is (io)->op.result. */
#define BIDE_AWAIT_IO(task, io) \
  BIDE_SUSPEND_IF_(task, (bide_io_start((task)->future.loop, (io)), \
                          bide_task_await((task), &(io)->future)))

/* Sleeps for timeout_us or longer, never shorter. It needs no room in the frame and no
 * future. The status is 0, or BIDE_ECANCELED as soon as a cancel comes. */
#define BIDE_SLEEP(task, timeout_us) \
  BIDE_SUSPEND_IF_(task, bide_task_sleep((task), (timeout_us)))

/* The same with a future of its own, which others may await and cancel too. */
#define BIDE_AWAIT_SLEEP(task, sleep, timeout_us) \
  BIDE_SUSPEND_IF_(task, (bide_sleep_start((task)->future.loop, (sleep), (timeout_us)), \
                          bide_task_await((task), &(sleep)->future)))

/* Lets everything else that is ready run first. A cancel is delivered here too: the status
 * is BIDE_ECANCELED then, 0 otherwise. */
#define BIDE_YIELD(task) BIDE_SUSPEND_IF_(task, bide_task_yield(task))

#ifdef __cplusplus
}
#endif
#endif
