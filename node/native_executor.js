'use strict';
// The addon's own jobs, on a pool of the core's: threads that run no JS.

const { inspect } = require('node:util');
const { watch, unwatch } = require('./abort.js');
const { codedError, systemError } = require('./errors.js');
const { Executor } = require('./executor.js');
const { Flow } = require('./flow.js');
const { native, acquire, release, memoryOf, offsetOf, syscalls } = require('./native.js');
const { pathOf } = require('./options.js');
const { asText } = require('./operation.js');

// Jobs that wait in the core's pool, so that its threads find the next at once; more wait
// here, where they are smaller.
const queuedMax = 256;

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
  constructor(flow, prepared, signal, executor, resolve, reject) {
    this.flow = flow;
    this.job = prepared.job;
    this.argument = prepared.argument;
    this.pool = prepared.pool;
    this.signal = signal;
    this.executor = executor;
    this.slot = -1;
    this.aborted = false;
    this.resolve = resolve;
    this.reject = reject;
    if (signal !== undefined) watch(signal, this);
  }

  start() {
    this.slot = acquire(this);
    const code = this.job.start(this.slot, this.pool, this.argument);
    if (code >= 0) return;
    release(this.slot);
    this.end();
    this.reject(systemError(code, this.job.name));
  }

  // A job that has started runs to its end, which then is nobody's.
  abort(error) {
    this.aborted = true;
    this.reject(error);
    if (this.slot === -1) this.executor.ended();
    else native.cancel(this.slot);
  }

  end() {
    if (this.signal !== undefined) unwatch(this.signal, this);
    this.flow.leave();
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
  #flow;

  constructor(options) {
    super(options);
    this.#flow = new Flow(this.size + queuedMax);
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
    const prepared = { job, argument, pool: this.#pool };
    const request = new JobRequest(this.#flow, prepared, signal, this, resolve, reject);
    this.#flow.enter(request);
  }

  stop() {
    native.poolFree(this.#pool);
  }
}

module.exports = { NativeExecutor, NativeJob, jobs };
