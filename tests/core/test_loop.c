/* The loop itself: turns, order, fairness, posts, embedding, and who may use it when. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>

#include "net_pair.h"

typedef struct loop_note {
  bide_call call;
  bide_timer timer;
  bide_op op;
  bide_loop *loop;
  struct loop_note *next;
  char name;
} loop_note;

static char loop_log[64];

static void loop_write(char name) {
  size_t len = strlen(loop_log);
  if (len < sizeof loop_log - 1) loop_log[len] = name;
}

static void loop_called(bide_call *call) {
  loop_write(BIDE_CONTAINER_OF(call, loop_note, call)->name);
}

static void loop_fired(bide_timer *timer) {
  loop_write(BIDE_CONTAINER_OF(timer, loop_note, timer)->name);
}

/* Dispatches to the end of the turn, however slow the machine; returns the callbacks made. */
static int loop_dispatch_turn(bide_loop *loop) {
  int made = 0;
  do {
    made += bide_loop_dispatch(loop);
  } while (!bide_loop_turn_ended(loop));
  return made;
}

static void loop_ready_calls_run_in_order(void) {
  bide_loop *loop = harness_loop_new();
  memset(loop_log, 0, sizeof loop_log);
  loop_note notes[4] = {0};
  for (int i = 0; i < 4; i++) {
    notes[i].name = (char)('a' + i);
    notes[i].call.cb = loop_called;
    CHECK_INT(bide_loop_call_soon(loop, &notes[i].call), 0);
    CHECK_INT(bide_loop_call_soon(loop, &notes[0].call), 0);
  }
  bide_call_cancel(loop, &notes[2].call);
  bide_call_cancel(loop, &notes[2].call);
  CHECK_INT(bide_loop_timeout(loop), 0);
  CHECK_INT(loop_dispatch_turn(loop), 3);
  CHECK_STR(loop_log, "abd");
  CHECK_INT(bide_loop_timeout(loop), -1);
  harness_loop_close(loop);
}

static void loop_call_and_complete(bide_call *call) {
  loop_note *note = BIDE_CONTAINER_OF(call, loop_note, call);
  loop_write(note->name);
  CHECK_INT(bide_loop_submit(note->loop, &note->op), 0);
  CHECK_INT(bide_loop_call_soon(note->loop, &note->next->call), 0);
}

static void loop_completed(bide_op *op) { loop_write(*(char *)op->data); }

/* asyncio's order: a task that was woken in a turn runs before what came during it. */
static void loop_what_completes_in_a_turn_waits_behind_its_calls(void) {
  bide_loop *loop = harness_loop_new();
  memset(loop_log, 0, sizeof loop_log);
  loop_note last = {.name = 'b', .call.cb = loop_called};
  loop_note first = {.name = 'a', .loop = loop, .next = &last};
  first.call.cb = loop_call_and_complete;
  bide_prep_nop(&first.op);
  first.op.cb = loop_completed;
  first.op.data = "c";
  CHECK_INT(bide_loop_call_soon(loop, &first.call), 0);
  while (bide_loop_in_flight(loop) > 0 || loop_log[0] == 0) {
    CHECK_INT(bide_loop_wait(loop, 0), 0);
    bide_loop_dispatch(loop);
  }
  CHECK_STR(loop_log, "abc");
  harness_loop_close(loop);
}

typedef struct loop_spinner {
  bide_call call;
  bide_loop *loop;
  bool stop;
  uint64_t runs, stop_at; /* stop_at: the run that stops the loop; 0: none */
} loop_spinner;

static void loop_spin(bide_call *call) {
  loop_spinner *spinner = BIDE_CONTAINER_OF(call, loop_spinner, call);
  spinner->runs++;
  if (spinner->runs == spinner->stop_at) bide_loop_stop(spinner->loop);
  if (!spinner->stop) bide_loop_call_soon(spinner->loop, call);
}

static void loop_stop_spinner_on_op(bide_op *op) { *(bool *)op->data = true; }

/* A call that is always ready keeps neither a timer nor a socket nor a post from its turn,
 * nor a submission from the kernel. */
static void loop_ready_work_starves_nobody(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  loop_spinner spinner = {.call.cb = loop_spin, .loop = loop};
  char byte;
  for (int i = 0; i < 100; i++) {
    bide_op op = {.cb = loop_stop_spinner_on_op, .data = &spinner.stop};
    spinner.stop = false;
    bide_loop_call_soon(loop, &spinner.call);
    if (i % 2 == 0) {
      bide_prep_recv(&op, fds[0], &byte, 1, 0);
      CHECK_INT(write(fds[1], "x", 1), 1);
    } else {
      bide_prep_timeout(&op, 300);
    }
    uint64_t began_us = harness_now_us();
    net_do(loop, &op);
    CHECK_RANGE(harness_now_us() - began_us, 0, 200000);
    REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  }
  CHECK(spinner.runs > 100);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

enum { LOOP_SLOW_CALLS = 2000, LOOP_SLOW_US = 20 };

static int loop_slow_runs, loop_slow_runs_at_timer;

static void loop_be_slow(bide_call *call) {
  (void)call;
  loop_slow_runs++;
  for (uint64_t end_us = harness_now_us() + LOOP_SLOW_US; harness_now_us() < end_us;) {
  }
}

static void loop_note_runs(bide_timer *timer) {
  (void)timer;
  loop_slow_runs_at_timer = loop_slow_runs;
}

/* A turn of 40 ms: the timer of 1 ms comes before its middle. And a stop that its first call
 * asks for still lets it end. */
static void loop_long_turn_lets_timers_in(void) {
  bide_loop *loop = harness_loop_new();
  static bide_call calls[LOOP_SLOW_CALLS];
  bide_timer timer = {.cb = loop_note_runs};
  loop_slow_runs = 0;
  loop_slow_runs_at_timer = LOOP_SLOW_CALLS;
  bide_timer_start(loop, &timer, 1000);
  for (int i = 0; i < LOOP_SLOW_CALLS; i++) {
    calls[i].cb = loop_be_slow;
    REQUIRE(bide_loop_call_soon(loop, &calls[i]) == 0);
  }
  bide_loop_stop(loop);
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), 0);
  CHECK_INT(loop_slow_runs, LOOP_SLOW_CALLS);
  CHECK_RANGE(loop_slow_runs_at_timer, 0, LOOP_SLOW_CALLS / 2);
  harness_loop_close(loop);
}

static void loop_stop_call(bide_call *call) {
  loop_note *note = BIDE_CONTAINER_OF(call, loop_note, call);
  loop_write(note->name);
  bide_loop_stop(note->loop);
}

static void loop_interrupt_call(bide_call *call) {
  loop_note *note = BIDE_CONTAINER_OF(call, loop_note, call);
  loop_write(note->name);
  bide_loop_interrupt(note->loop);
}

/* stop finishes the turn; interrupt ends it at once and loses nothing. */
static void loop_stop_finishes_and_interrupt_keeps(void) {
  bide_loop *loop = harness_loop_new();
  memset(loop_log, 0, sizeof loop_log);
  loop_note notes[6] = {0};
  for (int i = 0; i < 6; i++)
    notes[i] = (loop_note){.loop = loop, .name = (char)('a' + i), .call.cb = loop_called};
  notes[1].call.cb = loop_stop_call;
  for (int i = 0; i < 3; i++) bide_loop_call_soon(loop, &notes[i].call);
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), 0);
  CHECK_STR(loop_log, "abc");

  notes[4].call.cb = loop_interrupt_call;
  for (int i = 3; i < 6; i++) bide_loop_call_soon(loop, &notes[i].call);
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), 0);
  CHECK_STR(loop_log, "abcde");
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_ONCE), 0);
  CHECK_STR(loop_log, "abcdef");

  bide_loop_stop(loop);
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), 0);
  harness_loop_close(loop);
}

/* A call that makes itself ready again does not keep a run from ending: a stop, before the
 * run or in any of its calls, leaves it one turn. */
static void loop_stop_ends_a_run_that_stays_busy(void) {
  for (uint64_t stop_at = 0; stop_at < 200; stop_at++) {
    bide_loop *loop = harness_loop_new();
    loop_spinner spinner = {.loop = loop, .stop_at = stop_at, .call.cb = loop_spin};
    REQUIRE(bide_loop_call_soon(loop, &spinner.call) == 0);
    if (stop_at == 0) bide_loop_stop(loop);
    CHECK_INT(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), 0);
    CHECK_RANGE(spinner.runs, stop_at, stop_at + 2);
    bide_call_cancel(loop, &spinner.call);
    harness_loop_close(loop);
  }
}

static void loop_interrupt_on_op(bide_op *op) {
  ++*(int *)op->data;
  bide_loop_interrupt(op->loop_);
}

/* Completions that an interrupt kept back are delivered by the next run. */
static void loop_interrupt_keeps_completions(void) {
  bide_loop *loop = harness_loop_new();
  int delivered = 0;
  bide_op ops[5] = {0};
  for (int i = 0; i < 5; i++) {
    ops[i].cb = loop_interrupt_on_op;
    ops[i].data = &delivered;
    bide_prep_nop(&ops[i]);
    REQUIRE(bide_loop_submit(loop, &ops[i]) == 0);
  }
  for (int i = 1; i <= 5; i++) {
    CHECK_INT(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), 0);
    CHECK_INT(delivered, i);
  }
  CHECK_INT(bide_loop_in_flight(loop), 0);
  harness_loop_close(loop);
}

static void loop_run_inside(bide_call *call) {
  loop_note *note = BIDE_CONTAINER_OF(call, loop_note, call);
  CHECK_INT(bide_loop_run(note->loop, BIDE_RUN_NOWAIT), BIDE_ERUNNING);
  CHECK_INT(bide_loop_drain(note->loop), BIDE_ERUNNING);
  CHECK_INT(bide_loop_close(note->loop), BIDE_EBUSY);
  CHECK(bide_loop_is_running(note->loop));
}

static void loop_refuses_to_run_inside_itself(void) {
  bide_loop *loop = harness_loop_new();
  loop_note note = {.loop = loop, .call.cb = loop_run_inside};
  bide_loop_call_soon(loop, &note.call);
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_ONCE), 0);
  CHECK(!bide_loop_is_running(loop));
  harness_loop_close(loop);
}

static void loop_dispatch_inside(bide_call *call) {
  loop_called(call);
  CHECK_INT(loop_dispatch_turn(BIDE_CONTAINER_OF(call, loop_note, call)->loop), 2);
}

/* An embedder whose callback turns the loop once more runs each call once. */
static void loop_dispatch_nests(void) {
  bide_loop *loop = harness_loop_new();
  memset(loop_log, 0, sizeof loop_log);
  loop_note notes[3] = {0};
  for (int i = 0; i < 3; i++) {
    notes[i].name = (char)('a' + i);
    notes[i].loop = loop;
    notes[i].call.cb = i == 0 ? loop_dispatch_inside : loop_called;
    CHECK_INT(bide_loop_call_soon(loop, &notes[i].call), 0);
  }
  CHECK_INT(loop_dispatch_turn(loop), 1);
  CHECK_STR(loop_log, "abc");
  harness_loop_close(loop);
}

static void loop_timers_fire_by_deadline(void) {
  bide_loop *loop = harness_loop_new();
  memset(loop_log, 0, sizeof loop_log);
  loop_note notes[4] = {0};
  static const uint64_t waits_us[] = {3000, 1000, 3000, 2000};
  for (int i = 0; i < 4; i++) {
    notes[i].name = (char)('a' + i);
    notes[i].timer.cb = loop_fired;
  }
  uint64_t base_us = bide_loop_now_us(loop);
  for (int i = 0; i < 4; i++)
    bide_timer_start_at(loop, &notes[i].timer, base_us + waits_us[i]);
  CHECK_RANGE(bide_loop_timeout(loop), 0, 1001);
  bide_timer_stop(loop, &notes[3].timer);
  CHECK(!bide_timer_is_active(&notes[3].timer));
  while (strlen(loop_log) < 3) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  CHECK(bide_loop_now_us(loop) >= base_us + 3000);
  CHECK_STR(loop_log, "bac");
  harness_loop_close(loop);
}

static void loop_restart(bide_timer *timer) {
  loop_note *note = BIDE_CONTAINER_OF(timer, loop_note, timer);
  loop_write('x');
  bide_timer_start_at(note->loop, timer, 0);
}

/* A timer that starts itself in the past fires once a turn and ends nobody's turn. */
static void loop_past_timer_fires_once_a_turn(void) {
  bide_loop *loop = harness_loop_new();
  memset(loop_log, 0, sizeof loop_log);
  loop_note note = {.loop = loop, .timer.cb = loop_restart};
  bide_timer_start_at(loop, &note.timer, 0);
  for (int i = 0; i < 3; i++) CHECK_INT(bide_loop_run(loop, BIDE_RUN_ONCE), 0);
  CHECK_STR(loop_log, "xxx");
  bide_timer_stop(loop, &note.timer);
  harness_loop_close(loop);
}

static bool loop_readable(bide_loop *loop, int timeout_ms) {
  struct pollfd poller = {bide_loop_fd(loop), POLLIN, 0};
  return poll(&poller, 1, timeout_ms) == 1;
}

static void *loop_post_one(void *argument) {
  loop_note *note = argument;
  bide_post(note->loop, &note->call);
  return NULL;
}

/* An outer loop that polls the fd hears of I/O and of posts, and only of them. */
static void loop_lives_inside_another(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  char byte;
  memset(loop_log, 0, sizeof loop_log);
  for (int i = 0; i < 20; i++) {
    bide_op op = {0};
    bide_prep_recv(&op, fds[0], &byte, 1, 0);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    REQUIRE(bide_loop_flush(loop) == 0);
    /* What is left of the round before may wake it once or twice, but not for ever. */
    for (int spurious = 0; loop_readable(loop, 0); spurious++) {
      REQUIRE(spurious < 4);
      REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
      REQUIRE(bide_loop_flush(loop) == 0);
    }
    CHECK_INT(op.state, BIDE_OP_SUBMITTED);
    if (i % 2 == 0) {
      CHECK_INT(write(fds[1], "x", 1), 1);
    } else {
      loop_note note = {.loop = loop, .name = 'p', .call.cb = loop_called};
      pthread_t thread;
      pthread_create(&thread, NULL, loop_post_one, &note);
      CHECK(loop_readable(loop, 5000));
      pthread_join(thread, NULL);
      size_t before = strlen(loop_log);
      REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
      CHECK_INT(strlen(loop_log), before + 1);
      REQUIRE(bide_loop_flush(loop) == 0);
      CHECK_INT(write(fds[1], "x", 1), 1);
    }
    while (op.state != BIDE_OP_DONE) {
      CHECK(loop_readable(loop, 5000));
      REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
      REQUIRE(bide_loop_flush(loop) == 0);
    }
    CHECK_INT(op.result, 1);
  }
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static void loop_park_round(bide_loop *loop) {
  REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
  REQUIRE(bide_loop_park(loop) == 0);
}

/* Runs what the fd tells of, until it tells of nothing. */
static void loop_park_quietly(bide_loop *loop) {
  loop_park_round(loop);
  for (int spurious = 0; loop_readable(loop, 0); spurious++) {
    REQUIRE(spurious < 4);
    loop_park_round(loop);
  }
}

/* An outer loop hears of calls, timers and operations that its own callbacks give to the
 * loop between two turns. */
static void loop_parked_tells_of_what_it_is_given(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  memset(loop_log, 0, sizeof loop_log);
  for (int i = 0; i < 3; i++) {
    char byte;
    bide_op op = {0};
    loop_note call = {.loop = loop, .name = 'c', .call.cb = loop_called};
    loop_note timer = {.loop = loop, .timer.cb = loop_fired};
    loop_park_quietly(loop);
    REQUIRE(bide_loop_call_soon(loop, &call.call) == 0);
    CHECK(loop_readable(loop, 5000));
    loop_park_quietly(loop);
    bide_timer_start(loop, &timer.timer, 60000000);
    CHECK(loop_readable(loop, 5000));
    bide_timer_stop(loop, &timer.timer);
    loop_park_quietly(loop);
    bide_prep_recv(&op, fds[0], &byte, 1, 0);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    CHECK(loop_readable(loop, 5000));
    loop_park_quietly(loop);
    REQUIRE(bide_loop_cancel(loop, &op) == 0);
    CHECK(loop_readable(loop, 5000));
    while (op.state != BIDE_OP_DONE) loop_park_round(loop);
  }
  CHECK_STR(loop_log, "ccc");
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static void loop_options_are_checked(void) {
  bide_loop *loop = NULL;
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  options.recv_buffer_count = 3;
  CHECK_INT(bide_loop_new(&options, &loop), BIDE_EINVAL);
  options = (bide_loop_options)BIDE_LOOP_OPTIONS_INIT;
  options.size = 4096;
  CHECK_INT(bide_loop_new(&options, &loop), BIDE_EINVAL);
  options = (bide_loop_options)BIDE_LOOP_OPTIONS_INIT;
  options.backend = (bide_backend)9;
  CHECK_INT(bide_loop_new(&options, &loop), BIDE_EINVAL);
  char *before = getenv("BIDE_BACKEND");
  char *kept = before != NULL ? strdup(before) : NULL;
  setenv("BIDE_BACKEND", "kqueue", 1);
  CHECK_INT(bide_loop_new(NULL, &loop), BIDE_EINVAL);
  setenv("BIDE_BACKEND", "io_uring", 1);
  options = (bide_loop_options)BIDE_LOOP_OPTIONS_INIT;
  options.backend = BIDE_BACKEND_EPOLL;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  CHECK_STR(bide_loop_backend(loop), "epoll");
  CHECK_STR(bide_loop_backend_reason(loop), "epoll was asked for by the loop's options");
  harness_loop_close(loop);
  if (kept != NULL)
    setenv("BIDE_BACKEND", kept, 1);
  else
    unsetenv("BIDE_BACKEND");
  free(kept);
}

static void loop_signal_handler(int number) { (void)number; }

static void *loop_signal_soon(void *thread) {
  for (int i = 0; i < 1000; i++) {
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
    struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
  }
  return NULL;
}

/* A signal ends the bare wait, for a binding to look at it, and not the run. */
static void loop_signals_end_a_wait_not_a_run(void) {
  bide_loop *loop = harness_loop_new();
  struct sigaction action = {.sa_handler = loop_signal_handler};
  sigaction(SIGUSR1, &action, NULL);
  pthread_t self = pthread_self(), thread;
  pthread_create(&thread, NULL, loop_signal_soon, &self);
  CHECK_INT(bide_loop_wait(loop, -1), BIDE_EINTR);
  bide_op op = {0};
  bide_prep_timeout(&op, 50000);
  uint64_t began_us = harness_now_us();
  CHECK_INT(net_do(loop, &op), BIDE_ETIME);
  CHECK(harness_now_us() - began_us >= 50000);
  pthread_join(thread, NULL);
  harness_loop_close(loop);
}

/* A child that uses its parent's loop is told so; the parent's goes on undisturbed. */
static void loop_in_a_child_says_forked(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  char byte;
  bide_op op = {0}, other = {0};
  bide_prep_recv(&op, fds[0], &byte, 1, 0);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  net_settle(loop);
  bide_op poll_op = {0};
  bide_prep_poll(&poll_op, fds[1], POLLRDHUP);
  REQUIRE(bide_loop_submit(loop, &poll_op) == 0);
  net_settle(loop);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    bide_prep_nop(&other);
    bide_completion none;
    bool told = bide_loop_submit(loop, &other) == BIDE_EFORKED &&
                bide_loop_cancel(loop, &poll_op) == BIDE_EFORKED &&
                bide_loop_reap(loop, &none, 1) == BIDE_EFORKED &&
                bide_loop_run(loop, BIDE_RUN_NOWAIT) == BIDE_EFORKED &&
                bide_loop_wait(loop, 0) == BIDE_EFORKED &&
                bide_loop_drain(loop) == BIDE_EFORKED && bide_loop_close(loop) == 0;
    bide_loop *own = harness_loop_new();
    bide_prep_timeout(&other, 100);
    bool works = net_do(own, &other) == BIDE_ETIME && bide_loop_close(own) == 0;
    harness_leave(told && works ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_INT(status, 0);
  CHECK_INT(write(fds[1], "x", 1), 1);
  CHECK_INT(net_finish(loop, &op), 1);
  CHECK_INT(shutdown(fds[0], SHUT_WR), 0);
  CHECK((net_finish(loop, &poll_op) & POLLRDHUP) != 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static void loop_trace_tells_the_story(void) {
  bide_loop *loop = harness_loop_new();
  bide_op op = {0};
  bide_prep_timeout(&op, 100);
  int started = bide_trace_start(loop, 64);
  REQUIRE(started == 0);
  CHECK_INT(bide_trace_start(loop, 64), BIDE_EALREADY);
  net_do(loop, &op);
  bide_trace_event events[64];
  uint64_t lost = 99;
  size_t count = bide_trace_read(loop, events, 64, &lost);
  CHECK_INT(lost, 0);
  bool submitted = false, fired = false, completed = false;
  for (size_t i = 0; i < count; i++) {
    submitted |= events[i].kind == BIDE_TRACE_OP_SUBMIT &&
                 events[i].id == (uint64_t)(uintptr_t)&op &&
                 events[i].argument == BIDE_OP_TIMEOUT;
    fired |= submitted && events[i].kind == BIDE_TRACE_TIMER_FIRE;
    completed |= fired && events[i].kind == BIDE_TRACE_OP_COMPLETE;
  }
  CHECK(completed);
  bide_trace_stop(loop);
  CHECK_INT(bide_trace_read(loop, events, 64, &lost), 0);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(loop_ready_calls_run_in_order),
    HARNESS_TEST(loop_what_completes_in_a_turn_waits_behind_its_calls),
    HARNESS_TEST(loop_ready_work_starves_nobody),
    HARNESS_TEST(loop_long_turn_lets_timers_in),
    HARNESS_TEST(loop_stop_finishes_and_interrupt_keeps),
    HARNESS_TEST(loop_stop_ends_a_run_that_stays_busy),
    HARNESS_TEST(loop_interrupt_keeps_completions),
    HARNESS_TEST(loop_refuses_to_run_inside_itself),
    HARNESS_TEST(loop_dispatch_nests),
    HARNESS_TEST(loop_timers_fire_by_deadline),
    HARNESS_TEST(loop_past_timer_fires_once_a_turn),
    HARNESS_TEST(loop_lives_inside_another),
    HARNESS_TEST(loop_parked_tells_of_what_it_is_given),
    HARNESS_TEST(loop_options_are_checked),
    HARNESS_TEST(loop_signals_end_a_wait_not_a_run),
    HARNESS_TEST(loop_in_a_child_says_forked),
    HARNESS_TEST(loop_trace_tells_the_story),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
