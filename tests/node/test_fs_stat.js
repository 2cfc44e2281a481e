'use strict';
// If these fail, programs see sizes, times or kinds of files that are not so, or get an
// object that behaves otherwise than Node's fs.Stats.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const bide = require('../..');
const { folderFor, root } = require('./helpers.js');

function sameStats(ours, nodes) {
  // A read by anybody on the machine moves atime between the two calls.
  const { atime: _a, atimeMs: _b, atimeNs: _c, ...our } = ours;
  const { atime: _d, atimeMs: _e, atimeNs: _f, ...their } = nodes;
  assert.deepEqual(our, their);
  assert.deepEqual(Object.keys(ours), Object.keys(nodes));
  assert.equal(Object.getPrototypeOf(ours), Object.getPrototypeOf(nodes));
  assert.ok(ours.atime instanceof Date);
  for (const is of [
    'isFile',
    'isDirectory',
    'isSymbolicLink',
    'isFIFO',
    'isSocket',
    'isCharacterDevice',
    'isBlockDevice',
  ]) {
    assert.equal(ours[is](), nodes[is](), is);
  }
}

test("stat and lstat of files, folders, links and devices are Node's", async (t) => {
  const folder = folderFor(t);
  const link = path.join(folder, 'link');
  fs.symlinkSync(root, link);
  const old = path.join(folder, 'old');
  fs.writeFileSync(old, 'before the epoch');
  fs.utimesSync(old, -1.5, -86_400.25);
  for (const file of [
    root,
    link,
    old,
    __filename,
    process.execPath,
    '/dev/null',
    '/proc/self/status',
  ]) {
    for (const bigint of [false, true]) {
      sameStats(await bide.fs.stat(file, { bigint }), await fs.promises.stat(file, { bigint }));
      sameStats(
        await bide.fs.lstat(file, { bigint }),
        await fs.promises.lstat(file, { bigint }),
      );
    }
  }
  assert.ok((await bide.fs.stat(root)) instanceof fs.Stats);
  assert.ok((await bide.fs.lstat(link)).isSymbolicLink());
});

test('a thousand stats at once each get their own file', async (t) => {
  const folder = folderFor(t);
  const files = Array.from({ length: 200 }, (_, i) => {
    const file = path.join(folder, String(i));
    fs.writeFileSync(file, Buffer.alloc(i));
    return file;
  });
  const stats = await Promise.all(
    Array.from({ length: 1000 }, (_, i) => bide.fs.stat(files[i % 200])),
  );
  stats.forEach(({ size }, i) => assert.equal(size, i % 200));
});

// What is done in the call needs nothing but microtasks, which come before the next tick.
async function isInCall(call) {
  let ticked = false;
  process.nextTick(() => {
    ticked = true;
  });
  await call();
  return !ticked;
}

// A file whose stat the kernel has at hand: see stat.c.
function cachedFile(t) {
  const file = path.join(folderFor(t), 'file');
  fs.writeFileSync(file, 'bytes');
  const major = (fs.statSync(file).dev >>> 8) & 0xfff; // makedev(3)
  return major === 0 ? undefined : file;
}

test('a stat that comes alone waits for no thread', async (t) => {
  const file = cachedFile(t);
  if (file === undefined) return t.skip('the folder is on no block device');
  await bide.fs.readFile('/proc/self/status'); // which is never done in the call
  const handle = await bide.fs.open(file);
  for (const call of [
    () => bide.fs.stat(file),
    () => bide.fs.lstat(file, { bigint: true }),
    () => handle.stat(),
  ]) {
    await new Promise(setImmediate);
    await undefined;
    assert.ok(await isInCall(call), String(call));
  }
  await handle.close();
  await assert.rejects(bide.fs.stat(`${file}.missing`), { code: 'ENOENT', syscall: 'stat' });
});

test('stats that come together are shared with the other processors', async (t) => {
  const file = cachedFile(t);
  if (file === undefined) return t.skip('the folder is on no block device');
  let count = 0;
  const one = async () => {
    for (let i = 0; i < 40; i++) count += await isInCall(() => bide.fs.stat(file));
  };
  await Promise.all(Array.from({ length: 64 }, one));
  assert.ok(count < 64 * 40 * 0.1, `${count} of ${64 * 40} in the call`);
});
