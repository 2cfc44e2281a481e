/* What belongs to a loop's thread, called on another while that runs the loop, would race with it
 * and break its queues at some later time: it is refused where it happens. Built both ways, as
 * test_misuse.c is. */
#include <bide.h>
#include <pthread.h>

#include "misuse_check.h"
#include "net_pair.h"
#include "task_frames.h"

/* All of them are of the loop, and none is in use but those that could be stopped. */
typedef struct strangers {
  bide_call call; /* runs on the loop's thread, and waits there for the other */
  bide_call soon;
  bide_loop *loop;
  bide_op op, nop;
  bide_timer timer, running;
  bide_future future;
  bide_sleep sleep;
  bide_io io;
  awaiter waits, fresh;
  bide_semaphore semaphore;
  bide_mutex mutex;
  bide_rwlock rwlock;
  bide_event event;
  bide_condition condition;
  bide_barrier barrier;
  bide_notify notify;
  bide_channel channel;
  bide_watch watch;
  bide_broadcast broadcast;
  bide_subscription subscription;
  bide_shared_channel shared;
  bide_scope scope;
  bide_timeout timeout; /* running */
  bide_waiter waiter;   /* waits for the future */
  bide_interval interval;
  bide_read_file file; /* idle */
  bide_token token;
  bide_pool *pool;
  bide_runtime *runtime;
  bide_waker *waker;
  bide_listener listener;
  bool stopped; /* the listener has */
  int value;
  size_t which; /* of strangers_calls */
  int code;     /* that it returned */
} strangers;

static void strangers_ignore_wake(bide_waiter *waiter, bide_future *future) {
  (void)waiter;
  (void)future;
}

static intptr_t strangers_job(bide_offload *offload) {
  (void)offload;
  return 0;
}

/* What waits says it by its future. */
#define STRANGERS_WAITS(X) \
  X(acquire, bide_semaphore_acquire(&s->semaphore, &wait, 1)) \
  X(lock, bide_mutex_lock(&s->mutex, &wait)) \
  X(lock_read, bide_rwlock_lock_read(&s->rwlock, &wait)) \
  X(event_wait, bide_event_wait(&s->event, &wait)) \
  X(condition_wait, bide_condition_wait(&s->condition, &wait)) \
  X(barrier_wait, bide_barrier_wait(&s->barrier, &wait)) \
  X(notify_wait, bide_notify_wait(&s->notify, &wait)) \
  X(watch_wait, bide_watch_wait(&s->watch, &wait, 0)) \
  X(subscription_wait, bide_subscription_wait(&s->subscription, &wait))

#define STRANGERS_WAIT(name, start) \
  static int strangers_##name(strangers *s) { \
    bide_wait wait; \
    start; \
    return wait.future.error; \
  }
STRANGERS_WAITS(STRANGERS_WAIT)

static int strangers_future_wait(strangers *s) {
  bide_waiter waiter = {.wake = strangers_ignore_wake};
  return bide_future_wait(&s->future, &waiter);
}

static int strangers_channel_send(strangers *s) {
  bide_passage passage;
  bide_channel_send(&s->channel, &passage, &s->value);
  return passage.future.error;
}

static int strangers_channel_recv(strangers *s) {
  bide_passage passage;
  bide_channel_recv(&s->channel, &passage, &s->value);
  return passage.future.error;
}

static int strangers_shared_send(strangers *s) {
  bide_transfer transfer;
  bide_shared_channel_send(&s->shared, s->loop, &transfer, &s->value);
  return transfer.future.error;
}

static int strangers_shared_recv(strangers *s) {
  bide_transfer transfer;
  bide_shared_channel_recv(&s->shared, s->loop, &transfer, &s->value);
  return transfer.future.error;
}

static int strangers_scope_add(strangers *s) {
  bide_member member;
  return bide_scope_add(&s->scope, &member, &s->future);
}

static int strangers_token_init(strangers *s) {
  bide_token token;
  return bide_token_init(&token, s->loop, &s->token);
}

static int strangers_token_bind(strangers *s) {
  bide_token_link link;
  return bide_token_bind(&s->token, &link, &s->future);
}

static int strangers_offload(strangers *s) {
  bide_offload job;
  return bide_offload_start(s->loop, s->pool, &job, strangers_job, BIDE_PRIORITY_LOW);
}

static int strangers_runtime_spawn(strangers *s) {
  bide_remote remote = {.finished = NULL};
  return bide_runtime_spawn(s->runtime, s->loop, &remote, awaiter_poll);
}

static int strangers_combine(strangers *s) {
  bide_branch branch = {.future = &s->future};
  bide_combination all;
  bide_all_start(s->loop, &all, &branch, 1);
  return all.future.error;
}

static int strangers_interval(strangers *s) {
  return bide_interval_start(s->loop, &s->interval, 1, BIDE_MISSED_BURST);
}

static int strangers_read_file(strangers *s) {
  return bide_read_file_start(s->loop, &s->file, "/dev/null", NULL, 0);
}

static int strangers_timeout_start(strangers *s) {
  return bide_timeout_start(s->loop, &s->timeout, &s->sleep.future, 1);
}

static int strangers_timeout_start_at(strangers *s) {
  return bide_timeout_start_at(s->loop, &s->timeout, &s->sleep.future, 1);
}

static int strangers_waker_new(strangers *s) {
  bide_waker *waker = NULL;
  return bide_waker_new(s->loop, &waker);
}

/* These return no code; that all was left alone shows afterwards. */
static int strangers_listener_stop(strangers *s) {
  bide_listener_stop(&s->listener);
  return BIDE_ETHREAD;
}

static int strangers_timeout_end(strangers *s) {
  return bide_timeout_end(s->loop, &s->timeout) ? 0 : BIDE_ETHREAD;
}

static int strangers_forget(strangers *s) {
  bide_future_forget(&s->future, &s->waiter);
  return BIDE_ETHREAD;
}

static int strangers_scope_end(strangers *s) {
  return bide_scope_end(&s->scope) == &s->scope.future ? BIDE_ETHREAD : 0;
}

static int strangers_interval_next(strangers *s) {
  return bide_interval_next(&s->interval) == &s->interval.sleep_.future ? BIDE_ETHREAD
                                                                        : 0;
}

static int strangers_read_file_cancel(strangers *s) {
  bide_read_file_cancel(&s->file);
  return BIDE_ETHREAD;
}

static int strangers_shield(strangers *s) {
  return bide_task_shield(&s->waits.task, true) ? 0 : BIDE_ETHREAD;
}

static int strangers_detach(strangers *s) {
  bide_task_detach(&s->waits.task);
  return BIDE_ETHREAD;
}

#define STRANGERS_CALLS(X) \
  X(submit, bide_loop_submit(s->loop, &s->nop)) \
  X(cancel, bide_loop_cancel(s->loop, &s->op)) \
  X(reap, bide_loop_reap(s->loop, NULL, 0)) \
  X(wait_for, bide_loop_wait(s->loop, 0)) \
  X(flush, bide_loop_flush(s->loop)) \
  X(park, bide_loop_park(s->loop)) \
  X(dispatch, bide_loop_dispatch(s->loop)) \
  X(stop, bide_loop_stop(s->loop)) \
  X(interrupt, bide_loop_interrupt(s->loop)) \
  X(look, bide_loop_look(s->loop)) \
  X(look_next, bide_loop_look_next(s->loop)) \
  X(call_soon, bide_loop_call_soon(s->loop, &s->soon)) \
  X(call_cancel, bide_call_cancel(s->loop, &s->soon)) \
  X(close_fd, bide_loop_close_fd(s->loop, STDOUT_FILENO)) \
  X(forget_fd, bide_loop_forget_fd(s->loop, STDOUT_FILENO)) \
  X(buffer_release, bide_buffer_release(s->loop, 0)) \
  X(timer_start, bide_timer_start(s->loop, &s->timer, 1)) \
  X(timer_start_at, bide_timer_start_at(s->loop, &s->timer, 1)) \
  X(timer_stop, bide_timer_stop(s->loop, &s->running)) \
  X(trace, bide_trace_start(s->loop, 16)) \
  X(metrics, bide_metrics_time(s->loop, true)) \
  X(dump, bide_debug_dump(s->loop, STDOUT_FILENO)) \
  X(resolve, bide_future_resolve(&s->future, 0)) \
  X(reject, bide_future_reject(&s->future, BIDE_EIO)) \
  X(future_cancel, bide_future_cancel(&s->future)) \
  X(spawn, bide_task_spawn(s->loop, &s->fresh.task, awaiter_poll)) \
  X(task_cancel, bide_task_cancel(&s->waits.task)) \
  X(sleep_start, bide_sleep_start(s->loop, &s->sleep, 1)) \
  X(io_start, bide_io_start(s->loop, &s->io)) \
  X(release, bide_semaphore_release(&s->semaphore, 1)) \
  X(try_acquire, bide_semaphore_try_acquire(&s->semaphore, 1)) \
  X(try_lock, bide_mutex_try_lock(&s->mutex)) \
  X(event_set, bide_event_set(&s->event)) \
  X(event_clear, bide_event_clear(&s->event)) \
  X(notify_condition, bide_condition_notify(&s->condition, 1)) \
  X(notify_one, bide_notify_one(&s->notify)) \
  X(notify_all, bide_notify_all(&s->notify)) \
  X(try_send, bide_channel_try_send(&s->channel, &s->value)) \
  X(try_recv, bide_channel_try_recv(&s->channel, &s->value)) \
  X(channel_close, bide_channel_close(&s->channel)) \
  X(watch_set, bide_watch_set(&s->watch, &s->value)) \
  X(watch_close, bide_watch_close(&s->watch)) \
  X(broadcast_send, bide_broadcast_send(&s->broadcast, &s->value)) \
  X(broadcast_close, bide_broadcast_close(&s->broadcast)) \
  X(broadcast_recv, bide_subscription_try_recv(&s->subscription, &s->value, NULL)) \
  X(token_cancel, bide_token_cancel(&s->token)) \
  X(token_cancel_at, bide_token_cancel_at(&s->token, 1)) \
  X(token_free, bide_token_free(&s->token)) \
  X(waker_close, bide_waker_close(s->waker)) \
  X(scope_cancel, bide_scope_cancel(&s->scope))

#define STRANGERS_CALL(name, call) \
  static int strangers_##name(strangers *s) { return (call); }
STRANGERS_CALLS(STRANGERS_CALL)

static int (*const strangers_calls[])(strangers *s) = {
#define STRANGERS_ENTRY(name, call) strangers_##name,
    STRANGERS_CALLS(STRANGERS_ENTRY) STRANGERS_WAITS(STRANGERS_ENTRY)
#undef STRANGERS_ENTRY
        strangers_future_wait,
    strangers_channel_send,
    strangers_channel_recv,
    strangers_shared_send,
    strangers_shared_recv,
    strangers_scope_add,
    strangers_token_init,
    strangers_token_bind,
    strangers_offload,
    strangers_runtime_spawn,
    strangers_waker_new,
    strangers_combine,
    strangers_interval,
    strangers_read_file,
    strangers_timeout_start,
    strangers_timeout_start_at,
    strangers_listener_stop,
    strangers_timeout_end,
    strangers_forget,
    strangers_scope_end,
    strangers_interval_next,
    strangers_read_file_cancel,
    strangers_shield,
    strangers_detach,
};

static void *strangers_call_one(void *argument) {
  strangers *s = argument;
  s->code = strangers_calls[s->which](s);
  CHECK_INT(bide_loop_run(s->loop, BIDE_RUN_NOWAIT), BIDE_ERUNNING);
  CHECK_INT(bide_loop_close(s->loop), BIDE_EBUSY);
  CHECK_INT(bide_loop_drain(s->loop), BIDE_ERUNNING);
  return NULL;
}

static void strangers_let_in(bide_call *call) {
  strangers *s = BIDE_CONTAINER_OF(call, strangers, call);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, strangers_call_one, s) == 0);
  pthread_join(thread, NULL);
}

static void strangers_fire(bide_timer *timer) { timer->deadline_us = 0; }

static void strangers_ignore_connection(bide_listener *listener, int result) {
  (void)listener;
  (void)result;
}

static void strangers_on_stopped(bide_listener *listener) {
  BIDE_CONTAINER_OF(listener, strangers, listener)->stopped = true;
}

static void strangers_ignore_file(bide_read_file *request) { (void)request; }

static void strangers_listen(strangers *s) {
  bide_address address;
  s->listener.cb = strangers_ignore_connection;
  s->listener.on_stopped = strangers_on_stopped;
  REQUIRE(bide_listener_start(s->loop, &s->listener, net_listen(&address)) == 0);
}

/* What stops on its own thread had not been stopped before. */
static void strangers_stop_listening(strangers *s) {
  CHECK(!s->stopped);
  bide_listener_stop(&s->listener);
  for (int turns = 0; turns < 1000 && !s->stopped; turns++)
    REQUIRE(bide_loop_run(s->loop, BIDE_RUN_NOWAIT) == 0);
  CHECK(s->stopped);
  close(s->listener.fd);
}

static void strangers_prepare(strangers *s) {
  s->call.cb = strangers_let_in;
  s->loop = harness_loop_new();
  bide_prep_nop(&s->nop);
  bide_prep_nop(&s->io.op);
  bide_prep_timeout(&s->op, 3600000000);
  REQUIRE(bide_loop_submit(s->loop, &s->op) == 0);
  s->timer.cb = s->running.cb = strangers_fire;
  bide_timer_start(s->loop, &s->running, 3600000000);
  bide_future_init(&s->future, s->loop);
  awaiter_spawn(s->loop, &s->waits, &s->future);
  s->waiter.wake = strangers_ignore_wake;
  REQUIRE(bide_future_wait(&s->future, &s->waiter) == 0);
  bide_timeout_start(s->loop, &s->timeout, &s->future, 3600000000);
  REQUIRE(bide_interval_start(s->loop, &s->interval, 3600000000, BIDE_MISSED_SKIP) == 0);
  s->file = (bide_read_file){.cb = strangers_ignore_file, .loop_ = s->loop, .fd_ = -1};
  bide_semaphore_init(&s->semaphore, s->loop, 1);
  bide_mutex_init(&s->mutex, s->loop);
  bide_rwlock_init(&s->rwlock, s->loop);
  bide_event_init(&s->event, s->loop);
  bide_condition_init(&s->condition, &s->mutex);
  bide_barrier_init(&s->barrier, s->loop, 1);
  bide_notify_init(&s->notify, s->loop);
  bide_channel_init_unbounded(&s->channel, s->loop, sizeof s->value);
  bide_watch_init(&s->watch, s->loop, &s->value, sizeof s->value);
  bide_broadcast_init(&s->broadcast, s->loop, &s->value, sizeof s->value, 1);
  s->subscription = bide_broadcast_subscribe(&s->broadcast);
  bide_shared_channel_init_unbounded(&s->shared, sizeof s->value);
  bide_scope_init(&s->scope, s->loop);
  bide_token_init(&s->token, s->loop, NULL);
  bide_runtime_options options = BIDE_RUNTIME_OPTIONS_INIT;
  options.loops = 1;
  REQUIRE(bide_pool_new(NULL, &s->pool) == 0);
  REQUIRE(bide_runtime_new(&options, &s->runtime) == 0);
  REQUIRE(bide_waker_new(s->loop, &s->waker) == 0);
  strangers_listen(s);
}

/* The call has changed nothing. */
static void strangers_check(strangers *s) {
  CHECK_INT(bide_loop_in_flight(s->loop), 2);
  CHECK(!bide_timer_is_active(&s->timer) && bide_timer_is_active(&s->running));
  CHECK_INT(s->future.state, BIDE_FUTURE_PENDING);
  CHECK_INT(s->semaphore.permits, 1);
  CHECK(!s->event.is_set && !s->notify.notified && !s->channel.closed);
  CHECK(!s->watch.closed && !s->broadcast.closed && !bide_mutex_is_locked(&s->mutex));
  CHECK_INT(s->channel.count + s->watch.version + s->broadcast.sent, 0);
  CHECK_INT(s->token.reason + (int)s->scope.running, 0);
  CHECK(!s->scope.ending_);
  CHECK(s->timeout.target == &s->future && bide_timer_is_active(&s->timeout.timer_));
  CHECK(s->waiter.next_ != NULL);
  CHECK_INT(s->interval.period_us, 3600000000);
  CHECK_INT(s->interval.sleep_.future.error, BIDE_ECANCELED);
  CHECK(s->file.op_.cb == NULL && !s->file.cancelled_);
  CHECK_INT(s->waits.task.future.flags_, 0);
  CHECK_INT(bide_waker_wake(s->waker), 0);
}

/* One call, with all that it could disturb. */
static int strangers_try(size_t which) {
  strangers s = {.which = which};
  strangers_prepare(&s);
  CHECK_INT(bide_loop_call_soon(s.loop, &s.call), 0);
  CHECK_INT(bide_loop_run(s.loop, BIDE_RUN_NOWAIT), 0);
  strangers_check(&s);
  strangers_stop_listening(&s);
  CHECK_INT(bide_future_resolve(&s.future, 0), 0);
  CHECK_INT(bide_block_on(&s.waits.task.future), 0);
  bide_timer_stop(s.loop, &s.running);
  CHECK(!bide_timeout_end(s.loop, &s.timeout));
  CHECK_INT(bide_waker_close(s.waker), 0);
  bide_waker_unref(s.waker);
  CHECK_INT(bide_token_free(&s.token), 0);
  bide_shared_channel_free(&s.shared);
  bide_channel_free(&s.channel);
  CHECK_INT(bide_pool_free(s.pool), 0);
  CHECK_INT(bide_runtime_shutdown(s.runtime, 1000000), 0);
  CHECK_INT(bide_loop_drain(s.loop), 0);
  harness_loop_close(s.loop);
  return s.code;
}

static void strangers_are_refused(void) {
  for (size_t i = 0; i < sizeof strangers_calls / sizeof strangers_calls[0]; i++)
    MISUSE(strangers_try(i), BIDE_ETHREAD);
}

static const harness_test tests[] = {
    HARNESS_TEST(strangers_are_refused),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
