/* loop_fd.c: fds that leave the loop. */
#include <errno.h>
#include <unistd.h>

#include "list.h"
#include "loop_struct.h"

int bide_loop_forget_fd(bide_loop *loop, int fd) {
  int error = bide__loop_admit(loop);
  if (error < 0) return error;
  bide_loop_look(loop);
  loop->backend->class->forget(loop->backend, fd);
  if (!bide__list_empty(&loop->backend->done)) bide__loop_unpark(loop);
  return 0;
}

int bide_loop_close_fd(bide_loop *loop, int fd) {
  if (bide_loop_forget_fd(loop, fd) == BIDE_ETHREAD) return BIDE_ETHREAD;
  return close(fd) < 0 ? -errno : 0;
}
