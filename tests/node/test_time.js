'use strict';
// If these fail, a sleep ends early or a millisecond late, an aborted one keeps the process
// alive, or work that nobody waits for any more is not told so.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');
const bide = require('../..');
const { rejectionOf, root, runProgram } = require('./helpers.js');

const { sleep, timeout, race, all } = bide;
const never = () => new Promise(() => {});

// Settles when the signal aborts, and says that it did.
function untilAborted(log) {
  return (signal) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        log.push('aborted');
        reject(new Error('gave up'));
      });
    });
}

test('a sleep is never early, and counts less than a millisecond', async () => {
  const times = [];
  for (let i = 0; i < 30; i++) {
    const start = process.hrtime.bigint();
    await sleep(0.2);
    times.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  assert.ok(Math.min(...times) >= 0.2, `${Math.min(...times)} ms`);
  assert.ok(Math.min(...times) < 0.9, `${Math.min(...times)} ms`);
  await sleep(0);
});

// The deadline of each lies between two looks at the clock: the program may be held up between
// two calls for longer than their sleeps differ.
test('sleeps end in the order of their deadlines', async () => {
  const ended = [];
  const sleeps = [5, 1, 3, 2, 4, 0].map((ms) => {
    const earliest = performance.now() + ms;
    const promise = sleep(ms).then(() => ended.push(one));
    const one = { ms, earliest, latest: performance.now() + ms, promise };
    return one;
  });
  await Promise.all(sleeps.map(({ promise }) => promise));
  ended.forEach((later, i) => {
    const early = ended.slice(0, i).find(({ earliest }) => earliest > later.latest);
    assert.equal(early, undefined, `${early?.ms} ms ended before ${later.ms} ms`);
  });
});

test('a hundred thousand sleeps end, and half of them aborted', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const kept = Array.from({ length: 50_000 }, (_, i) => sleep(i % 50));
  const dropped = Array.from({ length: 50_000 }, () => sleep(60_000, { signal }));
  const settled = Promise.allSettled(dropped);
  controller.abort(new Error('enough'));
  for (const { reason } of await settled) assert.equal(reason.name, 'AbortError');
  await Promise.all(kept);
  await Promise.all(Array.from({ length: 1000 }, () => sleep(1)));
});

test('a sleep holds the process unless it is told not to', async () => {
  const held = await runProgram("bide.sleep(20).then(() => console.log('woke'));");
  assert.deepEqual([held.code, held.stdout], [0, 'woke\n']);
  const free = await runProgram('bide.sleep(60_000, { ref: false });', { timeoutMs: 20_000 });
  assert.equal(free.code, 0);
  const aborted = await runProgram(
    `const controller = new AbortController();
    bide.sleep(60_000, { signal: controller.signal }).catch(({ name }) => console.log(name));
    setImmediate(() => controller.abort());`,
    { timeoutMs: 20_000 },
  );
  assert.deepEqual([aborted.code, aborted.stdout], [0, 'AbortError\n']);
});

test('a worker ends while it sleeps', async () => {
  const program = `
    const bide = require(${JSON.stringify(root)});
    for (let i = 0; i < 1000; i++) bide.sleep(60_000);
    require('node:worker_threads').parentPort.postMessage('asleep');`;
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(program, { eval: true });
    await new Promise((resolve) => worker.once('message', resolve));
    assert.equal(await worker.terminate(), 1);
  }
});

test('arguments that make no sleep are refused', async () => {
  for (const ms of [-1, NaN, Infinity, '5', undefined]) {
    assert.equal((await rejectionOf(sleep(ms))).code, 'ERR_OUT_OF_RANGE');
  }
  assert.equal((await rejectionOf(sleep(1, { signal: 1 }))).code, 'ERR_INVALID_ARG_TYPE');
  const signal = AbortSignal.abort();
  assert.equal((await rejectionOf(sleep(60_000, { signal }))).name, 'AbortError');
});

test('timeout gives the result, or gives up and says so to the work', async () => {
  assert.equal(
    await timeout(60_000, () => sleep(1).then(() => 7)),
    7,
  );
  assert.equal(await timeout(60_000, Promise.resolve(8)), 8);
  const log = [];
  const error = await rejectionOf(timeout(1, untilAborted(log)));
  assert.deepEqual([error.name, error.code], ['TimeoutError', 'ETIMEDOUT']);
  assert.deepEqual(log, ['aborted']);
  assert.equal((await rejectionOf(timeout(1, never))).code, 'ETIMEDOUT');
  const thrown = new Error('its own');
  const failing = timeout(60_000, () => {
    throw thrown;
  });
  assert.equal(await rejectionOf(failing), thrown);
});

test('race gives the first and aborts the others', async () => {
  const log = [];
  const works = [untilAborted(log), () => sleep(1).then(() => 'first'), untilAborted(log)];
  assert.equal(await race(works), 'first');
  assert.deepEqual(log, ['aborted', 'aborted']);
});

test('all gives every result, or aborts the others at the first error', async () => {
  assert.deepEqual(await all([Promise.resolve(1), () => 2, async () => sleep(1)]), [
    1,
    2,
    undefined,
  ]);
  const log = [];
  const failing = () => sleep(1).then(() => Promise.reject(new Error('one failed')));
  const error = await rejectionOf(all([untilAborted(log), failing]));
  assert.equal(error.message, 'one failed');
  assert.deepEqual(log, ['aborted']);
});

test('an outer signal ends a timeout, a race and an all, and their work', async () => {
  for (const start of [
    (work, options) => timeout(60_000, work, options),
    (work, options) => race([work, never], options),
    (work, options) => all([work, never], options),
  ]) {
    const controller = new AbortController();
    const log = [];
    const ending = rejectionOf(start(untilAborted(log), { signal: controller.signal }));
    setImmediate(() => controller.abort(new Error('from outside')));
    const error = await ending;
    assert.deepEqual([error.name, error.cause.message], ['AbortError', 'from outside']);
    assert.deepEqual(log, ['aborted']);
  }
});
