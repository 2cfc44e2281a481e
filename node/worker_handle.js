'use strict';
// The main thread's side of the threads of a WorkerExecutor, and of the tasks they are sent.

const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { unwatch } = require('./abort.js');
const cells = require('./cells.js');
const { codedError } = require('./errors.js');
const { isMoved } = require('./move.js');

// ---- tasks ----

const nothing = [];

class Task {
  constructor(executor, definition, args, signal, resolve, reject) {
    this.executor = executor;
    this.definition = definition;
    const moves = args.some(isMoved);
    this.transfer = moves ? args.filter(isMoved).flatMap((arg) => arg.list) : nothing;
    this.args = moves ? args.map((arg) => (isMoved(arg) ? arg.value : arg)) : args;
    this.signal = signal;
    this.dropped = false;
    this.thread = undefined; // set once it was sent
    this.cell = -1;
    this.order = 0; // among those its thread was given
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
    this.cells = cells.make();
    this.tasks = new Array(cells.cellCount); // by cell: given, neither ended nor taken back
    this.load = 0; // of them
    this.given = 0; // so far
    this.outgoing = []; // given and not sent yet
    this.free = Array.from(this.tasks, (_, i) => cells.cellCount - 1 - i);
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

  // Sent by the next send().
  give(task) {
    if (this.load === 0) this.worker.ref();
    task.cell = this.free.pop();
    task.thread = this;
    task.order = this.given++;
    cells.clear(this.cells, task.cell);
    this.tasks[task.cell] = task;
    this.load++;
    this.outgoing.push(task);
  }

  send() {
    if (this.outgoing.length === 0) return;
    const tasks = this.outgoing;
    this.outgoing = [];
    try {
      this.post(tasks);
    } catch (error) {
      this.refuse(tasks, error);
    }
  }

  post(tasks) {
    const definitions = [];
    const rows = [];
    for (const { cell, definition, args } of tasks) {
      if (!this.defined.has(definition.id)) {
        this.defined.add(definition.id);
        definitions.push(definition);
      }
      rows.push(cell, definition.id, args.length, ...args);
    }
    try {
      this.worker.postMessage({ definitions, tasks: rows }, tasks[0].transfer);
      cells.ring(this.cells);
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
    for (const task of tasks) {
      this.give(task);
      this.send();
    }
  }

  // The task was never seen by the thread.
  forget(task) {
    this.take(task);
    this.free.push(task.cell);
    this.rest();
  }

  take(task) {
    this.tasks[task.cell] = undefined;
    this.load--;
    task.thread = undefined;
  }

  // While it has anything to report on, or is about to end, it keeps the process alive.
  rest() {
    if (this.free.length === cells.cellCount && !this.ending) this.worker.unref();
  }

  end() {
    this.ending = true;
    return this.worker.terminate();
  }

  // Its cell stays taken until the thread has passed it by.
  takeBack(task) {
    if (!cells.takeBack(this.cells, task.cell)) return false;
    this.take(task);
    this.rest();
    return true;
  }

  // Those it was given and has not reported on, first come, first.
  inOrder() {
    const tasks = this.tasks.filter((task) => task !== undefined);
    return tasks.sort((a, b) => a.order - b.order);
  }

  // The later half of what has not started, `max` tasks at most, for another thread.
  giveUpHalf(max) {
    const behind = this.inOrder().slice(1);
    const count = Math.min(Math.ceil(behind.length / 2), max);
    const half = behind.slice(behind.length - count);
    return half.filter((task) => task.transfer.length === 0 && this.takeBack(task));
  }

  receive(rows) {
    for (let i = 0; i < rows.length; i += 3) {
      const [cell, outcome, value] = [rows[i], rows[i + 1], rows[i + 2]];
      this.free.push(cell);
      if (outcome === cells.outcomes.skipped) continue;
      const task = this.tasks[cell];
      this.take(task);
      task.end();
      if (outcome === cells.outcomes.done) task.resolve(value);
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
    for (const task of this.inOrder()) {
      if (this.online && this.takeBack(task) && task.transfer.length === 0) again.push(task);
      else task.fail(error);
    }
    this.executor.threadExited(this, again);
  }
}

module.exports = { Task, Thread };
