'use strict';
// Whole files: one request of the addon each.

const {
  native,
  acquire,
  release,
  memoryOf,
  offsetOf,
  slotBytes,
  syscalls,
} = require('./native.js');
const { systemError, fileTooLarge, tooSmallFor, AbortError } = require('./errors.js');
const { Flow } = require('./flow.js');
const { asText } = require('./operation.js');
const { watch, unwatch } = require('./abort.js');
const scratch = require('./scratch.js');
const { bufferOver, bytesOf } = require('./transfer.js');

const flow = new Flow(128);

const notStarted = -1;

class FileRequest {
  // options: { encoding, signal, buffer }; encoding is undefined for a Buffer.
  constructor(path, options, resolve, reject) {
    this.path = path;
    this.options = options;
    this.target = undefined; // what the kernel reads into, if not into the slot's memory
    this.lent = undefined; // of which `target` is a part
    this.room = 0; // in the caller's buffer
    this.slot = notStarted;
    this.aborted = false;
    this.resolve = resolve;
    this.reject = reject;
  }

  start() {
    const { buffer } = this.options;
    if (buffer !== undefined) this.aim(buffer);
    this.slot = acquire(this);
    const code = native.readFile(this.slot, this.path, this.target);
    if (code >= 0) return;
    release(this.slot);
    this.end();
    this.reject(systemError(code, 'open', asText(this.path)));
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
    else this.resolve(this.contents(slot, detail, buffer));
  }

  error(slot, result, detail) {
    if (detail === native.tooLarge || detail === native.tooSmall) {
      const size = memoryOf(slot).doubles[offsetOf(slot) / 8];
      if (detail === native.tooLarge) return fileTooLarge(size);
      const { buffer } = this.options;
      return tooSmallFor(buffer, buffer, size);
    }
    const syscall = syscalls[detail];
    return systemError(result, syscall, syscall === 'open' ? asText(this.path) : undefined);
  }

  contents(slot, detail, buffer) {
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
    const request = new FileRequest(path, options, resolve, reject);
    const { signal } = options;
    if (signal !== undefined) {
      if (signal.aborted) throw new AbortError(signal);
      watch(signal, request);
    }
    flow.enter(request);
  });
}

module.exports = { readFile, FileRequest, flow };
