'use strict';
// JS functions in worker threads.
//
// Tasks wait in the executor's queue until the end of the turn, then go to the threads in
// one message each, spread evenly. A thread that runs out of work gets half of what waits
// in another (cells.js says how that is safe), so that no blocking task waits behind
// another while a thread has nothing to do.

const { watch } = require('./abort.js');
const { Executor } = require('./executor.js');
const { definitionOf } = require('./worker_functions.js');
const { Task, Thread } = require('./worker_handle.js');

function leastLoaded(threads) {
  let found = threads[0];
  for (const thread of threads) if (thread.load < found.load) found = thread;
  return found;
}

class WorkerExecutor extends Executor {
  #threads = [];
  #queue = []; // tasks that no thread was sent yet
  #dropped = 0; // of them
  #scheduled = false;
  #balancing = false;
  #workerOptions; // of each Worker

  constructor(options = {}) {
    super(options);
    const { name = 'bide', resourceLimits } = options;
    this.#workerOptions = { name: String(name), ...(resourceLimits && { resourceLimits }) };
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
    while (this.#threads.length < wanted)
      this.#threads.push(new Thread(this, this.#workerOptions));
  }

  // Hands out the queue, each task to the thread that has least. One whose memory moves
  // cannot be taken back, so it and what follows it wait for a thread without work.
  feed() {
    if (this.#dropped > 0) this.#sweep();
    if (this.#queue.length > 0) this.#grow();
    let count = 0;
    for (const task of this.#queue) {
      const thread = leastLoaded(this.#threads);
      const moves = task.transfer.length > 0;
      if (thread.free.length === 0 || (moves && thread.load > 0)) break;
      thread.give(task);
      if (moves) thread.send();
      count++;
    }
    this.#queue.splice(0, count);
    for (const thread of this.#threads) thread.send();
    if (this.#queue.length === 0) this.#balanceSoon();
  }

  // After what the results that just came set going: it may bring the idle new tasks.
  #balanceSoon() {
    if (this.#balancing || !this.#threads.some((thread) => thread.load > 1)) return;
    this.#balancing = true;
    setImmediate(() => {
      this.#balancing = false;
      this.#balance();
    });
  }

  #balance() {
    for (const idle of this.#threads) {
      if (idle.load > 0) continue;
      const victim = this.#threads.reduce((a, b) => (b.load > a.load ? b : a));
      if (victim.load < 2) return;
      const tasks = victim.giveUpHalf(idle.free.length);
      for (const task of tasks) idle.give(task);
      idle.send();
    }
  }

  // It leaves the queue when that is next looked at: a signal may drop many at once.
  drop(task) {
    task.dropped = true;
    this.#dropped++;
    task.end();
  }

  #sweep() {
    this.#queue = this.#queue.filter((task) => !task.dropped);
    this.#dropped = 0;
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
