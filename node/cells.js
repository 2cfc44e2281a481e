'use strict';
// Who has a task: a word of shared memory for each that was sent to a thread.
//
//   waiting --start (the thread)--------> started
//           --takeBack (the main thread)-> taken
//
// Either side may be first, never both. So the main thread sends tasks ahead, in batches,
// and still can give one that waits behind a slow one to a thread that has nothing to do,
// or drop it. A cell is used again once its thread has reported on it.

const waiting = 0;
const started = 1;
const taken = 2;

function clear(cells, cell) {
  Atomics.store(cells, cell, waiting);
}

function start(cells, cell) {
  return Atomics.compareExchange(cells, cell, waiting, started) === waiting;
}

function takeBack(cells, cell) {
  return Atomics.compareExchange(cells, cell, waiting, taken) === waiting;
}

// How a thread reports on a task; `skipped` is one that had been taken back.
const outcomes = { done: 0, failed: 1, skipped: 2 };

module.exports = { clear, start, takeBack, outcomes };
