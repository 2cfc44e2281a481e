'use strict';
// Many files in one call: one promise, one list.

const { checkSignal, watch, unwatch } = require('./abort.js');
const { codedError, systemError } = require('./errors.js');
const { native, acquire, release } = require('./native.js');
const { pathOf, readOptions } = require('./options.js');
const { asText } = require('./operation.js');
const { ReadRequest } = require('./read_file.js');
const { Stats, BigIntStats } = require('./stats.js');
const { inspect } = require('node:util');

function checkedPaths(paths) {
  if (!Array.isArray(paths)) {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "paths" argument must be an Array. Received ${inspect(paths)}`,
    );
  }
  return paths.map((path, i) => {
    const name = pathOf(path);
    if (name !== undefined) return name;
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      `The "paths[${i}]" argument must be a string, Buffer or file URL without null bytes. ` +
        `Received ${inspect(path)}`,
    );
  });
}

function checkedOptions(options) {
  const { errors = 'throw', signal } = options;
  if (errors !== 'throw' && errors !== 'return') {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      `The property 'options.errors' must be 'throw' or 'return'. Received ${inspect(errors)}`,
    );
  }
  checkSignal(signal);
  return { returnsErrors: errors === 'return', signal };
}

// ---- contents ----

// Collects the results of its requests, in the order of the paths.
class Reading {
  constructor(count, { returnsErrors, signal }, resolve, reject) {
    this.results = new Array(count);
    this.left = count;
    this.returnsErrors = returnsErrors;
    this.signal = signal;
    this.requests = [];
    this.resolve = resolve;
    this.reject = reject;
    if (signal !== undefined) watch(signal, this);
  }

  take(index, result) {
    this.results[index] = result;
    if (--this.left > 0) return;
    if (this.signal !== undefined) unwatch(this.signal, this);
    this.resolve(this.results);
  }

  fail(index, error) {
    if (this.returnsErrors) this.take(index, error);
    else this.abort(error);
  }

  // Ends those that have not, the first error being told.
  abort(error) {
    this.reject(error);
    for (const request of this.requests) if (!request.aborted) request.abort(error);
  }
}

async function readFiles(paths, options = {}) {
  const names = checkedPaths(paths);
  const given = checkedOptions(options);
  const parsed = readOptions({ encoding: options.encoding });
  if (parsed === undefined) {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      `The argument 'encoding' is invalid encoding. Received ${inspect(options.encoding)}`,
    );
  }
  if (names.length === 0) return [];
  return new Promise((resolve, reject) => {
    const reading = new Reading(names.length, given, resolve, reject);
    names.forEach((name, i) => {
      const request = new ReadRequest(
        name,
        parsed,
        (contents) => reading.take(i, contents),
        (error) => reading.fail(i, error),
      );
      reading.requests.push(request);
      request.enter();
    });
  });
}

// ---- stats ----

function joined(names) {
  if (names.every((name) => typeof name === 'string'))
    return Buffer.from(`${names.join('\0')}\0`);
  const nul = Buffer.alloc(1);
  return Buffer.concat(names.flatMap((name) => [Buffer.from(name), nul]));
}

class StatAll {
  constructor(names, { bigint, follow, returnsErrors, signal }, resolve, reject) {
    this.names = names;
    this.bigint = bigint;
    this.syscall = follow ? 'stat' : 'lstat';
    this.returnsErrors = returnsErrors;
    this.signal = signal;
    this.aborted = false;
    this.resolve = resolve;
    this.reject = reject;
    const count = names.length * native.statValues;
    this.values = bigint ? new BigInt64Array(count) : new Float64Array(count);
    this.codes = new Int32Array(names.length);
    this.slot = acquire(this);
    const { length } = names;
    const bytes = joined(names);
    const code = native.statAll(
      this.slot,
      bytes,
      length,
      bigint,
      follow,
      this.codes,
      this.values,
    );
    if (code < 0) {
      release(this.slot);
      throw systemError(code, this.syscall);
    }
    if (signal !== undefined) watch(signal, this);
  }

  abort(error) {
    this.aborted = true;
    this.reject(error);
    native.cancel(this.slot);
  }

  finish() {
    if (this.aborted) return;
    if (this.signal !== undefined) unwatch(this.signal, this);
    const failed = this.codes.findIndex((code) => code < 0);
    if (failed >= 0 && !this.returnsErrors) this.reject(this.resultAt(failed));
    else this.resolve(this.names.map((_, i) => this.resultAt(i)));
  }

  resultAt(i) {
    if (this.codes[i] < 0)
      return systemError(this.codes[i], this.syscall, asText(this.names[i]));
    const Kind = this.bigint ? BigIntStats : Stats;
    return new Kind(this.values, i * native.statValues);
  }
}

async function statAll(paths, options = {}) {
  const names = checkedPaths(paths);
  const given = checkedOptions(options);
  const { bigint = false, followSymlinks = true } = options;
  if (names.length === 0) return [];
  return new Promise((resolve, reject) => {
    new StatAll(
      names,
      { bigint: Boolean(bigint), follow: Boolean(followSymlinks), ...given },
      resolve,
      reject,
    );
  });
}

module.exports = { readFiles, statAll };
