'use strict';
// The addon's own jobs, on a pool of the core's: threads that run no JS.

const { getHashes } = require('node:crypto');
const { inspect } = require('node:util');
const { watch, unwatch } = require('./abort.js');
const { codedError, systemError } = require('./errors.js');
const { Executor } = require('./executor.js');
const { Flow } = require('./flow.js');
const { native, acquire, release, memoryOf, offsetOf, syscalls } = require('./native.js');
const { pathOf } = require('./options.js');
const { asText } = require('./operation.js');
const scratch = require('./scratch.js');
const { bufferOver } = require('./transfer.js');

// Jobs that wait in the core's pool, so that its threads find the next at once; more wait
// here, where they are smaller.
const queuedMax = 256;

// ---- arguments, as the addon takes them; undefined for what is none ----

function durationOf(ms) {
  return typeof ms === 'number' && ms >= 0 && ms <= 2 ** 31 - 1 ? ms : undefined;
}

// The bytes of the call: a copy, but of memory that cannot go away under the job.
function bytesOf(data) {
  if (!ArrayBuffer.isView(data)) return undefined;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return scratch.isShared(data) ? bufferOver(bytes) : Buffer.from(bytes);
}

const argumentKinds = {
  number: { from: durationOf, wanted: 'a number of milliseconds, 0 or more' },
  path: { from: pathOf, wanted: 'a path (a string, Buffer or URL without a NUL)' },
  bytes: { from: bytesOf, wanted: 'a Buffer, TypedArray or DataView' },
};

let digests; // in small letters; OpenSSL takes either

function isDigest(name) {
  digests ??= new Set(getHashes().map((each) => each.toLowerCase()));
  return typeof name === 'string' && name.length < 32 && digests.has(name.toLowerCase());
}

const isFrom = (min, max) => (number) =>
  Number.isInteger(number) && number >= min && number <= max;

// What a job takes after its argument.
const algorithm = {
  byDefault: 'sha256',
  check: isDigest,
  wanted: 'a digest of crypto.getHashes()',
};
const level = { byDefault: 6, check: isFrom(0, 9), wanted: 'a level from 0 to 9' };
const bytesMax = {
  byDefault: 2 ** 31 - 1,
  check: isFrom(1, 2 ** 31 - 1),
  wanted: 'a number of bytes below 2 ** 31',
};
const options = { hash: algorithm, hashFile: algorithm, gzip: level, gunzip: bytesMax };

// A list of files as the addon writes it: their paths, each with a NUL behind it, in so many
// bytes; then the size and the time of each.
function filesIn(bytes, textBytes) {
  const paths = bytes.toString('utf8', 0, textBytes).split('\0');
  const numbers = new Float64Array(Uint8Array.prototype.slice.call(bytes, textBytes).buffer);
  const files = new Array(paths.length - 1);
  for (let i = 0; i < files.length; i++) {
    files[i] = { path: paths[i], bytes: numbers[2 * i], mtimeMs: numbers[2 * i + 1] };
  }
  return files;
}

// What bide.native holds: a name for runInExecutor, nothing that can be called.
class NativeJob {
  #number;
  #argument;
  #results;
  #output;

  constructor(number, { name, argument, results, output }) {
    this.name = name;
    this.#number = number;
    this.#argument = argument;
    this.#results = results;
    this.#output = output;
    Object.freeze(this);
  }

  #refuse(which, wanted, received) {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      `bide.native.${this.name} takes ${wanted}${which}. Received ${inspect(received)}`,
    );
  }

  // { argument, option } as the addon takes them.
  check([given, option]) {
    const kind = argumentKinds[this.#argument];
    const argument = kind.from(given);
    if (argument === undefined) this.#refuse('', kind.wanted, given);
    const wants = options[this.name];
    if (wants === undefined) return { argument, option: undefined };
    option ??= wants.byDefault;
    if (!wants.check(option)) this.#refuse(' as its second argument', wants.wanted, option);
    return { argument, option };
  }

  pathIn({ argument }) {
    return this.#argument === 'path' ? asText(argument) : undefined;
  }

  start(slot, pool, { argument, option }) {
    return native.run(slot, pool, this.#number, argument, option);
  }

  // What it gives, from the slot's memory: its bytes, its numbers, or both in an object.
  take(slot) {
    const bytes = this.#output && this.#takeOutput(slot);
    const { doubles } = memoryOf(slot);
    let at = offsetOf(slot) / 8;
    if (this.name === 'listTree') return filesIn(bytes, doubles[at]);
    if (this.#results.length === 0) return bytes;
    const given = {};
    for (const name of this.#results) given[name] = doubles[at++];
    if (bytes !== undefined) given[this.#output] = bytes;
    return given;
  }

  // The length of the bytes follows the numbers; the bytes follow it if they are few.
  #takeOutput(slot) {
    const { doubles, bytes } = memoryOf(slot);
    const at = offsetOf(slot) / 8 + native.jobResults;
    const length = doubles[at];
    if (length <= native.jobBytesInSlot) return Buffer.copyBytesFrom(bytes, 8 * (at + 1), length);
    const output = Buffer.allocUnsafeSlow(length);
    native.takeOutput(slot, output);
    return output;
  }
}

const jobs = Object.freeze(
  Object.fromEntries(native.jobs.map((job, number) => [job.name, new NativeJob(number, job)])),
);

class JobRequest {
  constructor(flow, prepared, signal, executor, resolve, reject) {
    this.flow = flow;
    this.job = prepared.job;
    this.given = prepared.given; // its bytes are not to be collected before finish()
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
    const code = this.job.start(this.slot, this.pool, this.given);
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
    this.end();
    if (result < 0) this.reject(this.#error(slot, result, detail));
    else if (this.aborted) native.takeOutput(slot, undefined);
    else this.resolve(this.job.take(slot));
  }

  #error(slot, result, detail) {
    const { bytes } = memoryOf(slot);
    const from = offsetOf(slot);
    const path = bytes.toString('utf8', from, bytes.indexOf(0, from));
    return systemError(
      result,
      syscalls[detail] || this.job.name,
      path || this.job.pathIn(this.given),
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
    if (job instanceof NativeJob) return { job, given: job.check(args) };
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      'A NativeExecutor runs the jobs of bide.native; JS functions want a WorkerExecutor. ' +
        `Received ${inspect(job)}`,
    );
  }

  start(prepared, signal, resolve, reject) {
    const onPool = { ...prepared, pool: this.#pool };
    const request = new JobRequest(this.#flow, onPool, signal, this, resolve, reject);
    this.#flow.enter(request);
  }

  stop() {
    native.poolFree(this.#pool);
  }
}

module.exports = { NativeExecutor, NativeJob, jobs };
