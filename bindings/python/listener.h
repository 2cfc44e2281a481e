/* listener.h: a listening socket that makes a transport of each connection. */
#ifndef BIDE_PYTHON_LISTENER_H
#define BIDE_PYTHON_LISTENER_H

#include <bide/net.h>

#include "loop.h"

/* References to itself: one while `accepting`. `link` is on
 * the loop's list for that time. `clients` are the transports that it made and that are
 * not closed yet, each of which owns a reference to it. */
struct listener_object {
  PyObject_HEAD
  loop_object *loop;
  PyObject *server;  /* the bide.Server, told when the last client goes; NULL once closed
                      * and without any, or when the loop is */
  PyObject *socket;  /* the listening socket.socket */
  PyObject *factory; /* makes a protocol for each connection */
  PyObject *context; /* in which it does; a copy for each */
  bide_listener core;
  bide_node link;
  bide_node clients;
  size_t client_count;
  bool accepting; /* from start until the core says it has stopped */
  bool closed;    /* the socket is */
};

typedef struct listener_object listener_object;

/* Stops accepting and closes the socket at once. */
void listener_stop(listener_object *self);

/* The loop closes: stops accepting and lets go of the server. The socket is the server's to
 * close, or Python's, with its warning, when nobody holds the server any more. */
void listener_end(listener_object *self);

/* The loop's core is gone: drops the reference that it held. */
void listener_forget(listener_object *self);

/* One of its clients has left its list. */
void listener_client_gone(listener_object *self);

#endif
