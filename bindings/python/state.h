/* state.h: what belongs to one instance of the module: its types, the names it looks up
 * and the objects it borrows from the standard library.
 *
 * Each object of the glue reaches the state through its loop; the module outlives every
 * one of them, since their types hold it. */
#ifndef BIDE_PYTHON_STATE_H
#define BIDE_PYTHON_STATE_H

#include "compat.h"

/* X(name): interned strings. */
#define STATE_NAMES(X) \
  X(DEBUG_STACK_DEPTH) \
  X(Future) \
  X(Task) \
  X(_asyncgen_dropped) \
  X(_asyncgen_started) \
  X(_asyncio_future_blocking) \
  X(_buffer) \
  X(_callback_failed) \
  X(_callback_slow) \
  X(_check_callback) \
  X(_closed) \
  X(_create_task) \
  X(_eof) \
  X(_flush_on) \
  X(_force_close) \
  X(_get_running_loop) \
  X(_io_refs) \
  X(_job_raised) \
  X(_late_write) \
  X(_refuse_data) \
  X(_refuse_line) \
  X(_limit) \
  X(_paused) \
  X(_proceed) \
  X(_run) \
  X(_server_idle) \
  X(_set_running_loop) \
  X(_sock_recv) \
  X(_sock_recv_into) \
  X(_sock_sendall) \
  X(_sslobj) \
  X(_stream_reader) \
  X(_stream_reader_wr) \
  X(_timed_out) \
  X(_transport) \
  X(_waiter) \
  X(_wakeup_waiter) \
  X(abort) \
  X(add_done_callback) \
  X(buffer_updated) \
  X(call_at) \
  X(call_exception_handler) \
  X(call_soon) \
  X(call_later) \
  X(can_write_eof) \
  X(cancel) \
  X(cancelled) \
  X(close) \
  X(connect) \
  X(connection_lost) \
  X(connection_made) \
  X(context) \
  X(data_received) \
  X(datagram_received) \
  X(debug) \
  X(detach) \
  X(do_handshake) \
  X(done) \
  X(eof_received) \
  X(error_received) \
  X(feed_data) \
  X(fileno) \
  X(get_buffer) \
  X(get_debug) \
  X(get_extra_info) \
  X(get_write_buffer_size) \
  X(getpeercert) \
  X(getpeername) \
  X(getsockname) \
  X(join) \
  X(loop) \
  X(monotonic) \
  X(name) \
  X(pause_reading) \
  X(pause_writing) \
  X(pending) \
  X(read) \
  X(recv) \
  X(recv_into) \
  X(recvfrom) \
  X(resume_reading) \
  X(resume_writing) \
  X(run) \
  X(send) \
  X(sendto) \
  X(set_exception) \
  X(set_result) \
  X(set_running_or_notify_cancel) \
  X(set_write_buffer_limits) \
  X(socket) \
  X(time) \
  X(unwrap) \
  X(warning) \
  X(wrap_bio) \
  X(write) \
  X(write_eof)

/* X(member, module, attribute): borrowed from the standard library at import. */
#define STATE_IMPORTS(X) \
  X(BufferedProtocol, "asyncio", "BufferedProtocol") \
  X(CertificateError, "ssl", "CertificateError") \
  X(Future, "asyncio", "Future") \
  X(MemoryBIO, "ssl", "MemoryBIO") \
  X(QueueFull, "queue", "Full") \
  X(SSLObject, "ssl", "SSLObject") \
  X(SSLSyscallError, "ssl", "SSLSyscallError") \
  X(SSLWantReadError, "ssl", "SSLWantReadError") \
  X(SSLZeroReturnError, "ssl", "SSLZeroReturnError") \
  X(SimpleNamespace, "types", "SimpleNamespace") \
  X(TimeoutError, "asyncio", "TimeoutError") \
  X(TransportSocket, "asyncio.trsock", "TransportSocket") \
  X(constants, "asyncio", "constants") \
  X(events, "asyncio", "events") \
  X(extract_stack, "asyncio.format_helpers", "extract_stack") \
  X(logger, "asyncio.log", "logger") \
  X(monotonic, "time", "monotonic") \
  X(socket_connect, "_socket", "socket.connect") \
  X(socket_fileno, "_socket", "socket.fileno") \
  X(socket_module, "asyncio.base_events", "socket") \
  X(socket_recv, "_socket", "socket.recv") \
  X(socket_recv_into, "_socket", "socket.recv_into") \
  X(socket_send, "_socket", "socket.send") \
  X(socket_type, "socket", "socket") \
  X(tasks, "asyncio", "tasks") \
  X(get_running_loop, "asyncio.events", "_get_running_loop") \
  X(set_result_unless_cancelled, "asyncio.futures", "_set_result_unless_cancelled") \
  X(stat_result, "os", "stat_result")

/* X(member, spec, bases' module, bases' names with a space between): the types, all exported
 * under the name that their spec gives. A base of NULL is object. */
#define STATE_TYPES(X) \
  X(loop_type, loop_spec, NULL, NULL) \
  X(handle_type, handle_spec, "asyncio", "Handle") \
  X(timer_handle_type, timer_handle_spec, "asyncio", "TimerHandle") \
  X(threadsafe_handle_type, threadsafe_handle_spec, "asyncio.events", \
    "_ThreadSafeHandle") \
  X(transport_type, transport_spec, "asyncio", "Transport") \
  X(read_pipe_type, read_pipe_spec, "asyncio", "ReadTransport") \
  X(write_pipe_type, write_pipe_spec, "asyncio", "Transport") \
  X(guest_type, guest_spec, NULL, NULL) \
  X(listener_type, listener_spec, NULL, NULL) \
  X(tls_protocol_type, tls_protocol_spec, "asyncio", "Protocol") \
  X(tls_type, tls_spec, "asyncio", "Transport") \
  X(job_queue_type, job_queue_spec, NULL, NULL) \
  X(file_op_type, file_op_spec, NULL, NULL) \
  X(socket_call_type, socket_call_spec, NULL, NULL) \
  X(datagram_type, datagram_spec, "asyncio", "Transport DatagramTransport")

/* Whether a new asyncio.Future is nothing but a reference to its loop; see future.c. */
typedef enum future_shape { FUTURE_UNKNOWN, FUTURE_BARE, FUTURE_OTHER } future_shape;

/* What streams are fed by; see stream.h. */
typedef enum stream_part {
  STREAM_READER,
  STREAM_PROTOCOL,
  STREAM_DATA_RECEIVED,
  STREAM_GET_READER,
  STREAM_FEED_DATA,
  STREAM_WAKEUP,
  STREAM_PARTS
} stream_part;

/* known: all parts are there, and of a kind that can be stood in for. version: that of
 * the protocol's class when its property was looked at; 0: it was not. */
typedef struct stream_stock {
  PyObject *parts[STREAM_PARTS];
  atomic_uint version;
  bool known;
} stream_stock;

/* What socket.socket was like at `version`, 0: it was not looked at; see socket_object.h. The
 * threads of a process that look at once find the same, and set the version last. */
typedef struct socket_stock {
  _Atomic(PyMemberDef *) io_refs, closed; /* its slots, or NULL */
  atomic_uint version;
  atomic_bool methods;  /* those that can be stood in for are C's */
  atomic_bool connects; /* and so is connect() */
} socket_stock;

typedef struct module_state {
#define STATE_X(member, spec, module, name) PyTypeObject *member;
  STATE_TYPES(STATE_X)
#undef STATE_X
#define STATE_X(member, module, attribute) PyObject *member;
  STATE_IMPORTS(STATE_X)
#undef STATE_X
  struct {
#define STATE_X(name) PyObject *name;
    STATE_NAMES(STATE_X)
#undef STATE_X
  } names;
  PyObject *loop_keyword;  /* ("loop",) */
  PyObject *bare_keywords; /* _asyncio's own ("context",); see bare_call.h */
  PyObject *time_dict;     /* the module time's */
  int time_watcher;
  bool time_watched; /* if not, it must be looked at each time */
  stream_stock stream;
  socket_stock socket;
  _Atomic(future_shape) future_shape;
} module_state;

/* object.name(...), with the arguments that Py_BuildValue makes of a format in parentheses.
 * PyObject_CallMethod would make a new string of a name at each call, and CPython's cache of
 * methods keeps a place for each, in which it holds it and another name's entry is lost. */
PyObject *state_call(PyObject *object, PyObject *name, const char *format, ...);

/* object.name(...), with the arguments that a method of METH_FASTCALL has got. */
PyObject *state_pass_on(PyObject *object, PyObject *name, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *keywords);

/* The state of the module that made `type` or a base of it; NULL with TypeError. */
module_state *module_state_of(PyTypeObject *type);

#define STATE_X(member, spec, module, name) extern PyType_Spec spec;
STATE_TYPES(STATE_X)
#undef STATE_X

#endif
