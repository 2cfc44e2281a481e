'use strict';
// Whole files written: one request of the addon each.

const { watch, unwatch } = require('./abort.js');
const { systemError, AbortError } = require('./errors.js');
const {
  native,
  acquire,
  release,
  memoryOf,
  offsetOf,
  slotBytes,
  syscalls,
} = require('./native.js');
const { asText } = require('./operation.js');
const { flow } = require('./read_file.js');

// The bytes of the call, which the caller may change as soon as it has returned.
function bytesForWrite(data, encoding) {
  if (typeof data === 'string') return Buffer.from(data, encoding);
  return Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

class WriteRequest {
  constructor(path, bytes, options, resolve, reject) {
    this.path = path;
    this.bytes = bytes;
    this.options = options;
    this.slot = -1;
    this.aborted = false;
    this.resolve = resolve;
    this.reject = reject;
  }

  start() {
    const { flags, mode, flush } = this.options;
    const { length } = this.bytes;
    this.slot = acquire(this);
    let source = this.bytes;
    if (length <= slotBytes) {
      memoryOf(this.slot).bytes.set(source, offsetOf(this.slot));
      source = undefined;
    }
    const code = native.writeFile(this.slot, this.path, flags, mode, source, length, flush);
    if (code >= 0) return;
    release(this.slot);
    this.end();
    this.reject(systemError(code, 'open', asText(this.path)));
  }

  abort(error) {
    this.aborted = true;
    this.reject(error);
    if (this.slot !== -1) native.cancel(this.slot);
  }

  end() {
    flow.leave();
    if (this.options.signal !== undefined) unwatch(this.options.signal, this);
  }

  finish(slot, result, detail) {
    this.end();
    if (this.aborted) return;
    const syscall = syscalls[detail];
    if (result >= 0) this.resolve();
    else
      this.reject(
        systemError(result, syscall, syscall === 'open' ? asText(this.path) : undefined),
      );
  }
}

// options: those of writeOptions().
function writeFile(path, data, options) {
  const bytes = bytesForWrite(data, options.encoding);
  return new Promise((resolve, reject) => {
    const { signal } = options;
    const request = new WriteRequest(path, bytes, options, resolve, reject);
    if (signal !== undefined) {
      if (signal.aborted) throw new AbortError(signal);
      watch(signal, request);
    }
    flow.enter(request);
  });
}

module.exports = { bytesForWrite, writeFile };
