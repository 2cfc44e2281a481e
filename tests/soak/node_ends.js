// What a Node process must survive by the thousand: opens cancelled at any moment, and workers
// ended in the midst of everything. Fails when a descriptor stays open, when memory goes on
// growing, or when it crashes or hangs.
//
//   node --expose-gc tests/soak/node_ends.js [OPENS [WORKERS]]
//
// The last line of its output is a JSON object.

'use strict';
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Worker } = require('node:worker_threads');

const root = path.resolve(__dirname, '../..');
const bide = require(root);

const opens = Number(process.argv[2] ?? 100_000);
const workers = Number(process.argv[3] ?? 1000);
const atOnce = 500;
const file = __filename;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bide-soak-'));
const pipe = path.join(folder, 'pipe');

const descriptors = () => fs.readdirSync('/proc/self/fd').length;

function megabytes() {
  globalThis.gc?.();
  return Math.round(process.memoryUsage.rss() / 2 ** 20);
}

// Released descriptors and memory may be those of the turn that has not ended yet.
async function descriptorsAfter(wanted) {
  for (let i = 0; i < 1000 && descriptors() > wanted; i++) await bide.fs.stat('/');
  return descriptors();
}

// ---- opens ----

// Cached; made or emptied, which takes a thread; not there; a pipe that nobody writes to, on
// which only the ring can stop an open.
const targets = [
  [file, 'r'],
  [path.join(folder, 'made'), 'w'],
  [path.join(folder, 'missing'), 'r'],
  ...(bide.backend === 'io_uring' ? [[pipe, 'r']] : []),
];

const moments = [
  (abort) => abort(),
  queueMicrotask,
  process.nextTick,
  setImmediate,
  (abort) => setImmediate(setImmediate, abort),
  (abort) => setTimeout(abort, 1),
];

async function cancelledBatch(i, counts) {
  const controller = new AbortController();
  const { signal } = controller;
  const all = Array.from({ length: atOnce }, (_, j) => {
    const [name, flags] = targets[(i + j) % targets.length];
    return bide.fs.open(name, flags, 0o600, { signal });
  });
  const settled = Promise.allSettled(all);
  moments[i % moments.length](() => controller.abort());
  for (const { value, reason } of await settled) {
    if (value !== undefined) await value.close();
    else assert.match(reason.code, /ABORT_ERR|ENOENT/);
    const outcome = value !== undefined ? 'opened' : reason.code;
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  if (i % 10 === 0) globalThis.gc?.();
}

async function cancelledOpens(count, counts) {
  for (let i = 0; i < count / atOnce; i++) await cancelledBatch(i, counts);
}

// ---- workers ----

const endings = ['wait', 'process.exit(0)', "throw new Error('the end')"];

const program = (ending) => `
  const bide = require(${JSON.stringify(root)});
  const { parentPort } = require('node:worker_threads');
  for (let i = 0; i < 8; i++) {
    bide.fs.open(${JSON.stringify(file)}).then((handle) => handle.read()).catch(() => {});
    bide.fs.readFile(process.execPath).catch(() => {});
    bide.fs.writeFile('/dev/null', Buffer.alloc(50_000)).catch(() => {});
    bide.fs.statAll(['/', '/etc']).catch(() => {});
  }
  bide.runInExecutor(null, bide.native.sleep, 60_000).catch(() => {});
  if (${JSON.stringify(ending)} === 'wait') parentPort.postMessage('busy');
  else setImmediate(() => { ${ending} });`;

function endedWorker(ending) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(program(ending), { eval: true });
    worker.once('message', () => worker.terminate());
    worker.on('error', (error) => {
      if (error.message !== 'the end') reject(error);
    });
    worker.once('exit', resolve);
  });
}

async function endedWorkers(count) {
  for (let i = 0; i < count; i += 4) {
    await Promise.all([0, 1, 2, 3].map((j) => endedWorker(endings[(i + j) % 3])));
  }
}

// ---- both ----

// What it runs twice may grow the first time, by what stays for good: the memory of three
// moments, and the seconds.
async function twice(half) {
  const from = performance.now();
  const mb = [megabytes()];
  for (let i = 0; i < 2; i++) {
    await half();
    mb.push(megabytes());
  }
  return { mb, seconds: Math.round((performance.now() - from) / 1000) };
}

function checkGrowth(what, { mb }, allowed) {
  assert.ok(mb[2] - mb[1] <= allowed, `the second half of the ${what} left ${mb} MB`);
}

async function main() {
  execFileSync('mkfifo', [pipe]);
  const counts = {};
  await cancelledOpens(20 * atOnce, {});
  await endedWorkers(40);
  const fdsBefore = descriptors();
  const opened = await twice(() => cancelledOpens(opens / 2, counts));
  const ended = await twice(() => endedWorkers(workers / 2));
  const fdsAfter = await descriptorsAfter(fdsBefore);
  fs.rmSync(folder, { recursive: true });
  const found = {
    backend: bide.backend,
    node: process.version,
    opens: { count: opens, ...counts, ...opened },
    workers: { count: workers, ...ended },
    fds: [fdsBefore, fdsAfter],
  };
  console.log(JSON.stringify(found));
  assert.equal(fdsAfter, fdsBefore);
  checkGrowth('opens', opened, 20);
  checkGrowth('workers', ended, 30 + workers * 0.02);
}

main();
