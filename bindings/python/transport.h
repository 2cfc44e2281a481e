/* transport.h: a stream socket with a protocol on top.
 *
 *   made --connection_made--> open --close, EOF, error--> closing --> lost --> over
 *
 * While closing it still sends what was written; once lost it sends nothing more and
 * its call is queued, which calls connection_lost: then it is over. The socket is closed
 * then, or when the last of its cancelled operations has completed. What a callback
 * writes is sent when that callback returns (loop_leave); what is written while none runs,
 * between two runs or from another thread, at once. */
#ifndef BIDE_PYTHON_TRANSPORT_H
#define BIDE_PYTHON_TRANSPORT_H

#include "convert.h"
#include "protocol.h"
#include "tls.h"
#include "write_queue.h"

typedef struct listener_object listener_object;

/* More than this is sent at once, and not when the callback returns. */
enum { TRANSPORT_COALESCE_MAX = 65536 };

/* A file that is sent by sendfile(2) once the queue is empty. It is under way while there
 * is a waiter; `sent` stays for who asks afterwards. */
typedef struct transport_sendfile {
  PyObject *waiter; /* a future, or NULL */
  int fd;           /* the waiter's to keep open */
  off_t offset;
  size_t left; /* no more than this; the file may end before */
  size_t sent;
} transport_sendfile;

/* References to itself: one while receive_armed, one while poll_armed, one while queued
 * and one while `dirty` is on the loop's list. `link` is on the loop's list while fd is
 * open and the loop is, `client` on its listener's. */
struct transport_object {
  TRANSPORT_HEAD
  PyObject *socket;      /* the socket.socket; NULL until asked for after an accept */
  PyObject *socket_info; /* its TransportSocket, or NULL until asked for */
  PyObject *waiter;      /* a future, or NULL */
  PyObject *error;       /* what connection_lost will be told, or NULL */
  PyObject *held;        /* a list of bytes that came while paused, or NULL */
  listener_object *listener;
  tls_object *tls; /* of `protocol`, if that is a SSLProtocol: called in C */
  write_queue queue;
  transport_sendfile sendfile;
  size_t high_bytes, low_bytes;
  bide_op receive;
  bide_op *poll; /* made when the socket is full for the first time */
  bide_call call;
  bide_node link, dirty, client;
  convert_name *peer, *name; /* to become Python objects when asked for */
  int fd;                    /* -1 once closed */
  int number;                /* the fd for repr(), also when closed */
  int held_end;  /* what ended the input while paused: 0 or an error; 1: nothing did */
  unsigned lost; /* as asyncio's _conn_lost: not 0 once lost, then counts late writes */
  bool buffered; /* the protocol is a BufferedProtocol */
  bool stream;   /* it is asyncio's own of streams */
  bool started;  /* connection_made has been called */
  bool paused;
  bool closing;
  bool over; /* connection_lost has been called */
  bool eof_received;
  bool eof_written;
  bool writing_paused;
  bool receive_armed, receive_cancelling;
  bool pooled; /* it is armed for pooled buffers */
  bool large;  /* what came last was */
  bool bulky;  /* pieces are worth a receive of their own; until so many small ones came: */
  uint8_t small_pieces;
  bool poll_armed;
  bool queued;
};

/* A transport that has neither a socket nor a protocol yet. NULL with an exception. */
transport_object *transport_new(loop_object *loop);

/* Gives it a connected fd, which it owns from then on; `socket` is the Python socket that
 * holds the fd, or NULL. 0; -1 with an exception, fd still the caller's. */
int transport_take_socket(transport_object *self, int fd, PyObject *socket,
                          const convert_name *name, const convert_name *peer);

/* Puts `protocol` on top. 0, or -1 with an exception. */
int transport_set_protocol(transport_object *self, PyObject *protocol);

/* Calls connection_made and starts to read. Inside a callback of the loop. */
void transport_start(transport_object *self);

bool transport_is_closing(const transport_object *self);

/* False when the user has closed the fd under the transport and its number is another
 * socket's, as far as their addresses tell. */
bool transport_has_file(const transport_object *self);

/* For such a transport: it lets go of the number, which is not its any more, and loses
 * its connection. */
void transport_evict(transport_object *self);

/* How many of its references to itself are the loop's to drop. */
int transport_held_by_loop(const transport_object *self);

/* The loop's core is gone: drops the references that its operations held. */
void transport_forget(transport_object *self);

/* ---- between the transport's own files ---- */

/* protocol_call and protocol_report for it. */
PyObject *transport_call(transport_object *self, PyObject *name, PyObject *argument);
void transport_report(transport_object *self, const char *message);

/* Ends the connection with the pending exception, which is reported too unless it is an
 * OSError, the network's business. */
void transport_fail(transport_object *self, const char *message);

/* The same with a code of the core. */
void transport_fail_code(transport_object *self, int code, const char *message);

/* As transport.close() and transport.abort(). */
void transport_close(transport_object *self);
void transport_abort(transport_object *self);

/* Closes at once; connection_lost is told `error`, which may be NULL. */
void transport_end(transport_object *self, PyObject *error);

/* Queues the transport's call: connection_made, held input or connection_lost, as its
 * state says. */
void transport_schedule(transport_object *self);

/* Lets go of the fd, closing it, and of the listener; harmless when it has been done. */
void transport_release_socket(transport_object *self);
void transport_leave_listener(transport_object *self);

/* Once over: closes the socket if no operation is in flight any more. */
void transport_finish(transport_object *self);

/* transport_read.c: arms or cancels the receive as the state wants it. */
void transport_update_reading(transport_object *self);
void transport_deliver_held(transport_object *self);
void transport_pause_reading(transport_object *self);
void transport_resume_reading(transport_object *self);

/* transport_sendfile.c: sends what the socket takes, when the queue is empty. */
void transport_continue_file(transport_object *self);
bool transport_sends_file(const transport_object *self);

/* The connection is lost: tells who waits for the file. */
void transport_fail_file(transport_object *self);
PyObject *transport_start_file(PyObject *self, PyObject *args);
PyObject *transport_end_file(PyObject *self, PyObject *unused);

/* transport_write.c */

/* 0 if more may be written; -1 with RuntimeError naming the method. */
int transport_check_write(transport_object *self, const char *method);

/* Whether anything that was written, through TLS too, has yet to leave. */
bool transport_unsent(const transport_object *self);

/* Flushes again once the socket has room, and others have had their turn. */
void transport_await_writable(transport_object *self);
void transport_flush(transport_object *self);

/* Flushes for who goes past the transport to the socket, or counts what the socket does not
 * take: what this callback wrote must not wait then. */
void transport_try_now(transport_object *self);

/* Everything is sent: goes on to what was asked for meanwhile, the end of the stream or
 * of it all. */
void transport_flushed(transport_object *self);
PyObject *transport_write(PyObject *self, PyObject *data);

/* Writes a bytes object that is not empty, or drops it if that is too late. 0, or -1 with
 * MemoryError. */
int transport_write_bytes(transport_object *self, PyObject *bytes);

/* Flushes when the callback under way returns. */
void transport_mark_dirty(transport_object *self);
PyObject *transport_writelines(PyObject *self, PyObject *list);
PyObject *transport_write_eof(PyObject *self, PyObject *unused);
int transport_set_limits(transport_object *self, PyObject *high, PyObject *low);

#endif
