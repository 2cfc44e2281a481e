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

const toBuffer = { encoding: undefined, flag: undefined, signal: undefined };

// { encoding, flag, signal } of a readFile; encoding is undefined for a Buffer. A handle
// does not look at the flag.
function readOptions(options) {
  if (options === undefined || options === null || typeof options === 'function')
    return toBuffer;
  if (typeof options === 'string') options = { encoding: options };
  if (typeof options !== 'object') return undefined;
  let { encoding, flag, signal } = options;
  if (signal !== undefined && !isSignal(signal)) return undefined;
  if (!encoding) encoding = undefined;
  else if (!Buffer.isEncoding(encoding)) return undefined;
  return { encoding, flag, signal };
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

module.exports = { pathOf, readOptions, flagsOf, modeOf };
