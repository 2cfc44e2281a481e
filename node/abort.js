'use strict';
// One listener a signal, however many requests wait under it: each of its own would be a
// leak warning at the eleventh.

const { AbortError } = require('./errors.js');

const watched = new WeakMap(); // AbortSignal -> { requests, listener }

function isSignal(value) {
  return value !== null && typeof value === 'object' && 'aborted' in value;
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

module.exports = { isSignal, watch, unwatch };
