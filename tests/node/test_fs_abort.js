'use strict';
// If these fail, a request whose client has gone away goes on reading for it, or an abort
// leaks the descriptor that the kernel opened all the same.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const bide = require('../..');
const {
  folderFor,
  describeError,
  rejectionOf,
  openDescriptors,
  runProgram,
} = require('./helpers.js');

test('a signal that has aborted rejects as Node does', async () => {
  for (const reason of [undefined, new Error('why'), 'text']) {
    const options = { signal: AbortSignal.abort(reason) };
    const errors = await Promise.all([
      rejectionOf(bide.fs.readFile(__filename, options)),
      rejectionOf(fs.promises.readFile(__filename, options)),
    ]);
    assert.deepEqual(...errors.map(describeError));
    assert.equal(errors[0].cause, errors[1].cause);
  }
});

test('an abort ends a read that would never end', async (t) => {
  const fifo = path.join(folderFor(t), 'fifo');
  execFileSync('mkfifo', [fifo]);
  // Open at both ends: the read waits for bytes that nobody writes.
  const ends = fs.openSync(fifo, 'r+');
  const before = openDescriptors();
  const controller = new AbortController();
  const reads = Array.from({ length: 4 }, () =>
    rejectionOf(bide.fs.readFile(fifo, { signal: controller.signal })),
  );
  await bide.fs.stat(fifo);
  controller.abort();
  for (const error of await Promise.all(reads)) {
    assert.equal(error.name, 'AbortError');
    assert.equal(error.code, 'ABORT_ERR');
  }
  if (bide.backend === 'epoll') {
    // There a worker thread reads, which no cancel reaches: bytes for each let them go.
    fs.writeSync(ends, 'four');
  }
  while (openDescriptors() > before) await bide.fs.stat(fifo);
  fs.closeSync(ends);
});

test('aborts at any moment leave no descriptor and no wrong result', async (t) => {
  const file = path.join(folderFor(t), 'file');
  const contents = Buffer.alloc(40_000, 'contents');
  fs.writeFileSync(file, contents);
  await bide.fs.readFile(file);
  const before = openDescriptors();
  let aborted = 0;
  for (let round = 0; round < 300; round++) {
    const controller = new AbortController();
    const { signal } = controller;
    const reads = Array.from({ length: 16 }, () => bide.fs.readFile(file, { signal }));
    const settled = Promise.allSettled(reads);
    if (round % 3 === 0) controller.abort();
    else if (round % 3 === 1) queueMicrotask(() => controller.abort());
    else setImmediate(() => controller.abort());
    for (const { status, value, reason } of await settled) {
      if (status === 'fulfilled') {
        assert.ok(value.equals(contents));
      } else {
        assert.equal(reason.name, 'AbortError');
        aborted++;
      }
    }
  }
  assert.ok(aborted > 0);
  await bide.fs.readFile(file);
  while (openDescriptors() > before) await bide.fs.readFile(file);
  assert.equal(openDescriptors(), before);
});

test('a thousand reads under one signal warn of no leak', async () => {
  const { stdout, stderr, code } = await runProgram(`
    const { signal } = new AbortController();
    const all = Array.from({ length: 1000 }, () => bide.fs.readFile('package.json', { signal }));
    console.log((await Promise.all(all)).length);
  `);
  assert.deepEqual([code, stdout, stderr], [0, '1000\n', '']);
});
