/* harness_loop.h: loops for tests, on the backend that BIDE_BACKEND names. */
#ifndef BIDE_TESTS_HARNESS_LOOP_H
#define BIDE_TESTS_HARNESS_LOOP_H

#include <bide.h>

#include "harness.h"

/* What `auto` is without a ring for files alone, the tests of io_uring are. */
static inline bide_loop_options harness_loop_options(void) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  options.flags = BIDE_LOOP_RING_FOR_FILES;
  return options;
}

static inline bide_loop *harness_loop_new(void) {
  bide_loop_options options = harness_loop_options();
  bide_loop *loop = NULL;
  int result = bide_loop_new(&options, &loop);
  if (result < 0) printf("bide_loop_new: %s\n", bide_error_name(result));
  REQUIRE(result == 0);
  return loop;
}

/* With hooks under it; they must outlive the loop. */
static inline bide_loop *harness_loop_hooked(const bide_hooks *hooks) {
  bide_loop_options options = harness_loop_options();
  options.hooks = hooks;
  bide_loop *loop = NULL;
  REQUIRE(bide_loop_new(&options, &loop) == 0);
  return loop;
}

/* Waits for what is to come. The kernel may end a wait with EINTR without any signal: it does
 * so to a thread whose earlier ring it takes down. */
static inline int harness_loop_wait(bide_loop *loop) {
  int result;
  do {
    result = bide_loop_wait(loop, -1);
  } while (result == BIDE_EINTR);
  return result;
}

/* A loop that cannot be closed still holds something: the test leaked it. */
static inline void harness_loop_close(bide_loop *loop) {
  CHECK_INT(bide_loop_close(loop), 0);
}

#endif
