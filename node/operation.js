'use strict';
// Single operations as promises.

const { watch, unwatch } = require('./abort.js');
const { AbortError, systemError } = require('./errors.js');
const { Flow } = require('./flow.js');
const { native, acquire, release, memoryOf, offsetOf } = require('./native.js');
const { Stats, BigIntStats } = require('./stats.js');

const flow = new Flow(1024);

const asText = (path) => (typeof path === 'string' ? path : Buffer.from(path).toString());

// What an operation does beside begin() and take(), for those that have no more to say.
const nothingMore = { path: undefined, buffer: undefined, signal: undefined, undo: undefined };

class Operation {
  // begin(slot) hands the operation to the addon, and returns 0, a negative code, or 1 for
  // what the addon has done at once; take(result, slot) makes the promise's value while the
  // slot's memory is still the operation's.
  // more.path: what the error of a failed call names.
  // more.buffer: what the kernel reads or writes beside the slot's memory.
  // more.undo(result): for a success that comes after the abort.
  constructor(syscall, begin, take, more, resolve, reject) {
    this.syscall = syscall;
    this.begin = begin;
    this.take = take;
    this.more = more; // holds the buffer, which is not to be collected before finish()
    this.slot = -1;
    this.aborted = false;
    this.resolve = resolve;
    this.reject = reject;
    if (more.signal !== undefined) watch(more.signal, this);
  }

  start() {
    this.slot = acquire(this);
    const code = this.begin(this.slot);
    if (code === 0) return;
    this.finish(this.slot, Math.min(code, 0));
    release(this.slot);
  }

  fail(code) {
    const { path } = this.more;
    this.reject(systemError(code, this.syscall, path === undefined ? path : asText(path)));
  }

  abort(error) {
    this.aborted = true;
    this.reject(error);
    if (this.slot !== -1) native.cancel(this.slot);
  }

  end() {
    flow.leave();
    if (this.more.signal !== undefined) unwatch(this.more.signal, this);
  }

  finish(slot, result) {
    this.end();
    if (this.aborted) {
      if (result >= 0) this.more.undo?.(result);
    } else if (result < 0) {
      this.fail(result);
    } else {
      this.resolve(this.take(result, slot));
    }
  }
}

function operate(syscall, begin, take, more = nothingMore) {
  return new Promise((resolve, reject) => {
    const { signal } = more;
    if (signal !== undefined && signal.aborted) throw new AbortError(signal);
    flow.enter(new Operation(syscall, begin, take, more, resolve, reject));
  });
}

const takeNothing = () => undefined;
const takeResult = (result) => result;

function takeStats(result, slot) {
  return new Stats(memoryOf(slot).doubles, offsetOf(slot) / 8);
}

function takeBigIntStats(result, slot) {
  return new BigIntStats(memoryOf(slot).integers, offsetOf(slot) / 8);
}

function open(path, flags, mode, signal) {
  const begin = (slot) => native.open(slot, path, flags, mode);
  return operate('open', begin, takeResult, { path, signal, undo: native.closeNow });
}

// Closes wait for nobody: what waits may be waiting for descriptors.
class Close {
  constructor(resolve, reject) {
    this.resolve = resolve;
    this.reject = reject;
  }

  finish(slot, result) {
    if (result < 0) this.reject(systemError(result, 'close'));
    else this.resolve();
  }
}

function close(fd) {
  return new Promise((resolve, reject) => {
    const slot = acquire(new Close(resolve, reject));
    const code = native.close(slot, fd);
    if (code >= 0) return;
    release(slot);
    reject(systemError(code, 'close'));
  });
}

function stat(path, bigint, follow, signal) {
  const begin = (slot) => native.stat(slot, path, bigint, follow);
  const take = bigint ? takeBigIntStats : takeStats;
  return operate(follow ? 'stat' : 'lstat', begin, take, { path, signal });
}

function fstat(fd, bigint, signal) {
  const begin = (slot) => native.fstat(slot, fd, bigint);
  return operate('fstat', begin, bigint ? takeBigIntStats : takeStats, { signal });
}

function sync(fd, dataOnly) {
  const begin = (slot) => native.sync(slot, fd, dataOnly);
  return operate(dataOnly ? 'fdatasync' : 'fsync', begin, takeNothing);
}

// take(bytes, offset, result) gets the slot's memory and what of it was read.
function readSlot(fd, length, position, take, signal) {
  const begin = (slot) => native.read(slot, fd, undefined, length, position);
  const takeBytes = (result, slot) => take(memoryOf(slot).bytes, offsetOf(slot), result);
  return operate('read', begin, takeBytes, { signal });
}

// The kernel writes to the buffer until the promise settles, or, after an abort, later than
// that: it must be one whose memory stays where it is as long as somebody holds it.
function readOwn(fd, buffer, length, position, signal) {
  const begin = (slot) => native.read(slot, fd, buffer, length, position);
  return operate('read', begin, takeResult, { buffer, signal });
}

// fill(bytes, offset) puts `length` bytes into the slot's memory. Where not all of them were
// written, the value is takeRest(bytes, offset, result), else undefined.
function writeSlot(fd, length, position, fill, takeRest, signal) {
  const begin = (slot) => {
    fill(memoryOf(slot).bytes, offsetOf(slot));
    return native.write(slot, fd, undefined, length, position);
  };
  const take = (result, slot) =>
    result === length ? undefined : takeRest(memoryOf(slot).bytes, offsetOf(slot), result);
  return operate('write', begin, take, { signal });
}

// As readOwn.
function writeOwn(fd, buffer, position, signal) {
  const begin = (slot) => native.write(slot, fd, buffer, buffer.length, position);
  return operate('write', begin, takeResult, { buffer, signal });
}

// Whether the next operation begins later than its call.
const mustWait = () => flow.isFull;

module.exports = {
  asText,
  mustWait,
  open,
  close,
  stat,
  fstat,
  sync,
  readSlot,
  readOwn,
  writeSlot,
  writeOwn,
};
