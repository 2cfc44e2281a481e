/* test_poll_multi.c: being told of readiness for as long as an fd is somebody's. What fails
 * here loses an event, for which a receiver then waits for ever, or tells one file's receiver of
 * another file. */
#include <bide.h>
#include <poll.h>
#include <sys/socket.h>

#include "harness.h"
#include "harness_loop.h"
#include "net_pair.h"

/* What an operation has told. */
typedef struct told {
  bide_op op;
  int events, ends;
  int32_t last;
} told;

static void told_on_event(bide_op *op) {
  told *self = BIDE_CONTAINER_OF(op, told, op);
  self->last = op->result;
  if ((op->flags & BIDE_OP_MORE) != 0)
    self->events++;
  else
    self->ends++;
}

static void told_submit(bide_loop *loop, told *self, int fd) {
  *self = (told){.op = {.cb = told_on_event}};
  bide_prep_poll_multi(&self->op, fd, POLLIN);
  REQUIRE(bide_loop_submit(loop, &self->op) == 0);
  net_settle(loop);
}

static void told_check(bide_loop *loop, const told *self, int events, int ends) {
  net_settle(loop);
  CHECK_INT(self->events, events);
  CHECK_INT(self->ends, ends);
}

static void told_cancel(bide_loop *loop, told *self) {
  int ends = self->ends;
  CHECK_INT(bide_loop_cancel(loop, &self->op), 0);
  net_settle(loop);
  CHECK_INT(self->ends, ends + 1);
  CHECK_INT(self->last, BIDE_ECANCELED);
  CHECK_INT(self->op.state, BIDE_OP_DONE);
}

static void write_byte(int fd) { CHECK_INT(write(fd, "x", 1), 1); }

static void read_byte(int fd) {
  char byte;
  CHECK_INT(read(fd, &byte, 1), 1);
}

static void poll_multi_tells_once_of_each_arrival(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  told reader;
  write_byte(fds[1]);
  told_submit(loop, &reader, fds[0]);
  told_check(loop, &reader, 1, 0);
  CHECK_INT(reader.last, POLLIN);
  told_check(loop, &reader, 1, 0);
  for (int i = 2; i < 5; i++) {
    if (i > 3) read_byte(fds[0]); /* whether or not what came before was taken */
    write_byte(fds[1]);
    told_check(loop, &reader, i, 0);
  }
  CHECK_INT(shutdown(fds[1], SHUT_WR), 0);
  told_check(loop, &reader, 5, 0);
  told_cancel(loop, &reader);
  write_byte(fds[0]);
  told_check(loop, &reader, 5, 1);
  close(fds[0]);
  close(fds[1]);
  harness_loop_close(loop);
}

/* What comes between an event and its delivery is not lost. */
static void poll_multi_merges_what_is_not_handed_out(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  told reader;
  told_submit(loop, &reader, fds[0]);
  for (int i = 0; i < 3; i++) {
    write_byte(fds[1]);
    REQUIRE(bide_loop_wait(loop, 1000) == 0);
  }
  told_check(loop, &reader, reader.events > 0 ? reader.events : 1, 0);
  CHECK_RANGE(reader.events, 1, 4);
  CHECK_INT(reader.last, POLLIN);
  write_byte(fds[1]);
  REQUIRE(bide_loop_wait(loop, -1) == 0);
  CHECK_INT(bide_loop_cancel(loop, &reader.op), 0);
  net_settle(loop);
  CHECK_INT(reader.ends, 1);
  CHECK_INT(reader.op.state, BIDE_OP_DONE);
  close(fds[0]);
  close(fds[1]);
  harness_loop_close(loop);
}

static void poll_multi_gives_way_to_the_next(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  told first, second;
  told_submit(loop, &first, fds[0]);
  told_submit(loop, &second, fds[0]);
  told_check(loop, &first, 0, 1);
  CHECK_INT(first.last, BIDE_ECANCELED);
  write_byte(fds[1]);
  told_check(loop, &second, 1, 0);
  CHECK_INT(bide_loop_cancel(loop, &first.op), BIDE_ENOENT);
  told_submit(loop, &first, fds[0]); /* what was told is told to the newcomer */
  told_check(loop, &first, 1, 0);
  told_check(loop, &second, 1, 1);
  told_cancel(loop, &first);
  close(fds[0]);
  close(fds[1]);
  harness_loop_close(loop);
}

/* Polls and receives on the fd come and go beside it. */
static void poll_multi_shares_its_fd(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  told reader;
  bide_op op = {0};
  char byte;
  told_submit(loop, &reader, fds[0]);
  bide_prep_poll_foreign(&op, fds[0], POLLOUT);
  CHECK_INT(net_do(loop, &op), POLLOUT);
  bide_prep_poll_foreign(&op, fds[0], POLLIN);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  told_check(loop, &reader, 0, 0);
  write_byte(fds[1]);
  CHECK_INT(net_finish(loop, &op), POLLIN);
  told_check(loop, &reader, 1, 0);
  bide_prep_recv(&op, fds[0], &byte, 1, 0);
  CHECK_INT(net_do(loop, &op), 1);
  bide_prep_recv(&op, fds[0], &byte, 1, 0);
  REQUIRE(bide_loop_submit(loop, &op) == 0);
  net_settle(loop);
  told_cancel(loop, &reader);
  write_byte(fds[1]);
  CHECK_INT(net_finish(loop, &op), 1);
  told_submit(loop, &reader, fds[0]);
  write_byte(fds[1]);
  told_check(loop, &reader, reader.events > 0 ? reader.events : 1, 0);
  bide_loop_forget_fd(loop, fds[0]);
  net_settle(loop);
  CHECK_INT(reader.ends, 1);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* The owner closes the fd, and its number is another file's: the next operation on that, of
 * either kind, ends the one before, which hears of nothing in between. The file before lives
 * on as a duplicate, or not. */
static void poll_multi_ends_with_its_file(void) {
  for (int way = 0; way < 4; way++) {
    bide_loop *loop = harness_loop_new();
    int fds[2], again[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    told before, after;
    bide_op poller = {0};
    told_submit(loop, &before, fds[0]);
    int twin = (way & 1) != 0 ? dup(fds[0]) : -1;
    close(fds[0]);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, again) == 0);
    REQUIRE(again[0] == fds[0]);
    write_byte(again[1]);
    told_check(loop, &before, 0, 0);
    if ((way & 2) != 0) {
      bide_prep_poll_foreign(&poller, again[0], POLLIN);
      CHECK_INT(net_do(loop, &poller), POLLIN);
    }
    told_submit(loop, &after, again[0]);
    told_check(loop, &before, 0, 1);
    CHECK_INT(before.last, BIDE_ECANCELED);
    told_check(loop, &after, 1, 0);
    if (twin >= 0) write_byte(fds[1]);
    told_check(loop, &after, 1, 0);
    told_cancel(loop, &after);
    if (twin >= 0) close(twin);
    close(fds[1]);
    close(again[0]);
    close(again[1]);
    harness_loop_close(loop);
  }
}

static void poll_multi_refuses_what_cannot_be_watched(void) {
  bide_loop *loop = harness_loop_new();
  told reader;
  told_submit(loop, &reader, 9999);
  told_check(loop, &reader, 0, 1);
  CHECK_INT(reader.last, BIDE_EBADF);
  told_submit(loop, &reader, -1);
  told_check(loop, &reader, 0, 1);
  CHECK_INT(reader.last, BIDE_EBADF);
  harness_loop_close(loop);
}

static void poll_multi_ends_with_its_loop(void) {
  bide_loop *loop = harness_loop_new();
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  told reader;
  told_submit(loop, &reader, fds[0]);
  write_byte(fds[1]);
  CHECK_INT(bide_loop_drain(loop), 0);
  CHECK_INT(reader.ends, 1);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  close(fds[0]);
  close(fds[1]);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(poll_multi_tells_once_of_each_arrival),
    HARNESS_TEST(poll_multi_merges_what_is_not_handed_out),
    HARNESS_TEST(poll_multi_gives_way_to_the_next),
    HARNESS_TEST(poll_multi_shares_its_fd),
    HARNESS_TEST(poll_multi_ends_with_its_file),
    HARNESS_TEST(poll_multi_refuses_what_cannot_be_watched),
    HARNESS_TEST(poll_multi_ends_with_its_loop),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
