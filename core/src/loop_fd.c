/* loop_fd.c: fds that leave the loop. */
#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "list.h"
#include "loop_struct.h"

void bide_loop_forget_fd(bide_loop *loop, int fd) {
  assert(bide__loop_is_ours(loop));
  if (bide__loop_check(loop) < 0) return;
  bide_loop_look(loop);
  loop->backend->class->forget(loop->backend, fd);
  if (!bide__list_empty(&loop->backend->done)) bide__loop_unpark(loop);
}

int bide_loop_close_fd(bide_loop *loop, int fd) {
  bide_loop_forget_fd(loop, fd);
  return close(fd) < 0 ? -errno : 0;
}
