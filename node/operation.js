'use strict';
// Single operations as promises.

const { native, acquire, release, memoryOf, offsetOf } = require('./native.js');
const { systemError } = require('./errors.js');
const { Stats, BigIntStats } = require('./stats.js');

class Operation {
  constructor(syscall, path, buffer, take, resolve, reject) {
    this.syscall = syscall;
    this.path = path;
    this.buffer = buffer; // the kernel's until finish(): not to be collected before
    this.take = take;
    this.resolve = resolve;
    this.reject = reject;
  }

  finish(slot, result) {
    if (result < 0) this.reject(systemError(result, this.syscall, this.path));
    else this.resolve(this.take(result, slot));
  }
}

// start(slot) hands the operation to the addon; take(result, slot) makes the promise's
// value while the slot's memory is still the operation's. buffer is what the kernel reads
// or writes beside that memory, if anything.
function operate(syscall, path, start, take, buffer) {
  return new Promise((resolve, reject) => {
    const slot = acquire(new Operation(syscall, path, buffer, take, resolve, reject));
    const code = start(slot);
    if (code >= 0) return;
    release(slot);
    reject(systemError(code, syscall, path));
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

const asText = (path) => (typeof path === 'string' ? path : Buffer.from(path).toString());

function open(path, flags, mode) {
  const start = (slot) => native.open(slot, path, flags, mode);
  return operate('open', asText(path), start, takeResult);
}

function close(fd) {
  return operate('close', undefined, (slot) => native.close(slot, fd), takeNothing);
}

function stat(path, bigint, follow) {
  const start = (slot) => native.stat(slot, path, bigint, follow);
  const take = bigint ? takeBigIntStats : takeStats;
  return operate(follow ? 'stat' : 'lstat', asText(path), start, take);
}

function fstat(fd, bigint) {
  const take = bigint ? takeBigIntStats : takeStats;
  return operate('fstat', undefined, (slot) => native.fstat(slot, fd, bigint), take);
}

function sync(fd, dataOnly) {
  const syscall = dataOnly ? 'fdatasync' : 'fsync';
  return operate(syscall, undefined, (slot) => native.sync(slot, fd, dataOnly), takeNothing);
}

// take(bytes, offset, result) gets the slot's memory and what of it was read.
function readSlot(fd, length, position, take) {
  const start = (slot) => native.read(slot, fd, undefined, length, position);
  return operate('read', undefined, start, (result, slot) =>
    take(memoryOf(slot).bytes, offsetOf(slot), result),
  );
}

// buffer is one that no other code can reach before the promise settles: the kernel writes
// to it, which a transfer to another thread must not meet.
function readOwn(fd, buffer, position) {
  const start = (slot) => native.read(slot, fd, buffer, buffer.length, position);
  return operate('read', undefined, start, takeResult, buffer);
}

// fill(bytes, offset) puts `length` bytes into the slot's memory. Where not all of them were
// written, the value is takeRest(bytes, offset, result), else undefined.
function writeSlot(fd, length, position, fill, takeRest) {
  const start = (slot) => {
    fill(memoryOf(slot).bytes, offsetOf(slot));
    return native.write(slot, fd, undefined, length, position);
  };
  return operate('write', undefined, start, (result, slot) =>
    result === length ? undefined : takeRest(memoryOf(slot).bytes, offsetOf(slot), result),
  );
}

// As readOwn.
function writeOwn(fd, buffer, position) {
  const start = (slot) => native.write(slot, fd, buffer, buffer.length, position);
  return operate('write', undefined, start, takeResult, buffer);
}

module.exports = {
  asText,
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
