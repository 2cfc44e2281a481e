#include "stream.h"

/* ---- what asyncio's classes are ---- */

/* The names that the code of each method uses, in their order: other code is not known. */
typedef struct stream_method {
  stream_part part, owner;
  const char *name;
  const char *code_names;
} stream_method;

static const stream_method stream_methods[] = {
    {STREAM_DATA_RECEIVED, STREAM_PROTOCOL, "data_received", "_stream_reader feed_data"},
    {STREAM_GET_READER, STREAM_PROTOCOL, "_stream_reader", "_stream_reader_wr"},
    {STREAM_FEED_DATA, STREAM_READER, "feed_data",
     "_eof _buffer extend _wakeup_waiter _transport _paused len _limit pause_reading "
     "NotImplementedError"},
    {STREAM_WAKEUP, STREAM_READER, "_wakeup_waiter", "_waiter cancelled set_result"},
};

/* The names in the code of a function, or of a property's; NULL with an exception. */
static PyObject *stream_code_names(PyObject *method) {
  PyObject *getter = Py_IS_TYPE(method, &PyProperty_Type)
                         ? PyObject_GetAttrString(method, "fget")
                         : Py_NewRef(method);
  PyObject *code = getter == NULL ? NULL : PyObject_GetAttrString(getter, "__code__");
  PyObject *names = code == NULL ? NULL : PyObject_GetAttrString(code, "co_names");
  PyObject *space = names == NULL ? NULL : PyUnicode_FromString(" ");
  PyObject *joined = space == NULL ? NULL : PyUnicode_Join(space, names);
  Py_XDECREF(space);
  Py_XDECREF(names);
  Py_XDECREF(code);
  Py_XDECREF(getter);
  return joined;
}

static bool stream_take_method(stream_stock *stock, const stream_method *entry) {
  PyObject *method = PyObject_GetAttrString(stock->parts[entry->owner], entry->name);
  PyObject *names = method == NULL ? NULL : stream_code_names(method);
  bool known =
      names != NULL && PyUnicode_CompareWithASCIIString(names, entry->code_names) == 0;
  Py_XDECREF(names);
  stock->parts[entry->part] = method;
  return known;
}

static bool stream_take_class(stream_stock *stock, PyObject *module, stream_part part,
                              const char *name) {
  PyObject *found = PyObject_GetAttrString(module, name);
  stock->parts[part] = found;
  return found != NULL && PyType_Check(found);
}

int stream_look(module_state *state) {
  stream_stock *stock = &state->stream;
  PyObject *module = PyImport_ImportModule("asyncio.streams");
  if (module == NULL) return -1;
  bool known = stream_take_class(stock, module, STREAM_READER, "StreamReader") &&
               stream_take_class(stock, module, STREAM_PROTOCOL, "StreamReaderProtocol");
  Py_DECREF(module);
  size_t count = sizeof stream_methods / sizeof *stream_methods;
  for (size_t i = 0; i < count && known; i++)
    known = stream_take_method(stock, &stream_methods[i]);
  stock->known = known;
  PyErr_Clear();
  return 0;
}

bool stream_is_stock(const module_state *state, PyObject *protocol) {
  return state->stream.known &&
         (PyObject *)Py_TYPE(protocol) == state->stream.parts[STREAM_PROTOCOL];
}

/* ---- whether they still are ---- */

/* Whether object.name() would call the method that asyncio gave its class. */
static bool stream_has_method(const stream_stock *stock, PyObject *object, PyObject *name,
                              stream_part part) {
  PyObject *method = NULL;
  int unbound = compat_get_method(object, name, &method);
  bool own = unbound && method == stock->parts[part];
  Py_XDECREF(method);
  if (method == NULL) PyErr_Clear();
  return own;
}

/* The property goes before what an instance has under its name: only the class can have
 * another, and its version tells when to look. */
static bool stream_has_property(stream_stock *stock, PyObject *protocol, PyObject *name) {
  unsigned version = Py_TYPE(protocol)->tp_version_tag;
  if (version != 0 && version == stock->version) return true;
  PyObject *found = PyObject_GetAttr((PyObject *)Py_TYPE(protocol), name);
  bool own = found == stock->parts[STREAM_GET_READER];
  Py_XDECREF(found);
  if (found == NULL) PyErr_Clear();
  if (own) stock->version = Py_TYPE(protocol)->tp_version_tag;
  return own;
}

/* The reader of a protocol which would feed it: 1, with *reader NULL if it is gone. 0 if
 * something is not asyncio's own. */
static int stream_find_reader(module_state *state, PyObject *protocol,
                              PyObject **reader) {
  stream_stock *stock = &state->stream;
  *reader = NULL;
  if (!stream_has_method(stock, protocol, state->names.data_received,
                         STREAM_DATA_RECEIVED) ||
      !stream_has_property(stock, protocol, state->names._stream_reader))
    return 0;
  PyObject *reference = PyObject_GetAttr(protocol, state->names._stream_reader_wr);
  int found = reference == Py_None;
  if (reference != NULL && PyWeakref_CheckRefExact(reference))
    found = compat_weakref_get(reference, reader) >= 0;
  Py_XDECREF(reference);
  PyErr_Clear();
  if (*reader == NULL) return found;
  if ((PyObject *)Py_TYPE(*reader) == stock->parts[STREAM_READER] &&
      stream_has_method(stock, *reader, state->names.feed_data, STREAM_FEED_DATA) &&
      stream_has_method(stock, *reader, state->names._wakeup_waiter, STREAM_WAKEUP))
    return found;
  Py_CLEAR(*reader);
  return 0;
}

/* ---- feeding ---- */

/* What feed_data() goes by, new references; any may be NULL. */
typedef struct stream_state {
  PyObject *eof, *buffer, *waiter, *limit;
} stream_state;

static void stream_read_state(const module_state *state, PyObject *reader,
                              stream_state *found) {
  found->eof = PyObject_GetAttr(reader, state->names._eof);
  found->buffer = PyObject_GetAttr(reader, state->names._buffer);
  found->waiter = PyObject_GetAttr(reader, state->names._waiter);
  found->limit = PyObject_GetAttr(reader, state->names._limit);
  PyErr_Clear();
}

/* Whether feed_data() would only add to a buffer that lets it and wake a plain future. */
static bool stream_is_plain(const module_state *state, const stream_state *found) {
  PyObject *buffer = found->buffer, *waiter = found->waiter, *limit = found->limit;
  if (found->eof != Py_False || buffer == NULL || waiter == NULL || limit == NULL)
    return false;
  return PyByteArray_CheckExact(buffer) && PyLong_CheckExact(limit) &&
         ((PyByteArrayObject *)buffer)->ob_exports == 0 &&
         (waiter == Py_None || (PyObject *)Py_TYPE(waiter) == state->Future);
}

static void stream_drop_state(stream_state *found) {
  Py_XDECREF(found->eof);
  Py_XDECREF(found->buffer);
  Py_XDECREF(found->waiter);
  Py_XDECREF(found->limit);
}

static int stream_wake(const module_state *state, PyObject *reader, PyObject *waiter) {
  if (waiter == Py_None) return 0;
  if (PyObject_SetAttr(reader, state->names._waiter, Py_None) < 0) return -1;
  PyObject *result = PyObject_CallMethodOneArg(waiter, state->names.set_result, Py_None);
  if (result == NULL) {
    PyObject *error = PyErr_GetRaisedException();
    PyObject *cancelled = PyObject_CallMethodNoArgs(waiter, state->names.cancelled);
    if (cancelled != Py_True) {
      Py_XDECREF(cancelled);
      PyErr_SetRaisedException(error);
      return -1;
    }
    Py_DECREF(error);
    result = cancelled;
  }
  Py_DECREF(result);
  return 0;
}

/* Whether more than twice the limit waits to be read. */
static bool stream_is_full(const stream_state *found) {
  int overflow;
  long long limit = PyLong_AsLongLongAndOverflow(found->limit, &overflow);
  if (overflow != 0) return overflow < 0;
  return (PyByteArray_GET_SIZE(found->buffer) - 1) / 2 >= limit;
}

/* A transport that cannot pause is not asked again. */
static int stream_pause(const module_state *state, PyObject *reader,
                        PyObject *transport) {
  PyObject *result = PyObject_CallMethodNoArgs(transport, state->names.pause_reading);
  if (result != NULL) {
    Py_DECREF(result);
    return PyObject_SetAttr(reader, state->names._paused, Py_True);
  }
  if (!PyErr_ExceptionMatches(PyExc_NotImplementedError)) return -1;
  PyErr_Clear();
  return PyObject_SetAttr(reader, state->names._transport, Py_None);
}

static int stream_limit(const module_state *state, PyObject *reader) {
  PyObject *transport = PyObject_GetAttr(reader, state->names._transport);
  PyObject *paused =
      transport == NULL ? NULL : PyObject_GetAttr(reader, state->names._paused);
  int result = paused == NULL ? -1 : 0;
  if (paused == Py_False && transport != Py_None)
    result = stream_pause(state, reader, transport);
  Py_XDECREF(paused);
  Py_XDECREF(transport);
  return result;
}

/* 1, or -1 with an exception. */
static int stream_append(PyObject *buffer, const char *base, size_t len) {
  Py_ssize_t used = PyByteArray_GET_SIZE(buffer);
  if (PyByteArray_Resize(buffer, used + (Py_ssize_t)len) < 0) return -1;
  memcpy(PyByteArray_AS_STRING(buffer) + used, base, len);
  return 1;
}

/* What follows once something was added to the buffer. 1, or -1 with an exception. */
static int stream_added(const module_state *state, PyObject *reader,
                        const stream_state *found) {
  if (stream_wake(state, reader, found->waiter) < 0) return -1;
  if (stream_is_full(found) && stream_limit(state, reader) < 0) return -1;
  return 1;
}

int stream_feed(loop_object *loop, PyObject *protocol, const char *base, size_t len) {
  module_state *state = loop->state;
  PyObject *reader;
  int result = stream_find_reader(state, protocol, &reader);
  if (reader == NULL) return result;
  stream_state found;
  stream_read_state(state, reader, &found);
  result = stream_is_plain(state, &found);
  if (result > 0) result = stream_append(found.buffer, base, len);
  if (result > 0) result = stream_added(state, reader, &found);
  stream_drop_state(&found);
  Py_DECREF(reader);
  return result;
}

/* Room for len bytes at the end of the buffer is made, filled and, as far as it was not,
 * given back. 1, or -1 with an exception. */
static int stream_fill(PyObject *buffer, bide_op *op, size_t len, int *received) {
  Py_ssize_t used = PyByteArray_GET_SIZE(buffer);
  if (PyByteArray_Resize(buffer, used + (Py_ssize_t)len) < 0) return -1;
  *received = bide_receive(op, PyByteArray_AS_STRING(buffer) + used, len);
  if (*received > 0) used += *received;
  return PyByteArray_Resize(buffer, used) < 0 ? -1 : 1;
}

int stream_receive(loop_object *loop, PyObject *protocol, bide_op *op, size_t len,
                   int *received) {
  module_state *state = loop->state;
  PyObject *reader;
  (void)stream_find_reader(state, protocol, &reader);
  if (reader == NULL) return 0;
  stream_state found;
  stream_read_state(state, reader, &found);
  int result = stream_is_plain(state, &found);
  if (result > 0) result = stream_fill(found.buffer, op, len, received);
  if (result > 0 && *received > 0) result = stream_added(state, reader, &found);
  stream_drop_state(&found);
  Py_DECREF(reader);
  return result;
}
