'use strict';
// Memory that the kernel reads into and writes from beside the slots'.
//
// An ArrayBuffer may be transferred to another thread, which then frees it under the kernel,
// and Node-API has no way to hold it. A SharedArrayBuffer cannot: it stays as long as
// somebody refers to it. So the kernel is given those alone, the caller's own among them,
// and Buffers that no caller can reach yet.

const bytesMin = 32 * 1024;
const bytesMax = 1024 * 1024;
const keptMax = 16 * 1024 * 1024;

const free = new Map(); // by size, a power of two
let kept = 0;

const isShared = (view) => view.buffer instanceof SharedArrayBuffer;

// A Buffer that calls of bide's use without a copy.
function allocate(bytes) {
  return Buffer.from(new SharedArrayBuffer(bytes));
}

// At least so many bytes, to be given back.
function take(bytes) {
  if (bytes > bytesMax) return Buffer.allocUnsafeSlow(bytes);
  const size = Math.max(bytesMin, 2 ** Math.ceil(Math.log2(bytes)));
  const list = free.get(size);
  if (list === undefined || list.length === 0) return allocate(size);
  kept -= size;
  return list.pop();
}

function give(buffer) {
  const size = buffer.length;
  if (size > bytesMax || kept + size > keptMax) return;
  kept += size;
  const list = free.get(size);
  if (list === undefined) free.set(size, [buffer]);
  else list.push(buffer);
}

module.exports = { bytesMax, allocate, isShared, take, give };
