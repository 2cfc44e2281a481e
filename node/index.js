'use strict';

const { native } = require('./native.js');
const fs = require('./fs.js');
const { move } = require('./move.js');
const { NativeExecutor, jobs } = require('./native_executor.js');
const { runInExecutor } = require('./offload.js');
const { sleep, timeout, race, all } = require('./time.js');
const { WorkerExecutor } = require('./worker_executor.js');

module.exports = {
  version: native.version,
  backend: native.backend,
  backendReason: native.backendReason,
  fs,
  runInExecutor,
  WorkerExecutor,
  NativeExecutor,
  native: jobs,
  move,
  sleep,
  timeout,
  race,
  all,
};
