'use strict';
// Whole files: one request of the addon each.

const { native, acquire, release, memoryOf, offsetOf, syscalls } = require('./native.js');
const { systemError, fileTooLarge, AbortError } = require('./errors.js');
const { asText } = require('./operation.js');
const { watch, unwatch } = require('./abort.js');

// More than the kernel can use at once only costs memory and descriptors: the rest waits
// here, so that ten thousand calls in a row do not end in EMFILE.
const startedMax = 128;
let started = 0;
let waiting = []; // from `next` on
let next = 0;

const notStarted = -1;

class FileRequest {
  constructor(path, encoding, signal, resolve, reject) {
    this.path = path;
    this.encoding = encoding; // undefined: a Buffer
    this.signal = signal;
    this.slot = notStarted;
    this.aborted = false;
    this.resolve = resolve;
    this.reject = reject;
  }

  start() {
    started++;
    this.slot = acquire(this);
    const code = native.readFile(this.slot, this.path);
    if (code >= 0) return;
    release(this.slot);
    this.end();
    this.reject(systemError(code, 'open', asText(this.path)));
  }

  abort(error) {
    this.aborted = true;
    this.reject(error);
    if (this.slot !== notStarted) native.cancel(this.slot);
  }

  end() {
    started--;
    if (this.signal !== undefined) unwatch(this.signal, this);
    startNext();
  }

  finish(slot, result, detail, buffer) {
    this.end();
    if (this.aborted) return;
    if (detail === native.tooLarge) {
      this.reject(fileTooLarge(memoryOf(slot).doubles[offsetOf(slot) / 8]));
    } else if (result < 0) {
      const syscall = syscalls[detail];
      const path = syscall === 'open' ? asText(this.path) : undefined;
      this.reject(systemError(result, syscall, path));
    } else {
      this.resolve(buffer === undefined ? this.small(slot, detail) : this.large(slot, buffer));
    }
  }

  small(slot, length) {
    const { bytes } = memoryOf(slot);
    const from = offsetOf(slot);
    if (this.encoding !== undefined) return bytes.toString(this.encoding, from, from + length);
    const contents = Buffer.allocUnsafeSlow(length);
    bytes.copy(contents, 0, from, from + length);
    return contents;
  }

  large(slot, buffer) {
    const length = memoryOf(slot).doubles[offsetOf(slot) / 8];
    if (this.encoding !== undefined) return buffer.toString(this.encoding, 0, length);
    return length === buffer.length ? buffer : buffer.subarray(0, length);
  }
}

function startNext() {
  while (next < waiting.length && started < startedMax) {
    const request = waiting[next++];
    if (!request.aborted) request.start();
  }
  if (next === waiting.length) {
    waiting = [];
    next = 0;
  }
}

// path: a string or bytes without a NUL. encoding: undefined for a Buffer.
function readFile(path, encoding, signal) {
  return new Promise((resolve, reject) => {
    const request = new FileRequest(path, encoding, signal, resolve, reject);
    if (signal !== undefined) {
      if (signal.aborted) throw new AbortError(signal);
      watch(signal, request);
    }
    if (started < startedMax) request.start();
    else waiting.push(request);
  });
}

module.exports = { readFile };
