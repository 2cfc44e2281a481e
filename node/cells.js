'use strict';
// Who has a task: a word of shared memory for each that was sent to a thread.
//
//   waiting --start (the thread)--------> started
//           --takeBack (the main thread)-> taken
//
// Either side may be first, never both. So the main thread sends tasks ahead, in batches,
// and still can give one that waits behind a slow one to a thread that has nothing to do,
// or drop it. A cell is used again once its thread has reported on it.
//
// One more word counts the messages to the thread, which sleeps on it for a moment when it
// has run out of tasks: that wakes it sooner than libuv would.

const cellCount = 1024; // tasks that a thread may have been sent

const waiting = 0;
const started = 1;
const taken = 2;

function make() {
  return new Int32Array(new SharedArrayBuffer(4 * (cellCount + 1)));
}

function clear(cells, cell) {
  Atomics.store(cells, cell, waiting);
}

function start(cells, cell) {
  return Atomics.compareExchange(cells, cell, waiting, started) === waiting;
}

function takeBack(cells, cell) {
  return Atomics.compareExchange(cells, cell, waiting, taken) === waiting;
}

// ---- the messages ----

function ring(cells) {
  Atomics.add(cells, cellCount, 1);
  Atomics.notify(cells, cellCount, 1);
}

function rings(cells) {
  return Atomics.load(cells, cellCount);
}

// Sleeps until ring() was called since rings() gave `seen`. False: nobody did within `ms`.
function sleep(cells, seen, ms) {
  return Atomics.wait(cells, cellCount, seen, ms) !== 'timed-out';
}

// How a thread reports on a task; `skipped` is one that had been taken back.
const outcomes = { done: 0, failed: 1, skipped: 2 };

module.exports = {
  cellCount,
  make,
  clear,
  start,
  takeBack,
  ring,
  rings,
  sleep,
  outcomes,
};
