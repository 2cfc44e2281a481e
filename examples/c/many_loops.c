/* A server on every processor: each loop of a runtime has a listener of its own on the same
 * port, so that the kernel spreads the connections and no loop waits for another.
 *
 * The clients are tasks that may run anywhere; idle loops steal those that wait. The shutdown
 * at the end gives the servers a moment to end by themselves, then cancels them. */
#include <bide.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOPS = 2, CLIENTS = 32 };

static bide_address address;

/* ---- a server a loop ---- */

typedef struct server {
  bide_remote remote;
  bide_io io;
  int listener;
  char byte;
} server;

/* One connection after the other: it is the loops that this shows, not a server. */
static bide_poll server_poll(bide_task *task) {
  server *self = BIDE_FRAME(task, server, remote.task);
  bide_loop *loop = task->future.loop;
  BIDE_ASYNC_BEGIN(task);
  for (;;) {
    bide_prep_accept(&self->io.op, self->listener, NULL, NULL);
    BIDE_AWAIT_IO(task, &self->io);
    if (bide_task_status(task) < 0) break;
    int fd = self->io.op.result;
    self->byte = 'x';
    bide_prep_send(&self->io.op, fd, &self->byte, 1, 0);
    BIDE_AWAIT_IO(task, &self->io);
    bide_loop_close_fd(loop, self->io.op.fd);
  }
  bide_loop_close_fd(loop, self->listener);
  BIDE_ASYNC_END(task, 0);
}

static int server_listen(server *self) {
  self->listener = bide_socket_listen(&address, 0, BIDE_LISTEN_REUSEPORT);
  if (self->listener < 0) return self->listener;
  return bide_socket_name(self->listener, &address); /* the port, for those that follow */
}

/* ---- clients, anywhere ---- */

typedef struct client {
  bide_remote remote;
  bide_member member;
  bide_io io;
  int fd;
  char byte;
} client;

static bide_poll client_poll(bide_task *task) {
  client *self = BIDE_FRAME(task, client, remote.task);
  BIDE_ASYNC_BEGIN(task);
  self->fd = bide_socket_stream(&address);
  if (self->fd < 0) BIDE_RETURN_ERROR(task, self->fd);
  bide_prep_connect(&self->io.op, self->fd, (const struct sockaddr *)&address.storage,
                    address.len);
  BIDE_AWAIT_IO(task, &self->io);
  if (bide_task_status(task) == 0) {
    bide_prep_recv(&self->io.op, self->fd, &self->byte, 1, 0);
    BIDE_AWAIT_IO(task, &self->io);
  }
  bide_loop_close_fd(task->future.loop, self->fd);
  if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
  BIDE_ASYNC_END(task, 0);
}

int main(void) {
  static server servers[LOOPS];
  static client clients[CLIENTS];
  bide_runtime_options options = BIDE_RUNTIME_OPTIONS_INIT;
  bide_runtime *runtime;
  bide_loop *home; /* this thread's own, on which the clients' ends arrive */
  bide_scope scope;
  options.loops = LOOPS;

  int error = bide_address_ip("127.0.0.1", 0, &address);
  if (error == 0) error = bide_loop_new(NULL, &home);
  if (error == 0) error = bide_runtime_new(&options, &runtime);
  for (uint32_t i = 0; error == 0 && i < LOOPS; i++) {
    error = server_listen(&servers[i]);
    if (error == 0)
      error = bide_runtime_spawn_on(runtime, i, NULL, &servers[i].remote, server_poll);
  }
  if (error < 0) {
    fprintf(stderr, "many_loops: %s\n", bide_error_text(error));
    return 1;
  }

  bide_scope_init(&scope, home);
  for (int i = 0; i < CLIENTS; i++) {
    bide_runtime_spawn(runtime, home, &clients[i].remote, client_poll);
    bide_scope_add(&scope, &clients[i].member, &clients[i].remote.future);
  }
  error = bide_block_on(bide_scope_end(&scope));
  printf("%u loops, one port: %u of %d clients served\n", bide_runtime_count(runtime),
         scope.resolved, CLIENTS);
  if (bide_runtime_shutdown(runtime, 10000) == BIDE_ETIME)
    printf("shut down: the servers were cancelled at the deadline\n");
  return error < 0 || bide_loop_close(home) < 0;
}
