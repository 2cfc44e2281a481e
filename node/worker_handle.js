'use strict';
// The main thread's side of the threads of a WorkerExecutor, and of the tasks they are sent.

const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { unwatch } = require('./abort.js');
const { clear, takeBack, outcomes } = require('./cells.js');
const { codedError } = require('./errors.js');
const { isMoved } = require('./move.js');

const cellCount = 1024; // tasks that a thread may have been sent

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
    this.resolve = resolve;
    this.reject = reject;
  }

  end() {
    if (this.signal !== undefined) unwatch(this.signal, this);
    this.executor.ended();
  }

  // A task that has started runs to its end, which then is nobody's.
  abort(error) {
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
  constructor(executor, options) {
    this.executor = executor;
    this.online = false;
    this.ending = false;
    this.error = undefined;
    this.defined = new Set(); // numbers of functions
    this.tasks = new Map(); // by cell: sent, neither ended nor taken back
    this.cells = new Int32Array(new SharedArrayBuffer(4 * cellCount));
    this.free = Array.from({ length: cellCount }, (_, i) => cellCount - 1 - i);
    this.worker = new Worker(path.join(__dirname, 'worker_thread.js'), {
      ...options,
      workerData: { cells: this.cells.buffer },
    });
    this.worker.unref();
    this.worker.on('online', () => {
      this.online = true;
    });
    this.worker.on('message', (message) => {
      if (message?.bide !== undefined) this.receive(message.bide);
    });
    this.worker.on('error', (error) => {
      this.error = error;
    });
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
    const error =
      this.error ??
      codedError(
        Error,
        'ERR_BIDE_WORKER_EXITED',
        `The worker thread exited with code ${code} while it ran the task`,
      );
    const again = [];
    for (const task of [...this.tasks.values()]) {
      if (this.online && this.takeBack(task) && task.transfer.length === 0) again.push(task);
      else task.fail(error);
    }
    this.tasks.clear();
    this.executor.threadExited(this, again);
  }
}

module.exports = { Task, Thread };
