'use strict';
// Whole files read.

const { Buffer } = require('node:buffer'); // the global is a getter
const { fileTooLarge, tooSmallFor } = require('./errors.js');
const { native, nextSlot, acquire, release, memoryOf, offsetOf } = require('./native.js');
const { readAll } = require('./read_handle.js');
const scratch = require('./scratch.js');
const { bufferOver, bytesOf } = require('./transfer.js');
const { flow, WholeFile } = require('./whole_file.js');

const { readFileNow } = native; // looked up once, not a call

function small(slot, length, encoding) {
  const { bytes } = memoryOf(slot);
  const from = offsetOf(slot);
  if (encoding !== undefined) return bytes.toString(encoding, from, from + length);
  const contents = Buffer.allocUnsafeSlow(length);
  bytes.copy(contents, 0, from, from + length);
  return contents;
}

function large(slot, buffer, encoding) {
  const length = memoryOf(slot).doubles[offsetOf(slot) / 8];
  if (encoding !== undefined) return buffer.toString(encoding, 0, length);
  return length === buffer.length ? buffer : buffer.subarray(0, length);
}

class ReadRequest extends WholeFile {
  // options: { encoding, signal, buffer }; encoding is undefined for a Buffer.
  constructor(path, options, resolve, reject) {
    super(path, options, resolve, reject);
    this.target = undefined; // what the kernel reads into, if not into the slot's memory
    this.lent = undefined; // of which `target` is a part
    this.room = options.buffer?.byteLength ?? 0; // in the caller's buffer, at the call
  }

  submit(slot) {
    const { buffer, signal } = this.options;
    if (buffer !== undefined) this.aim(buffer);
    // Memory that nobody can take away may be filled in the call.
    const stays = buffer !== undefined && scratch.isShared(buffer);
    return native.readFile(slot, this.path, this.target, stays && signal === undefined);
  }

  // A buffer that is too large to be lent one like it gets a copy of what comes otherwise.
  // One that went or shrank while this waited for its turn is refused here.
  aim(buffer) {
    const own = bytesOf(buffer, 0, this.room);
    if (scratch.isShared(buffer)) {
      this.target = bufferOver(own);
    } else if (this.room <= scratch.bytesMax) {
      this.lent = scratch.take(this.room);
      this.target = this.lent.subarray(0, this.room);
    }
  }

  finish(slot, result, detail, buffer) {
    if (detail !== native.stream) super.finish(slot, result, detail, buffer);
    else this.readOn(result);
  }

  // A pipe, a terminal or the like, whose size nobody knows.
  readOn(fd) {
    this.end();
    readAll(fd, this.options)
      .finally(() => native.closeNow(fd))
      .then(this.resolve, this.reject);
  }

  error(slot, result, detail) {
    if (detail !== native.tooLarge && detail !== native.tooSmall) {
      return super.error(slot, result, detail);
    }
    const size = memoryOf(slot).doubles[offsetOf(slot) / 8];
    if (detail === native.tooLarge) return fileTooLarge(size);
    const { buffer } = this.options;
    return tooSmallFor(buffer, buffer, size);
  }

  take(slot, detail, buffer) {
    const callers = this.options.buffer;
    if (callers === undefined) return this.whole(slot, detail, buffer, this.options.encoding);
    const bytes = this.target?.subarray(0, detail) ?? this.whole(slot, detail, buffer);
    if (bytes.length > this.room) throw tooSmallFor(callers, callers, bytes.length);
    return this.inCallers(bytes);
  }

  inCallers(bytes) {
    const { buffer, encoding } = this.options;
    const to = bufferOver(bytesOf(buffer, 0, bytes.length));
    if (bytes.buffer !== to.buffer) bytes.copy(to);
    if (this.lent !== undefined) scratch.give(this.lent);
    return encoding === undefined ? to : to.toString(encoding);
  }

  whole(slot, detail, buffer, encoding) {
    return buffer !== undefined
      ? large(slot, buffer, encoding)
      : small(slot, detail, encoding);
  }
}

// What submit() returns of a file that it has read at once: a length and 1, or a Buffer.
const wasRead = (outcome) => typeof outcome === 'object' || outcome > 0;

function contentsOf(slot, outcome, encoding) {
  return typeof outcome === 'object'
    ? large(slot, outcome, encoding)
    : small(slot, outcome - 1, encoding);
}

// One that is under way in the next slot, or was refused by the core.
function adopt(outcome, path, options) {
  return new Promise((resolve, reject) => {
    const request = new ReadRequest(path, options, resolve, reject);
    flow.begin();
    request.slot = acquire(request);
    if (outcome === 0) return;
    request.refused(outcome);
    release(request.slot);
  });
}

// Without a request or a slot of its own, as long as nothing has to wait. A promise, or the
// contents.
function readAtOnce(path, options) {
  const slot = nextSlot();
  const outcome = readFileNow(slot, path);
  return wasRead(outcome)
    ? contentsOf(slot, outcome, options.encoding)
    : adopt(outcome, path, options);
}

// path: a string or bytes without a NUL. A promise of the contents, or the contents.
function readFile(path, options) {
  const { signal, buffer } = options;
  if (signal === undefined && buffer === undefined && !flow.isFull) {
    return readAtOnce(path, options);
  }
  return new Promise((resolve, reject) => {
    new ReadRequest(path, options, resolve, reject).enter();
  });
}

module.exports = { readFile, ReadRequest };
