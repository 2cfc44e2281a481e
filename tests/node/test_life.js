'use strict';
// If these fail, bide is a bad guest in a Node process: it keeps programs from ending or
// ends them too early, starves their callbacks, hides their exceptions, or crashes, hangs
// or leaks when a worker goes with operations in flight.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');
const bide = require('../..');
const { root, folderFor, run, runProgram, openDescriptors } = require('./helpers.js');

const module_ = JSON.stringify(root);

test('a program ends when nothing of bide is pending, and not before', async () => {
  const started = performance.now();
  const { stdout, stderr, code } = await runProgram(`
    await bide.fs.readFile('package.json');
    await bide.runInExecutor(null, bide.native.sleep, 1);
    await bide.runInExecutor(null, () => 1);
    const executor = new bide.WorkerExecutor({ threads: 1 });
    await executor.run(() => 1);
    bide.runInExecutor(null, bide.native.sleep, 300).then(() => console.log('slept'));
    const wait = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    bide.runInExecutor(null, wait).then(console.log);
  `);
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(stdout.trim().split('\n').sort(), ['slept', 'timed-out']);
  assert.ok(performance.now() - started < 20_000);
});

test('a program that never awaits bide ends at once', async () => {
  const { stdout, code } = await runProgram('console.log(bide.backend);');
  assert.deepEqual([code, stdout], [0, `${bide.backend}\n`]);
});

test('nextTick, microtasks, timers and immediates run on time between completions', async () => {
  const { stdout, code, stderr } = await runProgram(`
    const order = [];
    await bide.fs.readFile('package.json').then(() => {
      process.nextTick(() => order.push('tick'));
      queueMicrotask(() => order.push('microtask'));
    });
    await new Promise(setImmediate);
    console.log(order.join());

    // Readers that never pause must not keep a timer from firing.
    let reading = true;
    const readers = Array.from({ length: 64 }, async () => {
      while (reading) await bide.fs.readFile('package.json');
    });
    let worked = 0; // CPU, ms: on a busy machine a timer may be late without our doing
    for (let i = 0; i < 20; i++) {
      const before = process.cpuUsage();
      await new Promise((resolve) => setTimeout(resolve, 5));
      const { user, system } = process.cpuUsage(before);
      worked = Math.max(worked, (user + system) / 1000);
    }
    let immediates = 0;
    for (; immediates < 20; immediates++) await new Promise(setImmediate);
    reading = false;
    await Promise.all(readers);
    console.log(worked < 200 ? 'timers on time' : 'a timer waited for ' + worked + ' ms of work');
  `);
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(stdout, 'microtask,tick\ntimers on time\n');
});

test('AsyncLocalStorage keeps its store across the awaits', async () => {
  const { AsyncLocalStorage } = require('node:async_hooks');
  const storage = new AsyncLocalStorage();
  await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      storage.run(i, async () => {
        await bide.fs.stat(__filename);
        await bide.fs.readFile(__filename);
        await bide.runInExecutor(null, bide.native.sleep, 0);
        assert.equal(storage.getStore(), i);
      }),
    ),
  );
});

test('async_hooks see what follows an await in the context of its call', async () => {
  const { AsyncResource, createHook, executionAsyncResource } = require('node:async_hooks');
  const key = Symbol('request');
  const hook = createHook({
    init(id, type, trigger, resource) {
      resource[key] = executionAsyncResource()[key];
    },
  }).enable();
  const request = async (number) => {
    executionAsyncResource()[key] = number;
    const seen = [];
    for (const call of [
      () => bide.fs.readFile(__filename),
      () => bide.fs.stat(__filename),
      () => bide.sleep(number % 3),
      () => bide.runInExecutor(null, bide.native.sleep, 0),
    ]) {
      await call();
      seen.push(executionAsyncResource()[key]);
    }
    assert.deepEqual(seen, Array(4).fill(number));
  };
  try {
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    await Promise.all(
      numbers.map((i) => new AsyncResource('REQUEST').runInAsyncScope(request, null, i)),
    );
  } finally {
    hook.disable();
  }
});

test('a throw in a tick after a completion is an uncaughtException', async () => {
  const { stdout, code, stderr } = await runProgram(`
    process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    const reads = Array.from({ length: 3 }, (_, i) => bide.fs.readFile('package.json').then(() => {
      process.nextTick(() => { throw new Error('boom ' + i); });
    }));
    await Promise.all(reads);
    await bide.fs.readFile('package.json');
    console.log('goes on');
  `);
  assert.deepEqual([code, stderr], [0, '']);
  const lines = stdout.trim().split('\n').sort();
  assert.deepEqual(lines, ['goes on', 'uncaught boom 0', 'uncaught boom 1', 'uncaught boom 2']);
});

test('an exception that nobody handles ends the program with its stack', async () => {
  const { code, stderr } = await runProgram(`
    await bide.fs.readFile('package.json');
    throw new Error('unhandled here');
  `);
  assert.equal(code, 1);
  assert.match(stderr, /unhandled here/);
});

test('process.exit with everything in flight ends at once with its code', async (t) => {
  const fifo = path.join(folderFor(t), 'fifo');
  execFileSync('mkfifo', [fifo]);
  for (const when of [
    'process.exit(7)',
    'setImmediate(() => process.exit(7))',
    'await bide.fs.stat("."); process.exit(7)',
  ]) {
    const { code, signal, stderr } = await runProgram(`
      const ends = require('node:fs').openSync(${JSON.stringify(fifo)}, 'r+');
      for (let i = 0; i < 100; i++) bide.fs.readFile('package.json');
      for (let i = 0; i < 3; i++) bide.fs.readFile(${JSON.stringify(fifo)});
      for (let i = 0; i < 3; i++) bide.runInExecutor(null, bide.native.sleep, 60_000);
      bide.runInExecutor(null, () => { for (;;); });
      ${when};
    `);
    assert.deepEqual([code, signal, stderr], [7, null, ''], when);
  }
});

const tree = JSON.stringify(path.join(root, 'node_modules'));

// A worker that starts one of everything, says so, and waits for its end.
function busyWorker(end) {
  return new Worker(
    `
    const bide = require(${module_});
    const { parentPort } = require('node:worker_threads');
    const file = ${JSON.stringify(process.execPath)};
    for (let i = 0; i < 16; i++) bide.fs.readFile(${JSON.stringify(__filename)}).then(() => {});
    bide.fs.readFile(file).catch(() => {});
    bide.fs.open(file).catch(() => {});
    bide.fs.stat(file).catch(() => {});
    bide.runInExecutor(null, bide.native.sleep, 60_000).catch(() => {});
    bide.runInExecutor(null, bide.native.checksumTree, ${tree}).catch(() => {});
    parentPort.postMessage('busy');
    ${end}
  `,
    { eval: true },
  );
}

async function endOf(worker, act) {
  const errors = [];
  worker.on('error', (error) => errors.push(error));
  const exited = new Promise((resolve) => {
    worker.once('exit', resolve);
  });
  if (act !== undefined) worker.once('message', () => act(worker));
  const code = await exited;
  assert.deepEqual(errors, []);
  return code;
}

const rssMb = () => process.memoryUsage.rss() / 2 ** 20;

async function manyWorkers(make, act, expected) {
  for (let i = 0; i < 4; i++) await endOf(make(), act);
  const descriptors = openDescriptors();
  const before = rssMb();
  const deadline = performance.now() + 4_000;
  let rounds = 0;
  while (rounds < 100 && performance.now() < deadline) {
    const codes = await Promise.all([endOf(make(), act), endOf(make(), act)]);
    assert.deepEqual(codes, [expected, expected]);
    rounds += 2;
  }
  assert.ok(rounds >= 6, `only ${rounds} rounds`);
  // A fixed bound, since the allocator keeps what it had: one leaked slot table a worker
  // (a megabyte) would exceed it.
  assert.ok(
    rssMb() - before < Math.max(40, rounds * 0.5),
    `${rssMb() - before} MB more after ${rounds} workers`,
  );
  assert.equal(openDescriptors(), descriptors);
}

test('workers terminated with operations in flight neither crash, hang nor leak', () =>
  manyWorkers(
    () => busyWorker(''),
    (worker) => worker.terminate(),
    1,
  ));

test('workers that exit with operations in flight neither crash, hang nor leak', () =>
  manyWorkers(() => busyWorker('process.exit(3);'), undefined, 3));

test('a worker that throws with operations in flight reports its error alone', async () => {
  const worker = busyWorker('throw new Error("from the worker");');
  const error = await new Promise((resolve) => {
    worker.once('error', resolve);
  });
  assert.equal(error.message, 'from the worker');
});

test('workers that live side by side have loops of their own', async () => {
  const results = await Promise.all(
    Array.from(
      { length: 4 },
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker(
            `
      const bide = require(${module_});
      const { parentPort } = require('node:worker_threads');
      (async () => {
        let bytes = 0;
        for (let i = 0; i < 200; i++) {
          bytes += (await bide.fs.readFile(${JSON.stringify(__filename)})).length;
        }
        parentPort.postMessage([bide.backend, bytes]);
      })();
    `,
            { eval: true },
          );
          worker.on('message', resolve);
          worker.on('error', reject);
        }),
    ),
  );
  const expected = [bide.backend, 200 * fs.statSync(__filename).size];
  for (const result of results) assert.deepEqual(result, expected);
});

// One that slept without having looked would sleep for ever: nothing else is there to wake it.
test('two copies of bide in a process wake each other', async (t) => {
  const copy = folderFor(t);
  for (const part of ['node', 'package.json', path.join('build', 'bide.node')])
    fs.cpSync(path.join(root, part), path.join(copy, part), { recursive: true });
  const { code, signal, stdout, stderr } = await runProgram(`
    const copies = [bide, require(${JSON.stringify(copy)})];
    for (let i = 0; i < 100; i++) {
      const { fs } = copies[i % 2];
      await Promise.all([fs.readFile('package.json'), fs.readFile('package.json')]);
    }
    console.log('read');
  `);
  assert.deepEqual([code, signal, stdout, stderr], [0, null, 'read\n', '']);
});

test('collections at any moment take nothing that is in flight', async (t) => {
  const folder = folderFor(t);
  const { stdout, code, stderr } = await runProgram(
    `
    const fs = require('node:fs');
    const contents = Buffer.alloc(50_000, 'collected?');
    fs.writeFileSync('big', contents);
    fs.writeFileSync('small', contents.subarray(0, 5000));
    let right = 0;
    for (let round = 0; round < 40; round++) {
      const handle = await bide.fs.open('big', 'r+');
      const reads = [];
      for (let i = 0; i < 8; i++) {
        reads.push(bide.fs.readFile('big'), bide.fs.readFile('small'));
        reads.push(handle.read(Buffer.alloc(50_000), 0, 50_000, 0).then(({ buffer }) => buffer));
        reads.push(handle.write(Buffer.from(contents), 0, 50_000, 0).then(({ buffer }) => buffer));
        gc();
      }
      const all = await Promise.all(reads);
      gc();
      for (const each of all) right += contents.subarray(0, each.length).equals(each) ? 1 : 0;
      await handle.close();
    }
    console.log(right);
  `,
    { cwd: folder, nodeArgs: ['--expose-gc'] },
  );
  assert.deepEqual([code, stderr, stdout], [0, '', `${40 * 32}\n`]);
});

test('every call survives collections between all of its steps', async () => {
  const program = path.join(__dirname, 'fixtures', 'everything.js');
  const { code, signal, stderr } = await run(
    process.execPath,
    ['--expose-gc', program, root],
    { timeoutMs: 240_000 }, // half a minute of collections, on a processor of its own
  );
  assert.deepEqual([code, signal, stderr], [0, null, '']);
});

test('memory and descriptors stay level over many rounds', async () => {
  const { stdout, code, stderr } = await runProgram(
    `
    const fs = require('node:fs');
    const many = (length, call) => Promise.allSettled(Array.from({ length }, call));
    const round = async () => {
      await many(200, () => bide.fs.readFile('package-lock.json'));
      await many(200, () => bide.fs.stat('package.json'));
      await many(50, () => bide.fs.readFile('/does/not/exist'));
      await many(50, () => bide.runInExecutor(null, bide.native.sleep, 0));
      gc();
    };
    for (let i = 0; i < 10; i++) await round();
    const descriptors = fs.readdirSync('/proc/self/fd').length;
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 60; i++) await round();
    const grown = (process.memoryUsage.rss() - before) / 2 ** 20;
    const opened = fs.readdirSync('/proc/self/fd').length - descriptors;
    console.log(opened, grown < 30 ? 'level' : grown + ' MB more');
  `,
    { nodeArgs: ['--expose-gc'] },
  );
  assert.deepEqual([code, stderr, stdout], [0, '', '0 level\n']);
});
