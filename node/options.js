'use strict';
// The arguments that Node's fs takes, as bide's own calls want them. undefined means: not
// one of those that bide carries out, Node shall have the call (and refuse it, if it is
// wrong, in its own words).

const { constants } = require('node:fs');
const { fileURLToPath } = require('node:url');
const { isSignal } = require('./abort.js');

// A string or bytes without a NUL. The bytes are a copy: the caller may use its own for the
// next path before this one has been opened.
function pathOf(path) {
  if (typeof path === 'string') return path.includes('\0') ? undefined : path;
  if (path instanceof Uint8Array) return path.includes(0) ? undefined : Buffer.from(path);
  if (!(path instanceof URL)) return undefined;
  try {
    return pathOf(fileURLToPath(path));
  } catch {
    return undefined;
  }
}

const toBuffer = {
  encoding: undefined,
  flag: undefined,
  signal: undefined,
  buffer: undefined,
};

const isBufferOption = (value) => ArrayBuffer.isView(value) || typeof value === 'function';

// { encoding, flag, signal, buffer } of a readFile; encoding is undefined for a Buffer. A
// handle does not look at the flag.
function readOptions(options) {
  if (options === undefined || options === null || typeof options === 'function')
    return toBuffer;
  if (typeof options === 'string') options = { encoding: options };
  if (typeof options !== 'object') return undefined;
  let { encoding, flag, signal, buffer } = options;
  if (signal !== undefined && !isSignal(signal)) return undefined;
  if (buffer !== undefined && !isBufferOption(buffer)) return undefined;
  if (!encoding) encoding = undefined;
  else if (!Buffer.isEncoding(encoding)) return undefined;
  return { encoding, flag, signal, buffer };
}

const isData = (data) => typeof data === 'string' || ArrayBuffer.isView(data);

// { encoding, flags, mode, flush, signal } of a writeFile whose data is text or bytes; what
// else may be written, streams and iterables, is Node's to write.
function writeOptions(data, options, defaultFlag) {
  if (!isData(data)) return undefined;
  if (options === undefined || options === null || typeof options === 'function') options = {};
  if (typeof options === 'string') options = { encoding: options };
  if (typeof options !== 'object') return undefined;
  const { encoding, flag, mode, flush, signal } = options;
  const flags = flagsOf(flag || defaultFlag);
  const permissions = modeOf(mode);
  if (flags === undefined || permissions === undefined) return undefined;
  if (encoding && !Buffer.isEncoding(encoding)) return undefined;
  if (signal !== undefined && !isSignal(signal)) return undefined;
  if (flush !== undefined && flush !== null && typeof flush !== 'boolean') return undefined;
  return {
    encoding: encoding || 'utf8',
    flags,
    mode: permissions,
    flush: Boolean(flush),
    signal,
  };
}

const plainStat = { bigint: false, signal: undefined };

// { bigint, signal } of a stat.
function statOptions(options) {
  if (options === undefined) return plainStat;
  if (options === null || typeof options !== 'object' || Array.isArray(options))
    return undefined;
  const { bigint, signal } = options;
  if (signal !== undefined && !isSignal(signal)) return undefined;
  return { bigint: bigint === true, signal };
}

// ---- the calls of a handle ----

const positionMax = Number.MAX_SAFE_INTEGER;

// -1 for the file's own; undefined for what is left to Node, BigInts beyond what a double
// holds among it.
function positionOf(position) {
  if (position === null || position === undefined) return -1;
  const number = typeof position === 'bigint' ? Number(position) : position;
  return Number.isSafeInteger(number) && number >= -1 && number <= positionMax
    ? number
    : undefined;
}

function fits(view, offset, length) {
  const { byteLength } = view;
  return (
    Number.isInteger(offset) &&
    Number.isInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    byteLength > 0 &&
    offset + length <= byteLength
  );
}

// read(buffer, offset, length, position), read(buffer, options) or read(options)
function readArguments(buffer, offset, length, position) {
  let signal;
  if (!ArrayBuffer.isView(buffer)) {
    if (buffer !== undefined && (buffer === null || buffer.constructor !== Object))
      return undefined;
    ({ buffer = Buffer.alloc(16384), offset, length, position, signal } = buffer ?? {});
    if (!ArrayBuffer.isView(buffer)) return undefined;
  } else if (offset !== null && typeof offset === 'object') {
    ({ offset, length, position, signal } = offset);
  }
  offset ??= 0;
  if (typeof offset !== 'number') return undefined;
  length ??= buffer.byteLength - offset;
  const at = positionOf(position);
  if (at === undefined || !fits(buffer, offset, length)) return undefined;
  if (signal !== undefined && !isSignal(signal)) return undefined;
  return { buffer, offset, length, position: at, signal };
}

// write(string, position, encoding); `offset` of what is returned is the encoding.
function writeTextArguments(buffer, position, encoding) {
  const at = positionOf(typeof position === 'number' ? position : null);
  const known = encoding ?? 'utf8';
  if (at === undefined || !Buffer.isEncoding(known)) return undefined;
  if (known === 'hex' && buffer.length % 2 === 1) return undefined;
  return { buffer, offset: known, length: 0, position: at, signal: undefined };
}

// write(buffer, offset, length, position) or write(buffer, options)
function writeArguments(buffer, offset, length, position) {
  if (typeof buffer === 'string') return writeTextArguments(buffer, offset, length);
  if (!ArrayBuffer.isView(buffer)) return undefined;
  let signal;
  // An offset of null stands for options that say nothing, as Node has it.
  if (typeof offset === 'object') ({ offset, length, position, signal } = offset ?? {});
  offset ??= 0;
  if (typeof offset !== 'number') return undefined;
  if (typeof length !== 'number') length = buffer.byteLength - offset;
  const at = positionOf(typeof position === 'number' ? position : null);
  if (at === undefined || !fits(buffer, offset, length)) return undefined;
  if (signal !== undefined && !isSignal(signal)) return undefined;
  return { buffer, offset, length, position: at, signal };
}

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } = constants;

const flagNumbers = new Map([
  ['r', O_RDONLY],
  ['rs', O_RDONLY | O_SYNC],
  ['r+', O_RDWR],
  ['rs+', O_RDWR | O_SYNC],
  ['w', O_TRUNC | O_CREAT | O_WRONLY],
  ['wx', O_TRUNC | O_CREAT | O_WRONLY | O_EXCL],
  ['w+', O_TRUNC | O_CREAT | O_RDWR],
  ['wx+', O_TRUNC | O_CREAT | O_RDWR | O_EXCL],
  ['a', O_APPEND | O_CREAT | O_WRONLY],
  ['ax', O_APPEND | O_CREAT | O_WRONLY | O_EXCL],
  ['as', O_APPEND | O_CREAT | O_WRONLY | O_SYNC],
  ['a+', O_APPEND | O_CREAT | O_RDWR],
  ['ax+', O_APPEND | O_CREAT | O_RDWR | O_EXCL],
  ['as+', O_APPEND | O_CREAT | O_RDWR | O_SYNC],
]);
for (const [spelling, meaning] of [
  ['sr', 'rs'],
  ['sr+', 'rs+'],
  ['xw', 'wx'],
  ['xw+', 'wx+'],
  ['xa', 'ax'],
  ['xa+', 'ax+'],
  ['sa', 'as'],
  ['sa+', 'as+'],
]) {
  flagNumbers.set(spelling, flagNumbers.get(meaning));
}

function flagsOf(flags) {
  if (flags === undefined || flags === null) return O_RDONLY;
  if (typeof flags !== 'number') return flagNumbers.get(flags);
  return (flags | 0) === flags ? flags : undefined;
}

function modeOf(mode) {
  if (mode === undefined || mode === null) return 0o666;
  if (typeof mode === 'string' && /^[0-7]+$/.test(mode)) mode = Number.parseInt(mode, 8);
  return typeof mode === 'number' && mode >>> 0 === mode ? mode : undefined;
}

module.exports = {
  pathOf,
  flagsOf,
  modeOf,
  readOptions,
  writeOptions,
  statOptions,
  readArguments,
  writeArguments,
};
