/* tls.h: TLS over any asyncio transport, by Python's own ssl contexts.
 *
 * A connection is two objects. The application sees the transport, a tls_object, which
 * holds the state. On the transport below sits a tls_protocol, which only passes on what
 * that calls; bide's own transport calls the functions here instead. Between the two an
 * ssl.SSLObject reads and writes two ssl.MemoryBIO.
 *
 *   idle --connection_made--> handshake --> open --close, end of input--> flushing
 *     --close_notify is sent--> closing --the peer's has come, or enough waited--> ending
 *     --connection_lost--> over
 *
 * While flushing, what was written goes out and nothing is read. While closing, what
 * still comes is dropped. Once ending, the transport below closes by itself. */
#ifndef BIDE_PYTHON_TLS_H
#define BIDE_PYTHON_TLS_H

#include <sys/types.h>

#include "protocol.h"
#include "write_queue.h"

typedef enum tls_phase {
  TLS_IDLE,
  TLS_HANDSHAKE,
  TLS_OPEN,
  TLS_FLUSHING,
  TLS_CLOSING,
  TLS_ENDING,
  TLS_OVER,
} tls_phase;

/* `native` is `lower` when that is bide's own transport. `raw` is the object in C behind
 * ssl_object, used where it is the stock ssl.SSLObject; NULL where a subclass may have a
 * say. `queue` holds what was written and is not encrypted yet. `left_bytes` is how much
 * was unsent when the timer last looked. From over on `lower` is kept only if it is
 * native, for its addresses: that one lets go of its protocol. */
typedef struct tls_object {
  TRANSPORT_HEAD
  PyObject *lower;
  transport_object *native;
  PyObject *ssl_context;
  PyObject *ssl_object;
  PyObject *raw;
  PyObject *incoming;
  PyObject *outgoing;
  PyObject *waiter; /* a future, or NULL */
  PyObject *error;  /* what connection_lost will be told, or NULL */
  PyObject *timer;  /* the handle of the handshake's or shutdown's timeout, or NULL */
  PyObject *handshake_s;
  PyObject *shutdown_s;
  PyObject *linger_s; /* how long to wait for the peer's close_notify; None: shutdown_s */
  write_queue queue;
  size_t high_bytes, low_bytes;
  size_t dropped_bytes;
  size_t left_bytes;
  uint64_t begin_us; /* of the handshake, in debug mode */
  tls_phase phase;
  unsigned late; /* writes after the end */
  bool server_side;
  bool announced; /* the protocol's connection_made has been called */
  bool shaken;    /* the handshake is complete */
  bool filled;    /* the last read filled its memory: plain text may be left */
  bool buffered;  /* the protocol is a BufferedProtocol */
  bool stream;    /* the protocol is asyncio's own of streams */
  bool paused;    /* reading is */
  bool closed;    /* for the application */
  bool waking;    /* who awaits the connection goes on first, and then what was read */
  bool eof_told;  /* the protocol's eof_received has been called */
  bool ended;     /* the peer's close_notify has come */
  bool cut;       /* the stream below has ended */
  bool lower_paused;
  bool writing_paused;
  bool flushing;
  bool resting; /* a call of its own goes on with the flush */
} tls_object;

typedef struct tls_protocol {
  PyObject_HEAD
  tls_object *tls;
} tls_protocol;

/* The outcome of an ssl call that has to wait for input. */
enum { TLS_AGAIN = -2 };

/* ---- for bide's own transport ---- */

/* What the peer has sent, encrypted. Reports all errors itself. */
void tls_receive(tls_object *self, PyObject *data);

/* Encrypts what was written and hands it down, until the transport below has enough or
 * others have waited long enough. Returns whether there was any. */
bool tls_flush(tls_object *self);

/* Whether something is written that a flush will hand down. */
bool tls_unsent(const tls_object *self);

/* As transport.close(). */
void tls_close(tls_object *self);

/* ---- between the files of TLS ---- */

/* tls_record.c: the ssl objects. Sizes, or -1 with an exception, or TLS_AGAIN. */
int tls_record_open(tls_object *self, PyObject *server_hostname);
int tls_record_feed(tls_object *self, PyObject *data);
ssize_t tls_record_pending(tls_object *self); /* what may be read, at least */
ssize_t tls_record_read(tls_object *self, char *into, size_t len); /* 0: close_notify */
ssize_t tls_record_write(tls_object *self, const char *from, size_t len);
ssize_t tls_record_write_bytes(tls_object *self, PyObject *bytes);
int tls_record_shake(tls_object *self);
int tls_record_unwrap(tls_object *self);

/* Hands down what the ssl objects have to send. 0, or -1 with an exception. */
int tls_record_send(tls_object *self);

/* tls_lower.c: the transport below. 0, or -1 with an exception. */
int tls_lower_attach(tls_object *self, PyObject *lower);
int tls_lower_write(tls_object *self, PyObject *bytes);
void tls_lower_flush(tls_object *self); /* sends at once what it would gather */
int tls_lower_rest(tls_object *self);   /* flushes again when others had their turn */
bool tls_lower_rests(const tls_object *self);
int tls_lower_set_reading(tls_object *self, bool wanted);
int tls_lower_set_limits(tls_object *self);
int tls_lower_end(tls_object *self);
int tls_lower_close(tls_object *self);
void tls_lower_abort(tls_object *self, PyObject *error);
size_t tls_lower_bytes(tls_object *self);

/* tls_handshake.c */
void tls_start(tls_object *self, PyObject *lower);
void tls_shake(tls_object *self);
void tls_shake_cut(tls_object *self);

/* Gives who awaits the connection the error, or else the transport: None where it has
 * closed without a handshake. */
void tls_wake_waiter(tls_object *self, PyObject *error);

/* tls_read.c */
int tls_set_protocol(tls_object *self, PyObject *protocol);
void tls_read(tls_object *self);
void tls_proceed(tls_object *self);
void tls_pause_reading(tls_object *self);
int tls_resume_reading(tls_object *self);

/* Calls a method of its own soon. 0, or -1 with an exception. */
int tls_call_soon(tls_object *self, PyObject *method);

/* Calls eof_received(), once. */
void tls_tell_eof(tls_object *self);

/* The stream below has ended. */
void tls_receive_eof(tls_object *self);

/* tls_write.c */
void tls_flush_on(tls_object *self); /* what tls_lower_rest put off */
PyObject *tls_write(PyObject *self, PyObject *data);
PyObject *tls_writelines(PyObject *self, PyObject *list);
PyObject *tls_queue_only(PyObject *self, PyObject *bytes);
void tls_set_lower_paused(tls_object *self, bool paused);
void tls_control_writing(tls_object *self);

/* tls_shutdown.c: from closing to over. */
void tls_begin_close(tls_object *self);
void tls_notify(tls_object *self); /* everything written has been handed down */
void tls_drop_input(tls_object *self);
void tls_end(tls_object *self);
void tls_abort(tls_object *self, PyObject *error);
void tls_lost(tls_object *self, PyObject *error);
void tls_timed_out(tls_object *self);
int tls_start_timer(tls_object *self, PyObject *seconds);
void tls_stop_timer(tls_object *self);

/* Ends the connection with the pending exception, which is reported too unless it is an
 * OSError, as all of ssl's are: those are the network's business. */
void tls_fail(tls_object *self, const char *message);

#endif
