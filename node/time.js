'use strict';
// Waiting and giving up: sleeps in microseconds, and promises under a common signal.

const { inspect } = require('node:util');
const { checkSignal, watch, unwatch } = require('./abort.js');
const { codedError } = require('./errors.js');
const { startTimer, stopTimer } = require('./native.js');

const msMax = 2 ** 42; // 139 years: microseconds that a double still counts one by one

function checkedUs(ms) {
  if (typeof ms === 'number' && ms >= 0 && ms <= msMax) return Math.ceil(ms * 1000);
  throw codedError(
    RangeError,
    'ERR_OUT_OF_RANGE',
    `The value of "ms" is out of range. It must be >= 0 and <= ${msMax}. Received ${inspect(ms)}`,
  );
}

// Never early; a fraction of a millisecond counts.
async function sleep(ms, { signal, ref = true } = {}) {
  const us = checkedUs(ms);
  checkSignal(signal);
  return new Promise((resolve, reject) => {
    const watcher = { abort: undefined };
    const number = startTimer(
      us,
      () => {
        if (signal !== undefined) unwatch(signal, watcher);
        resolve();
      },
      Boolean(ref),
    );
    if (signal === undefined) return;
    watcher.abort = (error) => {
      stopTimer(number);
      reject(error);
    };
    watch(signal, watcher);
  });
}

// ---- promises under a signal ----

// Calls work(signal) for each that is a function; what is none is waited for as it is.
const begin = (works, signal) =>
  works.map(async (work) => (typeof work === 'function' ? work(signal) : work));

// settle(works' promises) gives the result. Whatever ends first, the others' signal aborts:
// the outer signal, the deadline or the result itself.
async function under(works, signal, settle) {
  checkSignal(signal);
  const controller = new AbortController();
  const promises = begin(works, controller.signal);
  for (const promise of promises) promise.catch(() => {}); // told by the first alone
  const watcher = { abort: undefined };
  const aborted = new Promise((_, reject) => {
    watcher.abort = reject;
  });
  if (signal !== undefined) watch(signal, watcher);
  try {
    return await settle(promises, aborted);
  } catch (error) {
    controller.abort(error);
    throw error;
  } finally {
    if (signal !== undefined) unwatch(signal, watcher);
    controller.abort();
  }
}

// The first to settle; the others' signal aborts. They are not waited for.
function race(works, { signal } = {}) {
  return under([...works], signal, (promises, aborted) => Promise.race([...promises, aborted]));
}

// All results, or the first error, at which the others' signal aborts.
function all(works, { signal } = {}) {
  return under([...works], signal, (promises, aborted) =>
    Promise.race([Promise.all(promises), aborted]),
  );
}

function timeoutError(ms) {
  const error = codedError(Error, 'ETIMEDOUT', `It took longer than ${ms} ms`);
  error.name = 'TimeoutError';
  return error;
}

// The result of the work, or ETIMEDOUT, at which the work's signal aborts.
async function timeout(ms, work, { signal } = {}) {
  const us = checkedUs(ms);
  return under([work], signal, async ([promise], aborted) => {
    let number;
    const late = new Promise((_, reject) => {
      const fire = () => {
        number = undefined;
        reject(timeoutError(ms));
      };
      number = startTimer(us, fire, true);
    });
    try {
      return await Promise.race([promise, late, aborted]);
    } finally {
      if (number !== undefined) stopTimer(number);
    }
  });
}

module.exports = { sleep, timeout, race, all };
