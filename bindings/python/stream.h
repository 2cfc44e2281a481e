/* stream.h: asyncio's own streams, fed without running their Python.
 *
 * A transport whose protocol is asyncio's StreamReaderProtocol does itself what
 * data_received(), feed_data() and _wakeup_waiter() would do, and leaves the same state. It
 * does so for the very classes of asyncio.streams alone, and only while they and the two
 * objects have the methods that asyncio gave them: a subclass, a method that somebody has
 * replaced, and code that uses other names than this file knows, are called as ever. */
#ifndef BIDE_PYTHON_STREAM_H
#define BIDE_PYTHON_STREAM_H

#include "loop.h"

/* Looks at asyncio.streams as it is when the module is imported. 0, or -1 with an
 * exception. */
int stream_look(module_state *state);

/* True for an instance of the very class. */
bool stream_is_stock(const module_state *state, PyObject *protocol);

/* Gives len > 0 bytes to the reader of a stock protocol: 1. 0 when its data_received() must
 * be called instead; nothing has changed then. -1 with what that would have raised. */
int stream_feed(loop_object *loop, PyObject *protocol, const char *base, size_t len);

/* The same with what bide_receive() takes for `op`, at most len bytes, which go straight to
 * the reader's buffer. 1 also when there were none; *received is what it returned, and is
 * left alone where it was not called. */
int stream_receive(loop_object *loop, PyObject *protocol, bide_op *op, size_t len,
                   int *received);

#endif
