'use strict';
// bide.fs: the part of fs/promises that goes through bide's loop. What is asked for in a
// way that bide does not carry out, wrong arguments among it, goes to Node's own function.

const nodeFs = require('node:fs/promises');
const { restack } = require('./errors.js');
const { FileHandle } = require('./file_handle.js');
const operation = require('./operation.js');
const { pathOf, readOptions, flagsOf, modeOf } = require('./options.js');
const whole = require('./read_file.js');

async function readFile(path, options) {
  if (path instanceof FileHandle) return path.readFile(options);
  const name = pathOf(path);
  const parsed = readOptions(options);
  if (name === undefined || parsed === undefined || (parsed.flag ?? 'r') !== 'r') {
    return nodeFs.readFile(path, options);
  }
  try {
    return await whole.readFile(name, parsed.encoding, parsed.signal);
  } catch (error) {
    throw restack(error, readFile);
  }
}

async function open(path, flags, mode) {
  const name = pathOf(path);
  const number = flagsOf(flags);
  const permissions = modeOf(mode);
  if (name === undefined || number === undefined || permissions === undefined) {
    return nodeFs.open(path, flags, mode);
  }
  try {
    return new FileHandle(await operation.open(name, number, permissions));
  } catch (error) {
    throw restack(error, open);
  }
}

async function stat(path, options = {}) {
  const name = pathOf(path);
  if (name === undefined) return nodeFs.stat(path, options);
  try {
    return await operation.stat(name, Boolean(options.bigint), true);
  } catch (error) {
    throw restack(error, stat);
  }
}

async function lstat(path, options = {}) {
  const name = pathOf(path);
  if (name === undefined) return nodeFs.lstat(path, options);
  try {
    return await operation.stat(name, Boolean(options.bigint), false);
  } catch (error) {
    throw restack(error, lstat);
  }
}

module.exports = { readFile, open, stat, lstat };
