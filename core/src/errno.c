#include <bide/errno.h>

#include <assert.h>
#include <errno.h>

typedef struct errno_row {
  int code;
  int number;
  const char *name;
  const char *text;
} errno_row;

static const errno_row errno_rows[] = {
#define ERRNO_ROW(name, number, text) {BIDE_##name, number, #name, text},
    BIDE_ERRNO_SYSTEM(ERRNO_ROW)
#undef ERRNO_ROW
#define ERRNO_ROW(name, code, number, text) {BIDE_##name, number, #name, text},
        BIDE_ERRNO_OWN(ERRNO_ROW)
#undef ERRNO_ROW
};

/* The header spells the numbers out so that it needs no <errno.h>; here they are held
 * against the system's. */
#define ERRNO_CHECK(name, number, text) \
  static_assert(name == (number), #name " has another number on this system");
BIDE_ERRNO_SYSTEM(ERRNO_CHECK)
#undef ERRNO_CHECK

enum {
  ERRNO_ROW_COUNT = sizeof errno_rows / sizeof errno_rows[0],
  ERRNO_KERNEL_MAX = 4095 /* the kernel's MAX_ERRNO */
};

/* A search by hand is enough: errors are named when they are shown to somebody. */
static const errno_row *errno_find(int code) {
  for (size_t i = 0; i < ERRNO_ROW_COUNT; i++) {
    if (errno_rows[i].code == code) return &errno_rows[i];
  }
  return NULL;
}

const char *bide_error_name(int code) {
  if (code >= 0) return "OK";
  const errno_row *row = errno_find(code);
  return row != NULL ? row->name : "EUNKNOWN";
}

const char *bide_error_text(int code) {
  if (code >= 0) return "success";
  const errno_row *row = errno_find(code);
  return row != NULL ? row->text : "unknown error";
}

int bide_error_errno(int code) {
  if (code >= 0) return 0;
  const errno_row *row = errno_find(code);
  if (row != NULL) return row->number;
  return code >= -ERRNO_KERNEL_MAX ? -code : EIO;
}

const char *bide_error_row(size_t index, int *code) {
  if (index >= ERRNO_ROW_COUNT) return NULL;
  *code = errno_rows[index].code;
  return errno_rows[index].name;
}
