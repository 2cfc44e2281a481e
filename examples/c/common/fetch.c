/* fetch.c: the client of the examples: connect, send, receive, each an await. */
#include "fetch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bide_address server;

static const char *setting(int argc, char **argv, int index, const char *variable,
                           const char *otherwise) {
  if (argc > index) return argv[index];
  const char *value = getenv(variable);
  return value ? value : otherwise;
}

void fetch_server(int argc, char **argv) {
  const char *host = setting(argc, argv, 1, "EXAMPLES_HOST", "127.0.0.1");
  const char *port = setting(argc, argv, 2, "EXAMPLES_PORT", "8642");
  char *end;
  unsigned long number = strtoul(port, &end, 10);
  if (*end || number == 0 || number > 65535 ||
      bide_address_ip(host, (uint16_t)number, &server) < 0) {
    fprintf(stderr, "%s: no address: host '%s', port '%s'\n", argv[0], host, port);
    exit(2);
  }
}

/* Checks the status line, finds the body. Returns 0 or BIDE_EPROTO. */
static int fetch_parse(fetch *self) {
  static const char ok[] = "HTTP/1.1 200 ";
  self->reply[self->received] = '\0';
  const char *blank = strstr(self->reply, "\r\n\r\n");
  if (!blank || strncmp(self->reply, ok, sizeof ok - 1) != 0) return BIDE_EPROTO;
  self->body = blank + 4;
  return 0;
}

/* Every way out leads through here. No operation is in flight at an await's return, a
 * cancelled one included, so the socket may be closed. */
static bide_poll fetch_end(fetch *self, int error) {
  bide_loop_close_fd(self->task.future.loop, self->fd);
  size_t length = error < 0 ? 0 : strlen(self->body);
  return bide_task_return(&self->task, (intptr_t)length, error);
}

static bide_poll fetch_poll(bide_task *task) {
  fetch *self = BIDE_FRAME(task, fetch, task);
  BIDE_ASYNC_BEGIN(task);

  self->fd = bide_socket_stream(&server);
  if (self->fd < 0) BIDE_RETURN_ERROR(task, self->fd);
  bide_prep_connect(&self->io.op, self->fd, (const struct sockaddr *)&server.storage,
                    server.len);
  BIDE_AWAIT_IO(task, &self->io);
  if (bide_task_status(task) < 0) return fetch_end(self, bide_task_status(task));

  for (self->sent = 0; self->sent < strlen(self->request);) {
    bide_prep_send(&self->io.op, self->fd, self->request + self->sent,
                   strlen(self->request) - self->sent, 0);
    BIDE_AWAIT_IO(task, &self->io);
    if (bide_task_status(task) < 0) return fetch_end(self, bide_task_status(task));
    self->sent += (size_t)self->io.op.result;
  }

  /* The server closes the connection behind its reply: the end of the stream is the end
   * of the body. */
  self->received = 0;
  do {
    if (self->received == sizeof self->reply - 1) return fetch_end(self, BIDE_EMSGSIZE);
    bide_prep_recv(&self->io.op, self->fd, self->reply + self->received,
                   sizeof self->reply - 1 - self->received, 0);
    BIDE_AWAIT_IO(task, &self->io);
    if (bide_task_status(task) < 0) return fetch_end(self, bide_task_status(task));
    self->received += (size_t)self->io.op.result;
  } while (self->io.op.result > 0);

  return fetch_end(self, fetch_parse(self));
  BIDE_ASYNC_END(task, 0);
}

bide_future *fetch_get(bide_loop *loop, fetch *self, const char *path, ...) {
  char target[128];
  va_list arguments;
  va_start(arguments, path);
  vsnprintf(target, sizeof target, path, arguments);
  va_end(arguments);
  snprintf(self->request, sizeof self->request,
           "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", target);
  self->body = NULL;
  self->task.finished = NULL;
  /* A spawn that fails rejects the future: the await tells. */
  bide_task_spawn(loop, &self->task, fetch_poll);
  return &self->task.future;
}

int fetch_number(const fetch *self, const char *key) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  const char *found = strstr(self->body, quoted);
  return found ? (int)strtol(found + strlen(quoted), NULL, 10) : -1;
}

unsigned elapsed_ms(uint64_t started_us) {
  return (unsigned)((bide_clock_us() - started_us) / 1000);
}

int run_program(int argc, char **argv, bide_task *task, bide_task_fn poll) {
  bide_loop *loop;
  fetch_server(argc, argv);
  int error = bide_loop_new(NULL, &loop);
  if (error == 0) {
    bide_task_spawn(loop, task, poll);
    error = bide_block_on(&task->future);
    bide_loop_close(loop);
  }
  if (error < 0)
    fprintf(stderr, "%s: %s: %s\n", argv[0], bide_error_name(error),
            bide_error_text(error));
  return error < 0;
}
