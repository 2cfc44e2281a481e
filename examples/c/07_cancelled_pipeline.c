/* A pipeline, fetch a page and store it, page after page, that is cancelled half-way and
 * leaves nothing behind. The cancel reaches the innermost await, the receive of page 3,
 * and comes back out level by level; each level cleans up what it owns, and may await
 * while it does. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fetch.h"

/* Pages go into a file at `path`, which only a finished pipeline leaves there. */
typedef struct pipeline {
  bide_task task;
  char path[4096];
  int fd;
  int page;
  int error;
  int64_t offset;
  fetch fetch;
  bide_io file;
} pipeline;

/* Page 3 takes for ever. */
static int page_delay_ms(int page) { return page < 3 ? 20 : 60000; }

static const char *how(int error) {
  if (error == 0) return "finished";
  return error == BIDE_ECANCELED ? "cancelled" : bide_error_text(error);
}

static bide_poll pipeline_poll(bide_task *task) {
  pipeline *self = BIDE_FRAME(task, pipeline, task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);

  bide_prep_openat(&self->file.op, AT_FDCWD, self->path, O_WRONLY | O_CREAT | O_EXCL,
                   0600);
  BIDE_AWAIT_IO(task, &self->file);
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  self->fd = self->file.op.result;

  for (self->page = 1; self->page <= 10; self->page++) {
    BIDE_AWAIT(task, fetch_get(loop, &self->fetch, "/page/%d?delay_ms=%d", self->page,
                               page_delay_ms(self->page)));
    if (bide_task_status(task) < 0) break;
    bide_prep_write(&self->file.op, self->fd, self->fetch.body, strlen(self->fetch.body),
                    self->offset);
    BIDE_AWAIT_IO(task, &self->file);
    if (bide_task_status(task) < 0) break;
    self->offset += self->file.op.result;
    printf("stored page %d\n", self->page);
  }
  self->error = bide_task_status(task);
  printf("stopped at page %d: %s\n", self->page, how(self->error));

  /* The cancel was delivered once; the awaits of the cleaning up are ordinary ones. The
   * error goes on to whoever awaits us. */
  bide_prep_close(&self->file.op, self->fd);
  BIDE_AWAIT_IO(task, &self->file);
  if (self->error == 0) BIDE_RETURN(task, self->page);
  unlink(self->path);
  BIDE_AWAIT(task, fetch_get(loop, &self->fetch, "/undo?delay_ms=20"));
  if (bide_task_status(task) == 0) printf("cleaned up: file removed, server told\n");
  BIDE_RETURN_ERROR(task, self->error);
  BIDE_ASYNC_END(task, 0);
}

typedef struct program {
  bide_task task;
  pipeline pipeline;
  bide_sleep patience;
} program;

static bide_poll program_poll(bide_task *task) {
  program *self = BIDE_FRAME(task, program, task);
  BIDE_ASYNC_BEGIN(task);

  bide_task_spawn(task->future.loop, &self->pipeline.task, pipeline_poll);
  BIDE_AWAIT_SLEEP(task, &self->patience, 500 * 1000);
  bide_task_cancel(&self->pipeline.task);

  /* Asking is not the end: the pipeline has ended when its future has settled. */
  BIDE_AWAIT(task, &self->pipeline.task.future);
  printf(
      "the pipeline ended: %s; its file: %s\n", how(bide_task_status(task)),
      access(self->pipeline.path, F_OK) < 0 && errno == ENOENT ? "gone" : "still there");

  BIDE_ASYNC_END(task, 0);
}

int main(int argc, char **argv) {
  static program self;
  const char *folder = getenv("TMPDIR");
  snprintf(self.pipeline.path, sizeof self.pipeline.path, "%s/bide_pages_%ld",
           folder ? folder : "/tmp", (long)getpid());
  return run_program(argc, argv, &self.task, program_poll);
}
