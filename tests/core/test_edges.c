/* The corners of operations on sockets: short counts that are no end, buffers that come
 * back, priority data, fds with a past, and loops that are reaped without callbacks. What
 * fails here hangs a connection for ever. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>

#include "net_pair.h"

/* Waits for one completion by the primitives alone. */
static bide_completion edges_reap(bide_loop *loop) {
  bide_completion got;
  while (bide_loop_reap(loop, &got, 1) == 0) {
    int error = bide_loop_wait(loop, bide_loop_timeout(loop));
    REQUIRE(error == 0 || error == BIDE_EINTR);
  }
  return got;
}

/* Turns the loop until nothing comes any more. */
static void edges_reap_nothing(bide_loop *loop) {
  bide_completion none;
  for (int i = 0; i < 10; i++) {
    REQUIRE(bide_loop_wait(loop, 0) == 0);
    CHECK_INT(bide_loop_reap(loop, &none, 1), 0);
  }
}

/* Two receives wait for the only buffer. It comes back: the one without bytes must not
 * keep it from the other. */
static void edges_buffer_finds_the_receive_with_bytes(void) {
  bide_loop_options options = harness_loop_options();
  options.recv_buffer_count = 1;
  bide_loop *loop;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  int lender[2], silent[2], speaker[2];
  net_tcp_pair(lender, O_NONBLOCK);
  net_tcp_pair(silent, O_NONBLOCK);
  net_tcp_pair(speaker, O_NONBLOCK);
  bide_op ops[3] = {{0}};
  bide_prep_recv_multi(&ops[0], lender[0]);
  REQUIRE(bide_loop_submit(loop, &ops[0]) == 0);
  CHECK_INT(write(lender[1], "a", 1), 1);
  bide_completion first = edges_reap(loop);
  CHECK(first.op == &ops[0]);
  bide_prep_recv_multi(&ops[1], silent[0]);
  REQUIRE(bide_loop_submit(loop, &ops[1]) == 0);
  edges_reap_nothing(loop);
  bide_prep_recv_multi(&ops[2], speaker[0]);
  REQUIRE(bide_loop_submit(loop, &ops[2]) == 0);
  edges_reap_nothing(loop);

  bide_buffer_release(loop, first.buffer_id);
  edges_reap_nothing(loop);
  CHECK_INT(write(speaker[1], "b", 1), 1);
  bide_completion second = edges_reap(loop);
  CHECK(second.op == &ops[2]);
  CHECK_INT(second.result, 1);
  bide_buffer_release(loop, second.buffer_id);
  REQUIRE(bide_loop_drain(loop) == 0);
  net_close_pair(loop, lender);
  net_close_pair(loop, silent);
  net_close_pair(loop, speaker);
  harness_loop_close(loop);
}

/* The fd of a parked loop, which an outer loop waits on, becomes readable. */
static void edges_expect_unparked(bide_loop *loop) {
  struct pollfd poller = {bide_loop_fd(loop), POLLIN, 0};
  CHECK_INT(poll(&poller, 1, 5000), 1);
}

/* Parks the loop when its fd has come to rest. */
static void edges_park(bide_loop *loop) {
  struct pollfd poller = {bide_loop_fd(loop), POLLIN, 0};
  do {
    net_settle(loop);
    REQUIRE(bide_loop_park(loop) == 0);
  } while (poll(&poller, 1, 0) != 0);
}

/* The outer loop of a parked one hears of a buffer that comes back while a receive with
 * bytes waits for it, and of the operations that end when their fd is forgotten. */
static void edges_parked_loop_tells_of_what_comes_back(void) {
  bide_loop_options options = harness_loop_options();
  options.recv_buffer_count = 1;
  bide_loop *loop;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  int lender[2], waiter[2];
  net_tcp_pair(lender, O_NONBLOCK);
  net_tcp_pair(waiter, O_NONBLOCK);
  bide_op ops[2] = {{0}}, watch = {0};
  bide_prep_recv_multi(&ops[0], lender[0]);
  REQUIRE(bide_loop_submit(loop, &ops[0]) == 0);
  CHECK_INT(write(lender[1], "a", 1), 1);
  bide_completion first = edges_reap(loop);
  bide_prep_recv_multi(&ops[1], waiter[0]);
  REQUIRE(bide_loop_submit(loop, &ops[1]) == 0);
  CHECK_INT(write(waiter[1], "b", 1), 1);
  edges_park(loop);
  bide_buffer_release(loop, first.buffer_id);
  edges_expect_unparked(loop);
  bide_completion second = edges_reap(loop);
  CHECK(second.op == &ops[1]);
  bide_buffer_release(loop, second.buffer_id);

  bide_prep_poll_foreign(&watch, lender[0], POLLPRI);
  REQUIRE(bide_loop_submit(loop, &watch) == 0);
  edges_park(loop);
  bide_loop_forget_fd(loop, lender[0]);
  edges_expect_unparked(loop);
  CHECK_INT(net_finish(loop, &watch), BIDE_ECANCELED);
  REQUIRE(bide_loop_drain(loop) == 0);
  net_close_pair(loop, lender);
  net_close_pair(loop, waiter);
  harness_loop_close(loop);
}

enum { EDGES_QUICK = 2000, EDGES_SLOW = 100, EDGES_SLOW_US = 1000 };

static bide_loop *edges_loop; /* of the timer, which carries no data */
static int edges_runs, edges_runs_at[EDGES_SLOW], edges_fired;

static void edges_run_quickly(bide_call *call) { (void)call; }

static void edges_run_slowly(bide_call *call) {
  (void)call;
  edges_runs++;
  for (uint64_t end_us = harness_now_us() + EDGES_SLOW_US; harness_now_us() < end_us;) {
  }
}

static void edges_stop(bide_call *call) {
  (void)call;
  bide_loop_stop(edges_loop);
}

static void edges_note_runs(bide_timer *timer) {
  if (edges_runs > 0 && edges_fired < EDGES_SLOW)
    edges_runs_at[edges_fired++] = edges_runs;
  bide_timer_start(edges_loop, timer, 100);
}

/* After quick calls the clock is read seldom. Where slow ones follow it finds out at its
 * first look, and the next timer is late by no more than a long turn. */
static void edges_slow_calls_are_noticed_at_once(void) {
  static bide_call calls[EDGES_QUICK + EDGES_SLOW];
  /* The last of them: a busy machine may cut the turn in two before. */
  bide_call stop = {.cb = edges_stop};
  bide_loop *loop = harness_loop_new();
  bide_timer timer = {.cb = edges_note_runs};
  edges_loop = loop;
  edges_runs = edges_fired = 0;
  bide_timer_start(loop, &timer, 100);
  for (int i = 0; i < EDGES_QUICK + EDGES_SLOW; i++) {
    calls[i].cb = i < EDGES_QUICK ? edges_run_quickly : edges_run_slowly;
    REQUIRE(bide_loop_call_soon(loop, &calls[i]) == 0);
  }
  REQUIRE(bide_loop_call_soon(loop, &stop) == 0);
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_UNTIL_STOPPED), 0);
  REQUIRE(edges_fired >= 2);
  CHECK_RANGE(edges_runs_at[1] - edges_runs_at[0], 0, 16);
  bide_timer_stop(loop, &timer);
  harness_loop_close(loop);
}

static void edges_send_fd(int socket, const char *text, int fd) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {.bytes = {0}};
  struct iovec part = {(char *)(uintptr_t)text, strlen(text)};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  CHECK_INT(sendmsg(socket, &message, 0), (ssize_t)part.iov_len);
}

/* Receives 64 bytes at most; edges must be used up before it on epoll. */
static void edges_recv_text(bide_loop *loop, int fd, const char *expected) {
  char text[64] = "";
  bide_op op = {0};
  bide_prep_recv(&op, fd, text, sizeof text - 1, 0);
  CHECK_INT(net_do(loop, &op), (int)strlen(expected));
  CHECK_STR(text, expected);
}

/* Registers fd and lets its first edge be used up. */
static void edges_warm_up(bide_loop *loop, const int fds[2]) {
  char byte;
  bide_op op = {0};
  bide_prep_recv(&op, fds[0], &byte, 1, 0);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  net_settle(loop);
  CHECK_INT(write(fds[1], "x", 1), 1);
  CHECK_INT(net_finish(loop, &op), 1);
}

/* A receive on a Unix socket stops behind a message that carried an fd, though more bytes
 * lie behind it. */
static void edges_passed_fd_does_not_end_the_bytes(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
  edges_warm_up(loop, fds);
  edges_send_fd(fds[1], "one", fds[1]);
  edges_send_fd(fds[1], "two", fds[1]);
  net_settle(loop);
  edges_recv_text(loop, fds[0], "one");
  edges_recv_text(loop, fds[0], "two");
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* A receive on a TCP socket stops before urgent data, though more bytes lie behind it. */
static void edges_urgent_byte_does_not_end_the_bytes(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  edges_warm_up(loop, fds);
  CHECK_INT(send(fds[1], "before", 6, 0), 6);
  CHECK_INT(send(fds[1], "!", 1, MSG_OOB), 1);
  CHECK_INT(send(fds[1], "behind", 6, 0), 6);
  net_settle(loop);
  edges_recv_text(loop, fds[0], "before");
  edges_recv_text(loop, fds[0], "behind");
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* What a socket had been used for before does not keep a multishot receive from its
 * second bytes. */
static void edges_multishot_follows_a_plain_read(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  char byte;
  bide_op op = {0};
  CHECK_INT(write(fds[1], "r", 1), 1);
  bide_prep_read(&op, fds[0], &byte, 1, -1);
  CHECK_INT(net_do(loop, &op), 1);
  CHECK_INT(write(fds[1], "early", 5), 5);
  bide_prep_recv_multi(&op, fds[0]);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  bide_completion got = edges_reap(loop);
  CHECK_INT(got.result, 5);
  bide_buffer_release(loop, got.buffer_id);
  CHECK_INT(write(fds[1], "later", 5), 5);
  got = edges_reap(loop);
  CHECK_INT(got.result, 5);
  bide_buffer_release(loop, got.buffer_id);
  REQUIRE(bide_loop_drain(loop) == 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

enum { EDGES_STREAMS = 24, EDGES_STREAM_BYTES = 60000 };

/* Streams bring more than one wait takes: none of them is left behind, nor what has come
 * when one is cancelled in between. */
static void edges_many_streams_bring_much_at_once(void) {
  bide_loop *loop = harness_loop_new();
  int fds[EDGES_STREAMS][2];
  size_t got_bytes[EDGES_STREAMS] = {0};
  static bide_op ops[EDGES_STREAMS];
  static char block[EDGES_STREAM_BYTES];
  for (int i = 0; i < EDGES_STREAMS; i++) {
    net_tcp_pair(fds[i], O_NONBLOCK);
    ops[i] = (bide_op){.data = &got_bytes[i]};
    bide_prep_recv_multi(&ops[i], fds[i][0]);
    REQUIRE(bide_loop_submit(loop, &ops[i]) == 0);
  }
  edges_reap_nothing(loop);
  for (int i = 0; i < EDGES_STREAMS; i++)
    CHECK_INT(send(fds[i][1], block, sizeof block, 0), EDGES_STREAM_BYTES);
  int last = EDGES_STREAMS - 1, ended = 0;
  for (size_t all = 0; all < (size_t)last * EDGES_STREAM_BYTES || ended == 0;) {
    bide_completion got = edges_reap(loop);
    if (got.result > 0) {
      *(size_t *)got.op->data += (size_t)got.result;
      bide_buffer_release(loop, got.buffer_id);
    }
    if (got.op != &ops[last]) all += (size_t)got.result;
    if (got.op == &ops[last] && (got.flags & BIDE_OP_MORE) == 0) ended++;
    if (got.op == &ops[0]) (void)bide_loop_cancel(loop, &ops[last]);
  }
  for (int i = 0; i < last; i++) CHECK_INT(got_bytes[i], EDGES_STREAM_BYTES);
  ssize_t rest = recv(fds[last][0], block, sizeof block, MSG_DONTWAIT | MSG_WAITALL);
  CHECK_INT(got_bytes[last] + (rest > 0 ? (size_t)rest : 0), EDGES_STREAM_BYTES);
  REQUIRE(bide_loop_drain(loop) == 0);
  for (int i = 0; i < EDGES_STREAMS; i++) net_close_pair(loop, fds[i]);
  harness_loop_close(loop);
}

/* A send that joins a poll on the same fd leaves it what it waits for. */
static void edges_poll_for_urgent_data_outlives_a_send(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op poll_op = {0}, op = {0};
  static char block[1 << 16];
  while (write(fds[0], block, sizeof block) > 0) continue;
  bide_prep_poll(&poll_op, fds[0], POLLPRI);
  REQUIRE(bide_loop_submit(loop, &poll_op) == 0);
  bide_prep_send(&op, fds[0], block, 1, 0);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  net_settle(loop);
  CHECK_INT(send(fds[1], "plain", 5, 0), 5);
  net_settle(loop);
  CHECK_INT(poll_op.state, BIDE_OP_SUBMITTED);
  CHECK_INT(send(fds[1], "!", 1, MSG_OOB), 1);
  CHECK_INT(net_finish(loop, &poll_op), POLLPRI);
  REQUIRE(bide_loop_drain(loop) == 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* The owner closes an fd that two polls wait on, while a duplicate keeps its file: once the
 * first has ended, epoll cannot be asked for the second, which must hear of that. */
static void edges_poll_hears_that_its_fd_is_gone(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  int duplicate = dup(fds[0]);
  bide_op urgent = {0}, writer = {0};
  bide_prep_poll(&urgent, fds[0], POLLPRI);
  REQUIRE(bide_loop_submit(loop, &urgent) == 0);
  bide_prep_poll(&writer, fds[0], POLLOUT);
  REQUIRE(bide_loop_submit(loop, &writer) == 0);
  REQUIRE(bide_loop_flush(loop) == 0);
  close(fds[0]);
  CHECK_INT(net_finish(loop, &writer), POLLOUT);
  net_settle(loop);
  if (strcmp(bide_loop_backend(loop), "epoll") == 0)
    CHECK_INT(urgent.result, BIDE_EBADF);
  else
    CHECK_INT(bide_loop_cancel(loop, &urgent), 0); /* the ring still has the file */
  net_finish(loop, &urgent);
  close(duplicate);
  close(fds[1]);
  harness_loop_close(loop);
}

/* A loop that is only ever reaped has its timeouts too. */
static void edges_timeout_completes_without_dispatch(void) {
  bide_loop *loop = harness_loop_new();
  bide_op op = {0};
  uint64_t began_us = bide_loop_now_us(loop);
  bide_prep_timeout(&op, 2000);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  bide_completion got = edges_reap(loop);
  CHECK(got.op == &op);
  CHECK_INT(got.result, BIDE_ETIME);
  CHECK(bide_loop_now_us(loop) - began_us >= 2000);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  harness_loop_close(loop);
}

static int32_t edges_always_reset(void *user, bide_op *op, int32_t result) {
  (void)op;
  (void)result;
  ++*(int *)user;
  return BIDE_ECONNRESET;
}

/* A completion hook works on what is reaped as on what is dispatched. */
static void edges_hook_changes_what_is_reaped(void) {
  int calls = 0;
  bide_hooks hooks = {.user = &calls, .complete = edges_always_reset};
  bide_loop *loop = harness_loop_hooked(&hooks);
  bide_op op = {0};
  bide_prep_nop(&op);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  bide_completion got = edges_reap(loop);
  CHECK_INT(got.result, BIDE_ECONNRESET);
  CHECK_INT(op.result, BIDE_ECONNRESET);
  CHECK_INT(calls, 1);
  harness_loop_close(loop);
}

typedef struct edges_connect {
  bide_loop *loop;
  bide_op op;
} edges_connect;

static void *edges_connect_begin(void *argument) {
  edges_connect *self = argument;
  REQUIRE(bide_loop_submit(self->loop, &self->op) == 0);
  net_settle(self->loop);
  return NULL;
}

/* A connect under way outlives the thread that began it. The listener's queue is full, so
 * that the connect waits. */
static void edges_connect_outlives_its_thread(void) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  REQUIRE(bide_address_ip("127.0.0.1", 0, &address) == 0);
  int listener = bide_socket_listen(&address, 1, 0);
  REQUIRE(listener >= 0);
  REQUIRE(bide_socket_name(listener, &address) == 0);
  int fillers[2];
  for (int i = 0; i < 2; i++) {
    fillers[i] = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(connect(fillers[i], (struct sockaddr *)&address.storage, address.len) == 0);
  }
  int fd = bide_socket_stream(&address);
  edges_connect self = {.loop = loop};
  bide_prep_connect(&self.op, fd, (struct sockaddr *)&address.storage, address.len);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, edges_connect_begin, &self) == 0);
  REQUIRE(pthread_join(thread, NULL) == 0);
  net_settle(loop);
  CHECK_INT(self.op.state, BIDE_OP_SUBMITTED);
  for (int i = 0; i < 2; i++) close(accept(listener, NULL, NULL));
  CHECK_INT(net_finish(loop, &self.op), 0);
  for (int i = 0; i < 2; i++) close(fillers[i]);
  close(listener);
  bide_loop_close_fd(loop, fd);
  harness_loop_close(loop);
}

typedef struct edges_spinner {
  bide_call call;
  bide_loop *loop;
} edges_spinner;

static void edges_spin(bide_call *call) {
  bide_loop_call_soon(BIDE_CONTAINER_OF(call, edges_spinner, call)->loop, call);
}

static uint64_t edges_clock_stands(void *user) {
  (void)user;
  return 1000;
}

/* While the clock stands, ready calls keep an epoll loop from the kernel for ever; a look
 * that is asked for, or a closed fd, brings what has come in the very next turn. */
static void edges_look_asks_the_kernel_at_once(void) {
  bide_hooks hooks = {.clock_us = edges_clock_stands};
  int (*looks[])(bide_loop *) = {bide_loop_look, bide_loop_look_next, NULL};
  for (int way = 0; way < 3; way++) {
    bide_loop *loop = harness_loop_hooked(&hooks);
    edges_spinner spinner = {.call.cb = edges_spin, .loop = loop};
    bide_op op = {0};
    int fds[2], other = dup(0);
    net_tcp_pair(fds, O_NONBLOCK);
    bide_prep_poll(&op, fds[0], POLLIN);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    net_settle(loop);
    REQUIRE(bide_loop_call_soon(loop, &spinner.call) == 0);
    net_settle(loop);
    CHECK_INT(write(fds[1], "x", 1), 1);
    if (looks[way] == NULL)
      CHECK_INT(bide_loop_close_fd(loop, other), 0);
    else
      CHECK_INT(looks[way](loop), 0);
    CHECK_INT(bide_loop_dispatch_ready(loop), 0);
    CHECK_INT(bide_loop_wait(loop, 0), 0);
    bide_loop_dispatch(loop);
    CHECK_INT(op.state, BIDE_OP_DONE);
    bide_call_cancel(loop, &spinner.call);
    if (looks[way] != NULL) close(other);
    net_close_pair(loop, fds);
    harness_loop_close(loop);
  }
}

static void edges_nop(bide_loop *loop) {
  static bide_op op;
  op = (bide_op){0};
  bide_prep_nop(&op);
  CHECK_INT(bide_loop_submit(loop, &op), 0);
  CHECK_INT(bide_loop_flush(loop), 0);
}

static void edges_nothing(bide_call *call) { (void)call; }

static void edges_post(bide_loop *loop) {
  static bide_call call;
  call = (bide_call){.cb = edges_nothing};
  bide_post(loop, &call);
}

static void edges_look(bide_loop *loop) { CHECK_INT(bide_loop_look(loop), 0); }

static void edges_interrupt(bide_loop *loop) { CHECK_INT(bide_loop_interrupt(loop), 0); }

/* Turns of ready calls alone end when the clock is due, and at once with anything that such a
 * turn would keep waiting. */
static void edges_ready_turns_keep_nothing_waiting(void) {
  bide_hooks hooks = {.clock_us = edges_clock_stands};
  void (*disturb[])(bide_loop *) = {edges_nop, edges_post, edges_look,
                                    edges_interrupt};
  bide_loop *loop = harness_loop_hooked(&hooks);
  edges_spinner spinner = {.call.cb = edges_spin, .loop = loop};
  CHECK_INT(bide_loop_dispatch_ready(loop), 0);
  REQUIRE(bide_loop_call_soon(loop, &spinner.call) == 0);
  for (size_t i = 0; i < sizeof disturb / sizeof *disturb; i++) {
    for (int turn = 0; turn < 100; turn++) net_settle(loop);
    for (int turns = 0; bide_loop_dispatch_ready(loop) == 1; turns++)
      REQUIRE(turns < 100);
    CHECK_INT(bide_loop_wait(loop, 0), 0);
    CHECK_INT(bide_loop_dispatch(loop), 1);
    CHECK_INT(bide_loop_dispatch_ready(loop), 1);
    CHECK_INT(bide_loop_dispatch_ready(loop), 1);
    disturb[i](loop);
    CHECK_INT(bide_loop_dispatch_ready(loop), 0);
  }
  bide_call_cancel(loop, &spinner.call);
  net_settle(loop);
  CHECK_INT(bide_loop_dispatch_ready(loop), 0);
  harness_loop_close(loop);
}

/* What the loop had not handed over when its fd was closed reads nothing of the next file
 * with that number. */
static void edges_closed_fd_takes_its_operations_along(void) {
  bide_loop *loop = harness_loop_new();
  int old[2], next[2];
  char bytes[2][8], byte = 0;
  bide_op ops[2] = {0}, poll_op = {0};
  net_tcp_pair(old, O_NONBLOCK);
  for (int i = 0; i < 2; i++) {
    bide_prep_recv(&ops[i], old[0], bytes[i], sizeof bytes[i], 0);
    REQUIRE(bide_loop_submit(loop, &ops[i]) == 0);
  }
  bide_prep_poll(&poll_op, old[0], POLLIN);
  REQUIRE(bide_loop_submit(loop, &poll_op) == 0);
  REQUIRE(bide_loop_cancel(loop, &ops[1]) == 0);
  CHECK_INT(bide_loop_close_fd(loop, old[0]), 0);
  net_tcp_pair(next, O_NONBLOCK);
  if (next[0] != old[0]) {
    REQUIRE(dup2(next[0], old[0]) == old[0]);
    close(next[0]);
  }
  CHECK_INT(write(next[1], "x", 1), 1);
  for (int i = 0; i < 2; i++) CHECK_INT(net_finish(loop, &ops[i]), BIDE_ECANCELED);
  CHECK_INT(net_finish(loop, &poll_op), BIDE_ECANCELED);
  CHECK_INT(read(old[0], &byte, 1), 1);
  CHECK_INT(byte, 'x');
  net_close_pair(loop, old);
  bide_loop_close_fd(loop, next[1]);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(edges_buffer_finds_the_receive_with_bytes),
    HARNESS_TEST(edges_parked_loop_tells_of_what_comes_back),
    HARNESS_TEST(edges_slow_calls_are_noticed_at_once),
    HARNESS_TEST(edges_passed_fd_does_not_end_the_bytes),
    HARNESS_TEST(edges_urgent_byte_does_not_end_the_bytes),
    HARNESS_TEST(edges_multishot_follows_a_plain_read),
    HARNESS_TEST(edges_many_streams_bring_much_at_once),
    HARNESS_TEST(edges_poll_for_urgent_data_outlives_a_send),
    HARNESS_TEST(edges_poll_hears_that_its_fd_is_gone),
    HARNESS_TEST(edges_timeout_completes_without_dispatch),
    HARNESS_TEST(edges_hook_changes_what_is_reaped),
    HARNESS_TEST(edges_connect_outlives_its_thread),
    HARNESS_TEST(edges_closed_fd_takes_its_operations_along),
    HARNESS_TEST(edges_look_asks_the_kernel_at_once),
    HARNESS_TEST(edges_ready_turns_keep_nothing_waiting),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
