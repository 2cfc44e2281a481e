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
