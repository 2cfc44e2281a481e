/* What a round trip takes, and where its time goes.
 *
 * One message at a time goes to and fro between two loops, each on its own thread. With spin_us
 * a loop looks again for so long before it sleeps: no sleep and no wake then lie in a round
 * trip, at the price of a processor that is busy meanwhile; where others want that one too, it
 * is slower by far. The loops' own histograms say how long turns and operations took. */
#include <bide.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIPS = 2000, SPIN_US = 200 };

typedef struct side {
  bide_task task;
  bide_io io;
  int fd, trips;
  bool first;
  uint32_t spin_us;
  bide_metrics metrics;
  bide_histogram receives;
  int error;
  char byte;
} side;

/* One begins; both pass on what comes. */
static bide_poll side_poll(bide_task *task) {
  side *self = BIDE_FRAME(task, side, task);
  BIDE_ASYNC_BEGIN(task);
  for (; self->trips < TRIPS; self->trips++) {
    if (self->first) {
      bide_prep_send(&self->io.op, self->fd, &self->byte, 1, 0);
      BIDE_AWAIT_IO(task, &self->io);
    }
    bide_prep_recv(&self->io.op, self->fd, &self->byte, 1, 0);
    BIDE_AWAIT_IO(task, &self->io);
    if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
    if (!self->first) {
      bide_prep_send(&self->io.op, self->fd, &self->byte, 1, 0);
      BIDE_AWAIT_IO(task, &self->io);
    }
  }
  BIDE_ASYNC_END(task, 0);
}

static void *side_run(void *argument) {
  side *self = argument;
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  bide_loop *loop;
  options.spin_us = self->spin_us;
  self->error = bide_loop_new(&options, &loop);
  if (self->error < 0) return NULL;
  self->error = bide_metrics_time(loop, true);
  if (self->error == 0) self->error = bide_task_spawn(loop, &self->task, side_poll);
  if (self->error == 0) self->error = bide_block_on(&self->task.future);
  bide_metrics_get(loop, &self->metrics);
  bide_metrics_get_operation(loop, BIDE_OP_RECV, &self->receives);
  bide_loop_close(loop);
  return NULL;
}

static int measure(const char *name, uint32_t spin_us) {
  int ends[2];
  pthread_t thread;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return BIDE_EMFILE;
  side one = {.fd = ends[0], .first = true, .spin_us = spin_us};
  side other = {.fd = ends[1], .spin_us = spin_us};
  uint64_t began_us = bide_clock_us();
  if (pthread_create(&thread, NULL, side_run, &other) != 0) return BIDE_EAGAIN;
  side_run(&one);
  pthread_join(thread, NULL);
  double took_us = (double)(bide_clock_us() - began_us) / TRIPS;
  close(ends[0]);
  close(ends[1]);
  if (one.error < 0 || other.error < 0) return one.error < 0 ? one.error : other.error;
  printf("%s: %.1f us a round trip; the kernel was asked %.1f times for each\n", name,
         took_us, (double)one.metrics.waits / TRIPS);
  printf("  a turn took up to %d us, half of the receives up to %d us\n",
         (int)bide_histogram_quantile_us(&one.metrics.turn, 0.99),
         (int)bide_histogram_quantile_us(&one.receives, 0.5));
  return 0;
}

int main(void) {
  int error = measure("asleep between two messages", 0);
  if (error == 0) error = measure("spinning for up to 200 us", SPIN_US);
  if (error < 0) fprintf(stderr, "latency: %s\n", bide_error_text(error));
  return error < 0;
}
