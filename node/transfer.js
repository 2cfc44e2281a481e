'use strict';
// Bytes between a descriptor and memory of the caller's.

const { codedError } = require('./errors.js');
const { slotBytes } = require('./native.js');
const operation = require('./operation.js');
const scratch = require('./scratch.js');

// As much as the kernel transfers at once, whatever it is asked for.
const transferMax = 0x7ffff000;

function bufferOver(view) {
  return Buffer.isBuffer(view)
    ? view
    : Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

function bytesOf(view, offset, length) {
  try {
    if (offset + length <= view.byteLength) {
      return new Uint8Array(view.buffer, view.byteOffset + offset, length);
    }
  } catch {
    // A view whose memory is gone may throw at either.
  }
  throw codedError(
    Error,
    'ERR_INVALID_STATE',
    'The buffer was transferred or shrunk while a read into it was in flight',
  );
}

// Lent until the read has ended. After an abort it is not given back: the kernel may have
// it still.
async function readThroughScratch(fd, view, offset, length, position, signal) {
  const lent = scratch.take(length);
  const count = await operation.readOwn(fd, lent, length, position, signal);
  try {
    bytesOf(view, offset, count).set(lent.subarray(0, count));
  } finally {
    scratch.give(lent);
  }
  return count;
}

async function readInto(fd, view, offset, wanted, position, signal) {
  const length = Math.min(wanted, transferMax);
  if (scratch.isShared(view)) {
    return operation.readOwn(fd, bytesOf(view, offset, length), length, position, signal);
  }
  if (length > slotBytes) {
    return readThroughScratch(fd, view, offset, length, position, signal);
  }
  const take = (bytes, from, count) => {
    bytesOf(view, offset, count).set(bytes.subarray(from, from + count));
    return count;
  };
  return operation.readSlot(fd, length, position, take, signal);
}

// What a short write left. Node's blocking one goes on by itself where a pipe is full; an
// error at this point is left for the next call to meet, as there.
async function writeRest(fd, rest, position) {
  let written = 0;
  try {
    while (written < rest.length) {
      const at = position < 0 ? -1 : position + written;
      const count = await operation.writeOwn(fd, rest.subarray(written), at);
      if (count === 0) break;
      written += count;
    }
  } catch {
    // What was written before it counts.
  }
  return written;
}

// bytes: memory that the kernel may have.
async function writeAll(fd, bytes, position, signal) {
  const written = await operation.writeOwn(fd, bytes, position, signal);
  if (written === bytes.length) return written;
  const at = position < 0 ? -1 : position + written;
  return written + (await writeRest(fd, bytes.subarray(written), at));
}

// The caller may change its memory as soon as this has returned, unless it is shared.
async function writeFrom(fd, view, offset, wanted, position, signal) {
  const length = Math.min(wanted, transferMax);
  const source = bytesOf(view, offset, length);
  if (scratch.isShared(view)) return writeAll(fd, source, position, signal);
  if (length > slotBytes) return writeAll(fd, Buffer.from(source), position, signal);
  // Now, not when the operation has its slot: the bytes are those of the call.
  const copy = operation.mustWait() ? Buffer.from(source) : source;
  const fill = (bytes, to) => bytes.set(copy, to);
  const restOf = (bytes, from, count) =>
    Buffer.from(bytes.subarray(from + count, from + length));
  const rest = await operation.writeSlot(fd, length, position, fill, restOf, signal);
  if (rest === undefined) return length;
  const written = length - rest.length;
  const at = position < 0 ? -1 : position + written;
  return written + (await writeRest(fd, rest, at));
}

module.exports = { bufferOver, bytesOf, readInto, writeAll, writeFrom };
