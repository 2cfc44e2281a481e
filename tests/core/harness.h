/* harness.h: what a C test needs.
 *
 * A test program is one table of named functions and one main:
 *
 *   static const harness_test tests[] = {HARNESS_TEST(pool_runs_every_job)};
 *   int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
 *
 * It runs all of them, or the one named by its first argument, prints "ok name" or
 * "FAIL name" for each and exits 1 if any failed. A check that fails is printed with its
 * place and values and the test goes on; REQUIRE ends the program, for what the rest
 * cannot do without. */
#ifndef BIDE_TESTS_HARNESS_H
#define BIDE_TESTS_HARNESS_H

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct harness_test {
  const char *name;
  void (*run)(void);
} harness_test;

/* A test that hangs is ended by name after so many seconds, before ctest ends the program
 * without one. */
enum { HARNESS_SECONDS_MAX = 150 };

static int harness_failures;
static const char *harness_running;

#define HARNESS_TEST(function) \
  { #function, function }
#define HARNESS_MAIN(tests, argc, argv) \
  harness_main((tests), sizeof(tests) / sizeof((tests)[0]), (argc), (argv))

#define CHECK(condition) harness_check((condition), __FILE__, __LINE__, #condition)
#define CHECK_INT(actual, expected) \
  harness_check_int((int64_t)(actual), (int64_t)(expected), __FILE__, __LINE__, \
                    #actual " == " #expected)
#define CHECK_STR(actual, expected) \
  harness_check_str((actual), (expected), __FILE__, __LINE__, #actual " == " #expected)
/* lowest <= actual < limit */
#define CHECK_RANGE(actual, lowest, limit) \
  harness_check_range((int64_t)(actual), (int64_t)(lowest), (int64_t)(limit), __FILE__, \
                      __LINE__, #actual)
#define REQUIRE(condition) \
  do { \
    if (!harness_check((condition), __FILE__, __LINE__, #condition)) { \
      printf("FAIL %s\n", harness_running); \
      exit(1); \
    } \
  } while (0)

static inline bool harness_check(bool holds, const char *file, int line,
                                 const char *text) {
  if (holds) return true;
  harness_failures++;
  printf("%s:%d: does not hold: %s\n", file, line, text);
  return false;
}

static inline bool harness_check_int(int64_t actual, int64_t expected, const char *file,
                                     int line, const char *text) {
  if (actual == expected) return true;
  harness_failures++;
  printf("%s:%d: %s: got %" PRId64 ", expected %" PRId64 "\n", file, line, text, actual,
         expected);
  return false;
}

static inline bool harness_check_str(const char *actual, const char *expected,
                                     const char *file, int line, const char *text) {
  if (actual != NULL && strcmp(actual, expected) == 0) return true;
  harness_failures++;
  printf("%s:%d: %s: got \"%s\", expected \"%s\"\n", file, line, text,
         actual != NULL ? actual : "(null)", expected);
  return false;
}

static inline bool harness_check_range(int64_t actual, int64_t lowest, int64_t limit,
                                       const char *file, int line, const char *text) {
  if (actual >= lowest && actual < limit) return true;
  harness_failures++;
  printf("%s:%d: %s: got %" PRId64 ", expected %" PRId64 " <= it < %" PRId64 "\n", file,
         line, text, actual, lowest, limit);
  return false;
}

/* True where each step is watched by a sanitizer, by valgrind or for its coverage. */
static inline bool harness_is_slow(void) {
#if defined(BIDE_COVERAGE)
  return true;
#else
  const char *variant = getenv("BIDE_TEST_VARIANT");
  if (variant == NULL) return false;
  return strcmp(variant, "asan") == 0 || strcmp(variant, "tsan") == 0 ||
         strcmp(variant, "valgrind") == 0;
#endif
}

/* How much of a heavy count a test should do: all, or a tenth. */
static inline size_t harness_scale(size_t count) {
  return harness_is_slow() ? count / 10 : count;
}

#if defined(BIDE_COVERAGE)
extern void __gcov_dump(void);
#endif

/* Ends a forked child, whose atexit functions are its parent's: where coverage is measured its
 * counts are written by hand. */
static inline void harness_leave(int code) {
#if defined(BIDE_COVERAGE)
  __gcov_dump();
#endif
  _exit(code);
}

/* Microseconds of the monotonic clock. */
static inline uint64_t harness_now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static inline void harness_timed_out(int signal_number) {
  (void)signal_number;
  static const char text[] = "FAIL (timed out) ";
  if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 ||
      write(STDOUT_FILENO, harness_running, strlen(harness_running)) < 0 ||
      write(STDOUT_FILENO, "\n", 1) < 0) {
    _exit(3);
  }
  _exit(2);
}

static inline bool harness_run(const harness_test *test) {
  int failures_before = harness_failures;
  harness_running = test->name;
  alarm(HARNESS_SECONDS_MAX);
  test->run();
  alarm(0);
  bool passed = harness_failures == failures_before;
  printf("%s %s\n", passed ? "ok" : "FAIL", test->name);
  return passed;
}

static inline int harness_main(const harness_test *tests, size_t count, int argc,
                               char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGALRM, harness_timed_out);
  size_t ran = 0;
  for (size_t i = 0; i < count; i++) {
    if (argc > 1 && strcmp(argv[1], tests[i].name) != 0) continue;
    harness_run(&tests[i]);
    ran++;
  }
  if (ran == 0) printf("FAIL no test is named %s\n", argc > 1 ? argv[1] : "at all");
  return harness_failures > 0 || ran == 0;
}

#endif
