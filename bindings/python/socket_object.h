/* socket_object.h: Python's own sockets, as the glue uses them: by the methods that
 * socket.socket has from C, and by its books on who keeps it open.
 *
 * The class is looked at again when its version has changed, since programs replace its
 * methods. */
#ifndef BIDE_PYTHON_SOCKET_OBJECT_H
#define BIDE_PYTHON_SOCKET_OBJECT_H

#include "state.h"

/* Whether recv, recv_into, send and fileno of sock do nothing but what C does: it is of the
 * very class socket.socket, which still has those. */
bool socket_object_is_stock(module_state *state, PyObject *sock);

/* The number of one that is stock; negative once it is closed, or with an exception. */
int socket_object_fd(module_state *state, PyObject *sock);

/* Whether a socket.socket() and its connect() do nothing but what C does: nobody has put
 * something else in their places. */
bool socket_object_connects(module_state *state);

/* A socket.socket of a stream of the family over fd, which it owns from then on, a new
 * reference. fd -1: one that is closed. NULL with an exception. */
PyObject *socket_object_over(const module_state *state, int family, int fd);

/* Puts off the close() of a socket.socket, or of a subclass' instance, as socket.makefile()
 * does. 0, or -1 with an exception. */
int socket_object_hold(module_state *state, PyObject *sock);

/* The opposite; closes the socket if that was put off for nobody else. */
int socket_object_release(module_state *state, PyObject *sock);

#endif
