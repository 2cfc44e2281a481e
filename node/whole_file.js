'use strict';
// A whole file, read or written by one request of the addon: what both have in common.
//
// A kind has submit(slot), which hands the request to the addon, and take(slot, detail,
// buffer), which makes the promise's value while the slot is still its. What submit returns
// is 0 for a request that is under way, a negative code, or 1 and the length of what has been
// read at once.

const { watch, unwatch } = require('./abort.js');
const { systemError, AbortError } = require('./errors.js');
const { Flow } = require('./flow.js');
const { native, acquire, release, syscalls } = require('./native.js');
const { asText } = require('./operation.js');

const flow = new Flow(128);

const notStarted = -1;

class WholeFile {
  // options.signal may end it.
  constructor(path, options, resolve, reject) {
    this.path = path;
    this.options = options;
    this.slot = notStarted;
    this.aborted = false;
    this.resolve = resolve;
    this.reject = reject;
  }

  // Throws when the signal has aborted already.
  enter() {
    const { signal } = this.options;
    if (signal !== undefined) {
      if (signal.aborted) throw new AbortError(signal);
      watch(signal, this);
    }
    flow.enter(this);
  }

  start() {
    this.slot = acquire(this);
    const outcome = this.trySubmit();
    if (outcome === 0) return;
    if (outcome < 0) this.refused(outcome);
    else if (outcome > 0) this.finish(this.slot, 0, outcome - 1);
    release(this.slot);
  }

  // undefined when it has thrown: for want of memory, or of the caller's buffer.
  trySubmit() {
    try {
      return this.submit(this.slot);
    } catch (error) {
      this.end();
      this.reject(error);
      return undefined;
    }
  }

  refused(code) {
    this.end();
    this.reject(systemError(code, 'open', asText(this.path)));
  }

  abort(error) {
    this.aborted = true;
    this.reject(error);
    if (this.slot !== notStarted) native.cancel(this.slot);
  }

  end() {
    flow.leave();
    if (this.options.signal !== undefined) unwatch(this.options.signal, this);
  }

  finish(slot, result, detail, buffer) {
    this.end();
    if (this.aborted) return;
    if (result < 0) this.reject(this.error(slot, result, detail));
    else this.resolve(this.take(slot, detail, buffer));
  }

  error(slot, result, detail) {
    const syscall = syscalls[detail];
    return systemError(result, syscall, syscall === 'open' ? asText(this.path) : undefined);
  }
}

module.exports = { flow, WholeFile };
