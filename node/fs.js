'use strict';
// bide.fs: fs/promises, some of whose functions go through bide's loop. What is asked for in
// a way that bide does not carry out, wrong arguments among it, goes to Node's own function.

// A copy, so that who puts bide's functions into the module does not send these in circles.
const nodeFs = { ...require('node:fs/promises') };
const { restack, systemError } = require('./errors.js');
const fileHandle = require('./file_handle.js');
const { readFiles, statAll } = require('./many.js');
const operation = require('./operation.js');
const {
  pathOf,
  flagsOf,
  modeOf,
  readOptions,
  statOptions,
  writeOptions,
} = require('./options.js');
const scratch = require('./scratch.js');
const whole = require('./read_file.js');
const { writeFile: writeWhole } = require('./write_file.js');

const { isOpen } = fileHandle;

// What asks for the size first, or must not be asked twice, needs the file open.
async function readThroughHandle(name, options) {
  const handle = await fileHandle.open(name, flagsOf('r'), 0, options.signal);
  try {
    return await handle.readFile(options);
  } finally {
    await handle.close();
  }
}

// Newer versions of Node name the path in an error of the read too: this one says whether
// it does.
let readsNamePaths;

async function askWhetherReadsNamePaths() {
  try {
    await nodeFs.readFile('/');
  } catch (error) {
    readsNamePaths = 'path' in error;
  }
}

async function readFileError(error, name, { buffer }) {
  if (error.syscall !== 'read' || buffer !== undefined) return restack(error, readFileError);
  if (readsNamePaths === undefined) await askWhetherReadsNamePaths();
  const told = readsNamePaths
    ? systemError(error.errno, 'read', operation.asText(name))
    : error;
  return restack(told, readFileError);
}

// What had to wait.
async function readFileInTime(reading, name, given) {
  try {
    return await reading;
  } catch (error) {
    throw await readFileError(error, name, given);
  }
}

// Not async: what is in the kernel's caches is there when this returns, and the steps of an
// async function would cost as much as the crossing into C.
function readFile(path, options) {
  try {
    if (typeof path === 'object' && isOpen(path)) return path.readFile(options);
    const name = pathOf(path);
    const given = readOptions(options);
    if (name === undefined || given === undefined || (given.flag || 'r') !== 'r') {
      return nodeFs.readFile(path, options);
    }
    const { buffer } = given;
    const asksFirst = typeof buffer === 'function' || buffer?.byteLength === 0;
    const contents = (asksFirst ? readThroughHandle : whole.readFile)(name, given);
    if (contents instanceof Promise) return readFileInTime(contents, name, given);
    return Promise.resolve(contents);
  } catch (error) {
    return Promise.reject(error);
  }
}

async function writeFile(path, data, options) {
  if (typeof path === 'object' && isOpen(path)) return path.writeFile(data, options);
  const name = pathOf(path);
  const given = writeOptions(data, options, 'w');
  if (name === undefined || given === undefined) return nodeFs.writeFile(path, data, options);
  try {
    return await writeWhole(name, data, given);
  } catch (error) {
    throw restack(error, writeFile);
  }
}

async function appendFile(path, data, options) {
  if (typeof path === 'object' && isOpen(path)) return path.appendFile(data, options);
  const name = pathOf(path);
  const given = writeOptions(data, options, 'a');
  if (name === undefined || given === undefined) return nodeFs.appendFile(path, data, options);
  try {
    return await writeWhole(name, data, given);
  } catch (error) {
    throw restack(error, appendFile);
  }
}

// options.signal is bide's own: Node's open takes none.
async function open(path, flags, mode, options) {
  const name = pathOf(path);
  const number = flagsOf(flags);
  const permissions = modeOf(mode);
  const given = options === undefined ? {} : statOptions(options);
  if (name === undefined || number === undefined || permissions === undefined || !given) {
    return nodeFs.open(path, flags, mode);
  }
  try {
    const handle = await fileHandle.open(name, number, permissions, given.signal);
    return handle ?? (await nodeFs.open(path, flags, mode));
  } catch (error) {
    throw restack(error, open);
  }
}

const isMissing = ({ code }) => code === 'ENOENT' || code === 'ENOTDIR';

async function stat(path, options) {
  const name = pathOf(path);
  const given = statOptions(options);
  if (name === undefined || given === undefined) return nodeFs.stat(path, options);
  try {
    return await operation.stat(name, given.bigint, true, given.signal);
  } catch (error) {
    // Whether that is an error there depends on the version.
    if (options?.throwIfNoEntry === false && isMissing(error))
      return nodeFs.stat(path, options);
    throw restack(error, stat);
  }
}

async function lstat(path, options) {
  const name = pathOf(path);
  const given = statOptions(options);
  if (name === undefined || given === undefined) return nodeFs.lstat(path, options);
  try {
    return await operation.stat(name, given.bigint, false, given.signal);
  } catch (error) {
    throw restack(error, lstat);
  }
}

// Under the permission model what a path may be used for is Node's to know.
const own =
  process.permission === undefined
    ? { readFile, writeFile, appendFile, open, stat, lstat }
    : {};

module.exports = { ...nodeFs, ...own, readFiles, statAll, allocate: scratch.allocate };
