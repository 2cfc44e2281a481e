'use strict';
// The addon's own jobs, on a pool of the core's: threads that run no JS.

const { inspect } = require('node:util');
const { watch, unwatch } = require('./abort.js');
const { codedError, systemError } = require('./errors.js');
const { Executor } = require('./executor.js');
const { native, acquire, release, memoryOf, offsetOf, syscalls } = require('./native.js');
const { pathOf } = require('./options.js');
const { asText } = require('./operation.js');

function durationOf(ms) {
  return typeof ms === 'number' && ms >= 0 && ms <= 2 ** 31 - 1 ? ms : undefined;
}

// What bide.native holds: a name for runInExecutor, nothing that can be called.
class NativeJob {
  #number;
  #takesPath;
  #results;

  constructor(number, { name, takesPath, results }) {
    this.name = name;
    this.#number = number;
    this.#takesPath = takesPath;
    this.#results = results;
    Object.freeze(this);
  }

  // The argument as the addon takes it.
  check(argument) {
    const value = this.#takesPath ? pathOf(argument) : durationOf(argument);
    if (value !== undefined) return value;
    const wanted = this.#takesPath
      ? 'a path (a string, Buffer or URL without a NUL)'
      : 'a number of milliseconds, 0 or more';
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      `bide.native.${this.name} takes ${wanted}. Received ${inspect(argument)}`,
    );
  }

  pathIn(argument) {
    return this.#takesPath ? asText(argument) : undefined;
  }

  start(slot, pool, argument) {
    return native.run(slot, pool, this.#number, argument);
  }

  // Its numbers as an object, read from the slot's memory.
  take(slot) {
    if (this.#results.length === 0) return undefined;
    const from = offsetOf(slot) / 8;
    const { doubles } = memoryOf(slot);
    return Object.fromEntries(this.#results.map((name, i) => [name, doubles[from + i]]));
  }
}

const jobs = Object.freeze(
  Object.fromEntries(native.jobs.map((job, number) => [job.name, new NativeJob(number, job)])),
);

class JobRequest {
  constructor(executor, job, argument, signal, resolve, reject) {
    this.executor = executor;
    this.job = job;
    this.argument = argument;
    this.signal = signal;
    this.slot = acquire(this);
    this.resolve = resolve;
    this.reject = reject;
  }

  // A job that has started runs to its end, which then is nobody's.
  abort(error) {
    this.reject(error);
    native.cancel(this.slot);
  }

  end() {
    if (this.signal !== undefined) unwatch(this.signal, this);
    this.executor.ended();
  }

  finish(slot, result, detail) {
    if (result < 0) this.reject(this.#error(slot, result, detail));
    else this.resolve(this.job.take(slot));
    this.end();
  }

  #error(slot, result, detail) {
    const { bytes } = memoryOf(slot);
    const from = offsetOf(slot);
    const path = bytes.toString('utf8', from, bytes.indexOf(0, from));
    return systemError(
      result,
      syscalls[detail] || this.job.name,
      path || this.job.pathIn(this.argument),
    );
  }
}

class NativeExecutor extends Executor {
  #pool;

  constructor(options) {
    super(options);
    this.#pool = native.poolNew(this.size);
    if (this.#pool < 0) throw systemError(this.#pool, 'pthread_create');
  }

  prepare(job, args) {
    if (job instanceof NativeJob) return { job, argument: job.check(args[0]) };
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      'A NativeExecutor runs the jobs of bide.native; JS functions want a WorkerExecutor. ' +
        `Received ${inspect(job)}`,
    );
  }

  start({ job, argument }, signal, resolve, reject) {
    const request = new JobRequest(this, job, argument, signal, resolve, reject);
    const code = job.start(request.slot, this.#pool, argument);
    if (code < 0) {
      release(request.slot);
      throw systemError(code, job.name);
    }
    if (signal !== undefined) watch(signal, request);
  }

  stop() {
    native.poolFree(this.#pool);
  }
}

module.exports = { NativeExecutor, NativeJob, jobs };
