'use strict';
// Whole files written.

const { native, memoryOf, offsetOf, slotBytes } = require('./native.js');
const { WholeFile } = require('./whole_file.js');

// The bytes of the call, which the caller may change as soon as it has returned.
function bytesForWrite(data, encoding) {
  if (typeof data === 'string') return Buffer.from(data, encoding);
  return Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

class WriteRequest extends WholeFile {
  // options: those of writeOptions().
  constructor(path, bytes, options, resolve, reject) {
    super(path, options, resolve, reject);
    this.bytes = bytes;
  }

  submit(slot) {
    const { flags, mode, flush } = this.options;
    const { length } = this.bytes;
    let source = this.bytes;
    if (length <= slotBytes) {
      memoryOf(slot).bytes.set(source, offsetOf(slot));
      source = undefined;
    }
    return native.writeFile(slot, this.path, flags, mode, source, length, flush);
  }

  take() {
    return undefined;
  }
}

function writeFile(path, data, options) {
  const bytes = bytesForWrite(data, options.encoding);
  return new Promise((resolve, reject) => {
    new WriteRequest(path, bytes, options, resolve, reject).enter();
  });
}

module.exports = { bytesForWrite, writeFile };
