'use strict';
// Whole files read.

const { fileTooLarge, tooSmallFor } = require('./errors.js');
const { native, memoryOf, offsetOf } = require('./native.js');
const { readAll } = require('./read_handle.js');
const scratch = require('./scratch.js');
const { bufferOver, bytesOf } = require('./transfer.js');
const { WholeFile } = require('./whole_file.js');

class ReadRequest extends WholeFile {
  // options: { encoding, signal, buffer, batched }; encoding is undefined for a Buffer.
  constructor(path, options, resolve, reject) {
    super(path, options, resolve, reject);
    this.target = undefined; // what the kernel reads into, if not into the slot's memory
    this.lent = undefined; // of which `target` is a part
    this.room = 0; // in the caller's buffer
  }

  submit(slot) {
    const { buffer, signal, batched } = this.options;
    if (buffer !== undefined) this.aim(buffer);
    // What may still be ended, or lose its buffer, and what has many beside it waits for the
    // turn.
    const mayEnd = signal !== undefined || (buffer !== undefined && !scratch.isShared(buffer));
    const atOnce = !mayEnd && batched !== true;
    return native.readFile(slot, this.path, this.target, atOnce);
  }

  // A buffer that is too large to be lent one like it gets a copy of what comes otherwise.
  aim(buffer) {
    this.room = buffer.byteLength;
    if (scratch.isShared(buffer)) {
      this.target = bufferOver(buffer);
    } else if (buffer.byteLength <= scratch.bytesMax) {
      this.lent = scratch.take(buffer.byteLength);
      this.target = this.lent.subarray(0, buffer.byteLength);
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
    if (buffer !== undefined) return this.large(slot, buffer, encoding);
    return this.small(slot, detail, encoding);
  }

  small(slot, length, encoding) {
    const { bytes } = memoryOf(slot);
    const from = offsetOf(slot);
    if (encoding !== undefined) return bytes.toString(encoding, from, from + length);
    const contents = Buffer.allocUnsafeSlow(length);
    bytes.copy(contents, 0, from, from + length);
    return contents;
  }

  large(slot, buffer, encoding) {
    const length = memoryOf(slot).doubles[offsetOf(slot) / 8];
    if (encoding !== undefined) return buffer.toString(encoding, 0, length);
    return length === buffer.length ? buffer : buffer.subarray(0, length);
  }
}

// path: a string or bytes without a NUL.
function readFile(path, options) {
  return new Promise((resolve, reject) => {
    new ReadRequest(path, options, resolve, reject).enter();
  });
}

module.exports = { readFile, ReadRequest };
