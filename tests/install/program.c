/* A user's program: a message through a socket pair, awaited, and a sleep.
 *
 * Prints the library's version, the backend and what arrived. */
#include <bide.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int receive(bide_loop *loop, const int *fds, char *text, size_t size) {
  bide_io io;
  memset(&io, 0, sizeof(io));
  bide_prep_recv(&io.op, fds[0], text, size - 1, 0);
  bide_io_start(loop, &io);
  if (send(fds[1], "hello", 5, 0) != 5) return -1;
  int error = bide_block_on(&io.future);
  if (error != 0) return error;
  text[io.future.value] = '\0';
  return 0;
}

int main(void) {
  bide_loop *loop;
  int error = bide_loop_new(NULL, &loop);
  if (error != 0) {
    fprintf(stderr, "bide_loop_new: %s\n", bide_error_text(error));
    return 1;
  }
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return 1;
  char text[16];
  error = receive(loop, fds, text, sizeof(text));
  if (error != 0) return 1;

  bide_sleep nap;
  memset(&nap, 0, sizeof(nap));
  bide_sleep_start(loop, &nap, 1000);
  if (bide_block_on(&nap.future) != 0) return 1;

  printf("bide %s on %s: %s\n", bide_version(), bide_loop_backend(loop), text);
  printf("%s\n", bide_loop_backend_reason(loop));
  bide_loop_close_fd(loop, fds[0]);
  bide_loop_close_fd(loop, fds[1]);
  return bide_loop_close(loop) == 0 ? 0 : 1;
}
