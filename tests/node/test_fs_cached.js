'use strict';
// What the kernel has cached is read in the call itself, or by a thread that helps. If these
// fail, a program that reads many files hangs, holds up its own timers, or loses bytes.

const assert = require('node:assert/strict');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');
const bide = require('../..');
const { folderFor, root } = require('./helpers.js');

const contentsOf = (i) => Buffer.alloc(1 + ((i * 7919) % 150_000), `file ${i}, `);

function makeFiles(folder, count) {
  return Array.from({ length: count }, (_, i) => {
    const file = path.join(folder, String(i));
    fs.writeFileSync(file, contentsOf(i));
    return file;
  });
}

test('hundreds at once, small, large and missing, come each with its own', async (t) => {
  const folder = folderFor(t);
  const files = makeFiles(folder, 300);
  const missing = path.join(folder, 'missing');
  await bide.fs.readFile(files[0]);
  const before = fs.readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 5; round++) {
    await Promise.all(
      files.map(async (file, i) => {
        assert.ok((await bide.fs.readFile(file)).equals(contentsOf(i)), file);
        await assert.rejects(bide.fs.readFile(missing), { code: 'ENOENT', path: missing });
        await assert.rejects(bide.fs.readFile(folder), { code: 'EISDIR' });
      }),
    );
  }
  assert.equal(fs.readdirSync('/proc/self/fd').length, before);
});

test('a program that reads on and on has its timers and immediates', async (t) => {
  const [file] = makeFiles(folderFor(t), 1);
  let ticks = 0;
  const tick = () => {
    ticks++;
    if (ticks < 20) setTimeout(setImmediate, 0, tick);
  };
  tick();
  let reads = 0;
  for (; ticks < 20 && reads < 1e6; reads++) await bide.fs.readFile(file);
  assert.equal(ticks, 20, `after ${reads} files`);
});

test('the writer of a pipe meets one reader, and loses nothing', async (t) => {
  const folder = folderFor(t);
  const fifo = path.join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  for (let round = 0; round < 20; round++) {
    const writer = spawn('sh', ['-c', 'printf round > "$0"', fifo], { stdio: 'inherit' });
    const ended = once(writer, 'exit');
    // So that one in two is not read in its own call.
    const other = round % 2 && bide.fs.appendFile(path.join(folder, 'other'), 'bytes');
    const text = await bide.fs.readFile(fifo, 'utf8');
    assert.equal(text, 'round');
    assert.deepEqual(await ended, [0, null]);
    await other;
  }
});

test('a pipe that nobody writes to can be given up', async (t) => {
  const fifo = path.join(folderFor(t), 'fifo');
  execFileSync('mkfifo', [fifo]);
  const before = fs.readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 10; round++) {
    const controller = new AbortController();
    const reading = bide.fs.readFile(fifo, { signal: controller.signal });
    setImmediate(() => controller.abort());
    await assert.rejects(reading, { name: 'AbortError' });
  }
  // An epoll loop opens the next file when it has closed those.
  await bide.fs.readFile(__filename);
  assert.equal(fs.readdirSync('/proc/self/fd').length, before);
});

test('a large file that is read at once is not turned into a string on its way', async (t) => {
  const file = path.join(folderFor(t), 'large');
  fs.writeFileSync(file, Buffer.alloc(1 << 20));
  const { mock } = t.mock.method(Buffer.prototype, 'toString');
  assert.equal((await bide.fs.readFile(file)).length, 1 << 20);
  assert.equal(mock.callCount(), 0);
});

test('devices read as fs reads them, and into memory of the caller', async () => {
  assert.equal((await bide.fs.readFile('/dev/null')).length, 0);
  assert.equal(await bide.fs.readFile('/dev/null', 'utf8'), '');
  const buffer = Buffer.alloc(100);
  await assert.rejects(bide.fs.readFile('/dev/zero', { buffer }), {
    code: 'ERR_INVALID_ARG_VALUE',
  });
});

test('an abort ends reads that wait for their turn, and no other', async (t) => {
  const files = makeFiles(folderFor(t), 100);
  const controller = new AbortController();
  const reads = files.map((file, i) =>
    bide.fs.readFile(file, i % 2 ? undefined : { signal: controller.signal }),
  );
  controller.abort();
  for (const [i, { status, reason, value }] of (await Promise.allSettled(reads)).entries()) {
    if (i % 2 === 0) assert.equal(reason?.name, 'AbortError', status);
    else assert.ok(value.equals(contentsOf(i)));
  }
});

test('a worker that is ended amid its reads leaves no descriptor', async (t) => {
  const files = makeFiles(folderFor(t), 200);
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    const bide = require(workerData.root);
    const read = async (file) => { for (;;) await bide.fs.readFile(file); };
    for (const file of workerData.files) read(file);
    setImmediate(() => parentPort.postMessage('reads'));
  `;
  const before = fs.readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 5; round++) {
    const worker = new Worker(program, { eval: true, workerData: { root, files } });
    await once(worker, 'message');
    await worker.terminate();
  }
  assert.equal(fs.readdirSync('/proc/self/fd').length, before);
});
