'use strict';
// What users of worker pools rely on: an abort that spares the thread, the context of the
// caller, as many threads as were asked for, limits, and errors nobody caught. If these fail,
// a service that moves its work to bide loses one of them.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { test } = require('node:test');
const bide = require('../..');
const { rejectionOf, runProgram } = require('./helpers.js');

const threadId = () => require('node:worker_threads').threadId;

// Runs until `words[0]` is set; says in words[1] that it does.
function hold(words) {
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  Atomics.wait(words, 0, 0);
  return 'held';
}

function newWords() {
  return new Int32Array(new SharedArrayBuffer(8));
}

async function isHeld(words) {
  const { async, value } = Atomics.waitAsync(words, 1, 0);
  if (async) await value;
}

function letGo(words) {
  Atomics.store(words, 0, 1);
  Atomics.notify(words, 0);
}

function pool(t, options) {
  const executor = new bide.WorkerExecutor(options);
  t.after(() => executor.close());
  return executor;
}

test('an abort of a task that runs rejects at once and leaves its thread as it was', async (t) => {
  const executor = pool(t, { threads: 1 });
  const before = await executor.run(threadId);
  const controller = new AbortController();
  const words = newWords();
  const running = rejectionOf(executor.run(hold, [words], { signal: controller.signal }));
  await isHeld(words);
  controller.abort('too slow');
  const error = await running;
  assert.equal(error.name, 'AbortError');
  assert.equal(error.cause, 'too slow');
  letGo(words);
  assert.equal(await executor.run(threadId), before);
});

test('an abort of what waits frees its place in a bounded queue', async (t) => {
  const executor = pool(t, { threads: 1, queueMax: 1 });
  const words = newWords();
  const running = executor.run(hold, [words]);
  const controller = new AbortController();
  const waiting = rejectionOf(executor.run(threadId, [], { signal: controller.signal }));
  assert.equal((await rejectionOf(executor.run(threadId))).code, 'EQUEUEFULL');
  controller.abort();
  assert.equal((await waiting).name, 'AbortError');
  const next = executor.run((x) => x, [7]);
  letGo(words);
  assert.deepEqual(await Promise.all([running, next]), ['held', 7]);
});

test('one signal may end many tasks, and AbortSignal.timeout is one', async (t) => {
  const executor = pool(t, { threads: 1 });
  const words = newWords();
  const running = executor.run(hold, [words]);
  const signal = AbortSignal.timeout(5);
  const waiting = Array.from({ length: 50 }, () => executor.run(threadId, [], { signal }));
  for (const { reason } of await Promise.allSettled(waiting)) {
    assert.equal(reason.cause.name, 'TimeoutError');
  }
  letGo(words);
  await running;
});

test("the caller's store is there after the await, of results and of errors", async (t) => {
  const executor = pool(t, { threads: 2 });
  const storage = new AsyncLocalStorage();
  const fail = () => {
    throw new Error('no');
  };
  await Promise.all(
    Array.from({ length: 200 }, (_, i) =>
      storage.run(i, async () => {
        if (i % 2 === 0) await executor.run((x) => x, [i]);
        else await executor.run(fail).catch(() => {});
        assert.equal(storage.getStore(), i);
        await bide.runInExecutor(null, bide.native.sleep, 0);
        assert.equal(storage.getStore(), i);
      }),
    ),
  );
});

test('there are as many threads as work asked for, and never more than the size', async (t) => {
  const executor = pool(t, { threads: 3 });
  const first = await executor.run(threadId);
  for (let i = 0; i < 20; i++) assert.equal(await executor.run(threadId), first);
  const words = [newWords(), newWords(), newWords()];
  const held = words.map((each) => executor.run(hold, [each]));
  const behind = Array.from({ length: 20 }, () => executor.run(threadId));
  await Promise.all(words.map(isHeld));
  assert.equal(executor.pending, 23);
  words.forEach(letGo);
  await Promise.all(held);
  assert.ok(new Set(await Promise.all(behind)).size <= 3);
});

test('pools do not wait for each other, nor files for pools', async (t) => {
  const [slow, quick] = [pool(t, { threads: 1 }), pool(t, { threads: 1, name: 'quick' })];
  const words = newWords();
  const running = slow.run(hold, [words]);
  await isHeld(words);
  assert.equal(await quick.run((x) => x, [1]), 1);
  assert.ok((await bide.fs.stat(__filename)).isFile());
  letGo(words);
  await running;
});

test('a task beyond the limits of memory fails alone, and the next has a new thread', async (t) => {
  const executor = pool(t, { threads: 1, resourceLimits: { maxOldGenerationSizeMb: 16 } });
  const before = await executor.run(threadId);
  const greedy = () => {
    const all = [];
    for (;;) all.push(new Array(10_000).fill({}));
  };
  const error = await rejectionOf(executor.run(greedy));
  assert.equal(error.code, 'ERR_WORKER_OUT_OF_MEMORY');
  assert.notEqual(await executor.run(threadId), before);
});

test('an error that nobody caught in a thread fails the task that ran there', async (t) => {
  const executor = pool(t, { threads: 1 });
  const later = () =>
    new Promise(() => {
      setImmediate(() => {
        throw new RangeError('thrown later');
      });
    });
  const rejected = () =>
    new Promise(() => {
      Promise.reject(new RangeError('rejected, unhandled'));
    });
  for (const [task, message] of [
    [later, 'thrown later'],
    [rejected, 'rejected, unhandled'],
  ]) {
    const error = await rejectionOf(executor.run(task));
    assert.equal(error.message, message);
    assert.ok(error instanceof RangeError);
    assert.equal(await executor.run((x) => x, [1]), 1);
  }
});

test('an error thrown after the result was given harms no later task', async (t) => {
  const executor = pool(t, { threads: 1 });
  const afterwards = () => {
    setImmediate(() => {
      throw new Error('too late');
    });
    return 'result';
  };
  assert.equal(await executor.run(afterwards), 'result');
  // The thread may end under the next one, which then is told so, or have ended before.
  const settled = await Promise.allSettled([executor.run((x) => x, [1])]);
  const [{ value = 1, reason }] = settled;
  assert.ok(value === 1 && (reason === undefined || reason.message === 'too late'));
  assert.equal(await executor.run((x) => x, [2]), 2);
});

test('an unhandled failure of a task is an unhandled rejection of the program', async () => {
  const { code, stderr } = await runProgram(`
    bide.runInExecutor(null, function failing() { throw new TypeError('from a task'); });
    await new Promise(() => {});
  `);
  assert.equal(code, 1);
  assert.match(stderr, /TypeError: from a task/);
  assert.match(stderr, /at failing/);
});

test('a timer that a task has left runs though tasks keep coming', async (t) => {
  const executor = pool(t, { threads: 1 });
  const words = newWords();
  await executor.run(
    (shared) => void setTimeout(() => Atomics.store(shared, 1, 1), 1),
    [words],
  );
  const streams = Array.from({ length: 8 }, async () => {
    while (Atomics.load(words, 1) === 0) await executor.run((x) => x, [1]);
  });
  await Promise.all(streams); // which without the timer never end
});

test('what was moved goes to its task, and stays where it was after an abort', async (t) => {
  const executor = pool(t, { threads: 1 });
  const words = newWords();
  const running = executor.run(hold, [words]);
  await isHeld(words);
  const bytes = new Uint8Array(1000);
  const controller = new AbortController();
  const { signal } = controller;
  const moved = rejectionOf(
    executor.run((view) => view.length, [bide.move(bytes)], { signal }),
  );
  await new Promise(setImmediate);
  controller.abort();
  assert.equal((await moved).name, 'AbortError');
  assert.equal(bytes.length, 1000);
  letGo(words);
  await running;
  assert.equal(await executor.run((view) => view.length, [bide.move(bytes)]), 1000);
  assert.equal(bytes.length, 0);
});

test('a pool that is closed while its tasks run lets them end', async () => {
  const executor = new bide.WorkerExecutor({ threads: 2 });
  const tasks = Array.from({ length: 10 }, (_, i) => executor.run((x) => x, [i]));
  const closed = executor.close();
  assert.equal((await rejectionOf(executor.run(threadId))).code, 'ERR_BIDE_EXECUTOR_CLOSED');
  assert.deepEqual(await Promise.all(tasks), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await closed;
});
