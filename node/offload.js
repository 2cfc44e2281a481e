'use strict';
// runInExecutor: one way to both kinds of executors.

const { inspect } = require('node:util');
const { codedError } = require('./errors.js');
const { Executor } = require('./executor.js');
const { NativeExecutor, NativeJob } = require('./native_executor.js');
const { WorkerExecutor } = require('./worker_executor.js');

// Made at the first use; their idle threads keep no process alive.
let workers;
let natives;

function executorFor(fn) {
  if (fn instanceof NativeJob) return (natives ??= new NativeExecutor());
  return (workers ??= new WorkerExecutor());
}

// executor: null for the default one of the kind that fn needs.
async function runInExecutor(executor, fn, ...args) {
  if (executor instanceof Executor) return executor.run(fn, args);
  if (executor === null || executor === undefined) return executorFor(fn).run(fn, args);
  throw codedError(
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    'The "executor" argument must be null, a WorkerExecutor or a NativeExecutor. ' +
      `Received ${inspect(executor)}`,
  );
}

module.exports = { runInExecutor };
