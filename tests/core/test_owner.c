/* A loop that is bound to its thread: what its ring defers must come all the same. */
#include <stdio.h>

#include "net_pair.h"

static void owner_gets_no_fd(void) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  options.flags = BIDE_LOOP_OWNS_THREAD;
  bide_loop *loop;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  if (strcmp(bide_loop_backend(loop), "io_uring") == 0)
    CHECK_INT(bide_loop_fd(loop), BIDE_EOPNOTSUPP);
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  for (int i = 0; i < 100; i++) {
    char byte;
    bide_op op = {0};
    bide_prep_recv(&op, fds[0], &byte, 1, 0);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    if (i % 2 == 0) REQUIRE(bide_loop_run(loop, BIDE_RUN_NOWAIT) == 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_INT(net_finish(loop, &op), 1);
  }
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

/* Where epoll polls the ring that does files, a ring that deferred its work would never wake
 * the loop. */
static void owner_has_files_on_a_ring(void) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  options.flags = BIDE_LOOP_OWNS_THREAD | BIDE_LOOP_RING_FOR_FILES;
  bide_loop *loop;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  bool ring = strcmp(bide_loop_backend(loop), "io_uring") == 0;
  CHECK(ring ? bide_loop_fd(loop) == BIDE_EOPNOTSUPP : bide_loop_fd(loop) >= 0);
  FILE *file = tmpfile();
  REQUIRE(file != NULL);
  for (int i = 0; i < 100; i++) {
    char byte = 'x';
    bide_op op = {0};
    bide_prep_write(&op, fileno(file), &byte, 1, i);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    CHECK_INT(net_finish(loop, &op), 1);
    bide_prep_fsync(&op, fileno(file), true);
    REQUIRE(bide_loop_submit(loop, &op) == 0);
    CHECK_INT(net_finish(loop, &op), 0);
  }
  fclose(file);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(owner_gets_no_fd),
    HARNESS_TEST(owner_has_files_on_a_ring),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
