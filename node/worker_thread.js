'use strict';
// What runs in a thread of a WorkerExecutor: tasks in the order in which they came, one at
// a time, each unless it was taken back meanwhile (see cells.js).

const { createRequire } = require('node:module');
const path = require('node:path');
const util = require('node:util');
const vm = require('node:vm');
const { parentPort, workerData } = require('node:worker_threads');
const { start, outcomes } = require('./cells.js');
const { isMoved } = require('./move.js');

// Results go back together as long as the tasks that follow are quick: those that are not,
// or are not known yet, must not keep a result that is there.
const quickMs = 0.1;
const holdMs = 0.25;

const cells = new Int32Array(workerData.cells);
const functions = new Map(); // by the number the main thread gave: { ready, call, slowestMs }
const tasks = []; // { cell, id, args }
let running = false;

// ---- functions ----

function compile(text, name) {
  const wrapped = `(function (require) { return (${text}\n); })`;
  const make = vm.runInThisContext(wrapped, {
    filename: `bide:${name || 'function'}`,
    importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  return make(createRequire(path.join(process.cwd(), 'function.js')));
}

async function load({ text, url, name }) {
  if (url === undefined) return compile(text, name);
  const namespace = await import(url);
  const found = namespace[name] ?? namespace.default?.[name];
  if (typeof found === 'function') return found;
  throw new TypeError(`${url} exports no function "${name}"`);
}

function define(definition) {
  const entry = { ready: load(definition), call: undefined, slowestMs: Infinity };
  // What fails to load fails each task that names it, not the thread.
  entry.ready.then(
    (call) => {
      entry.call = call;
    },
    () => {},
  );
  functions.set(definition.id, entry);
}

// ---- results ----

let results = [];
let flushedAt = 0;

// A structured clone keeps an error's message and stack, but neither its class's name nor
// its properties: these go beside it.
function describe(error) {
  if (util.types.isNativeError(error)) {
    try {
      return { error, name: error.name, properties: { ...error } };
    } catch (thrown) {
      return { error: thrown }; // by one of its getters
    }
  }
  if (error instanceof DOMException) return { domException: [error.message, error.name] };
  return { error };
}

// Under a name, since a task may post to the parent too.
function post(rows, list) {
  parentPort.postMessage({ bide: rows }, list);
}

// What cannot be cloned fails its own task, not those that share its message.
function postAlone(row) {
  try {
    post([row]);
  } catch (error) {
    const thrown = row.outcome === outcomes.failed;
    const reason = thrown ? new Error(util.inspect(row.value.error)) : error;
    post([{ cell: row.cell, outcome: outcomes.failed, value: describe(reason) }]);
  }
}

function flush() {
  flushedAt = performance.now();
  if (results.length === 0) return;
  const rows = results;
  results = [];
  try {
    post(rows);
  } catch {
    rows.forEach(postAlone);
  }
}

function reportMoved(cell, { value, list }) {
  flush();
  try {
    post([{ cell, outcome: outcomes.done, value }], list);
  } catch (error) {
    postAlone({ cell, outcome: outcomes.failed, value: describe(error) });
  }
}

// ---- the run ----

async function runTask({ cell, id, args }) {
  const entry = functions.get(id);
  if (entry.slowestMs > quickMs) flush();
  const startedAt = performance.now();
  try {
    const call = entry.call ?? (await entry.ready);
    let value = call(...args);
    if (typeof value?.then === 'function') {
      flush();
      value = await value;
    }
    if (isMoved(value)) reportMoved(cell, value);
    else results.push({ cell, outcome: outcomes.done, value });
  } catch (error) {
    results.push({ cell, outcome: outcomes.failed, value: describe(error) });
  }
  const endedAt = performance.now();
  const before = entry.slowestMs === Infinity ? 0 : entry.slowestMs * 0.9;
  entry.slowestMs = Math.max(endedAt - startedAt, before);
  if (endedAt - flushedAt > holdMs) flush();
}

async function run() {
  running = true;
  flushedAt = performance.now();
  while (tasks.length > 0) {
    for (const task of tasks.splice(0)) {
      if (start(cells, task.cell)) await runTask(task);
      else results.push({ cell: task.cell, outcome: outcomes.skipped });
    }
  }
  flush();
  running = false;
}

// A task that ends the thread takes no result along that came before it.
process.on('exit', flush);

parentPort.on('message', (message) => {
  message.definitions.forEach(define);
  tasks.push(...message.tasks);
  if (!running) run();
});
