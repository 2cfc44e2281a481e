'use strict';
// One listener a signal, however many requests wait under it: each of its own would be a
// leak warning at the eleventh.

const { inspect } = require('node:util');
const { AbortError, codedError } = require('./errors.js');

const watched = new WeakMap(); // AbortSignal -> { requests, listener }

function isSignal(value) {
  return value !== null && typeof value === 'object' && 'aborted' in value;
}

// For the functions that Node has not: it refuses a wrong signal of its own in its own words.
function checkSignal(signal) {
  if (signal === undefined) return;
  if (!isSignal(signal)) {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "options.signal" property must be an AbortSignal. Received ${inspect(signal)}`,
    );
  }
  if (signal.aborted) throw new AbortError(signal);
}

// request.abort(error) is called when the signal aborts, unless unwatch() comes first. The
// signal has not aborted yet.
function watch(signal, request) {
  let entry = watched.get(signal);
  if (entry === undefined) {
    const requests = new Set();
    const listener = () => {
      watched.delete(signal);
      for (const each of requests) each.abort(new AbortError(signal));
    };
    entry = { requests, listener };
    watched.set(signal, entry);
    signal.addEventListener('abort', listener, { once: true });
  }
  entry.requests.add(request);
}

function unwatch(signal, request) {
  const entry = watched.get(signal);
  if (entry === undefined) return;
  entry.requests.delete(request);
  if (entry.requests.size > 0) return;
  watched.delete(signal);
  signal.removeEventListener('abort', entry.listener);
}

module.exports = { isSignal, checkSignal, watch, unwatch };
