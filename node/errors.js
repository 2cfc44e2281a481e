'use strict';
// Errors as Node makes them: the same classes, codes, properties and words.

const util = require('node:util');
const { native } = require('./native.js');

const texts = util.getSystemErrorMap();
for (const [code, name, text] of native.ownErrors) texts.set(code, [name, text]);

// What fs gives for a failed system call. path is left out where Node leaves it out.
function systemError(errno, syscall, path) {
  const [code, text] = texts.get(errno) ?? [`Unknown system error ${errno}`, 'unknown error'];
  const where = path === undefined ? '' : ` '${path}'`;
  const error = new Error(`${code}: ${text}, ${syscall}${where}`);
  error.errno = errno;
  error.code = code;
  error.syscall = syscall;
  if (path !== undefined) error.path = path;
  return error;
}

class AbortError extends Error {
  constructor(signal) {
    super('The operation was aborted', { cause: signal.reason });
    this.code = 'ABORT_ERR';
    this.name = 'AbortError';
  }
}

// Whether an error of this code is told with it.
const isNodes = (code) => typeof code === 'string' && code.startsWith('ERR_');

// As Node's own do.
function toString() {
  return `${this.name} [${this.code}]: ${this.message}`;
}

// For the codes that are bide's own (ERR_BIDE_...) or that Node writes alike.
function codedError(Base, code, message) {
  const error = new Base(message);
  error.code = code;
  if (isNodes(code)) {
    Object.defineProperty(error, 'toString', {
      value: toString,
      writable: true,
      configurable: true,
    });
  }
  return restack(error, codedError);
}

// Gives the error the stack of the async function at hand, which V8 continues with those
// that await it: the caller's own line, instead of the batch in which the result came.
function restack(error, below) {
  const { code, name } = error;
  Error.captureStackTrace(error, below);
  if (!isNodes(code)) return error;
  // The first line of Node's own names the code too, which the name does not.
  Object.defineProperty(error, 'name', { value: `${name} [${code}]`, configurable: true });
  void error.stack;
  delete error.name;
  return error;
}

// How Node's errors tell a value of a wrong type.
function received(value) {
  if (value === null || value === undefined) return `Received ${value}`;
  if (typeof value === 'function') return `Received function ${value.name}`;
  if (typeof value !== 'object') {
    const told = util.inspect(value, { colors: false });
    const short = told.length > 28 ? `${told.slice(0, 25)}...` : told;
    return `Received type ${typeof value} (${short})`;
  }
  const name = value.constructor?.name;
  return `Received ${name ? `an instance of ${name}` : util.inspect(value, { depth: -1 })}`;
}

// As much as one of Node's reads takes.
const fileBytesMax = 2 ** 31 - 1;

function fileTooLarge(size) {
  return codedError(
    RangeError,
    'ERR_FS_FILE_TOO_LARGE',
    `File size (${size}) is greater than 2 GiB`,
  );
}

// given: the option, which is a buffer or a function that gave `view`. size: the file's, 0
// when it is unknown.
function tooSmallFor(given, view, size) {
  const name = `options.buffer${typeof given === 'function' ? '()' : ''}.byteLength`;
  const reason =
    size > 0
      ? `is smaller than the file size of ${size} bytes`
      : 'is too small to contain the entire file';
  return codedError(
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    `The property '${name}' ${reason}. Received ${view.byteLength}`,
  );
}

module.exports = {
  systemError,
  codedError,
  fileBytesMax,
  fileTooLarge,
  tooSmallFor,
  received,
  restack,
  AbortError,
};
