/* datagram.h: a datagram socket with a protocol on top.
 *
 *   made --connection_made--> open --close, failure--> closing --> lost --> over
 *
 * While closing it still sends what waits; once lost nothing waits to be sent any more and
 * its call is queued, which calls connection_lost and closes the socket: then it is over.
 * Datagrams are sent and taken by plain calls that do not block; polls say when. */
#ifndef BIDE_PYTHON_DATAGRAM_H
#define BIDE_PYTHON_DATAGRAM_H

#include "address_cache.h"
#include "convert.h"
#include "protocol.h"

typedef struct datagram_item datagram_item;

/* References to itself: one while read_armed, one while write_armed, one while queued.
 * `link` is on the loop's list while fd is open and the loop is. */
typedef struct datagram_object {
  TRANSPORT_HEAD
  PyObject *socket;
  PyObject *socket_info;       /* its TransportSocket, or NULL until asked for */
  PyObject *remote;            /* the address that it was made for, or NULL */
  PyObject *waiter;            /* a future, or NULL */
  PyObject *error;             /* what connection_lost will be told, or NULL */
  datagram_item *first, *last; /* what the socket did not take yet */
  size_t bytes;                /* of these, with a header each */
  address_cache *heard;        /* of whom datagrams came lately, or NULL */
  size_t high_bytes, low_bytes;
  bide_op read_poll, write_poll;
  bide_call call;
  bide_node link;
  convert_name peer, name;
  int fd;        /* -1 once closed */
  ino_t inode;   /* of the socket */
  int number;    /* the fd for repr(), also when closed */
  unsigned lost; /* as asyncio's _conn_lost: not 0 once lost, then counts late writes */
  bool started;  /* connection_made has been called */
  bool open;     /* who awaited the endpoint goes on: datagrams may come */
  bool readable; /* datagrams are there to be taken */
  bool closing;
  bool over; /* connection_lost has been called */
  bool writing_paused;
  bool read_armed, write_armed;
  bool queued;
} datagram_object;

/* How many of its references to itself are the loop's to drop. */
int datagram_held_by_loop(const datagram_object *self);

/* The loop's core is gone: drops the references that its operations held. */
void datagram_forget(datagram_object *self);

/* Whether its fd is still the socket it was made for; ends it if it is not. */
bool datagram_has_file(const datagram_object *self);
void datagram_evict(datagram_object *self);

/* ---- between its own files ---- */

/* As transport.close() and transport.abort(). */
void datagram_close(datagram_object *self);
void datagram_abort(datagram_object *self);

/* Ends the endpoint with the pending exception, which is reported too unless it is an
 * OSError. */
void datagram_fail(datagram_object *self, const char *message);

/* Passes the pending OSError to error_received; any other exception is the end. */
void datagram_receive_error(datagram_object *self, const char *message);

/* Calls protocol.name(first, second); what that raises is reported as a callback's. */
void datagram_tell(datagram_object *self, PyObject *name, PyObject *first,
                   PyObject *second, const char *message);

/* Queues connection_lost once nothing waits to be sent; harmless while it is open. */
void datagram_flushed(datagram_object *self);

/* Queues the endpoint's call: connection_made, datagrams or connection_lost, as its state
 * says. */
void datagram_schedule(datagram_object *self);

/* Closes the fd; harmless when it is closed. */
void datagram_release_socket(datagram_object *self);

/* datagram_io.c: gives what has come to the protocol, then waits for more. */
void datagram_read(datagram_object *self);

/* Waits for datagrams, or stops to, as the state wants it. */
void datagram_update_reading(datagram_object *self);

/* Drops what waits to be sent. */
void datagram_queue_clear(datagram_object *self);

/* For the collector: the addresses in the queue. */
int datagram_queue_visit(datagram_object *self, visitproc visit, void *arg);

PyObject *datagram_sendto(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *keywords);
void datagram_pause_writing(datagram_object *self);

#endif
