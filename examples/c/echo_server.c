/* An echo server on operations: a listener, and for each connection one multishot receive
 * and one send.
 *
 *   echo_server [HOST PORT]     127.0.0.1 7007; port 0 takes a free one
 *   echo_server --fd N          serves a listening socket that was inherited
 *
 * The receive lends us pooled buffers of the loop's. They are copied out of and given back
 * at once: a peer that sends and does not read then holds memory of its own and none that
 * others wait for. Past WAITING_MAX bytes its receive is cancelled, and starts anew when it
 * has read what there was. */
#include <bide.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 64 * 1024 };

typedef struct server {
  bide_loop *loop;
  bide_listener listener;
  bide_call stop;
  bool stopping;
} server;

typedef struct bytes {
  char *base;
  size_t len;
  size_t capacity;
} bytes;

/* On no list: what keeps a connection is its operations in flight. It is freed by the
 * completion after which it has none and wants none. `leaving` belongs to the send, which
 * has done `sent` of it; what comes meanwhile waits in `waiting`. */
typedef struct connection {
  server *server;
  int fd;
  bide_op receive;
  bide_op send;
  bool receiving;
  bool sending;
  bool pausing; /* the receive was cancelled because too much waits */
  bool ended;   /* nothing more is to be received */
  bool failed;  /* nor sent */
  bytes leaving;
  size_t sent;
  bytes waiting;
} connection;

static server echo;

/* Returns false without memory. What has grown once stays: no allocation after that. */
static bool bytes_append(bytes *self, const void *base, size_t len) {
  if (self->capacity - self->len < len) {
    size_t capacity = 2 * (self->len + len);
    char *grown = realloc(self->base, capacity);
    if (!grown) return false;
    self->base = grown;
    self->capacity = capacity;
  }
  memcpy(self->base + self->len, base, len);
  self->len += len;
  return true;
}

static void connection_free(connection *self) {
  bide_loop_close_fd(self->server->loop, self->fd);
  free(self->leaving.base);
  free(self->waiting.base);
  free(self);
}

static void connection_send(connection *self) {
  if (self->sent == self->leaving.len) {
    bytes emptied = self->leaving;
    self->leaving = self->waiting;
    self->waiting = emptied;
    self->waiting.len = 0;
    self->sent = 0;
  }
  if (self->leaving.len == 0) return;
  bide_prep_send(&self->send, self->fd, self->leaving.base + self->sent,
                 self->leaving.len - self->sent, 0);
  self->sending = bide_loop_submit(self->server->loop, &self->send) == 0;
  self->failed = !self->sending;
}

static void connection_receive(connection *self) {
  self->pausing = false;
  bide_prep_recv_multi(&self->receive, self->fd);
  self->receiving = bide_loop_submit(self->server->loop, &self->receive) == 0;
  self->failed = !self->receiving;
}

/* Starts whatever the connection's state asks for; frees it when that is nothing. The one
 * place where decisions are made: every completion notes what it brought and ends here. */
static void connection_advance(connection *self) {
  if (self->server->stopping) self->failed = true;
  if (!self->failed && !self->sending) connection_send(self);

  bool full = self->waiting.len > WAITING_MAX;
  bool wanted = !self->failed && !self->ended;
  if (wanted && !full && !self->receiving) connection_receive(self);
  if (self->receiving && !self->pausing && (full || !wanted)) {
    self->pausing = true;
    bide_loop_cancel(self->server->loop, &self->receive);
  }
  bool over = self->failed || self->ended;
  if (over && !self->receiving && !self->sending) connection_free(self);
}

static void on_received(bide_op *op) {
  connection *self = op->data;
  if (op->flags & BIDE_OP_BUFFER) {
    if (!bytes_append(&self->waiting, op->buffer, (size_t)op->result))
      self->failed = true;
    bide_buffer_release(self->server->loop, op->buffer_id);
  }
  if (!(op->flags & BIDE_OP_MORE)) self->receiving = false;
  bool paused = op->result == BIDE_ECANCELED && self->pausing;
  if (op->result <= 0 && !paused) self->ended = true;
  connection_advance(self);
}

static void on_sent(bide_op *op) {
  connection *self = op->data;
  self->sending = false;
  if (op->result < 0)
    self->failed = true; /* the peer is gone, and with it the use of what waits */
  else
    self->sent += (size_t)op->result;
  connection_advance(self);
}

static void on_accepted(bide_listener *listener, int result) {
  server *self = listener->data;
  if (result < 0) {
    fprintf(stderr, "accept: %s\n", bide_error_text(result));
    return;
  }
  connection *peer = calloc(1, sizeof *peer);
  if (!peer) {
    bide_loop_close_fd(self->loop, result);
    return;
  }
  peer->server = self;
  peer->fd = result;
  peer->receive.cb = on_received;
  peer->receive.data = peer;
  peer->send.cb = on_sent;
  peer->send.data = peer;
  connection_advance(peer);
}

static void on_stop(bide_call *call) {
  server *self = BIDE_CONTAINER_OF(call, server, stop);
  self->stopping = true;
  bide_listener_stop(&self->listener);
  bide_loop_stop(self->loop);
}

static void on_signal(int number) {
  (void)number;
  bide_post(echo.loop, &echo.stop);
}

/* SA_RESETHAND: the call must not be posted twice, and a second Ctrl-C should kill. */
static void stop_on(int number) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigaction(number, &action, NULL);
}

/* The listening socket that the arguments ask for, or an error. */
static int listen_socket(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "--fd") == 0) return atoi(argv[2]);
  bide_address address;
  int port = argc > 2 ? atoi(argv[2]) : 7007;
  int error = bide_address_ip(argc > 2 ? argv[1] : "127.0.0.1", (uint16_t)port, &address);
  return error < 0 ? error : bide_socket_listen(&address, 0, 0);
}

static int fail(const char *what, int error) {
  fprintf(stderr, "echo_server: %s: %s\n", what, bide_error_text(error));
  return 1;
}

int main(int argc, char **argv) {
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  options.flags = BIDE_LOOP_OWNS_THREAD;
  int error = bide_loop_new(&options, &echo.loop);
  if (error < 0) return fail("loop", error);

  int fd = listen_socket(argc, argv);
  if (fd < 0) return fail("listen", fd);
  echo.stop.cb = on_stop;
  echo.listener.cb = on_accepted;
  echo.listener.data = &echo;
  error = bide_listener_start(echo.loop, &echo.listener, fd);
  if (error < 0) return fail("listener", error);
  stop_on(SIGINT);
  stop_on(SIGTERM);

  bide_address address;
  char text[128];
  bide_socket_name(fd, &address);
  bide_address_format(&address, text, sizeof text);
  printf("listening on %s by %s: %s\n", text, bide_loop_backend(echo.loop),
         bide_loop_backend_reason(echo.loop));
  fflush(stdout);

  error = bide_loop_run(echo.loop, BIDE_RUN_UNTIL_STOPPED);
  if (error < 0) return fail("run", error);
  /* Every operation is cancelled; each connection goes with its last completion. */
  bide_loop_drain(echo.loop);
  bide_loop_close_fd(echo.loop, fd);
  return bide_loop_close(echo.loop) < 0;
}
