/* Every file that Node reads comes this way: a byte too few, an fd left open or a read
 * that never ends are a user's data, limits and process. */
#include <bide.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "harness_loop.h"

static char folder[] = "/tmp/bide-read-file-XXXXXX";
static char path[64];

/* Byte i of every test file. */
static char content_at(size_t i) { return (char)(i * 31 + i / 251); }

static void append_content(size_t from, size_t to) {
  FILE *file = fopen(path, "ab");
  REQUIRE(file != NULL);
  for (size_t i = from; i < to; i++) fputc(content_at(i), file);
  REQUIRE(fclose(file) == 0);
}

static void make_file(size_t bytes) {
  unlink(path);
  append_content(0, bytes);
}

/* A request and what came of it. */
typedef struct reading {
  bide_read_file request;
  int ended;
  void *grown; /* what `grow` gave last, and before that */
  void *outgrown;
  size_t grown_bytes;
  int grows;
  bool refuses;
} reading;

static void reading_ended(bide_read_file *request) {
  BIDE_CONTAINER_OF(request, reading, request)->ended++;
}

static void reading_start(reading *self, bide_loop *loop, const char *name, void *base,
                          size_t capacity) {
  self->request.cb = reading_ended;
  CHECK_INT(bide_read_file_start(loop, &self->request, name, base, capacity), 0);
}

static void reading_finish(reading *self, bide_loop *loop) {
  while (self->ended == 0) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  CHECK_INT(self->ended, 1);
  CHECK_INT(bide_loop_in_flight(loop), 0);
}

static void check_content(const bide_read_file *request, size_t bytes) {
  CHECK_INT(request->result, 0);
  CHECK(request->syscall == NULL);
  REQUIRE(request->len == bytes);
  const char *read = request->base;
  size_t same = 0;
  while (same < bytes && read[same] == content_at(same)) same++;
  CHECK_INT(same, bytes);
}

static int lowest_free_fd(void) {
  int fd = dup(0);
  close(fd);
  return fd;
}

static void check_error(reading *self, int error, const char *name) {
  CHECK_INT(self->request.result, error);
  CHECK_STR(self->request.syscall, name);
  CHECK_INT(self->request.len, 0);
  CHECK(!self->request.allocated);
}

/* ---- sizes ---- */

static void read_file_reads_any_size_into_any_buffer(void) {
  static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 16384, 16385, 300000};
  static const size_t capacities[] = {0, 1, 4096, 8192, 400000};
  static char buffer[400000];
  bide_loop *loop = harness_loop_new();
  int fd = -1;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    make_file(sizes[i]);
    for (size_t k = 0; k < sizeof capacities / sizeof capacities[0]; k++) {
      reading reads = {.ended = 0};
      reading_start(&reads, loop, path, capacities[k] > 0 ? buffer : NULL, capacities[k]);
      reading_finish(&reads, loop);
      check_content(&reads.request, sizes[i]);
      if (sizes[i] > 0) CHECK(reads.request.allocated == (sizes[i] > capacities[k]));
      bide_read_file_free(&reads.request);
      if (fd < 0) fd = lowest_free_fd(); /* the loop may open its own with the first */
      CHECK_INT(lowest_free_fd(), fd);
    }
  }
  harness_loop_close(loop);
}

static void read_file_runs_many_at_once(void) {
  enum { MANY = 64 };
  static reading readings[MANY];
  static char buffers[MANY][8192];
  bide_loop *loop = harness_loop_new();
  make_file(5000);
  memset(readings, 0, sizeof readings);
  for (int i = 0; i < MANY; i++) {
    reading_start(&readings[i], loop, path, buffers[i], sizeof buffers[i]);
  }
  for (int i = 0; i < MANY; i++) {
    while (readings[i].ended == 0) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
    check_content(&readings[i].request, 5000);
  }
  harness_loop_close(loop);
}

static void read_file_memory_can_be_taken(void) {
  bide_loop *loop = harness_loop_new();
  reading reads = {.ended = 0};
  make_file(20000);
  reading_start(&reads, loop, path, NULL, 0);
  reading_finish(&reads, loop);
  char *taken = bide_read_file_take(&reads.request);
  REQUIRE(taken != NULL);
  CHECK(bide_read_file_take(&reads.request) == NULL);
  bide_read_file_free(&reads.request); /* nothing is left to free */
  CHECK(taken[19999] == content_at(19999));
  bide_memory_free(taken);
  bide_memory_free(NULL);
  harness_loop_close(loop);
}

/* ---- memory of the caller's ---- */

static void *reading_grow(bide_read_file *request, size_t bytes) {
  reading *self = BIDE_CONTAINER_OF(request, reading, request);
  self->grows++;
  self->grown_bytes = bytes;
  if (self->refuses) return NULL;
  REQUIRE(self->outgrown == NULL);
  self->outgrown = self->grown;
  return self->grown = malloc(bytes);
}

static void free_grown(reading *self) {
  free(self->grown);
  free(self->outgrown);
}

static void read_file_asks_the_caller_for_just_the_size(void) {
  bide_loop *loop = harness_loop_new();
  char small[1000];
  make_file(20000);
  for (size_t capacity = 0; capacity <= 1000; capacity += 500) {
    reading reads = {.request.grow = reading_grow};
    reading_start(&reads, loop, path, capacity > 0 ? small : NULL, capacity);
    reading_finish(&reads, loop);
    check_content(&reads.request, 20000);
    CHECK_INT(reads.grows, 1);
    CHECK_INT(reads.grown_bytes, 20000);
    CHECK(reads.request.base == reads.grown);
    CHECK(!reads.request.allocated);
    free_grown(&reads);
  }
  harness_loop_close(loop);
}

static void read_file_ends_when_the_caller_has_no_memory(void) {
  bide_loop *loop = harness_loop_new();
  make_file(20000);
  reading reads = {.request.grow = reading_grow, .refuses = true};
  reading_start(&reads, loop, path, NULL, 0);
  reading_finish(&reads, loop);
  check_error(&reads, BIDE_ENOMEM, "read");
  harness_loop_close(loop);
}

/* ---- files that give less than was asked for before their end ---- */

static size_t read_by_stdio(const char *name, char **bytes) {
  FILE *file = fopen(name, "rb");
  REQUIRE(file != NULL);
  size_t capacity = 1 << 16;
  size_t len = 0;
  *bytes = malloc(capacity);
  for (size_t got; (got = fread(*bytes + len, 1, capacity - len, file)) > 0;) {
    len += got;
    if (len == capacity) *bytes = realloc(*bytes, capacity *= 2);
  }
  fclose(file);
  return len;
}

/* The kernel gives this one a page at a time, and says that its size is 0. */
static void read_file_reads_proc_to_its_end(void) {
  static const char name[] = "/proc/kallsyms";
  static char buffer[65536];
  bide_loop *loop = harness_loop_new();
  char *expected;
  size_t expected_len = read_by_stdio(name, &expected);
  CHECK(expected_len > 4096);
  reading reads = {.ended = 0};
  reading_start(&reads, loop, name, buffer, sizeof buffer);
  reading_finish(&reads, loop);
  CHECK_INT(reads.request.result, 0);
  CHECK_INT(reads.request.len, expected_len);
  CHECK(reads.request.len == expected_len &&
        memcmp(reads.request.base, expected, expected_len) == 0);
  bide_read_file_free(&reads.request);
  free(expected);
  harness_loop_close(loop);
}

enum { PIPE_LOTS = 20, PIPE_LOT_BYTES = 1000 };

/* Writes a lot at a time and waits until it has been read: no read sees two. */
static void *pipe_writer(void *argument) {
  (void)argument;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  char lot[PIPE_LOT_BYTES];
  for (size_t i = 0; i < PIPE_LOTS; i++) {
    for (size_t k = 0; k < PIPE_LOT_BYTES; k++)
      lot[k] = content_at(i * PIPE_LOT_BYTES + k);
    if (write(fd, lot, sizeof lot) != sizeof lot) break;
    for (int waiting = 1; waiting > 0;) {
      sched_yield();
      if (ioctl(fd, FIONREAD, &waiting) < 0) break;
    }
  }
  close(fd);
  return NULL;
}

static void read_file_reads_a_pipe_to_its_end(void) {
  static char buffer[65536];
  bide_loop *loop = harness_loop_new();
  pthread_t writer;
  unlink(path);
  REQUIRE(mkfifo(path, 0600) == 0);
  reading reads = {.ended = 0};
  reading_start(&reads, loop, path, buffer, sizeof buffer);
  REQUIRE(pthread_create(&writer, NULL, pipe_writer, NULL) == 0);
  reading_finish(&reads, loop);
  pthread_join(writer, NULL);
  check_content(&reads.request, (size_t)PIPE_LOTS * PIPE_LOT_BYTES);
  harness_loop_close(loop);
}

/* ---- faults, by the loop's hooks ---- */

typedef struct faults {
  int interrupts;     /* so many EINTR for each step, before it is let through */
  size_t short_bytes; /* each read gets that many at most; 0: as they are */
  bool close_is_lost; /* the close is cancelled before it began */
  size_t append_to;   /* the first read makes the file this long; 0: no */
  int cancel_kind;    /* cancels `target` when such an op has completed; -1: never */
  bide_read_file *target;
  int seen[BIDE_OP_KIND_COUNT];
} faults;

static bool faults_submit(void *user, bide_op *op, int32_t *result) {
  faults *self = user;
  if (op->kind == BIDE_OP_READ && self->short_bytes > 0 &&
      op->args.io.len > self->short_bytes) {
    op->args.io.len = self->short_bytes;
  }
  if (op->kind == BIDE_OP_CLOSE) {
    *result = BIDE_ECANCELED;
    return self->close_is_lost;
  }
  if (self->seen[op->kind]++ >= self->interrupts) return false;
  *result = BIDE_EINTR;
  return true;
}

static int32_t faults_complete(void *user, bide_op *op, int32_t result) {
  faults *self = user;
  if (op->kind == BIDE_OP_READ && self->append_to > 0) {
    append_content((size_t)result, self->append_to);
    self->append_to = 0;
  }
  if (op->kind == self->cancel_kind) {
    self->cancel_kind = -1;
    bide_read_file_cancel(self->target);
  }
  return result;
}

/* Reads the test file under those faults. */
static void read_under_faults(reading *reads, faults *injected, size_t capacity) {
  static char buffer[65536];
  bide_hooks hooks = {
      .user = injected, .submit = faults_submit, .complete = faults_complete};
  bide_loop *loop = harness_loop_hooked(&hooks);
  reading before = {.ended = 0}; /* so that the loop has opened what it opens */
  faults injected_later = *injected;
  *injected = (faults){.cancel_kind = -1};
  reading_start(&before, loop, path, buffer, sizeof buffer);
  reading_finish(&before, loop);
  *injected = injected_later;
  int fd = lowest_free_fd();
  injected->target = &reads->request;
  reading_start(reads, loop, path, buffer, capacity);
  reading_finish(reads, loop);
  CHECK_INT(lowest_free_fd(), fd);
  harness_loop_close(loop);
}

static void read_file_tries_interrupted_steps_again(void) {
  faults injected = {.interrupts = 3, .cancel_kind = -1};
  reading reads = {.ended = 0};
  make_file(3000);
  read_under_faults(&reads, &injected, 65536);
  check_content(&reads.request, 3000);
  CHECK_INT(injected.seen[BIDE_OP_OPENAT], 4);
  CHECK_INT(injected.seen[BIDE_OP_READ], 4);
}

static void read_file_joins_short_reads(void) {
  faults injected = {.short_bytes = 700, .cancel_kind = -1};
  reading reads = {.ended = 0};
  make_file(3000);
  read_under_faults(&reads, &injected, 65536);
  check_content(&reads.request, 3000);
  CHECK_INT(injected.seen[BIDE_OP_READ], 5);
}

/* A file that fits costs one open, one read and one close. */
static void read_file_reads_once_what_fits(void) {
  faults injected = {.cancel_kind = -1};
  reading reads = {.ended = 0};
  make_file(3000);
  read_under_faults(&reads, &injected, 65536);
  check_content(&reads.request, 3000);
  CHECK_INT(injected.seen[BIDE_OP_OPENAT], 1);
  CHECK_INT(injected.seen[BIDE_OP_READ], 1);
  CHECK_INT(injected.seen[BIDE_OP_STATX], 0);
}

static void read_file_closes_when_its_close_is_cancelled(void) {
  faults injected = {.close_is_lost = true, .cancel_kind = -1};
  reading reads = {.ended = 0};
  make_file(3000);
  read_under_faults(&reads, &injected, 65536); /* which looks for fds left open */
  check_content(&reads.request, 3000);
}

/* A file without a size must not be copied for each little bit. */
static void read_file_doubles_for_a_file_without_a_size(void) {
  faults injected = {.cancel_kind = -1};
  char *expected;
  size_t expected_len = read_by_stdio("/proc/kallsyms", &expected);
  reading reads = {.ended = 0};
  bide_hooks hooks = {
      .user = &injected, .submit = faults_submit, .complete = faults_complete};
  bide_loop *loop = harness_loop_hooked(&hooks);
  reading_start(&reads, loop, "/proc/kallsyms", NULL, 0);
  reading_finish(&reads, loop);
  CHECK_INT(reads.request.len, expected_len);
  CHECK(reads.request.capacity_ < 2 * expected_len + 32768);
  bide_read_file_free(&reads.request);
  free(expected);
  harness_loop_close(loop);
}

/* What a writer appends meanwhile is the next reader's: the size is that of the open. */
static void read_file_ends_where_the_file_ended_when_it_was_opened(void) {
  make_file(3000);
  faults injected = {.append_to = 60000, .cancel_kind = -1};
  reading reads = {.request.grow = reading_grow};
  read_under_faults(&reads, &injected, 3000);
  check_content(&reads.request, 3000);
  CHECK_INT(reads.grows, 0);
}

/* ---- errors ---- */

static void read_file_names_what_failed(void) {
  bide_loop *loop = harness_loop_new();
  static const struct {
    const char *name;
    int error;
    const char *syscall;
  } rows[] = {{"/no/such/file", BIDE_ENOENT, "open"},
              {"/proc/version/x", BIDE_ENOTDIR, "open"},
              {"", BIDE_ENOENT, "open"},
              {folder, BIDE_EISDIR, "read"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char buffer[100];
    reading reads = {.ended = 0};
    reading_start(&reads, loop, rows[i].name, buffer, i % 2 == 0 ? sizeof buffer : 0);
    reading_finish(&reads, loop);
    check_error(&reads, rows[i].error, rows[i].syscall);
  }
  harness_loop_close(loop);
}

static bool memory_is_short;

/* Refuses what a file's content needs and no more. */
static void *short_memory(void *user, void *pointer, size_t bytes) {
  (void)user;
  if (bytes == 0) {
    free(pointer);
    return NULL;
  }
  return memory_is_short && bytes == 50000 ? NULL : realloc(pointer, bytes);
}

static void read_file_ends_without_memory(void) {
  REQUIRE(bide_set_allocator(short_memory, NULL) == 0);
  make_file(50000);
  memory_is_short = true;
  faults injected = {.cancel_kind = -1};
  reading reads = {.ended = 0};
  read_under_faults(&reads, &injected, 100);
  check_error(&reads, BIDE_ENOMEM, "read");
  memory_is_short = false;
  CHECK_INT(bide_set_allocator(NULL, NULL), 0);
}

/* ---- cancel ---- */

static void read_file_cancel_at_each_step(void) {
  static const struct {
    bide_op_kind kind;
    size_t bytes;
    int result;
    const char *syscall;
  } rows[] = {
      {BIDE_OP_OPENAT, 3000, BIDE_ECANCELED, "read"}, /* the fd that came is closed */
      {BIDE_OP_READ, 5000, BIDE_ECANCELED, "read"},   /* there was more to read */
      {BIDE_OP_READ, 3000, 0, NULL},                  /* all had been read */
      {BIDE_OP_CLOSE, 3000, 0, NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    make_file(rows[i].bytes);
    faults injected = {.cancel_kind = (int)rows[i].kind, .short_bytes = 4000};
    reading reads = {.ended = 0};
    read_under_faults(&reads, &injected, 8000);
    if (rows[i].result == 0) {
      check_content(&reads.request, rows[i].bytes);
    } else {
      check_error(&reads, rows[i].result, rows[i].syscall);
    }
  }
}

/* A cancelled step that the kernel interrupts is not tried again. */
static void read_file_cancel_of_an_interrupted_step(void) {
  make_file(3000);
  faults injected = {.interrupts = 1000, .cancel_kind = BIDE_OP_OPENAT};
  reading reads = {.ended = 0};
  read_under_faults(&reads, &injected, 4000);
  check_error(&reads, BIDE_ECANCELED, "open");
  CHECK_INT(injected.seen[BIDE_OP_OPENAT], 1);
}

static void read_file_cancel_while_in_flight(void) {
  bide_loop *loop = harness_loop_new();
  static char buffer[8192];
  make_file(3000);
  for (int i = 0; i < 200; i++) {
    reading reads = {.ended = 0};
    reading_start(&reads, loop, path, buffer, sizeof buffer);
    for (int turn = 0; turn < i % 4 && reads.ended == 0; turn++) {
      REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
    }
    if (reads.ended == 0) bide_read_file_cancel(&reads.request);
    reading_finish(&reads, loop);
    if (reads.request.result == 0) {
      check_content(&reads.request, 3000);
    } else {
      CHECK_INT(reads.request.result, BIDE_ECANCELED);
    }
  }
  harness_loop_close(loop);
}

/* A pipe that nobody writes to: the cancel must reach the read that waits for it. */
static void read_file_cancel_of_a_silent_pipe(void) {
  bide_loop *loop = harness_loop_new();
  char buffer[100];
  unlink(path);
  REQUIRE(mkfifo(path, 0600) == 0);
  int writer = open(path, O_RDWR | O_CLOEXEC);
  REQUIRE(writer >= 0);
  reading reads = {.ended = 0};
  reading_start(&reads, loop, path, buffer, sizeof buffer);
  while (reads.request.op_.kind != BIDE_OP_READ) {
    REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  }
  bide_read_file_cancel(&reads.request);
  reading_finish(&reads, loop);
  check_error(&reads, BIDE_ECANCELED, "read");
  close(writer);
  harness_loop_close(loop);
}

/* A drain cancels the close that follows a cancelled step as well: the fd must go. */
static void read_file_ends_in_a_drain_and_closes(void) {
  bide_loop *loop = harness_loop_new();
  static char buffer[8192];
  make_file(3000);
  for (int turns = 0; turns < 3; turns++) {
    reading before = {.ended = 0};
    reading_start(&before, loop, path, buffer, sizeof buffer);
    reading_finish(&before, loop);
    int fd = lowest_free_fd();
    reading reads = {.ended = 0};
    reading_start(&reads, loop, path, buffer, sizeof buffer);
    for (int i = 0; i < turns; i++) REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
    CHECK_INT(bide_loop_drain(loop), 0);
    CHECK_INT(reads.ended, 1);
    CHECK_INT(bide_loop_in_flight(loop), 0);
    CHECK_INT(lowest_free_fd(), fd);
  }
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(read_file_reads_any_size_into_any_buffer),
    HARNESS_TEST(read_file_runs_many_at_once),
    HARNESS_TEST(read_file_memory_can_be_taken),
    HARNESS_TEST(read_file_asks_the_caller_for_just_the_size),
    HARNESS_TEST(read_file_ends_when_the_caller_has_no_memory),
    HARNESS_TEST(read_file_reads_proc_to_its_end),
    HARNESS_TEST(read_file_reads_a_pipe_to_its_end),
    HARNESS_TEST(read_file_tries_interrupted_steps_again),
    HARNESS_TEST(read_file_joins_short_reads),
    HARNESS_TEST(read_file_reads_once_what_fits),
    HARNESS_TEST(read_file_closes_when_its_close_is_cancelled),
    HARNESS_TEST(read_file_doubles_for_a_file_without_a_size),
    HARNESS_TEST(read_file_ends_where_the_file_ended_when_it_was_opened),
    HARNESS_TEST(read_file_names_what_failed),
    HARNESS_TEST(read_file_ends_without_memory),
    HARNESS_TEST(read_file_cancel_at_each_step),
    HARNESS_TEST(read_file_cancel_of_an_interrupted_step),
    HARNESS_TEST(read_file_cancel_while_in_flight),
    HARNESS_TEST(read_file_cancel_of_a_silent_pipe),
    HARNESS_TEST(read_file_ends_in_a_drain_and_closes),
};

int main(int argc, char **argv) {
  if (mkdtemp(folder) == NULL) {
    perror("mkdtemp");
    return 1;
  }
  snprintf(path, sizeof path, "%s/file", folder);
  int result = HARNESS_MAIN(tests, argc, argv);
  unlink(path);
  rmdir(folder);
  return result;
}
