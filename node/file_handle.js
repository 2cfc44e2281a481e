'use strict';
// What fs.open gives: Node's FileHandle over operations of bide's.

const EventEmitter = require('node:events');
const nodeFs = require('node:fs/promises');
const { inspect } = require('node:util');
const { native, slotBytes } = require('./native.js');
const operation = require('./operation.js');
const { codedError, fileBytesMax, fileTooLarge, restack, AbortError } = require('./errors.js');
const { readOptions } = require('./options.js');

// A handle that nobody closed and nobody can reach any more; Node warns with these words.
const forgotten = new FinalizationRegistry((fd) => {
  native.closeNow(fd);
  process.emitWarning(`Closing file descriptor ${fd} on garbage collection`);
  process.emitWarning(
    'Closing a FileHandle object on garbage collection is deprecated. Please close ' +
      'FileHandle objects explicitly using FileHandle.prototype.close(). In the future, an ' +
      'error will be thrown if a file descriptor is closed during garbage collection.',
    'DeprecationWarning',
    'DEP0137',
  );
});

// Rejects what Node rejects, in its own words, on whatever version this is: by the same
// call on a handle of Node's.
async function askNode(method, ...args) {
  const handle = await nodeFs.open('/dev/null', 'r+');
  try {
    await handle[method](...args);
  } finally {
    await handle.close();
  }
}

async function refuse(method, ...args) {
  await askNode(method, ...args);
  throw codedError(
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    `bide: ${method} does not take these arguments`,
  );
}

// As much as the kernel transfers at once, whatever it is asked for.
const transferMax = 0x7ffff000;

const isCount = (value, max) => Number.isInteger(value) && value >= 0 && value <= max;

function fits({ byteLength }, offset, length) {
  return isCount(offset, byteLength) && isCount(length, byteLength - offset) && byteLength > 0;
}

// Some versions of Node abort the process for such a length, so it is not asked about it.
function checkLength(length) {
  if (length === undefined || length === null || Number.isInteger(length)) return;
  if (typeof length !== 'number') {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "length" argument must be of type number. Received ${inspect(length)}`,
    );
  }
  if (Math.abs(length) === Infinity) return;
  throw codedError(
    RangeError,
    'ERR_OUT_OF_RANGE',
    `The value of "length" is out of range. It must be an integer. Received ${length}`,
  );
}

// A number for the addon; undefined for what is no position.
function positionOf(position, length) {
  if (position === null || position === undefined) return -1;
  if (typeof position === 'number') {
    return Number.isSafeInteger(position) && position >= -1 ? position : undefined;
  }
  if (typeof position !== 'bigint') return undefined;
  const max = 2n ** 63n - 1n - BigInt(length);
  return position >= -1n && position <= max ? Number(position) : undefined;
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

// The kernel never writes to memory of the caller's: a transfer to another thread meanwhile
// would leave it writing to what may be freed, and Node-API has no way to hold it.
async function readInto(fd, view, offset, wanted, position) {
  const length = Math.min(wanted, transferMax);
  if (length <= slotBytes) {
    return operation.readSlot(fd, length, position, (bytes, from, count) => {
      bytesOf(view, offset, count).set(bytes.subarray(from, from + count));
      return count;
    });
  }
  const own = Buffer.allocUnsafeSlow(length);
  const count = await operation.readOwn(fd, own, position);
  bytesOf(view, offset, count).set(own.subarray(0, count));
  return count;
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

async function writeAll(fd, bytes, position) {
  const written = await operation.writeOwn(fd, bytes, position);
  if (written === bytes.length) return written;
  const at = position < 0 ? -1 : position + written;
  return written + (await writeRest(fd, bytes.subarray(written), at));
}

// Nor does it read from it, for the same reason.
async function writeFrom(fd, view, offset, wanted, position) {
  const length = Math.min(wanted, transferMax);
  const source = bytesOf(view, offset, length);
  if (length > slotBytes) return writeAll(fd, Buffer.from(source), position);
  const fill = (bytes, to) => bytes.set(source, to);
  const restOf = (bytes, from, count) => Buffer.from(bytes.subarray(from + count, from + length));
  const rest = await operation.writeSlot(fd, length, position, fill, restOf);
  if (rest === undefined) return length;
  const written = length - rest.length;
  const at = position < 0 ? -1 : position + written;
  return written + (await writeRest(fd, rest, at));
}

async function readAll(fd, signal) {
  const check = () => {
    if (signal?.aborted) throw new AbortError(signal);
  };
  check();
  const { size } = await operation.fstat(fd, false);
  if (size > fileBytesMax) throw fileTooLarge(size);
  let contents = Buffer.allocUnsafeSlow(size > 0 ? size : slotBytes);
  let length = 0;
  for (;;) {
    check();
    if (length === contents.length) {
      // Full, and most often that was all: the next bytes go elsewhere, to see.
      const more = await operation.readSlot(fd, slotBytes, -1, (bytes, from, count) =>
        Buffer.from(bytes.subarray(from, from + count)),
      );
      if (more.length === 0) return contents;
      contents = Buffer.concat([contents, more], 2 * length + more.length);
      length += more.length;
    }
    const count = await operation.readOwn(fd, contents.subarray(length), -1);
    length += count;
    if (count === 0) return contents.subarray(0, length);
  }
}

class FileHandle extends EventEmitter {
  #fd;
  #users = 1; // operations in flight, and one for the handle that is not closed
  #closing; // the promise of a close under way
  #closed; // settles it

  constructor(fd) {
    super();
    this.#fd = fd;
    forgotten.register(this, fd, this);
  }

  get fd() {
    return this.#fd;
  }

  // The descriptor stays open until the last operation that uses it has ended.
  async #use(name, action) {
    if (this.#fd === -1) {
      throw Object.assign(new Error('file closed'), { code: 'EBADF', syscall: name });
    }
    this.#users++;
    try {
      return await action(this.#fd);
    } catch (error) {
      throw restack(error, this.#use);
    } finally {
      if (--this.#users === 0) this.#closed(this.#closeNow());
    }
  }

  #closeNow() {
    const fd = this.#fd;
    this.#fd = -1;
    forgotten.unregister(this);
    return operation.close(fd);
  }

  async close() {
    if (this.#closing !== undefined) return this.#closing;
    if (this.#fd === -1) return undefined;
    if (--this.#users === 0) this.#closing = this.#closeNow();
    else
      this.#closing = new Promise((resolve) => {
        this.#closed = resolve;
      });
    this.#closing = this.#closing.finally(() => {
      this.#closing = undefined;
    });
    this.emit('close');
    return this.#closing;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }

  // read(buffer, offset, length, position), read(buffer, options) or read(options)
  read(buffer, offset, length, position) {
    return this.#use('read', async (fd) => {
      const given = [buffer, offset, length, position];
      if (!ArrayBuffer.isView(buffer)) {
        if (typeof (buffer ?? {}) !== 'object') return refuse('read', ...given);
        ({ buffer = Buffer.alloc(16384), offset, length, position } = buffer ?? {});
      } else if (offset !== null && typeof offset === 'object') {
        ({ offset, length, position } = offset);
      }
      if (!ArrayBuffer.isView(buffer)) return refuse('read', ...given);
      offset ??= 0;
      checkLength(length);
      if (typeof offset !== 'number') return refuse('read', ...given);
      length ??= buffer.byteLength - offset;
      if (length === 0) return { __proto__: null, bytesRead: 0, buffer };
      if (!fits(buffer, offset, length)) return refuse('read', ...given);
      let at = positionOf(position, length);
      if (at === undefined) {
        // Some versions take what is no position for the file's own.
        await askNode('read', ...given);
        at = -1;
      }
      const bytesRead = await readInto(fd, buffer, offset, length, at);
      return { __proto__: null, bytesRead, buffer };
    });
  }

  // write(buffer, offset, length, position), write(buffer, options) or
  // write(string, position, encoding)
  write(buffer, offset, length, position) {
    return this.#use('write', async (fd) => {
      const given = [buffer, offset, length, position];
      if (typeof buffer === 'string') return this.#writeText(fd, buffer, offset, length);
      if (!ArrayBuffer.isView(buffer)) return refuse('write', ...given);
      if (buffer.byteLength === 0) return { __proto__: null, bytesWritten: 0, buffer };
      if (typeof offset === 'object') ({ offset, length, position } = offset ?? {});
      offset ??= 0;
      if (typeof offset !== 'number') return refuse('write', ...given);
      if (typeof length !== 'number') length = buffer.byteLength - offset;
      else checkLength(length);
      if (typeof position !== 'number') position = null;
      const at = positionOf(position, length);
      if (!fits(buffer, offset, length) || at === undefined) return refuse('write', ...given);
      const bytesWritten = length === 0 ? 0 : await writeFrom(fd, buffer, offset, length, at);
      return { __proto__: null, bytesWritten, buffer };
    });
  }

  async #writeText(fd, text, position, encoding) {
    const at = positionOf(typeof position === 'number' ? position : null, 0);
    let known = encoding ?? 'utf8';
    if (at === undefined) return refuse('write', text, position, encoding);
    if (!Buffer.isEncoding(known) || (known === 'hex' && text.length % 2 === 1)) {
      // Node takes an encoding that it does not know for UTF-8.
      await askNode('write', text, position, encoding);
      known = 'utf8';
    }
    const bytes = Buffer.from(text, known);
    const bytesWritten = bytes.length === 0 ? 0 : await writeAll(fd, bytes, at);
    return { __proto__: null, bytesWritten, buffer: text };
  }

  stat(options = {}) {
    return this.#use('fstat', async (fd) => operation.fstat(fd, Boolean(options.bigint)));
  }

  readFile(options) {
    return this.#use('readFile', async (fd) => {
      const parsed = readOptions(options);
      if (parsed === undefined) return refuse('readFile', options);
      const contents = await readAll(fd, parsed.signal);
      return parsed.encoding === undefined ? contents : contents.toString(parsed.encoding);
    });
  }

  sync() {
    return this.#use('fsync', (fd) => operation.sync(fd, false));
  }

  datasync() {
    return this.#use('fdatasync', (fd) => operation.sync(fd, true));
  }
}

module.exports = { FileHandle };
