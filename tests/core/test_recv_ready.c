/* The multishot receive whose callback takes the bytes itself: where the loop hears of them
 * before it takes them nothing is lost, nothing told in vain and no turn wasted; elsewhere
 * they come in pooled buffers. */
#include <errno.h>

#include "guarded.h"
#include "net_pair.h"

enum { READY_BIG = 3 * 1024 * 1024, READY_PIECE = 1000 };

typedef struct ready_sink {
  bide_op op;
  size_t bytes;
  unsigned sum;
  int told;      /* completions with BIDE_OP_READY */
  int receives;  /* calls of bide_receive by one completion, at most */
  int32_t ended; /* what ended the input; 1 before */
} ready_sink;

static void ready_add(ready_sink *sink, const unsigned char *data, int count) {
  for (int i = 0; i < count; i++) sink->sum += data[i];
  sink->bytes += (size_t)count;
}

static void ready_take(bide_op *op) {
  ready_sink *sink = op->data;
  if ((op->flags & BIDE_OP_BUFFER) != 0) {
    ready_add(sink, op->buffer, op->result);
    bide_buffer_release(op->loop_, op->buffer_id);
  } else if ((op->flags & BIDE_OP_READY) == 0) {
    if (sink->ended == 1) sink->ended = op->result;
    return;
  }
  if ((op->flags & BIDE_OP_READY) == 0) return;
  sink->told++;
  for (int i = 0; i < sink->receives; i++) {
    unsigned char *piece = guarded_new(READY_PIECE);
    int count = bide_receive(op, piece, READY_PIECE);
    if (count > 0) ready_add(sink, piece, count);
    guarded_free(piece, READY_PIECE);
    if (count == BIDE_EAGAIN) return;
    if (count > 0) continue;
    sink->ended = count;
    if ((op->flags & BIDE_OP_MORE) != 0) bide_loop_cancel(op->loop_, op);
    return;
  }
}

static void ready_start(bide_loop *loop, ready_sink *sink, int fd) {
  sink->op.cb = ready_take;
  sink->op.data = sink;
  sink->ended = 1;
  bide_prep_recv_ready(&sink->op, fd);
  REQUIRE(bide_loop_submit(loop, &sink->op) == 0);
}

static void ready_finish(bide_loop *loop, ready_sink *sink) {
  while (sink->op.state != BIDE_OP_DONE) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
}

/* Megabytes, taken in pieces far smaller than what has come, one a turn or some, from a
 * stream whose short counts tell that it is empty and from one whose do not. */
static void ready_megabytes(void (*make_pair)(int *, int), int receives) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  make_pair(fds, O_NONBLOCK);
  ready_sink sink = {.receives = receives};
  ready_start(loop, &sink, fds[0]);
  unsigned char *data = guarded_new(READY_BIG);
  unsigned sum = 0;
  for (size_t i = 0; i < READY_BIG; i++) sum += data[i] = (unsigned char)(i * 31 >> 3);
  bide_op send_op = {0};
  for (size_t sent = 0; sent < READY_BIG; sent += (size_t)send_op.result) {
    bide_prep_send(&send_op, fds[1], data + sent, READY_BIG - sent, 0);
    REQUIRE(net_do(loop, &send_op) > 0);
  }
  guarded_free(data, READY_BIG);
  bide_op shut = {0};
  bide_prep_shutdown(&shut, fds[1], SHUT_WR);
  CHECK_INT(net_do(loop, &shut), 0);
  ready_finish(loop, &sink);
  CHECK_INT(sink.ended, 0);
  CHECK_INT(sink.bytes, READY_BIG);
  CHECK_INT(sink.sum, sum);
  CHECK(sink.told > 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static void ready_unix_pair(int *fds, int flags) {
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | flags, 0, fds) == 0);
}

static void recv_ready_takes_megabytes(void) {
  ready_megabytes(net_tcp_pair, 1);
  ready_megabytes(net_tcp_pair, 7);
  ready_megabytes(ready_unix_pair, 1);
}

static void ready_messages(void (*make_pair)(int *, int)) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  make_pair(fds, O_NONBLOCK);
  ready_sink sink = {.receives = 1};
  ready_start(loop, &sink, fds[0]);
  net_settle(loop);
  CHECK_INT(sink.told, 0);
  for (size_t i = 1; i <= 20; i++) {
    CHECK_INT(write(fds[1], "0123456789", 10), 10);
    while (sink.bytes < 10 * i) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
    net_settle(loop);
    CHECK_INT(sink.told, i);
  }
  CHECK_INT(sink.bytes, 200);
  REQUIRE(bide_loop_drain(loop) == 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* One message is told once, and then the loop has nothing to do but to wait. */
static void recv_ready_tells_of_a_message_once(void) {
  ready_messages(net_tcp_pair);
  ready_messages(ready_unix_pair);
}

static void ready_message_and_end(void (*make_pair)(int *, int), bool before) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  make_pair(fds, O_NONBLOCK);
  ready_sink sink = {.receives = 1};
  if (!before) ready_start(loop, &sink, fds[0]);
  CHECK_INT(write(fds[1], "0123456789", 10), 10);
  close(fds[1]);
  if (before) ready_start(loop, &sink, fds[0]);
  ready_finish(loop, &sink);
  CHECK_INT(sink.ended, 0);
  CHECK_INT(sink.bytes, 10);
  close(fds[0]);
  harness_loop_close(loop);
}

/* The end that comes with the last message is an event of its own for nobody. */
static void recv_ready_hears_of_an_end_behind_a_message(void) {
  ready_message_and_end(net_tcp_pair, false);
  ready_message_and_end(net_tcp_pair, true);
  ready_message_and_end(ready_unix_pair, false);
  ready_message_and_end(ready_unix_pair, true);
}

/* What a callback leaves is told again, for as long as it leaves it; the kernel has told of
 * it until the first receive. A ring receives by itself and leaves nothing. */
static void recv_ready_tells_again_of_what_is_left(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  ready_sink sink = {.receives = 0};
  ready_start(loop, &sink, fds[0]);
  CHECK_INT(write(fds[1], "0123456789", 10), 10);
  while (sink.told < 3) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  sink.receives = 1;
  while (sink.bytes < 10) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  int told = sink.told;
  net_settle(loop);
  CHECK_INT(sink.told, told);
  REQUIRE(bide_loop_drain(loop) == 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* A cancelled receive leaves what it has not told of, or told too late, to the next. */
static void recv_ready_cancelled_takes_nothing_along(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  ready_sink sink = {.receives = 1};
  for (size_t i = 1; i <= 50; i++) {
    ready_start(loop, &sink, fds[0]);
    if (i % 2 == 0) net_settle(loop);
    CHECK_INT(write(fds[1], "0123456789", 10), 10);
    if (i % 3 == 0) REQUIRE(bide_loop_wait(loop, 0) == 0);
    REQUIRE(bide_loop_cancel(loop, &sink.op) == 0);
    ready_finish(loop, &sink);
  }
  ready_start(loop, &sink, fds[0]);
  while (sink.bytes < 500) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  REQUIRE(bide_loop_drain(loop) == 0);
  CHECK_INT(sink.bytes, 500);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* The error that ends a stream is told by the receive, and by nothing else. */
static void recv_ready_hears_of_a_reset(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  ready_sink sink = {.receives = 1};
  ready_start(loop, &sink, fds[0]);
  net_settle(loop);
  struct linger linger = {1, 0};
  REQUIRE(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
  close(fds[1]);
  ready_finish(loop, &sink);
  CHECK_INT(sink.ended, -ECONNRESET);
  close(fds[0]);
  harness_loop_close(loop);
}

static void ready_until(bide_loop *loop, const ready_sink *sink, size_t bytes) {
  while (sink->bytes < bytes) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
}

/* A peer that sends and leaves before its connection is accepted, one that is slower, and one
 * that only leaves. */
static void ready_accepted(bool early, bool sends) {
  bide_loop *loop = harness_loop_new();
  bide_address address;
  bide_op accept_op = {0};
  int listener = net_listen(&address);
  int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(connect(client, (struct sockaddr *)&address.storage, address.len) == 0);
  if (early && sends) REQUIRE(send(client, "early", 5, 0) == 5);
  if (early) REQUIRE(shutdown(client, SHUT_WR) == 0);
  bide_prep_accept_multi(&accept_op, listener);
  REQUIRE(bide_loop_submit(loop, &accept_op) == 0);
  while (accept_op.result <= 0) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  int fd = accept_op.result;
  ready_sink sink = {.receives = 1};
  ready_start(loop, &sink, fd);
  net_settle(loop);
  if (!early) {
    REQUIRE(send(client, "late", 4, 0) == 4);
    ready_until(loop, &sink, 4);
    net_settle(loop);
    REQUIRE(send(client, "later", 5, 0) == 5);
    ready_until(loop, &sink, 9);
    REQUIRE(shutdown(client, SHUT_WR) == 0);
  }
  ready_finish(loop, &sink);
  CHECK_INT(sink.bytes, !early ? 9 : sends ? 5 : 0);
  CHECK_INT(sink.ended, 0);
  bide_loop_cancel(loop, &accept_op);
  (void)net_finish(loop, &accept_op);
  close(client);
  bide_loop_close_fd(loop, fd);
  bide_loop_close_fd(loop, listener);
  harness_loop_close(loop);
}

static void recv_ready_begins_on_an_accepted_connection(void) {
  ready_accepted(true, true);
  ready_accepted(true, false);
  ready_accepted(false, true);
}

static const harness_test tests[] = {
    HARNESS_TEST(recv_ready_takes_megabytes),
    HARNESS_TEST(recv_ready_tells_of_a_message_once),
    HARNESS_TEST(recv_ready_hears_of_an_end_behind_a_message),
    HARNESS_TEST(recv_ready_tells_again_of_what_is_left),
    HARNESS_TEST(recv_ready_cancelled_takes_nothing_along),
    HARNESS_TEST(recv_ready_hears_of_a_reset),
    HARNESS_TEST(recv_ready_begins_on_an_accepted_connection),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
