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
  while (bide_loop_reap(loop, &got, 1) == 0)
    REQUIRE(bide_loop_wait(loop, bide_loop_timeout(loop)) == 0);
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
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
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

static const harness_test tests[] = {
    HARNESS_TEST(edges_buffer_finds_the_receive_with_bytes),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
