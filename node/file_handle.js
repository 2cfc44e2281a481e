'use strict';
// What fs.open gives: a FileHandle of Node's whose reads and writes go through bide's loop.
// What is asked for in a way that bide does not carry out, wrong arguments among it, is left
// to the method that it inherits.

const EventEmitter = require('node:events');
const { codedError, restack } = require('./errors.js');
const { native } = require('./native.js');
const { learnOnce } = require('./node_handle.js');
const operation = require('./operation.js');
const {
  readArguments,
  readOptions,
  statOptions,
  writeArguments,
  writeOptions,
} = require('./options.js');
const { bytesForWrite } = require('./write_file.js');
const { readInto, writeAll, writeFrom } = require('./transfer.js');
const { readAll } = require('./read_handle.js');

let node; // what learnOnce() found; undefined before, and where there is nothing to learn

// Older versions of Node end the process for a length that is no integer.
const endsForLengths = Number(process.versions.node.split('.')[0]) < 26;

function refuseLength(length) {
  if (!endsForLengths || length === undefined || length === null) return;
  if (typeof length !== 'number') {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "length" argument must be of type number. Received type ${typeof length}`,
    );
  }
  if (Number.isInteger(length) || Math.abs(length) === Infinity) return;
  throw codedError(
    RangeError,
    'ERR_OUT_OF_RANGE',
    `The value of "length" is out of range. It must be an integer. Received ${length}`,
  );
}

// False for what is no handle of bide's too, which the methods may be called with.
const isOpen = (handle) => handle instanceof FileHandle && handle.fd >= 0;

// The descriptor stays open until the last call that uses it has ended.
async function use(handle, action) {
  handle[node.ref]();
  try {
    return await action(handle.fd);
  } catch (error) {
    throw restack(error, use);
  } finally {
    handle[node.unref]();
  }
}

async function read(fd, { buffer, offset, length, position, signal }) {
  const bytesRead =
    length === 0 ? 0 : await readInto(fd, buffer, offset, length, position, signal);
  return { __proto__: null, bytesRead, buffer };
}

async function write(fd, { buffer, offset, length, position, signal }) {
  let bytesWritten = 0;
  if (typeof buffer === 'string') {
    const bytes = Buffer.from(buffer, offset);
    if (bytes.length > 0) bytesWritten = await writeAll(fd, bytes, position, signal);
  } else if (length > 0) {
    bytesWritten = await writeFrom(fd, buffer, offset, length, position, signal);
  }
  return { __proto__: null, bytesWritten, buffer };
}

async function writeWhole(fd, data, { encoding, signal }) {
  const bytes = bytesForWrite(data, encoding);
  for (let written = 0; written < bytes.length; ) {
    written += await writeAll(fd, bytes.subarray(written), -1, signal);
  }
}

// Its parent is EventEmitter until Node's own class is known, see open().
class FileHandle extends EventEmitter {
  read(buffer, offset, length, position) {
    const given = !isOpen(this) ? undefined : readArguments(buffer, offset, length, position);
    if (given !== undefined) return use(this, (fd) => read(fd, given));
    return this.#nodeRead(buffer, offset, length, position);
  }

  async #nodeRead(buffer, offset, length, position) {
    const options = [buffer, offset].find((each) => each?.constructor === Object);
    refuseLength(options === undefined ? length : options.length);
    return super.read(buffer, offset, length, position);
  }

  write(buffer, offset, length, position) {
    const given = !isOpen(this) ? undefined : writeArguments(buffer, offset, length, position);
    if (given === undefined) return super.write(buffer, offset, length, position);
    return use(this, (fd) => write(fd, given));
  }

  readFile(options) {
    const given = !isOpen(this) ? undefined : readOptions(options);
    if (given === undefined) return super.readFile(options);
    return use(this, (fd) => readAll(fd, given));
  }

  writeFile(data, options) {
    const given = !isOpen(this) ? undefined : writeOptions(data, options, 'w');
    if (given === undefined) return super.writeFile(data, options);
    return use(this, (fd) => writeWhole(fd, data, given));
  }

  appendFile(data, options) {
    return this.writeFile(data, options);
  }

  stat(options) {
    const given = !isOpen(this) ? undefined : statOptions(options);
    if (given === undefined) return super.stat(options);
    return use(this, (fd) => operation.fstat(fd, given.bigint, given.signal));
  }

  sync() {
    if (!isOpen(this)) return super.sync();
    return use(this, (fd) => operation.sync(fd, false));
  }

  datasync() {
    if (!isOpen(this)) return super.datasync();
    return use(this, (fd) => operation.sync(fd, true));
  }
}

// Of the object that owns the descriptor, in place of its own: Node calls it when the handle
// was closed and no call uses it any more.
function closeOwned() {
  const { fd } = this;
  this.releaseFD();
  return operation.close(fd);
}

function handleOver(fd) {
  const owner = native.adopt(fd);
  owner.close = closeOwned;
  return new FileHandle(owner);
}

// False where this Node's handles are not as bide knows them.
async function prepare() {
  const found = await learnOnce();
  if (found === undefined || node !== undefined) return node !== undefined;
  Object.setPrototypeOf(FileHandle, found.FileHandle);
  Object.setPrototypeOf(FileHandle.prototype, found.prototype);
  // Looked for on the prototype itself by who transfers one.
  for (const symbol of Object.getOwnPropertySymbols(found.prototype)) {
    const member = Object.getOwnPropertyDescriptor(found.prototype, symbol);
    Object.defineProperty(FileHandle.prototype, symbol, member);
  }
  native.owner(found.Owner);
  node = found;
  return true;
}

// The handle over a new descriptor; undefined when Node is to open it.
async function open(path, flags, mode, signal) {
  if (node === undefined && !(await prepare())) return undefined;
  return handleOver(await operation.open(path, flags, mode, signal));
}

module.exports = { isOpen, open };
