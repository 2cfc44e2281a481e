/* What a program gets wrong is to be caught where it happens, not where its memory breaks: an
 * assert in a debug build, and in a release an error code of a call that has changed nothing. This
 * file is built both ways. */
#include <bide.h>

#include "misuse_check.h"
#include "net_pair.h"
#include "task_frames.h"

/* ---- locks ---- */

static void misuse_mutex_is_unlocked_once(void) {
  bide_loop *loop = harness_loop_new();
  bide_mutex mutex;
  bide_mutex_init(&mutex, loop);
  MISUSE(bide_mutex_unlock(&mutex), BIDE_EPERM);
  CHECK_INT(bide_mutex_try_lock(&mutex), 0);
  CHECK_INT(bide_mutex_unlock(&mutex), 0);
  MISUSE(bide_mutex_unlock(&mutex), BIDE_EPERM);
  CHECK_INT(bide_mutex_try_lock(&mutex), 0);
  CHECK_INT(bide_mutex_try_lock(&mutex), BIDE_EAGAIN); /* not two may have it now */
  harness_loop_close(loop);
}

static void misuse_rwlock_is_unlocked_as_it_was_locked(void) {
  bide_loop *loop = harness_loop_new();
  bide_rwlock lock;
  bide_wait one, two;
  bide_rwlock_init(&lock, loop);
  MISUSE(bide_rwlock_unlock_read(&lock), BIDE_EPERM);
  MISUSE(bide_rwlock_unlock_write(&lock), BIDE_EPERM);
  MISUSE(bide_rwlock_downgrade(&lock), BIDE_EPERM);
  bide_rwlock_lock_read(&lock, &one);
  MISUSE(bide_rwlock_unlock_write(&lock), BIDE_EPERM);
  MISUSE(bide_rwlock_downgrade(&lock), BIDE_EPERM);
  bide_rwlock_lock_write(&lock, &two);
  CHECK_INT(two.future.state, BIDE_FUTURE_PENDING);
  CHECK_INT(bide_rwlock_unlock_read(&lock), 0);
  CHECK_INT(two.future.state, BIDE_FUTURE_RESOLVED);
  MISUSE(bide_rwlock_unlock_read(&lock), BIDE_EPERM);
  bide_rwlock_lock_read(&lock, &one);
  CHECK_INT(one.future.state, BIDE_FUTURE_PENDING); /* the writer has it still */
  CHECK_INT(bide_rwlock_downgrade(&lock), 0);
  CHECK_INT(one.future.state, BIDE_FUTURE_RESOLVED);
  harness_loop_close(loop);
}

static void misuse_semaphore_does_not_overflow(void) {
  bide_loop *loop = harness_loop_new();
  bide_semaphore semaphore;
  bide_semaphore_init(&semaphore, loop, 1);
  MISUSE(bide_semaphore_release(&semaphore, UINT32_MAX), BIDE_EOVERFLOW);
  CHECK_INT(semaphore.permits, 1);
  harness_loop_close(loop);
}

static int misuse_condition_wait(bide_condition *condition) {
  bide_wait wait;
  bide_condition_wait(condition, &wait);
  CHECK_INT(wait.future.state, BIDE_FUTURE_REJECTED);
  return wait.future.error;
}

static void misuse_condition_without_its_mutex(void) {
  bide_loop *loop = harness_loop_new();
  bide_mutex mutex;
  bide_condition condition;
  bide_mutex_init(&mutex, loop);
  bide_condition_init(&condition, &mutex);
  MISUSE(misuse_condition_wait(&condition), BIDE_EPERM);
  MISUSE(bide_condition_notify(&condition, 1), BIDE_EPERM);
  MISUSE(bide_condition_notify_all(&condition), BIDE_EPERM);
  CHECK(!bide_mutex_is_locked(&mutex));
  harness_loop_close(loop);
}

static void misuse_barrier_of_nobody(void) {
  bide_loop *loop = harness_loop_new();
  bide_barrier barrier;
  MISUSE(bide_barrier_init(&barrier, loop, 0), BIDE_EINVAL);
  harness_loop_close(loop);
}

static int misuse_broadcast_init(bide_loop *loop) {
  bide_broadcast broadcast;
  int code = bide_broadcast_init(&broadcast, loop, NULL, sizeof code, 0);
  CHECK_INT(bide_broadcast_send(&broadcast, &code), BIDE_EPIPE);
  return code;
}

static void misuse_broadcast_that_keeps_nothing(void) {
  bide_loop *loop = harness_loop_new();
  MISUSE(misuse_broadcast_init(loop), BIDE_EINVAL);
  harness_loop_close(loop);
}

/* ---- futures and tasks ---- */

static int misuse_woken;

static void misuse_wake(bide_waiter *waiter, bide_future *future) {
  (void)waiter;
  (void)future;
  misuse_woken++;
}

/* One that was twice on the list would take those between with it. */
static void misuse_waiter_waits_twice(void) {
  bide_loop *loop = harness_loop_new();
  bide_waiter waiters[3] = {{.wake = misuse_wake}, {.wake = misuse_wake}, {.wake = NULL}};
  bide_future future;
  bide_future_init(&future, loop);
  CHECK_INT(bide_future_wait(&future, &waiters[0]), 0);
  CHECK_INT(bide_future_wait(&future, &waiters[1]), 0);
  MISUSE(bide_future_wait(&future, &waiters[0]), BIDE_EINVAL);
  MISUSE(bide_future_wait(&future, &waiters[1]), BIDE_EINVAL);
  MISUSE(bide_future_wait(&future, &waiters[2]), BIDE_EINVAL);
  MISUSE(bide_future_reject(&future, 0), BIDE_EINVAL);
  misuse_woken = 0;
  CHECK_INT(bide_future_resolve(&future, 0), 0);
  CHECK_INT(misuse_woken, 2);
  bide_future_init(&future, loop);
  CHECK_INT(bide_future_wait(&future, &waiters[0]), 0); /* woken, it may wait again */
  CHECK_INT(bide_future_resolve(&future, 0), 0);
  CHECK_INT(misuse_woken, 3);
  CHECK_INT(bide_future_wait(&future, &waiters[0]), BIDE_EALREADY);
  harness_loop_close(loop);
}

static bide_poll misuse_returns_nothing(bide_task *task) {
  (void)task;
  return BIDE_POLL_READY;
}

static bide_poll misuse_returns_positive(bide_task *task) {
  return bide_task_return(task, 0, 7);
}

static void misuse_finished(bide_task *task) {
  CHECK(bide_future_is_settled(&task->future));
}

static int misuse_run(bide_task_fn poll, void (*finished)(bide_task *task)) {
  bide_loop *loop = harness_loop_new();
  bide_task task = {.finished = finished};
  CHECK_INT(bide_task_spawn(loop, &task, poll), 0);
  int code = bide_block_on(&task.future);
  harness_loop_close(loop);
  return code;
}

static void misuse_task_ends_without_an_outcome(void) {
  MISUSE(misuse_run(misuse_returns_nothing, NULL), BIDE_EINVAL);
  MISUSE(misuse_run(misuse_returns_nothing, misuse_finished), BIDE_EINVAL);
  MISUSE(misuse_run(misuse_returns_positive, NULL), BIDE_EINVAL);
}

static int misuse_await_of_another_loop(bool shielded) {
  bide_loop *own = harness_loop_new(), *other = harness_loop_new();
  bide_future future;
  awaiter self = {.shielded = shielded};
  bide_future_init(&future, other);
  awaiter_spawn(own, &self, &future);
  int code = bide_block_on(&self.task.future);
  CHECK(future.waiters_ == 0);
  harness_loop_close(own);
  harness_loop_close(other);
  return code;
}

static void misuse_await_across_loops(void) {
  MISUSE(misuse_await_of_another_loop(false), BIDE_EINVAL);
  MISUSE(misuse_await_of_another_loop(true), BIDE_EINVAL);
}

/* A circle of one, which its cancel opens. */
static void misuse_task_awaits_itself(void) {
  bide_loop *loop = harness_loop_new();
  awaiter self = {.shielded = false};
  awaiter_spawn(loop, &self, &self.task.future);
  run_ready(loop);
  CHECK_INT(self.task.future.state, BIDE_FUTURE_PENDING);
  CHECK_INT(bide_task_cancel(&self.task), 0);
  CHECK_INT(bide_block_on(&self.task.future), BIDE_ECANCELED);
  harness_loop_close(loop);
}

static int misuse_combine(bide_loop *loop, bide_future *foreign) {
  bide_future own;
  bide_future_init(&own, loop);
  bide_branch branches[] = {{.future = &own}, {.future = foreign}};
  bide_combination all;
  bide_all_start(loop, &all, branches, 2);
  CHECK(own.waiters_ == 0);
  return all.future.error;
}

static void misuse_mixes_loops(void) {
  bide_loop *loop = harness_loop_new(), *other = harness_loop_new();
  bide_future foreign;
  bide_token parent, child;
  bide_token_link link;
  bide_scope scope;
  bide_member member;
  bide_future_init(&foreign, other);
  bide_scope_init(&scope, loop);
  CHECK_INT(bide_token_init(&parent, other, NULL), 0);
  MISUSE(bide_token_init(&child, loop, &parent), BIDE_EINVAL);
  MISUSE(bide_scope_add(&scope, &member, &foreign), BIDE_EINVAL);
  CHECK_INT(bide_token_init(&child, loop, NULL), 0);
  MISUSE(bide_token_bind(&child, &link, &foreign), BIDE_EINVAL);
  MISUSE(misuse_combine(loop, &foreign), BIDE_EINVAL);
  CHECK(foreign.waiters_ == 0);
  CHECK_INT(bide_token_free(&parent), 0);
  CHECK_INT(bide_token_free(&child), 0);
  harness_loop_close(loop);
  harness_loop_close(other);
}

static void misuse_local_is_set_twice(void) {
  bide_loop *loop = harness_loop_new();
  static const char keys[2];
  awaiter self = {.shielded = false}, other = {.shielded = false};
  bide_local locals[2];
  bide_future future;
  bide_future_init(&future, loop);
  awaiter_spawn(loop, &self, &future);
  awaiter_spawn(loop, &other, &future);
  CHECK_INT(bide_local_set(&self.task, &locals[0], &keys[0], &future), 0);
  CHECK_INT(bide_local_set(&self.task, &locals[1], &keys[1], NULL), 0);
  MISUSE(bide_local_set(&self.task, &locals[0], &keys[1], NULL), BIDE_EINVAL);
  MISUSE(bide_task_set_name(&self.task, &locals[1], "twice"), BIDE_EINVAL);
  MISUSE(bide_local_inherit(&self.task, &other.task), BIDE_EINVAL);
  CHECK(bide_local_get(&self.task, &keys[0]) == &future);
  CHECK_INT(bide_future_resolve(&future, 0), 0);
  CHECK_INT(bide_block_on(&self.task.future), 0);
  CHECK_INT(bide_block_on(&other.task.future), 0);
  harness_loop_close(loop);
}

/* ---- operations ---- */

/* The operation under way is none the worse for it. */
static void misuse_operation_in_flight(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  char byte = 0, other = 0;
  bide_io io = {.op = {.data = NULL}};
  net_tcp_pair(fds, O_NONBLOCK);
  bide_prep_recv(&io.op, fds[0], &byte, 1, 0);
  CHECK_INT(bide_io_start(loop, &io), 0);
  MISUSE(bide_io_start(loop, &io), BIDE_EBUSY);
  MISUSE((bide_prep_recv(&io.op, -1, &other, 1, 0), bide_loop_submit(loop, &io.op)),
         BIDE_EINVAL);
  MISUSE((bide_prep_recv_ready(&io.op, -1), bide_loop_submit(loop, &io.op)), BIDE_EINVAL);
  MISUSE((bide_prep_poll_foreign(&io.op, -1, 1), bide_loop_submit(loop, &io.op)),
         BIDE_EINVAL);
  MISUSE((bide_prep_poll_multi(&io.op, -1, 1), bide_loop_submit(loop, &io.op)),
         BIDE_EINVAL);
  CHECK_INT(bide_loop_submit(loop, &io.op), BIDE_EINVAL);
  CHECK_INT(bide_loop_close(loop), BIDE_EBUSY);
  CHECK_INT(write(fds[1], "x", 1), 1);
  CHECK_INT(bide_block_on(&io.future), 0);
  CHECK_INT(io.op.result, 1);
  CHECK_INT(byte, 'x');
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static int misuse_io_multishot(bide_loop *loop, bide_op_kind kind) {
  bide_io io = {.op = {.data = NULL}};
  if (kind == BIDE_OP_ACCEPT_MULTI)
    bide_prep_accept_multi(&io.op, 0);
  else if (kind == BIDE_OP_POLL_MULTI)
    bide_prep_poll_multi(&io.op, 0, 1);
  else
    bide_prep_recv_multi(&io.op, 0);
  int code = bide_io_start(loop, &io);
  CHECK_INT(io.future.error, code);
  return code;
}

static void misuse_future_of_many_completions(void) {
  bide_loop *loop = harness_loop_new();
  MISUSE(misuse_io_multishot(loop, BIDE_OP_ACCEPT_MULTI), BIDE_EINVAL);
  MISUSE(misuse_io_multishot(loop, BIDE_OP_POLL_MULTI), BIDE_EINVAL);
  MISUSE(misuse_io_multishot(loop, BIDE_OP_RECV_MULTI), BIDE_EINVAL);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  harness_loop_close(loop);
}

/* A buffer that came back twice would be lent to two streams. */
static void misuse_buffer_is_released_twice(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  bide_op op = {.data = NULL};
  MISUSE(bide_buffer_release(loop, 0), BIDE_EINVAL);
  net_tcp_pair(fds, O_NONBLOCK);
  bide_prep_recv_multi(&op, fds[0]);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  CHECK_INT(write(fds[1], "x", 1), 1);
  while ((op.flags & BIDE_OP_BUFFER) == 0)
    REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  uint16_t id = op.buffer_id;
  MISUSE(bide_receive(&op, NULL, 0), BIDE_EINVAL);
  MISUSE(bide_buffer_release(loop, (uint16_t)(id + 1)), BIDE_EINVAL);
  MISUSE(bide_buffer_release(loop, UINT16_MAX), BIDE_EINVAL);
  CHECK(bide_buffer_data(loop, id) == op.buffer);
  CHECK_INT(bide_buffer_release(loop, id), 0);
  MISUSE(bide_buffer_release(loop, id), BIDE_EINVAL);
  MISUSE(bide_buffer_data(loop, id) == NULL ? BIDE_EINVAL : 0, BIDE_EINVAL);
  CHECK_INT(bide_loop_drain(loop), 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static void misuse_on_connection(bide_listener *listener, int result) {
  (void)listener;
  if (result >= 0) close(result);
}

static void misuse_listener_starts_twice(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  int fd = net_listen(&address);
  bide_listener listener = {.cb = NULL};
  MISUSE(bide_listener_start(loop, &listener, fd), BIDE_EINVAL);
  listener.cb = misuse_on_connection;
  CHECK_INT(bide_listener_start(loop, &listener, fd), 0);
  MISUSE(bide_listener_start(loop, &listener, fd), BIDE_EALREADY);
  CHECK_INT(bide_loop_in_flight(loop), 1);
  bide_listener_stop(&listener);
  while (bide_loop_in_flight(loop) > 0) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  CHECK_INT(bide_listener_start(loop, &listener, fd), 0);
  CHECK_INT(bide_loop_drain(loop), 0);
  close(fd);
  harness_loop_close(loop);
}

static void misuse_numbers_that_are_none(void) {
  bide_loop *loop = harness_loop_new();
  bide_read_file request = {.cb = NULL};
  bide_histogram histogram;
  MISUSE(bide_read_file_start(loop, &request, "/dev/null", NULL, 0), BIDE_EINVAL);
  MISUSE(bide_metrics_get_operation(loop, BIDE_OP_KIND_COUNT, &histogram), BIDE_EINVAL);
  CHECK_INT(bide_metrics_get_operation(loop, BIDE_OP_NOP, &histogram), 0);
  harness_loop_close(loop);
}

/* ---- the loop ---- */

typedef struct misuse_note {
  bide_call call;
  bide_loop *loop;
  int calls, code;
} misuse_note;

static void misuse_count(bide_call *call) {
  BIDE_CONTAINER_OF(call, misuse_note, call)->calls++;
}

/* On the stack of those posted a second time it would be lost with all behind it. */
static void misuse_call_is_posted_twice(void) {
  bide_loop *loop = harness_loop_new();
  misuse_note first = {.call.cb = misuse_count}, second = {.call.cb = misuse_count};
  CHECK_INT(bide_post(loop, &first.call), 0);
  CHECK_INT(bide_post(loop, &second.call), 0);
  MISUSE(bide_post(loop, &first.call), BIDE_EALREADY);
  MISUSE(bide_post(loop, &second.call), BIDE_EALREADY);
  net_settle(loop);
  CHECK_INT(first.calls, 1);
  CHECK_INT(second.calls, 1);
  CHECK_INT(bide_loop_call_soon(loop, &first.call), 0);
  MISUSE(bide_post(loop, &first.call), BIDE_EALREADY);
  net_settle(loop);
  CHECK_INT(first.calls, 2);
  harness_loop_close(loop);
}

static void misuse_close(bide_call *call) {
  misuse_note *note = BIDE_CONTAINER_OF(call, misuse_note, call);
  note->code = bide_loop_close(note->loop);
}

static void misuse_close_from_a_callback(void) {
  bide_loop *loop = harness_loop_new();
  misuse_note note = {.call.cb = misuse_close, .loop = loop};
  CHECK_INT(bide_loop_call_soon(loop, &note.call), 0);
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_NOWAIT), 0);
  CHECK_INT(note.code, BIDE_EBUSY);
  note.code = 0;
  CHECK_INT(bide_loop_call_soon(loop, &note.call), 0);
  CHECK_INT(bide_loop_wait(loop, 0), 0);
  CHECK_INT(bide_loop_dispatch(loop), 1);
  CHECK_INT(note.code, BIDE_EBUSY);
  harness_loop_close(loop);
}

static size_t misuse_pick(void *user, size_t count) {
  (void)user;
  return count;
}

static int misuse_pick_beyond(void) {
  bide_hooks hooks = {.pick = misuse_pick};
  bide_loop *loop = harness_loop_hooked(&hooks);
  misuse_note notes[2] = {{.call.cb = misuse_count}, {.call.cb = misuse_count}};
  for (int i = 0; i < 2; i++) CHECK_INT(bide_loop_call_soon(loop, &notes[i].call), 0);
  net_settle(loop);
  CHECK_INT(notes[0].calls + notes[1].calls, 2);
  harness_loop_close(loop);
  return BIDE_EINVAL;
}

static void misuse_hook_picks_beyond(void) { MISUSE(misuse_pick_beyond(), BIDE_EINVAL); }

/* ---- pools and runtimes ---- */

static intptr_t misuse_free_pool(bide_offload *offload) {
  return bide_pool_free(offload->data);
}

static int misuse_free_on_worker(void) {
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = NULL;
  REQUIRE(bide_pool_new(NULL, &pool) == 0);
  bide_offload offload = {.data = pool};
  REQUIRE(bide_offload_start(loop, pool, &offload, misuse_free_pool,
                             BIDE_PRIORITY_NORMAL) == 0);
  CHECK_INT(bide_block_on(&offload.future), 0);
  int code = (int)offload.future.value;
  CHECK_INT(bide_pool_free(pool), 0);
  harness_loop_close(loop);
  return code;
}

static int misuse_offload_nothing(bide_loop *loop, bide_pool *pool) {
  bide_offload offload = {.data = NULL};
  int code = bide_offload_start(loop, pool, &offload, NULL, BIDE_PRIORITY_NORMAL);
  CHECK_INT(offload.future.error, code);
  return code;
}

static void misuse_ignore(bide_work *work) { (void)work; }

static void misuse_of_a_pool(void) {
  bide_loop *loop = harness_loop_new();
  bide_pool *pool = NULL;
  bide_pool_stats stats;
  REQUIRE(bide_pool_new(NULL, &pool) == 0);
  bide_work idle = {.done = misuse_ignore};
  bide_work whole = {.run = misuse_ignore, .done = misuse_ignore};
  MISUSE(bide_pool_submit(pool, &idle, BIDE_PRIORITY_LOW), BIDE_EINVAL);
  MISUSE(bide_pool_submit(pool, &whole, BIDE_PRIORITY_COUNT), BIDE_EINVAL);
  MISUSE(misuse_offload_nothing(loop, pool), BIDE_EINVAL);
  bide_pool_stats_get(pool, &stats);
  CHECK_INT(stats.threads + stats.queued, 0);
  CHECK_INT(bide_pool_free(pool), 0);
  MISUSE(misuse_free_on_worker(), BIDE_EDEADLK);
  harness_loop_close(loop);
}

static void misuse_of_a_runtime(void) {
  bide_runtime_options options = BIDE_RUNTIME_OPTIONS_INIT;
  bide_runtime_stats stats;
  bide_runtime *runtime = NULL;
  options.loops = 1;
  REQUIRE(bide_runtime_new(&options, &runtime) == 0);
  MISUSE(bide_runtime_loop(runtime, 1) == NULL ? BIDE_EINVAL : 0, BIDE_EINVAL);
  MISUSE(bide_runtime_stats_of(runtime, 1, &stats), BIDE_EINVAL);
  CHECK_INT(bide_runtime_stats_of(runtime, 0, &stats), 0);
  CHECK_INT(bide_runtime_shutdown(runtime, 1000000), 0);
}

static const harness_test tests[] = {
    HARNESS_TEST(misuse_mutex_is_unlocked_once),
    HARNESS_TEST(misuse_rwlock_is_unlocked_as_it_was_locked),
    HARNESS_TEST(misuse_semaphore_does_not_overflow),
    HARNESS_TEST(misuse_condition_without_its_mutex),
    HARNESS_TEST(misuse_barrier_of_nobody),
    HARNESS_TEST(misuse_broadcast_that_keeps_nothing),
    HARNESS_TEST(misuse_waiter_waits_twice),
    HARNESS_TEST(misuse_task_ends_without_an_outcome),
    HARNESS_TEST(misuse_await_across_loops),
    HARNESS_TEST(misuse_task_awaits_itself),
    HARNESS_TEST(misuse_mixes_loops),
    HARNESS_TEST(misuse_local_is_set_twice),
    HARNESS_TEST(misuse_operation_in_flight),
    HARNESS_TEST(misuse_future_of_many_completions),
    HARNESS_TEST(misuse_buffer_is_released_twice),
    HARNESS_TEST(misuse_listener_starts_twice),
    HARNESS_TEST(misuse_numbers_that_are_none),
    HARNESS_TEST(misuse_call_is_posted_twice),
    HARNESS_TEST(misuse_close_from_a_callback),
    HARNESS_TEST(misuse_hook_picks_beyond),
    HARNESS_TEST(misuse_of_a_pool),
    HARNESS_TEST(misuse_of_a_runtime),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
