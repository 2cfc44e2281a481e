/* misuse_check.h: a call that is wrong aborts a debug build, and is refused by a release. */
#ifndef BIDE_TESTS_MISUSE_CHECK_H
#define BIDE_TESTS_MISUSE_CHECK_H

#include <sys/wait.h>

#include "harness.h"

#if defined(NDEBUG)

#define MISUSE(call, code) CHECK_INT((call), (code))

#elif defined(__SANITIZE_THREAD__)

/* The sanitizer does not follow a process with threads through a fork: no call is made. */
#define MISUSE(call, code) CHECK(true || (call) == (code))

#else

/* The call is made in a child, which it must abort. */
#define MISUSE(call, code) \
  do { \
    pid_t misuse_child = fork(); \
    REQUIRE(misuse_child >= 0); \
    if (misuse_child == 0) { \
      fclose(stderr); /* the assert's message is expected */ \
      (void)(call); \
      harness_leave(0); \
    } \
    CHECK((code) < 0 && misuse_aborted(misuse_child)); \
  } while (0)

static inline bool misuse_aborted(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif

#endif
