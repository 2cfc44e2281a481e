/* fetch.h: a GET over TCP as a task, and what else the examples share.
 *
 *   BIDE_AWAIT(task, fetch_get(loop, &self->user, "/user/%s", name));
 *   if (bide_task_status(task) < 0) BIDE_RETURN_ERROR(task, bide_task_status(task));
 *   id = fetch_number(&self->user, "id");
 */
#ifndef BIDE_EXAMPLES_FETCH_H
#define BIDE_EXAMPLES_FETCH_H

#include <bide.h>

/* One request and its reply. Caller-owned: it belongs to the loop from fetch_get until
 * its future settles, and may then be used again. */
typedef struct fetch {
  bide_task task;
  const char *body; /* once resolved: the reply's body, NUL-terminated, inside `reply` */
  /* private: the locals of fetch_poll that live across an await */
  bide_io io;
  int fd;
  size_t sent;
  size_t received;
  char request[256];
  char reply[1024];
} fetch;

/* Takes the server from the arguments HOST PORT, else from the environment's
 * EXAMPLES_HOST and EXAMPLES_PORT, else 127.0.0.1 8642. Ends the program on bad ones.
 * Call it first. */
void fetch_server(int argc, char **argv);

/* Starts to fetch the path (a printf format) and returns the task's future. It resolves
 * with the body's length; it is rejected with the error of the connection, with
 * BIDE_EPROTO for a reply that is no "200", BIDE_EMSGSIZE for one that is too long, or
 * cancelled. However it ends, the connection is closed then. */
bide_future *fetch_get(bide_loop *loop, fetch *self, const char *path, ...)
    __attribute__((format(printf, 3, 4)));

/* The number under `key` in the JSON body; -1 without one. */
int fetch_number(const fetch *self, const char *key);

/* Milliseconds since started_us, a bide_clock_us. */
unsigned elapsed_ms(uint64_t started_us);

/* A whole program that is one task: finds the server, makes a loop, runs the task to its
 * end and closes the loop. Returns main's exit status, having said what failed. */
int run_program(int argc, char **argv, bide_task *task, bide_task_fn poll);

#endif
