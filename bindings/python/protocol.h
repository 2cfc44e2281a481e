/* protocol.h: what every transport begins with, and its calls to the protocol on top. */
#ifndef BIDE_PYTHON_PROTOCOL_H
#define BIDE_PYTHON_PROTOCOL_H

#include "loop.h"

/* extra_slot is asyncio.BaseTransport's and stays NULL. `protocol` is NULL once it has
 * been told of the end. in_call: `context` is entered. `dict` holds what users set: they put
 * attributes of their own on transports, and functions in place of methods. */
#define TRANSPORT_HEAD \
  PyObject_HEAD \
  PyObject *extra_slot; \
  PyObject *weakrefs; \
  PyObject *dict; \
  loop_object *loop; \
  PyObject *protocol; \
  PyObject *context; \
  bool in_call;

typedef struct transport_head {
  TRANSPORT_HEAD
} transport_head;

/* The attribute __dict__, for a transport's own and for one that has no others. */
#define TRANSPORT_DICT \
  { "__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL }
extern PyGetSetDef transport_head_getset[];

/* Calls protocol.name(argument) in the transport's context; argument may be NULL. From
 * inside such a call too. Returns NULL with an exception. */
PyObject *protocol_call(transport_head *self, PyObject *name, PyObject *argument);

/* The same with two arguments. */
PyObject *protocol_call_two(transport_head *self, PyObject *name, PyObject *first,
                            PyObject *second);

/* Whether a connection can be made with it. False with the AttributeError that asyncio raises:
 * a factory that forgot its return is told so by whoever called it, not by a log. */
bool protocol_can_connect(module_state *state, PyObject *protocol);

/* Whether it is driven as a BufferedProtocol: one that only looks like it is too, where
 * there is no data_received() that could be called instead. -1 with an exception. */
int protocol_is_buffered(module_state *state, PyObject *protocol);

/* The methods get_protocol() and, for a transport to which one protocol is as good as
 * another, set_protocol(protocol). */
PyObject *protocol_get_method(PyObject *self, PyObject *unused);
PyObject *protocol_set_method(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *keywords);

/* Reports `error` to the loop's handler. */
void protocol_report_error(transport_head *self, PyObject *error, const char *message);

/* Reports the pending exception, or ends the run with it. */
void protocol_report(transport_head *self, const char *message);

/* Sets the future at *waiter, taking it from there, unless it is done: whoever awaited the
 * connection was cancelled. Harmless for NULL. */
void protocol_wake_waiter(transport_head *self, PyObject **waiter);

#endif
