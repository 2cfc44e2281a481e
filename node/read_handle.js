'use strict';
// The rest of an open file, from its position on.

const {
  codedError,
  fileBytesMax,
  fileTooLarge,
  received,
  tooSmallFor,
  AbortError,
} = require('./errors.js');
const { slotBytes } = require('./native.js');
const operation = require('./operation.js');
const { readInto } = require('./transfer.js');

function checkAborted(signal) {
  if (signal?.aborted) throw new AbortError(signal);
}

// 0 for what has no size: a pipe, a file of /proc.
async function sizeOf(fd, signal) {
  const stats = await operation.fstat(fd, false, signal);
  if (!stats.isFile()) return 0;
  if (stats.size > fileBytesMax) throw fileTooLarge(stats.size);
  return stats.size;
}

function copyOf(bytes, from, count) {
  return Buffer.from(bytes.subarray(from, from + count));
}

async function readUnsized(fd, signal) {
  const parts = [];
  for (let length = 0; length <= fileBytesMax; ) {
    checkAborted(signal);
    const part = await operation.readSlot(fd, slotBytes, -1, copyOf, signal);
    if (part.length === 0) return parts.length === 1 ? parts[0] : Buffer.concat(parts);
    parts.push(part);
    length += part.length;
  }
  throw fileTooLarge(fileBytesMax + 1);
}

// Up to the size, which is where the file ended when it was asked for.
async function readSized(fd, size, signal) {
  const contents = Buffer.allocUnsafeSlow(size);
  for (let length = 0; ; ) {
    checkAborted(signal);
    const rest = contents.subarray(length);
    const count = await operation.readOwn(fd, rest, rest.length, -1, signal);
    length += count;
    if (length === size) return contents;
    if (count === 0) return contents.subarray(0, length);
  }
}

function callersBuffer(given, size) {
  const view = typeof given === 'function' ? given(size) : given;
  if (!ArrayBuffer.isView(view)) {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      'The "options.buffer()" property must be an instance of Buffer, TypedArray, or DataView. ' +
        received(view),
    );
  }
  if (size > view.byteLength) throw tooSmallFor(given, view, size);
  return Buffer.isBuffer(view)
    ? view
    : Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

// Into memory of the caller's. Without a size only one byte more tells that all of the file
// has fitted.
async function readToCaller(fd, given, size, signal) {
  const buffer = callersBuffer(given, size);
  let length = 0;
  while (length < buffer.length) {
    const wanted = (size > 0 ? size : buffer.length) - length;
    const count = await readInto(fd, buffer, length, wanted, -1, signal);
    length += count;
    if (count === 0 || length === size) return buffer.subarray(0, length);
  }
  const more =
    size > 0 ? 0 : await operation.readSlot(fd, 1, -1, (_, __, count) => count, signal);
  if (more > 0) throw tooSmallFor(given, buffer, 0);
  return buffer.subarray(0, length);
}

async function readAll(fd, { encoding, signal, buffer }) {
  checkAborted(signal);
  const size = await sizeOf(fd, signal);
  let contents;
  if (buffer !== undefined) contents = await readToCaller(fd, buffer, size, signal);
  else if (size > 0) contents = await readSized(fd, size, signal);
  else contents = await readUnsized(fd, signal);
  return encoding === undefined ? contents : contents.toString(encoding);
}

module.exports = { readAll };
