'use strict';
// What runs in a thread of a WorkerExecutor: tasks in the order in which they came, one at
// a time, each unless it was taken back meanwhile (see cells.js).
//
// Messages both ways are flat lists, which clone in half the time of a list of objects: to
// the thread cell, function, count of arguments, arguments; back cell, outcome, value.

const { createRequire } = require('node:module');
const path = require('node:path');
const util = require('node:util');
const vm = require('node:vm');
const { parentPort, receiveMessageOnPort, workerData } = require('node:worker_threads');
const { start, rings, sleep, outcomes } = require('./cells.js');
const { isMoved } = require('./move.js');

// Results go back together as long as the tasks that follow are quick: those that are not,
// or are not known yet, must not keep a result that is there.
const quickMs = 0.1;
const holdMs = 0.25;

// A thread that has run out of tasks sleeps for so long, without its event loop, which
// starts no later than so many milliseconds after the last time. V8's own tasks run there:
// each turn may end a collection. With one every 5 ms what was moved to the thread was
// collected 58 times in 1.5 s, with one every 50 ms 37 times.
const restMs = 0.5;
const turnMs = 50;

const cells = new Int32Array(workerData.cells);
const functions = new Map(); // by the number the main thread gave: { ready, call, slowestMs }
const batches = []; // as they came
let running = false;
let clockMs = 0; // when something was last done

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
function postAlone(cell, outcome, value) {
  try {
    post([cell, outcome, value]);
  } catch (error) {
    const thrown = outcome === outcomes.failed;
    const reason = thrown ? new Error(util.inspect(value.error)) : error;
    post([cell, outcomes.failed, describe(reason)]);
  }
}

function flush() {
  if (results.length > 0) {
    const rows = results;
    results = [];
    try {
      post(rows);
    } catch {
      for (let i = 0; i < rows.length; i += 3) postAlone(rows[i], rows[i + 1], rows[i + 2]);
    }
  }
  clockMs = flushedAt = performance.now();
}

function reportMoved(cell, { value, list }) {
  flush();
  try {
    post([cell, outcomes.done, value], list);
  } catch (error) {
    postAlone(cell, outcomes.failed, describe(error));
  }
}

function reportValue(cell, value) {
  if (isMoved(value)) reportMoved(cell, value);
  else results.push(cell, outcomes.done, value);
}

function reportError(cell, error) {
  results.push(cell, outcomes.failed, describe(error));
}

// ---- the run ----

function ended(entry) {
  const now = performance.now();
  // Soon quick again, if it was another program that held it up.
  const before = entry.slowestMs === Infinity ? 0 : entry.slowestMs / 2;
  entry.slowestMs = Math.max(now - clockMs, before);
  clockMs = now;
  if (now - flushedAt > holdMs) flush();
}

async function settle(cell, entry, value) {
  flush();
  try {
    reportValue(cell, await value);
  } catch (error) {
    reportError(cell, error);
  }
  ended(entry);
}

// A promise when the task goes on.
function runTask(cell, entry, args) {
  if (entry.slowestMs > quickMs) flush();
  const { call } = entry;
  try {
    const value = call(...args);
    if (typeof value?.then === 'function') return settle(cell, entry, value);
    reportValue(cell, value);
  } catch (error) {
    reportError(cell, error);
  }
  ended(entry);
  return undefined;
}

async function runFirst(cell, entry, args) {
  try {
    await entry.ready;
  } catch (error) {
    reportError(cell, error);
    return;
  }
  clockMs = performance.now();
  await runTask(cell, entry, args);
}

async function runBatch(batch) {
  for (let at = 0; at < batch.length; ) {
    const [cell, id, count] = [batch[at], batch[at + 1], batch[at + 2]];
    const args = batch.slice(at + 3, at + 3 + count);
    at += 3 + count;
    if (!start(cells, cell)) {
      results.push(cell, outcomes.skipped, undefined);
      continue;
    }
    const entry = functions.get(id);
    const run = entry.call === undefined ? runFirst : runTask;
    const going = run(cell, entry, args);
    if (going !== undefined) await going;
  }
}

function take({ definitions, tasks }) {
  definitions.forEach(define);
  batches.push(tasks);
}

// Takes what has come; false when that is nothing.
function takeAll() {
  let found;
  while ((found = receiveMessageOnPort(parentPort)) !== undefined) take(found.message);
  return batches.length > 0;
}

// Whether more tasks come within a moment, in which the thread sleeps.
function moreCome() {
  const seen = rings(cells);
  return takeAll() || (sleep(cells, seen, restMs) && takeAll());
}

// One message that brings the results of many costs less than many: so all that is there is
// run first, as long as it is quick.
async function run() {
  running = true;
  clockMs = flushedAt = performance.now();
  const endMs = clockMs + turnMs;
  do {
    do {
      while (batches.length > 0) await runBatch(batches.shift());
    } while (takeAll());
    flush();
  } while (clockMs < endMs && moreCome());
  running = false;
}

// A task that ends the thread takes no result along that came before it.
process.on('exit', flush);

parentPort.on('message', (message) => {
  take(message);
  if (!running) run();
});
