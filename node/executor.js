'use strict';
// What the two kinds of executors have in common: their size and bounds, the checks of what
// is run, and a close that waits for it.
//
// A kind has three methods: prepare(fn, args) checks and returns what start() takes;
// start(prepared, signal, resolve, reject) begins, and ended() follows once for each;
// stop() ends the threads.

const { availableParallelism } = require('node:os');
const { inspect } = require('node:util');
const { checkSignal } = require('./abort.js');
const { codedError } = require('./errors.js');

const threadsMax = 1024;

function threadCount(threads) {
  if (threads === undefined) return availableParallelism();
  if (Number.isInteger(threads) && threads >= 1 && threads <= threadsMax) return threads;
  throw codedError(
    RangeError,
    'ERR_OUT_OF_RANGE',
    'The value of "options.threads" is out of range. It must be an integer from 1 to ' +
      `${threadsMax}. Received ${inspect(threads)}`,
  );
}

function queueBound(queueMax) {
  if (queueMax === undefined) return Infinity;
  if (Number.isInteger(queueMax) && queueMax >= 1 && queueMax < 2 ** 32) return queueMax;
  throw codedError(
    RangeError,
    'ERR_OUT_OF_RANGE',
    'The value of "options.queueMax" is out of range. It must be a positive 32-bit integer. ' +
      `Received ${inspect(queueMax)}`,
  );
}

class Executor {
  #size;
  #queueMax;
  #pending = 0;
  #closed; // the promise of the close
  #drained; // settles it

  constructor(options = {}) {
    this.#size = threadCount(options.threads);
    this.#queueMax = queueBound(options.queueMax);
  }

  // Threads at most.
  get size() {
    return this.#size;
  }

  // Tasks that may wait while all threads are busy; Infinity without a bound.
  get queueMax() {
    return this.#queueMax;
  }

  // Tasks that have not ended.
  get pending() {
    return this.#pending;
  }

  run(fn, args = [], { signal } = {}) {
    return new Promise((resolve, reject) => {
      const prepared = this.prepare(fn, args);
      checkSignal(signal);
      if (this.#closed !== undefined) {
        throw codedError(Error, 'ERR_BIDE_EXECUTOR_CLOSED', 'The executor is closed');
      }
      if (this.#pending >= this.#size + this.#queueMax) {
        throw codedError(
          Error,
          'EQUEUEFULL',
          `The executor's queue is full (${this.#queueMax} wait)`,
        );
      }
      this.start(prepared, signal, resolve, reject);
      this.#pending++;
    });
  }

  ended() {
    this.#pending--;
    if (this.#pending === 0 && this.#closed !== undefined) this.#drained();
  }

  // Takes no more tasks, waits for those it has, ends the threads.
  close() {
    this.#closed ??= new Promise((resolve) => {
      this.#drained = resolve;
      if (this.#pending === 0) resolve();
    }).then(() => this.stop());
    return this.#closed;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }
}

module.exports = { Executor };
