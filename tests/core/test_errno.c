/* Errors reach users by name and text; both bindings are held against this table. */
#include <bide/errno.h>

#include <errno.h>

#include "harness.h"

static void errno_names_codes(void) {
  CHECK_STR(bide_error_name(0), "OK");
  CHECK_STR(bide_error_name(17), "OK");
  CHECK_STR(bide_error_name(-ECONNRESET), "ECONNRESET");
  CHECK_STR(bide_error_name(BIDE_ECLOSED), "ECLOSED");
  CHECK_STR(bide_error_text(BIDE_ENOENT), "no such file or directory");
  CHECK_STR(bide_error_text(BIDE_EQUEUEFULL), "the pool's queue is full");
}

/* A kernel error that the table lacks must still come through with its number. */
static void errno_passes_unknown_codes_on(void) {
  CHECK_STR(bide_error_name(-ENOLCK), "EUNKNOWN");
  CHECK_STR(bide_error_text(-ENOLCK), "unknown error");
  CHECK_INT(bide_error_errno(-ENOLCK), ENOLCK);
  CHECK_STR(bide_error_name(-999999), "EUNKNOWN");
  CHECK_INT(bide_error_errno(-999999), EIO);
  CHECK_INT(bide_error_errno(INT32_MIN), EIO);
}

static void errno_maps_own_codes_to_near_ones(void) {
  CHECK_INT(bide_error_errno(0), 0);
  CHECK_INT(bide_error_errno(3), 0);
  CHECK_INT(bide_error_errno(BIDE_EPIPE), EPIPE);
  CHECK_INT(bide_error_errno(BIDE_EFORKED), EPERM);
  CHECK_INT(bide_error_errno(BIDE_ERUNNING), EBUSY);
}

static void errno_rows_are_distinct_and_complete(void) {
  size_t count = 0;
  int code = 0;
  for (const char *name; (name = bide_error_row(count, &code)) != NULL; count++) {
    CHECK(code < 0);
    CHECK_STR(bide_error_name(code), name);
    CHECK(bide_error_errno(code) > 0);
    CHECK(bide_error_text(code)[0] != '\0');
    for (size_t i = 0; i < count; i++) {
      int other = 0;
      const char *other_name = bide_error_row(i, &other);
      CHECK(other != code && strcmp(other_name, name) != 0);
    }
  }
  CHECK_INT(code, BIDE_ETHREAD);
  CHECK(bide_error_row(count, &code) == NULL);
  CHECK_INT(code, BIDE_ETHREAD); /* written only with a row */
}

static const harness_test tests[] = {
    HARNESS_TEST(errno_names_codes),
    HARNESS_TEST(errno_passes_unknown_codes_on),
    HARNESS_TEST(errno_maps_own_codes_to_near_ones),
    HARNESS_TEST(errno_rows_are_distinct_and_complete),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
