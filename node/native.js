'use strict';
// The addon, the slots by which JS asks it for work, and the batches in which the results
// come back.
//
// A request is an object with a method finish(slot, result, detail, buffers), called once.
// Whoever starts one takes a slot for it, calls a function of the addon with the slot, and
// leaves the rest to finish(). The slot's memory (memoryOf) is the request's from acquire()
// until finish() returns.

const path = require('node:path');

// gnu or musl: what Node itself is linked with.
function libc() {
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'gnu';
}

function loadIfThere(name) {
  try {
    return require(name);
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

function missing(name) {
  return new Error(
    `bide has no addon for this machine: the package ${name} is not installed (it is an ` +
      'optional dependency of bide; npm leaves it out with --omit=optional, or when a lock ' +
      'file was made on another platform), and build/bide.node was not built. Install it, or ' +
      'run "npx bide build", which needs a C compiler and the headers of Node',
  );
}

function refuse() {
  if (process.platform !== 'linux') throw new Error('bide is for Linux');
  if (process.versions.bun !== undefined) {
    throw new Error('bide needs the libuv of Node, which Bun does not have');
  }
  if (process.versions.electron !== undefined) {
    throw new Error(
      'bide runs beside the libuv of Node, which Electron drives by a loop of its own: that ' +
        'was never tried, so it is refused. Use it in a Node process of your application',
    );
  }
}

// One that was built here comes before one that was installed.
function load() {
  refuse();
  const built = loadIfThere(path.join(__dirname, '..', 'build', 'bide.node'));
  if (built !== undefined) return built;
  const name = `@bide/linux-${process.arch}-${libc()}`;
  const installed = loadIfThere(name);
  if (installed === undefined) throw missing(name);
  return installed;
}

const native = load();
const { chunkSlots, slotBytes, syscalls } = native;
const completions = new Int32Array(native.completions);

const chunks = []; // of memory; the addon knows where each begins
const requests = []; // by slot
const free = []; // slots, the last used first: its memory is still in the cache

function grow() {
  const memory = Buffer.allocUnsafeSlow(chunkSlots * slotBytes);
  const first = chunks.length * chunkSlots;
  if (native.grow(memory) < 0) throw new Error('bide: no memory for more operations');
  chunks.push({
    bytes: memory,
    doubles: new Float64Array(memory.buffer, 0, memory.length / 8),
    integers: new BigInt64Array(memory.buffer, 0, memory.length / 8),
  });
  for (let slot = first + chunkSlots; slot-- > first; ) free.push(slot);
}

// The one that acquire() gives, for a call that may be over before anybody else can want it.
function nextSlot() {
  if (free.length === 0) grow();
  return free[free.length - 1];
}

function acquire(request) {
  const slot = nextSlot();
  free.pop();
  requests[slot] = request;
  return slot;
}

// For a slot that the addon refused; finish() is not called then.
function release(slot) {
  requests[slot] = undefined;
  free.push(slot);
}

function memoryOf(slot) {
  return chunks[Math.floor(slot / chunkSlots)];
}

function offsetOf(slot) {
  return (slot % chunkSlots) * slotBytes;
}

// ---- timers, which have numbers of their own ----

const timers = []; // by number: the function to call
const freeTimers = [];

// Calls the function in so many microseconds or later, once. The number is for stopTimer(),
// unless it has been called. holds: whether it keeps the process alive until then.
function startTimer(us, call, holds) {
  const number = freeTimers.length > 0 ? freeTimers.pop() : timers.length;
  timers[number] = call;
  const code = native.timerStart(number, us, holds);
  if (code >= 0) return number;
  freeTimers.push(number);
  throw new Error('bide: no memory or descriptor for a timer');
}

function stopTimer(number) {
  timers[number] = undefined;
  if (native.timerStop(number)) freeTimers.push(number);
}

// One that was stopped when it had fired is not called.
function fire(number) {
  const call = timers[number];
  timers[number] = undefined;
  freeTimers.push(number);
  call?.();
}

// ---- batches ----

function complete(count, buffers) {
  let nextBuffer = 0;
  for (let i = 0; i < count; i++) {
    const slot = completions[3 * i];
    const result = completions[3 * i + 1];
    const detail = completions[3 * i + 2];
    if (detail === native.timer) {
      fire(slot);
      continue;
    }
    const request = requests[slot];
    const buffer = detail === native.inBuffer ? buffers[nextBuffer++] : undefined;
    try {
      request.finish(slot, result, detail, buffer);
    } catch (error) {
      request.reject(error);
    }
    release(slot);
  }
}

native.attach(complete, Buffer.allocUnsafeSlow);

module.exports = {
  native,
  nextSlot,
  acquire,
  release,
  memoryOf,
  offsetOf,
  slotBytes,
  syscalls,
  startTimer,
  stopTimer,
};
