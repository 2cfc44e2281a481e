/* The multishot receive: pooled buffers, which many share, lose no byte and starve nobody. */
#include <errno.h>
#include <sys/wait.h>

#include "guarded.h"
#include "net_pair.h"

enum { MULTI_BIG = 3 * 1024 * 1024 };

typedef struct multi_sink {
  bide_op op;
  bide_loop *loop;
  size_t bytes;
  int completions;
  int32_t last;
  unsigned sum;
} multi_sink;

static void multi_sink_take(bide_op *op) {
  multi_sink *sink = op->data;
  sink->completions++;
  sink->last = op->result;
  if ((op->flags & BIDE_OP_BUFFER) == 0) return;
  for (int32_t i = 0; i < op->result; i++) sink->sum += ((unsigned char *)op->buffer)[i];
  sink->bytes += (size_t)op->result;
  bide_buffer_release(sink->loop, op->buffer_id);
}

/* Megabytes through both ends, sends cut short by a full socket, receives by many small
 * buffers: nothing lost, nothing twice. */
static void recv_multi_takes_megabytes(void) {
  bide_loop_options options = harness_loop_options();
  options.recv_buffer_count = 4;
  options.recv_buffer_bytes = 4096;
  bide_loop *loop;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  multi_sink sink = {.loop = loop};
  sink.op.cb = multi_sink_take;
  sink.op.data = &sink;
  bide_prep_recv_multi(&sink.op, fds[0]);
  REQUIRE(bide_loop_submit(loop, &sink.op) == 0);

  unsigned char *data = guarded_new(MULTI_BIG);
  unsigned sum = 0;
  for (size_t i = 0; i < MULTI_BIG; i++) sum += data[i] = (unsigned char)(i * 31 >> 3);
  bide_op send_op = {0};
  for (size_t sent = 0; sent < MULTI_BIG; sent += (size_t)send_op.result) {
    bide_prep_send(&send_op, fds[1], data + sent, MULTI_BIG - sent, 0);
    REQUIRE(net_do(loop, &send_op) > 0);
  }
  guarded_free(data, MULTI_BIG);
  bide_op shut = {0};
  bide_prep_shutdown(&shut, fds[1], SHUT_WR);
  CHECK_INT(net_do(loop, &shut), 0);
  CHECK_INT(net_finish(loop, &sink.op), 0);
  CHECK_INT(sink.bytes, MULTI_BIG);
  CHECK_INT(sink.sum, sum);
  CHECK(sink.completions > 2);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* The first bytes are there before the receive is submitted: it hears of the next all the
 * same. */
static void recv_multi_goes_on_after_early_bytes(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  CHECK_INT(write(fds[1], "early", 5), 5);
  multi_sink sink = {.loop = loop, .op.cb = multi_sink_take, .op.data = &sink};
  bide_prep_recv_multi(&sink.op, fds[0]);
  REQUIRE(bide_loop_submit(loop, &sink.op) == 0);
  for (size_t expected = 5; expected <= 20; expected += 5) {
    while (sink.bytes < expected) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
    CHECK_INT(write(fds[1], "later", 5), 5);
  }
  REQUIRE(bide_loop_drain(loop) == 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* All buffers are lent: the receive waits, and goes on when one comes back. */
static void recv_multi_waits_for_a_buffer(void) {
  bide_loop_options options = harness_loop_options();
  options.recv_buffer_count = 1;
  options.recv_buffer_bytes = 8;
  bide_loop *loop;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op op = {0};
  bide_prep_recv_multi(&op, fds[0]);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  CHECK_INT(write(fds[1], "0123456789abcdef", 16), 16);

  bide_completion got;
  while (bide_loop_reap(loop, &got, 1) == 0) REQUIRE(harness_loop_wait(loop) == 0);
  CHECK_INT(got.result, 8);
  CHECK_INT(got.flags, BIDE_OP_BUFFER | BIDE_OP_MORE);
  CHECK(memcmp(bide_buffer_data(loop, got.buffer_id), "01234567", 8) == 0);
  bide_completion none;
  for (int i = 0; i < 10; i++) {
    REQUIRE(bide_loop_wait(loop, 0) == 0);
    CHECK_INT(bide_loop_reap(loop, &none, 1), 0);
  }
  bide_buffer_release(loop, got.buffer_id);
  while (bide_loop_reap(loop, &got, 1) == 0) REQUIRE(harness_loop_wait(loop) == 0);
  CHECK_INT(got.result, 8);
  CHECK(memcmp(bide_buffer_data(loop, got.buffer_id), "89abcdef", 8) == 0);

  /* And one that waits for a buffer can be cancelled. */
  CHECK_INT(write(fds[1], "more", 4), 4);
  for (int i = 0; i < 10; i++) {
    REQUIRE(bide_loop_wait(loop, 0) == 0);
    CHECK_INT(bide_loop_reap(loop, &none, 1), 0);
  }
  CHECK_INT(bide_loop_cancel(loop, &op), 0);
  while (bide_loop_reap(loop, &none, 1) == 0) REQUIRE(harness_loop_wait(loop) == 0);
  CHECK_INT(none.result, BIDE_ECANCELED);
  CHECK_INT(none.flags, 0);
  bide_buffer_release(loop, got.buffer_id);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

enum { MULTI_CROWD = 64 };

typedef struct multi_talker {
  bide_op op;
  bide_loop *loop;
  int peer;
  size_t turns;
} multi_talker;

/* Answers, as a server does, by a system call: in it the kernel serves other receives. */
static void multi_talker_take(bide_op *op) {
  multi_talker *talker = op->data;
  if ((op->flags & BIDE_OP_BUFFER) == 0) return;
  talker->turns++;
  bide_buffer_release(talker->loop, op->buffer_id);
  CHECK_INT(send(talker->peer, "x", 1, MSG_DONTWAIT), 1);
}

/* Many more receives than buffers, all with bytes all the time: none of them is left
 * behind. */
static void recv_multi_shares_its_buffers(void) {
  bide_loop_options options = harness_loop_options();
  options.recv_buffer_count = 4;
  bide_loop *loop;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  static multi_talker talkers[MULTI_CROWD];
  for (int i = 0; i < MULTI_CROWD; i++) {
    int fds[2];
    net_tcp_pair(fds, O_NONBLOCK);
    talkers[i] = (multi_talker){.loop = loop, .peer = fds[1]};
    talkers[i].op.cb = multi_talker_take;
    talkers[i].op.data = &talkers[i];
    bide_prep_recv_multi(&talkers[i].op, fds[0]);
    REQUIRE(bide_loop_submit(loop, &talkers[i].op) == 0);
    CHECK_INT(send(fds[1], "x", 1, 0), 1);
  }
  size_t all = 0, rounds = harness_scale(20000);
  while (all < rounds) {
    REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
    all = 0;
    for (int i = 0; i < MULTI_CROWD; i++) all += talkers[i].turns;
  }
  size_t least = all;
  for (int i = 0; i < MULTI_CROWD; i++)
    if (talkers[i].turns < least) least = talkers[i].turns;
  CHECK(least > all / MULTI_CROWD / 4);
  REQUIRE(bide_loop_drain(loop) == 0);
  for (int i = 0; i < MULTI_CROWD; i++)
    net_close_pair(loop, (int[]){talkers[i].op.fd, talkers[i].peer});
  harness_loop_close(loop);
}

typedef struct multi_canceller {
  bide_op op;
  bide_op *victim;
} multi_canceller;

static void multi_cancel_victim(bide_op *op) {
  multi_canceller *canceller = op->data;
  bide_loop_cancel(op->loop_, canceller->victim);
}

/* A callback cancels a multishot receive whose bytes were reaped in the same batch and not
 * delivered yet: they come once, and the end comes once. */
static void recv_multi_cancelled_within_a_batch_delivers_once(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  for (int i = 0; i < 50; i++) {
    multi_sink sink = {.loop = loop, .op.cb = multi_sink_take, .op.data = &sink};
    bide_prep_recv_multi(&sink.op, fds[0]);
    REQUIRE(bide_loop_submit(loop, &sink.op) == 0);
    net_settle(loop);
    multi_canceller canceller = {.op.cb = multi_cancel_victim, .victim = &sink.op};
    canceller.op.data = &canceller;
    bide_prep_nop(&canceller.op);
    REQUIRE(bide_loop_submit(loop, &canceller.op) == 0);
    CHECK_INT(write(fds[1], "0123456789", 10), 10);
    while (sink.op.state != BIDE_OP_DONE)
      REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
    if (sink.bytes == 0) {
      char late[16];
      CHECK_INT(read(fds[0], late, sizeof late), 10);
    } else {
      CHECK_INT(sink.bytes, 10);
    }
    CHECK(sink.last == BIDE_ECANCELED || sink.completions == 1);
  }
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* An fd is forgotten, closed by somebody else and its number reused: the new file's bytes
 * arrive. */
static void recv_multi_forgotten_fd_may_be_closed_elsewhere(void) {
  bide_loop *loop = harness_loop_new();
  for (int i = 0; i < 20; i++) {
    int fds[2], again[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    multi_sink sink = {.loop = loop, .op.cb = multi_sink_take, .op.data = &sink};
    bide_prep_recv_multi(&sink.op, fds[0]);
    REQUIRE(bide_loop_submit(loop, &sink.op) == 0);
    net_settle(loop);
    REQUIRE(bide_loop_cancel(loop, &sink.op) == 0);
    CHECK_INT(net_finish(loop, &sink.op), BIDE_ECANCELED);
    bide_loop_forget_fd(loop, fds[0]);
    int number = fds[0];
    close(fds[0]);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, again) == 0);
    REQUIRE(again[0] == number);
    bide_prep_recv_multi(&sink.op, number);
    REQUIRE(bide_loop_submit(loop, &sink.op) == 0);
    CHECK_INT(write(again[1], "new", 3), 3);
    while (sink.bytes < 3) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
    REQUIRE(bide_loop_drain(loop) == 0);
    net_close_pair(loop, again);
    close(fds[1]);
  }
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(recv_multi_takes_megabytes),
    HARNESS_TEST(recv_multi_goes_on_after_early_bytes),
    HARNESS_TEST(recv_multi_waits_for_a_buffer),
    HARNESS_TEST(recv_multi_shares_its_buffers),
    HARNESS_TEST(recv_multi_cancelled_within_a_batch_delivers_once),
    HARNESS_TEST(recv_multi_forgotten_fd_may_be_closed_elsewhere),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
