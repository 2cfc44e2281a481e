// What a Node process must survive by the thousand: opens cancelled at any moment, and workers
// ended in the midst of everything. Fails when a descriptor stays open, when memory goes on
// growing, or when it crashes or hangs.
//
//   node tests/soak/node_ends.js [OPENS [WORKERS]]

'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('node:worker_threads');

const root = path.resolve(__dirname, '../..');
const bide = require(root);

const opens = Number(process.argv[2] ?? 100_000);
const workers = Number(process.argv[3] ?? 1000);
const atOnce = 500;
const file = __filename;

const descriptors = () => fs.readdirSync('/proc/self/fd').length;
const megabytes = () => Math.round(process.memoryUsage.rss() / 2 ** 20);

async function cancelledOpens() {
  let opened = 0;
  const soon = [(abort) => abort(), setImmediate, queueMicrotask];
  for (let i = 0; i < opens / atOnce; i++) {
    const controller = new AbortController();
    const { signal } = controller;
    const all = Array.from({ length: atOnce }, () => bide.fs.open(file, 'r', 0, { signal }));
    const settled = Promise.allSettled(all);
    soon[i % soon.length](() => controller.abort());
    for (const { value, reason } of await settled) {
      if (value === undefined) {
        assert.equal(reason.name, 'AbortError');
      } else {
        opened++;
        await value.close();
      }
    }
  }
  return opened;
}

const program = `
  const bide = require(${JSON.stringify(root)});
  const { parentPort } = require('node:worker_threads');
  for (let i = 0; i < 8; i++) {
    bide.fs.open(${JSON.stringify(file)}).then((handle) => handle.read()).catch(() => {});
    bide.fs.readFile(process.execPath).catch(() => {});
    bide.fs.writeFile('/dev/null', Buffer.alloc(50_000)).catch(() => {});
    bide.fs.statAll(['/', '/etc']).catch(() => {});
  }
  bide.runInExecutor(null, bide.native.sleep, 60_000).catch(() => {});
  parentPort.postMessage('busy');`;

function endedWorker() {
  return new Promise((resolve, reject) => {
    const worker = new Worker(program, { eval: true });
    worker.once('message', () => worker.terminate());
    worker.once('error', reject);
    worker.once('exit', resolve);
  });
}

async function endedWorkers(count) {
  for (let i = 0; i < count; i += 4) {
    await Promise.all([endedWorker(), endedWorker(), endedWorker(), endedWorker()]);
  }
}

async function main() {
  await (await bide.fs.open(file)).close();
  const atFirst = descriptors();
  const opened = await cancelledOpens();
  while (descriptors() > atFirst) await bide.fs.stat('/');
  console.log(`${bide.backend}: ${opens} opens, ${opened} not cancelled; ${megabytes()} MB`);
  await endedWorkers(40);
  const before = megabytes();
  await endedWorkers(workers);
  const grown = megabytes() - before;
  console.log(`${bide.backend}: ${workers} workers ended; ${grown} MB more`);
  assert.equal(descriptors(), atFirst);
  assert.ok(grown < 40 + workers * 0.05, `${grown} MB more`);
}

main();
