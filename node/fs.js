'use strict';
// bide.fs: the part of fs/promises that goes through bide's loop. What is asked for in a
// way that bide does not carry out, wrong arguments among it, goes to Node's own function.

const nodeFs = require('node:fs/promises');
const { FileHandle } = require('./file_handle.js');
const operation = require('./operation.js');
const { pathOf, readOptions, flagsOf, modeOf } = require('./options.js');
const whole = require('./read_file.js');

function readFile(path, options) {
  if (path instanceof FileHandle) return path.readFile(options);
  const name = pathOf(path);
  const parsed = readOptions(options);
  if (name === undefined || parsed === undefined) return nodeFs.readFile(path, options);
  return whole.readFile(name, parsed.encoding, parsed.signal);
}

async function open(path, flags, mode) {
  const name = pathOf(path);
  const number = flagsOf(flags);
  const permissions = modeOf(mode);
  if (name === undefined || number === undefined || permissions === undefined) {
    return nodeFs.open(path, flags, mode);
  }
  return new FileHandle(await operation.open(name, number, permissions));
}

function statWith(own, follow) {
  return (path, options) => {
    const name = pathOf(path);
    if (name === undefined) return own(path, options);
    return operation.stat(name, Boolean(options?.bigint), follow);
  };
}

const stat = statWith(nodeFs.stat, true);
const lstat = statWith(nodeFs.lstat, false);

module.exports = { readFile, open, stat, lstat };
