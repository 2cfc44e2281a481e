'use strict';
// JS functions in worker threads.
//
// Tasks wait in the executor's queue until the end of the turn, then go to the threads in
// one message each, spread evenly. A thread that runs out of work gets half of what waits
// in another (cells.js says how that is safe), so that no blocking task waits behind
// another while a thread has nothing to do.

const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { Worker } = require('node:worker_threads');
const { watch, unwatch } = require('./abort.js');
const { clear, takeBack, outcomes } = require('./cells.js');
const { codedError } = require('./errors.js');
const { Executor } = require('./executor.js');
const { isMoved } = require('./move.js');

const cellCount = 1024; // tasks that a thread may have been sent

// ---- functions ----

const numbers = new Map(); // of functions by module, by "url#name"
const numbersOfFunctions = new WeakMap(); // of functions by themselves
let lastNumber = 0;

function sourceOf(fn) {
  const text = Function.prototype.toString.call(fn);
  if (/\{\s*\[native code\]\s*\}$/.test(text)) {
    throw codedError(TypeError, 'ERR_INVALID_ARG_VALUE',
      `bide cannot send the built-in or bound function "${fn.name}" to a worker; ` +
        'name it instead: { module: new URL(...), name: "..." }');
  }
  // A method's shorthand is no expression by itself.
  try {
    new Function(`return (${text}\n);`);
    return text;
  } catch {
    return `({ ${text} })[${JSON.stringify(fn.name)}]`;
  }
}

function urlOf(module) {
  if (module instanceof URL) return module.href;
  if (typeof module === 'string' && path.isAbsolute(module)) return pathToFileURL(module).href;
  if (typeof module === 'string' && /^(file|node|data):/.test(module)) return module;
  throw codedError(TypeError, 'ERR_INVALID_ARG_VALUE',
    'A function by its module needs the module as a URL or an absolute path, such as ' +
      `new URL('./work.mjs', import.meta.url). Received ${String(module)}`);
}

function definitionOf(fn) {
  if (typeof fn === 'function') {
    let known = numbersOfFunctions.get(fn);
    if (known === undefined) {
      known = { id: ++lastNumber, text: sourceOf(fn), name: fn.name };
      numbersOfFunctions.set(fn, known);
    }
    return known;
  }
  if (fn === null || typeof fn !== 'object' || !('module' in fn)) {
    throw codedError(TypeError, 'ERR_INVALID_ARG_TYPE',
      'The "fn" argument must be a function, { module, name } or a job of bide.native');
  }
  const { module, name = 'default' } = fn;
  const url = urlOf(module);
  const key = `${url}#${name}`;
  let known = numbers.get(key);
  if (known === undefined) {
    known = { id: ++lastNumber, url, name };
    numbers.set(key, known);
  }
  return known;
}

// ---- tasks ----

class Task {
  constructor(executor, definition, args, signal, resolve, reject) {
    this.executor = executor;
    this.definition = definition;
    this.transfer = args.filter(isMoved).flatMap((arg) => arg.list);
    this.args = args.map((arg) => (isMoved(arg) ? arg.value : arg));
    this.signal = signal;
    this.thread = undefined; // set once it was sent
    this.cell = -1;
    this.aborted = false;
    this.resolve = resolve;
    this.reject = reject;
  }

  end() {
    if (this.signal !== undefined) unwatch(this.signal, this);
    this.executor.ended();
  }

  // A task that has started runs to its end, which then is nobody's.
  abort(error) {
    this.aborted = true;
    this.reject(error);
    if (this.thread === undefined) this.executor.drop(this);
    else if (this.thread.takeBack(this)) this.end();
  }

  fail(error) {
    this.end();
    this.reject(error);
  }
}

function revive({ error, name, properties, domException }) {
  if (domException !== undefined) return new DOMException(...domException);
  if (properties === undefined) return error;
  Object.assign(error, properties);
  if (error.name !== name) {
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  }
  return error;
}

// ---- threads ----

class Thread {
  constructor(executor, name) {
    this.executor = executor;
    this.online = false;
    this.ending = false;
    this.error = undefined;
    this.defined = new Set(); // numbers of functions
    this.tasks = new Map(); // by cell: sent, neither ended nor taken back
    this.cells = new Int32Array(new SharedArrayBuffer(4 * cellCount));
    this.free = Array.from({ length: cellCount }, (_, i) => cellCount - 1 - i);
    this.worker = new Worker(path.join(__dirname, 'worker_thread.js'), {
      name,
      workerData: { cells: this.cells.buffer },
    });
    this.worker.unref();
    this.worker.on('online', () => { this.online = true; });
    this.worker.on('message', (rows) => this.receive(rows));
    this.worker.on('error', (error) => { this.error = error; });
    this.worker.on('exit', (code) => this.exited(code));
  }

  get load() {
    return this.tasks.size;
  }

  send(tasks) {
    this.worker.ref();
    for (const task of tasks) {
      task.cell = this.free.pop();
      task.thread = this;
      clear(this.cells, task.cell);
      this.tasks.set(task.cell, task);
    }
    try {
      this.post(tasks);
    } catch (error) {
      this.refuse(tasks, error);
    }
  }

  post(tasks) {
    const definitions = [];
    for (const { definition } of tasks) {
      if (this.defined.has(definition.id)) continue;
      this.defined.add(definition.id);
      definitions.push(definition);
    }
    const rows = tasks.map(({ cell, definition, args }) => ({ cell, id: definition.id, args }));
    try {
      this.worker.postMessage({ definitions, tasks: rows }, tasks[0].transfer);
    } catch (error) {
      for (const { id } of definitions) this.defined.delete(id);
      throw error;
    }
  }

  // Arguments that cannot be cloned fail their own task, not those that share its message.
  refuse(tasks, error) {
    for (const task of tasks) this.forget(task);
    if (tasks.length === 1) {
      tasks[0].fail(error);
      return;
    }
    for (const task of tasks) this.send([task]);
  }

  // The task was never seen by the thread.
  forget(task) {
    this.tasks.delete(task.cell);
    this.free.push(task.cell);
    task.thread = undefined;
    this.rest();
  }

  // While it has anything to report on, or is about to end, it keeps the process alive.
  rest() {
    if (this.free.length === cellCount && !this.ending) this.worker.unref();
  }

  end() {
    this.ending = true;
    return this.worker.terminate();
  }

  // Its cell stays taken until the thread has passed it by.
  takeBack(task) {
    if (!takeBack(this.cells, task.cell)) return false;
    this.tasks.delete(task.cell);
    task.thread = undefined;
    this.rest();
    return true;
  }

  // The later half of what has not started, `max` tasks at most, for another thread.
  giveUpHalf(max) {
    const behind = [...this.tasks.values()].slice(1);
    const count = Math.min(Math.ceil(behind.length / 2), max);
    const half = behind.slice(behind.length - count);
    return half.filter((task) => task.transfer.length === 0 && this.takeBack(task));
  }

  receive(rows) {
    for (const { cell, outcome, value } of rows) {
      this.free.push(cell);
      if (outcome === outcomes.skipped) continue;
      const task = this.tasks.get(cell);
      this.tasks.delete(cell);
      task.end();
      if (outcome === outcomes.done) task.resolve(value);
      else task.reject(revive(value));
    }
    this.rest();
    this.executor.feed();
  }

  // What had started died with the thread; what had not goes to another, unless the thread
  // never came up, as then the next would not either.
  exited(code) {
    const error = this.error ?? codedError(Error, 'ERR_BIDE_WORKER_EXITED',
      `The worker thread exited with code ${code} while it ran the task`);
    const again = [];
    for (const task of [...this.tasks.values()]) {
      if (this.online && this.takeBack(task) && task.transfer.length === 0) again.push(task);
      else task.fail(error);
    }
    this.tasks.clear();
    this.executor.threadExited(this, again);
  }
}

// ---- the executor ----

class WorkerExecutor extends Executor {
  #threads = [];
  #queue = []; // tasks that no thread was sent yet
  #scheduled = false;
  #name;

  constructor(options = {}) {
    super(options);
    this.#name = String(options.name ?? 'bide');
  }

  prepare(fn, args) {
    return { definition: definitionOf(fn), args };
  }

  start({ definition, args }, signal, resolve, reject) {
    const task = new Task(this, definition, args, signal, resolve, reject);
    if (signal !== undefined) watch(signal, task);
    this.#queue.push(task);
    this.#schedule();
  }

  // Once all that the code under way asks for is in the queue.
  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.feed();
    });
  }

  #grow() {
    const idle = this.#threads.filter((thread) => thread.load === 0).length;
    const wanted = Math.min(this.size, this.#threads.length + this.#queue.length - idle);
    while (this.#threads.length < wanted) this.#threads.push(new Thread(this, this.#name));
  }

  // Hands out the queue, each task to the thread that has least. One whose memory moves
  // cannot be taken back, so it and what follows it wait for a thread without work.
  feed() {
    if (this.#queue.length > 0) this.#grow();
    const shares = new Map(this.#threads.map((thread) => [thread, []]));
    const loadOf = (thread) => thread.load + shares.get(thread).length;
    let count = 0;
    for (const task of this.#queue) {
      const thread = this.#threads.reduce((a, b) => (loadOf(b) < loadOf(a) ? b : a));
      const moves = task.transfer.length > 0;
      if (thread.free.length <= shares.get(thread).length) break;
      if (moves && loadOf(thread) > 0) break;
      if (moves) thread.send([task]);
      else shares.get(thread).push(task);
      count++;
    }
    this.#queue.splice(0, count);
    for (const [thread, share] of shares) if (share.length > 0) thread.send(share);
    if (this.#queue.length === 0) this.#balance();
  }

  #balance() {
    for (const idle of this.#threads) {
      if (idle.load > 0) continue;
      const victim = this.#threads.reduce((a, b) => (b.load > a.load ? b : a));
      if (victim.load < 2) return;
      const tasks = victim.giveUpHalf(idle.free.length);
      if (tasks.length > 0) idle.send(tasks);
    }
  }

  drop(task) {
    const at = this.#queue.indexOf(task);
    if (at >= 0) this.#queue.splice(at, 1);
    task.end();
  }

  threadExited(thread, again) {
    this.#threads.splice(this.#threads.indexOf(thread), 1);
    this.#queue.unshift(...again);
    if (this.#queue.length > 0) this.feed();
  }

  async stop() {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}

module.exports = { WorkerExecutor };
