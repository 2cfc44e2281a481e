/* Opens of files, which on epoll some thread makes and some do not. What fails here gives a
 * program a descriptor that behaves unlike open(2)'s, or wakes a pipe's writer for a reader
 * that goes away again. */
#include <bide.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "net_pair.h"

static char folder[] = "/tmp/bide-open-XXXXXX";
static char path[64], name[64];

static int opened(bide_loop *loop, const char *file, int flags) {
  bide_op op = {0};
  bide_prep_openat(&op, AT_FDCWD, file, flags, 0600);
  return net_do(loop, &op);
}

static void make_file(void) {
  int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
  REQUIRE(fd >= 0);
  close(fd);
}

/* The file's own flags, without what the kernel adds by itself. */
static void check_flags(bide_loop *loop, int flags) {
  int fd = opened(loop, path, flags);
  REQUIRE(fd >= 0);
  int asked = O_ACCMODE | O_APPEND | O_NONBLOCK | O_NOATIME;
  CHECK_INT(fcntl(fd, F_GETFL) & asked, flags & asked);
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  close(fd);
}

static void open_gives_the_flags_that_were_asked_for(void) {
  bide_loop *loop = harness_loop_new();
  make_file();
  check_flags(loop, O_RDONLY);
  check_flags(loop, O_RDWR | O_APPEND);
  check_flags(loop, O_RDONLY | O_NONBLOCK);
  check_flags(loop, O_WRONLY | O_NOATIME);
  check_flags(loop, O_RDWR | O_CREAT | O_TRUNC);
  unlink(path);
  harness_loop_close(loop);
}

static void open_fails_as_the_system_call_does(void) {
  bide_loop *loop = harness_loop_new();
  make_file();
  REQUIRE(symlink(path, name) == 0);
  CHECK_INT(opened(loop, name, O_RDONLY | O_NOFOLLOW), -ELOOP);
  CHECK_INT(opened(loop, path, O_RDONLY | O_DIRECTORY), -ENOTDIR);
  CHECK_INT(opened(loop, folder, O_RDWR), -EISDIR);
  unlink(path);
  CHECK_INT(opened(loop, name, O_RDONLY), -ENOENT);
  unlink(name);
  harness_loop_close(loop);
}

/* Which waits for nobody, as both ends are there then. */
static void open_of_a_pipe_for_both_ends_is_one_open(void) {
  bide_loop *loop = harness_loop_new();
  REQUIRE(mkfifo(path, 0600) == 0);
  int reader = opened(loop, path, O_RDWR);
  REQUIRE(reader >= 0);
  int writer = open(path, O_WRONLY | O_NONBLOCK);
  REQUIRE(writer >= 0);
  CHECK_INT(write(writer, "x", 1), 1);
  char byte = 0;
  CHECK_INT(read(reader, &byte, 1), 1);
  CHECK_INT(byte, 'x');
  close(writer);
  close(reader);
  unlink(path);
  harness_loop_close(loop);
}

static void open_of_a_link_follows_it(void) {
  bide_loop *loop = harness_loop_new();
  make_file();
  REQUIRE(symlink(path, name) == 0);
  int fd = opened(loop, name, O_RDONLY);
  REQUIRE(fd >= 0);
  struct stat through, direct;
  REQUIRE(fstat(fd, &through) == 0 && stat(path, &direct) == 0);
  CHECK_INT(through.st_ino, direct.st_ino);
  close(fd);
  unlink(name);
  unlink(path);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(open_gives_the_flags_that_were_asked_for),
    HARNESS_TEST(open_fails_as_the_system_call_does),
    HARNESS_TEST(open_of_a_pipe_for_both_ends_is_one_open),
    HARNESS_TEST(open_of_a_link_follows_it),
};

int main(int argc, char **argv) {
  if (mkdtemp(folder) == NULL) {
    perror("mkdtemp");
    return 1;
  }
  snprintf(path, sizeof path, "%s/file", folder);
  snprintf(name, sizeof name, "%s/link", folder);
  int result = HARNESS_MAIN(tests, argc, argv);
  rmdir(folder);
  return result;
}
