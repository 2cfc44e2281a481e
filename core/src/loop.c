/* loop.c: the loop over the four primitives.
 *
 * One turn is a wait and a dispatch. The wait calls nobody; the dispatch runs the calls that
 * are ready, delivers what had come before them, then the timers that are due. What it
 * could not come to, because a callback interrupted it, stays in the loop for the next. */
#include <assert.h>
#include <bide/loop.h>
#include <string.h>

#include "list.h"
#include "loop_struct.h"
#include "memory.h"

enum {
  LOOP_LOOK_US = 100,     /* ready work may keep the loop from the kernel for so long */
  LOOP_TURN_US = 5000,    /* and one long turn: 100 us here cost uvicorn 12 to 25 % */
  LOOP_STRIDE_MAX = 64,   /* calls between two looks at the clock, at most */
  LOOP_TURN_POSTS = 1024, /* calls of other threads that one turn takes, at most */
  LOOP_RING_ENTRIES = 256,
  LOOP_BUFFER_COUNT = 128,
  LOOP_BUFFER_BYTES = 32768,
};

BIDE__THREAD_LOCAL bide_loop *bide__running;

static const int64_t loop_timeout_max_us = 3600 * INT64_C(1000000);

int bide_loop_check(const bide_loop *loop) { return bide__loop_check(loop); }

/* ---- life ---- */

static int loop_options(bide_loop_options *full, const bide_loop_options *options) {
  *full = (bide_loop_options)BIDE_LOOP_OPTIONS_INIT;
  if (options != NULL) {
    if (options->size == 0 || options->size > sizeof *full) return BIDE_EINVAL;
    memcpy(full, options, options->size);
  }
  const uint32_t known = BIDE_LOOP_OWNS_THREAD | BIDE_LOOP_RING_FOR_FILES;
  if ((full->flags & ~known) != 0) return BIDE_EINVAL;
  if (full->backend > BIDE_BACKEND_EPOLL) return BIDE_EINVAL;
  if (full->ring_entries == 0) full->ring_entries = LOOP_RING_ENTRIES;
  if (full->recv_buffer_count == 0) full->recv_buffer_count = LOOP_BUFFER_COUNT;
  if (full->recv_buffer_bytes == 0) full->recv_buffer_bytes = LOOP_BUFFER_BYTES;
  uint32_t count = full->recv_buffer_count;
  if (count > 32768 || (count & (count - 1)) != 0) return BIDE_EINVAL;
  if (full->ring_entries > 32768 || full->recv_buffer_bytes > INT32_MAX)
    return BIDE_EINVAL;
  return 0;
}

static int loop_init(bide_loop *loop, const bide_loop_options *options) {
  bide__backend_config config = {
      .ring_entries = options->ring_entries,
      .buffer_count = options->recv_buffer_count,
      .buffer_bytes = options->recv_buffer_bytes,
      .owns_thread = (options->flags & BIDE_LOOP_OWNS_THREAD) != 0,
      .ring_for_files = (options->flags & BIDE_LOOP_RING_FOR_FILES) != 0,
      .file_pool = options->file_pool,
  };
  if (options->hooks != NULL) loop->head.hooks = *options->hooks;
  loop->head.generation = bide__fork_generation();
  loop->stride = 1;
  loop->spin_us = loop->spin_left_us = options->spin_us;
  bide__list_init(&loop->firing);
  bide__list_init(&loop->head.closers);
  bide__list_init(&loop->in_flight);
  loop->looked_us = bide__loop_clock(loop);
  bide__wheel_init(&loop->wheel, loop->now_us);
  int error = bide__ready_init(&loop->head.ready);
  if (error < 0) return error;
  error = bide__choose_backend(options->backend, &config, &loop->backend, loop->reason);
  if (error < 0) bide__ready_free(&loop->head.ready);
  return error;
}

int bide_loop_new(const bide_loop_options *options, bide_loop **loop) {
  bide_loop_options full;
  int error = loop_options(&full, options);
  if (error < 0) return error;
  bide_loop *made = bide__zalloc(sizeof *made);
  if (made == NULL) return BIDE_ENOMEM;
  error = loop_init(made, &full);
  if (error < 0) {
    bide__free(made);
    return error;
  }
  *loop = made;
  return 0;
}

static void loop_tell_closers(bide_loop *loop) {
  for (bide_node *node; (node = bide__list_pop(&loop->head.closers)) != NULL;) {
    bide__closer *closer = BIDE_CONTAINER_OF(node, bide__closer, node);
    closer->closed(closer);
  }
}

int bide_loop_close(bide_loop *loop) {
  if (loop == NULL) return 0;
  bool forked = bide__loop_check(loop) < 0;
  if (!forked) {
    if (bide_loop_is_running(loop) || loop->dispatching > 0 || loop->head.in_flight > 0)
      return BIDE_EBUSY;
    assert(loop->batch_next == loop->batch_count);
    loop_tell_closers(loop);
  }
  loop->backend->class->free(loop->backend, forked);
  bide_trace_stop(loop);
  bide__loop_free_timings(loop);
  bide__ready_free(&loop->head.ready);
  bide__free(loop);
  return 0;
}

/* ---- submit, cancel and completion ---- */

static int loop_start(bide_loop *loop, bide_op *op) {
  int32_t result;
  const bide_hooks *hooks = &loop->head.hooks;
  if (hooks->submit != NULL && hooks->submit(hooks->user, op, &result)) {
    bide__scratch_of(op)->done = (bide_node){NULL, NULL};
    bide__backend_done(loop->backend, op, result, 0);
    return 0;
  }
  if (op->kind == BIDE_OP_TIMEOUT) {
    bide__loop_submit_timeout(loop, op);
    return 0;
  }
  return loop->backend->class->submit(loop->backend, op);
}

int bide_loop_submit(bide_loop *loop, bide_op *op) {
  int error = bide__loop_admit(loop);
  if (error < 0) return error;
  if (op->state != BIDE_OP_IDLE || op->kind >= BIDE_OP_KIND_COUNT) return BIDE_EINVAL;
  op->loop_ = loop;
  op->state = BIDE_OP_SUBMITTED;
  BIDE__TRACE(loop->head.trace, BIDE_TRACE_OP_SUBMIT, op, op->kind);
  error = loop_start(loop, op);
  if (error < 0) {
    op->state = BIDE_OP_IDLE;
    return error;
  }
  op->inflight_ = (bide_node){NULL, NULL};
  bide__list_push(&loop->in_flight, &op->inflight_);
  loop->head.in_flight++;
  if (loop->timings != NULL) bide__loop_begin_operation(loop, op);
  bide__loop_unpark(loop);
  return 0;
}

int bide_loop_cancel(bide_loop *loop, bide_op *op) {
  int error = bide__loop_admit(loop);
  if (error < 0) return error;
  if (op->state == BIDE_OP_CANCELLING) return BIDE_EALREADY;
  if (op->state != BIDE_OP_SUBMITTED) return BIDE_ENOENT;
  BIDE__TRACE(loop->head.trace, BIDE_TRACE_OP_CANCEL, op, op->kind);
  op->state = BIDE_OP_CANCELLING;
  bide__loop_unpark(loop);
  if (op->phase_ == BIDE__PHASE_TIMER) {
    bide_timer_stop(loop, &bide__scratch_of(op)->as.timer);
    bide__backend_done(loop->backend, op, BIDE_ECANCELED, 0);
  } else {
    loop->backend->class->cancel(loop->backend, op);
  }
  return 0;
}

/* Writes a completion into its op, which is done then if it was the last. */
static void loop_complete(bide_loop *loop, bide_completion *completion) {
  bide_op *op = completion->op;
  if (loop->head.hooks.complete != NULL)
    completion->result =
        loop->head.hooks.complete(loop->head.hooks.user, op, completion->result);
  op->result = completion->result;
  op->flags = completion->flags;
  op->buffer_id = completion->buffer_id;
  op->buffer = NULL;
  if ((completion->flags & BIDE_OP_BUFFER) != 0) {
    bide__buffers_give(&loop->backend->buffers, op->buffer_id);
    op->buffer = bide__buffers_data(&loop->backend->buffers, op->buffer_id);
  }
  BIDE__TRACE(loop->head.trace, BIDE_TRACE_OP_COMPLETE, op, op->kind);
  if ((completion->flags & BIDE_OP_MORE) == 0) {
    op->state = BIDE_OP_DONE;
    bide__list_remove(&op->inflight_);
    loop->head.in_flight--;
    if (loop->timings != NULL) bide__loop_end_operation(loop, op);
  }
}

int bide_loop_reap(bide_loop *loop, bide_completion *completions, int max) {
  int error = bide__loop_admit(loop);
  if (error < 0) return error;
  bide__loop_end_timeouts(loop);
  int count = 0;
  while (count < max && loop->batch_next < loop->batch_count)
    completions[count++] = loop->batch[loop->batch_next++];
  if (count < max)
    count += loop->backend->class->reap(loop->backend, completions + count, max - count);
  for (int i = 0; i < count; i++) loop_complete(loop, &completions[i]);
  return count;
}

/* ---- the wait ---- */

static inline bool loop_clock_is_due(const bide_loop *loop) {
  return loop->check == loop->head.ready.head;
}

/* How long ago the kernel was asked. The clock is read every `stride` calls, a number that
 * follows the calls' own length. */
static uint64_t loop_since_look_us(bide_loop *loop) {
  if (loop_clock_is_due(loop)) {
    uint64_t before_us = loop->now_us;
    uint64_t stride_us = bide__loop_clock(loop) - before_us;
    if (stride_us < LOOP_LOOK_US / 8) {
      if (loop->stride < LOOP_STRIDE_MAX) loop->stride *= 2;
    } else if (stride_us > LOOP_LOOK_US / 4) {
      uint64_t stride = loop->stride * (LOOP_LOOK_US / 4) / stride_us;
      loop->stride = stride > 0 ? (uint32_t)stride : 1;
    }
    loop->check = loop->head.ready.head + loop->stride;
  }
  return loop->now_us - loop->looked_us;
}

/* While nothing is in flight the kernel has nothing to tell. */
static bool loop_must_look(const bide_loop *loop) {
  return loop->look && loop->head.in_flight > 0;
}

static int loop_ask_kernel(bide_loop *loop, int64_t timeout_us) {
  if (timeout_us > loop_timeout_max_us) timeout_us = loop_timeout_max_us;
  BIDE__TRACE(loop->head.trace, BIDE_TRACE_POLL_BEGIN, NULL, timeout_us != 0);
  bool armed = bide__waker_arm(&loop->backend->waker);
  bool posted = !armed || (timeout_us != 0 && !bide__inbox_arm(&loop->inbox));
  loop->metrics.waits++;
  int error = loop->backend->class->wait(loop->backend, posted ? 0 : timeout_us);
  bide__waker_disarm(&loop->backend->waker);
  loop->looked_us = bide__loop_clock(loop);
  loop->look = false;
  loop->timer_started = false;
  loop->check = loop->head.ready.head + loop->stride;
  BIDE__TRACE(loop->head.trace, BIDE_TRACE_POLL_END, NULL, 0);
  return error;
}

static int loop_spin_and_wait(bide_loop *loop, int64_t timeout_us) {
  uint64_t began_us = bide__loop_clock(loop);
  if (bide__loop_spin(loop, timeout_us)) return loop_ask_kernel(loop, 0);
  int64_t spun_us = (int64_t)(loop->now_us - began_us);
  if (timeout_us >= 0) timeout_us = timeout_us > spun_us ? timeout_us - spun_us : 0;
  int error = loop_ask_kernel(loop, timeout_us);
  bide__loop_waited(loop, began_us);
  return error;
}

int bide_loop_wait(bide_loop *loop, int64_t timeout_us) {
  int error = bide__loop_admit(loop);
  if (error < 0) return error;
  bide__ready_unpark(&loop->head.ready);
  if (timeout_us != 0 && bide_loop_timeout(loop) == 0) timeout_us = 0;
  if (timeout_us == 0) {
    bool known = loop->backend->class->peek(loop->backend);
    bool ready = bide__ready_count(&loop->head.ready) > 0;
    if (!known && ready && !loop_must_look(loop) &&
        loop_since_look_us(loop) < LOOP_LOOK_US) {
      if (loop->wheel.count > 0) (void)bide__loop_clock(loop);
      loop->timer_started = false;
      return 0;
    }
  }
  if (loop->spin_us == 0 || timeout_us == 0) return loop_ask_kernel(loop, timeout_us);
  return loop_spin_and_wait(loop, timeout_us);
}

int bide_loop_flush(bide_loop *loop) {
  int error = bide__loop_admit(loop);
  if (error < 0) return error;
  error = loop->backend->class->flush(loop->backend);
  bide__waker_arm_fd(&loop->backend->waker);
  if (!bide__inbox_arm(&loop->inbox)) bide__waker_write(&loop->backend->waker);
  return error;
}

int64_t bide_loop_timeout(const bide_loop *loop) {
  if (bide__ready_count(&loop->head.ready) > 0 || !bide__inbox_empty(&loop->inbox) ||
      loop->batch_next < loop->batch_count || !bide__list_empty(&loop->firing) ||
      loop->backend->class->peek(loop->backend))
    return 0;
  uint64_t next_us = bide__wheel_next(&loop->wheel);
  if (next_us == UINT64_MAX) return -1;
  uint64_t now_us = bide_loop_now_us(loop);
  if (next_us <= now_us) return 0;
  uint64_t left_us = next_us - now_us;
  return left_us < (uint64_t)loop_timeout_max_us ? (int64_t)left_us : loop_timeout_max_us;
}

/* ---- the dispatch ---- */

static void loop_reap_batch(bide_loop *loop) {
  if (loop->batch_next < loop->batch_count) return;
  loop->batch_next = 0;
  loop->batch_count =
      loop->backend->class->reap(loop->backend, loop->batch, BIDE__LOOP_BATCH);
}

static int loop_deliver_batch(bide_loop *loop) {
  int made = 0;
  while (loop->batch_next < loop->batch_count && !loop->interrupted) {
    /* Copied: the callback may dispatch anew, and so refill the batch. */
    bide_completion completion = loop->batch[loop->batch_next++];
    loop_complete(loop, &completion);
    made++;
    bide_op_cb cb = completion.op->cb;
    if (cb == NULL) continue;
    uint64_t began_us = bide__loop_before_call(loop);
    cb(completion.op);
    bide__loop_after_call(loop, (void (*)(void))cb, began_us);
  }
  loop->metrics.completions += (uint64_t)made;
  return made;
}

/* No more than a turn's share: threads that post without a pause must not keep back what the
 * loop's own thread makes ready behind it. Without memory for a longer ring the rest waits
 * as well. */
static void loop_take_posts(bide_loop *loop) {
  if (bide__inbox_empty(&loop->inbox)) return;
  for (int room = LOOP_TURN_POSTS; room > 0; room--) {
    bide_call *call = bide__inbox_peek(&loop->inbox);
    if (call == NULL) return;
    if (bide__ready_push(&loop->head.ready, call) < 0) return;
    bide__inbox_drop(&loop->inbox);
  }
}

static void loop_pick(bide_loop *loop) {
  uint32_t count = bide__ready_count(&loop->head.ready);
  if (count < 2) return;
  size_t picked = loop->head.hooks.pick(loop->head.hooks.user, count);
  if (BIDE__MISUSE(picked >= count)) picked = 0;
  bide__ready_pick(&loop->head.ready, (uint32_t)picked);
}

bool bide_loop_turn_ended(const bide_loop *loop) {
  return (int32_t)(loop->turn_end - loop->head.ready.head) <= 0;
}

/* A turn's calls are those that were ready when it began. */
static void loop_begin_turn(bide_loop *loop) {
  if (!bide_loop_turn_ended(loop)) return;
  loop_take_posts(loop);
  loop->turn_end = loop->head.ready.tail;
}

static BIDE__SELDOM int loop_run_observed(bide_loop *loop, bide__entry entry) {
  uint64_t began_us = bide__loop_before_call(loop);
  if (bide__entry_is_task(entry)) {
    bide__task_resume_observed(bide__entry_task(entry));
    bide__loop_after_call(loop, (void (*)(void))bide__task_resume_observed, began_us);
    return 1;
  }
  bide_call *call = bide__entry_call(entry);
  if (call == NULL) return 0;
  bide_call_cb cb = call->cb;
  cb(call);
  bide__loop_after_call(loop, (void (*)(void))cb, began_us);
  return 1;
}

static inline int loop_run_entry(bide_loop *loop, bide__entry entry) {
  if (bide__entry_is_task(entry)) {
    bide__task_resume(&loop->head, bide__entry_task(entry));
    return 1;
  }
  bide_call *call = bide__entry_call(entry);
  if (call == NULL) return 0;
  call->cb(call);
  return 1;
}

/* The turn's calls, until it is the clock's turn. */
static inline int loop_run_calls(bide_loop *loop) {
  int made = 0;
  while (!bide_loop_turn_ended(loop) && !loop_clock_is_due(loop) && !loop->interrupted) {
    if (loop->head.hooks.pick != NULL) loop_pick(loop);
    bide__entry entry = bide__ready_take(&loop->head.ready, loop->head.ready.head);
    made += loop->head.observed ? loop_run_observed(loop, entry)
                                : loop_run_entry(loop, entry);
  }
  return made;
}

/* When the turn takes so long that the kernel must be asked in between, the next dispatch
 * goes on with it. */
static int loop_dispatch_ready(bide_loop *loop) {
  loop_begin_turn(loop);
  int made = loop_run_calls(loop);
  while (!bide_loop_turn_ended(loop) && !loop->interrupted &&
         loop_since_look_us(loop) < LOOP_TURN_US)
    made += loop_run_calls(loop);
  return made;
}

/* Whether a timer may be due before the clock is read for another reason. */
static bool loop_timer_is_near(const bide_loop *loop) {
  return loop->timer_started ||
         (loop->wheel.count > 0 &&
          bide__wheel_next(&loop->wheel) <= loop->now_us + LOOP_LOOK_US);
}

/* Reaped first and delivered after the ready calls: what comes while these run belongs to
 * the next turn on every backend, behind the calls that they have made ready. A timer fires
 * in the turn at whose beginning it is due, also where work is ready in every turn: a
 * deadline of a microsecond is not to lose against what takes several turns. */
int bide_loop_dispatch(bide_loop *loop) {
  int error = bide__loop_admit(loop);
  if (error < 0) return error;
  loop->interrupted = false;
  loop->dispatching++;
  bool timed = loop->timings != NULL;
  uint64_t began_us = timed ? bide__loop_begin_timing(loop) : 0;
  loop_reap_batch(loop);
  int made = loop_dispatch_ready(loop);
  loop->metrics.calls += (uint64_t)made;
  made += loop_deliver_batch(loop);
  made += bide__loop_dispatch_timers(loop);
  loop->metrics.turns++;
  if (timed) bide__loop_end_timing(loop, began_us);
  loop->dispatching--;
  return made;
}

/* Whether the next turn can be of ready calls alone. */
static bool loop_only_ready(const bide_loop *loop) {
  return bide_loop_turn_ended(loop) && !loop_clock_is_due(loop) &&
         !loop_must_look(loop) && !loop->interrupted &&
         loop->batch_next == loop->batch_count && bide__inbox_empty(&loop->inbox) &&
         loop->timings == NULL && !loop_timer_is_near(loop) &&
         !loop->backend->class->peek(loop->backend);
}

int bide_loop_dispatch_ready(bide_loop *loop) {
  if (bide__ready_count(&loop->head.ready) == 0) return 0;
  int error = bide__loop_admit(loop);
  if (error < 0) return error;
  if (!loop_only_ready(loop)) return 0;
  loop->turn_end = loop->head.ready.tail;
  loop->dispatching++;
  int made = loop_run_calls(loop);
  loop->dispatching--;
  loop->metrics.calls += (uint64_t)made;
  loop->metrics.turns++;
  return made;
}

/* ---- running ---- */

static int loop_turn(bide_loop *loop, bide_run_mode mode) {
  int64_t timeout_us =
      mode == BIDE_RUN_NOWAIT || loop->stopping ? 0 : bide_loop_timeout(loop);
  int error = bide_loop_wait(loop, timeout_us);
  if (error < 0 && error != BIDE_EINTR) return error;
  error = bide_loop_dispatch(loop);
  return error < 0 ? error : 0;
}

/* The clock is due: whether ready calls alone may go on, as nothing else has come. */
static BIDE__SELDOM bool loop_ready_may_go_on(bide_loop *loop) {
  if (loop->stopping || loop->interrupted || loop->look || loop->timings != NULL ||
      loop->head.observed)
    return false;
  return loop_since_look_us(loop) < LOOP_LOOK_US && !loop_timer_is_near(loop) &&
         bide__inbox_empty(&loop->inbox) && !loop->backend->class->peek(loop->backend);
}

/* Ready calls alone, turn after turn, until something else has come or the kernel must be
 * asked. A turn that the dispatch has not ended, or has ended as the last, is left as it is;
 * after a stop among these calls, those that are ready make up the last. */
static BIDE__APART void loop_run_ready(bide_loop *loop) {
  if (loop->head.hooks.pick != NULL || loop->stopping || loop->head.observed) return;
  if (!bide_loop_turn_ended(loop) || loop_timer_is_near(loop)) return;
  bide__ready *ready = &loop->head.ready;
  uint32_t before = ready->head;
  for (uint32_t head; (head = ready->head) != ready->tail;) {
    if (head == loop->check && !loop_ready_may_go_on(loop)) break;
    loop_run_entry(loop, bide__ready_take(ready, head));
  }
  loop->metrics.calls += ready->head - before;
  loop->turn_end = loop->stopping ? loop->head.ready.tail : loop->head.ready.head;
}

int bide_loop_run(bide_loop *loop, bide_run_mode mode) {
  if (bide__loop_check(loop) < 0) return BIDE_EFORKED;
  uintptr_t nobody = 0;
  if (!atomic_compare_exchange_strong(&loop->head.runner, &nobody, bide__thread()))
    return BIDE_ERUNNING;
  bide_loop *outer = bide__running;
  bide__running = loop;
  bool until_stopped = mode == BIDE_RUN_UNTIL_STOPPED, over;
  int error;
  do {
    error = loop_turn(loop, mode);
    if (until_stopped && error == 0) loop_run_ready(loop);
    over = (loop->stopping || !until_stopped) && bide_loop_turn_ended(loop);
  } while (error == 0 && !over && !loop->interrupted);
  loop->stopping = loop->interrupted = false;
  bide__running = outer;
  atomic_store(&loop->head.runner, 0);
  return error;
}

int bide_loop_stop(bide_loop *loop) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  loop->stopping = true;
  loop->check = loop->head.ready.head; /* ends what runs calls without looking further */
  return 0;
}

int bide_loop_interrupt(bide_loop *loop) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  loop->interrupted = true;
  loop->check = loop->head.ready.head;
  return 0;
}

static void loop_cancel_all(bide_loop *loop) {
  for (bide_node *n = loop->in_flight.next; n != &loop->in_flight; n = n->next)
    bide_loop_cancel(loop, BIDE_CONTAINER_OF(n, bide_op, inflight_));
}

int bide_loop_drain(bide_loop *loop) {
  if (bide__loop_check(loop) < 0) return BIDE_EFORKED;
  if (bide_loop_is_running(loop)) return BIDE_ERUNNING;
  while (loop->head.in_flight > 0) {
    loop_cancel_all(loop);
    bool offloads_alone = bide__list_empty(&loop->in_flight);
    bool waiting = loop->batch_next == loop->batch_count;
    int error = waiting ? loop_ask_kernel(loop, -1) : 0;
    if (error < 0 && error != BIDE_EINTR) return error;
    loop->interrupted = false;
    loop_reap_batch(loop);
    loop_deliver_batch(loop);
    if (offloads_alone) loop_dispatch_ready(loop);
  }
  return 0;
}

/* ---- the smaller calls ---- */

void bide__loop_hold(bide_loop *loop) { loop->head.in_flight++; }

void bide__loop_release(bide_loop *loop) {
  assert(loop->head.in_flight > 0);
  loop->head.in_flight--;
}

const char *bide_loop_backend(const bide_loop *loop) {
  return loop->backend->class->name;
}

const char *bide_loop_backend_reason(const bide_loop *loop) { return loop->reason; }

int bide_loop_fd(const bide_loop *loop) {
  return loop->backend->class->fd(loop->backend);
}

size_t bide_loop_in_flight(const bide_loop *loop) { return loop->head.in_flight; }

uint64_t bide_loop_now_us(const bide_loop *loop) {
  const bide_hooks *hooks = &loop->head.hooks;
  return hooks->clock_us != NULL ? hooks->clock_us(hooks->user) : bide_clock_us();
}

bool bide_loop_is_running(const bide_loop *loop) {
  return atomic_load(&loop->head.runner) != 0;
}

/* The next look at the clock comes at once too, which ends a run of ready calls. */
int bide_loop_look(bide_loop *loop) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  loop->look = true;
  loop->check = loop->head.ready.head;
  return 0;
}

int bide_loop_look_next(bide_loop *loop) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  loop->look = true;
  return 0;
}
