'use strict';
// If these fail, a program reads other bytes through bide than the file holds.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { pathToFileURL } = require('node:url');
const bide = require('../..');
const { root, folderFor, filesBelow } = require('./helpers.js');

function pattern(length) {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8)) & 255;
  return bytes;
}

test('every file of a real tree reads as fs reads it, 64 at a time', async () => {
  const folders = ['benchmarks', 'bindings', 'core', 'docs', 'node', 'node_modules', 'tests'];
  const files = folders.flatMap((name) => filesBelow(path.join(root, name)));
  assert.ok(files.length > 500, `the tree has only ${files.length} files: run npm ci`);
  let next = 0;
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      while (next < files.length) {
        const file = files[next++];
        const contents = await bide.fs.readFile(file);
        assert.ok(contents.equals(fs.readFileSync(file)), file);
      }
    }),
  );
});

test('sizes around the slot, the page and the allocation all come whole', async (t) => {
  const folder = folderFor(t);
  const sizes = [
    0,
    1,
    4095,
    4096,
    4097,
    16384,
    16447,
    16448,
    16449,
    32896,
    65536,
    1 << 20,
    5_000_001,
  ];
  for (const size of sizes) {
    const file = path.join(folder, String(size));
    const contents = pattern(size);
    fs.writeFileSync(file, contents);
    const read = await bide.fs.readFile(file);
    assert.ok(Buffer.isBuffer(read));
    assert.ok(read.equals(contents), `${size} bytes`);
    assert.equal(await bide.fs.readFile(file, 'latin1'), contents.toString('latin1'));
  }
});

test('ten thousand reads at once end without EMFILE', async () => {
  const file = path.join(root, 'package.json');
  const expected = fs.readFileSync(file, 'utf8');
  const all = await Promise.all(
    Array.from({ length: 10_000 }, () => bide.fs.readFile(file, 'utf8')),
  );
  assert.ok(all.every((contents) => contents === expected));
});

test('a result is memory of its own: exact, and not touched by later reads', async (t) => {
  const folder = folderFor(t);
  const files = [100, 10_000, 100_000].map((size) => {
    const file = path.join(folder, String(size));
    fs.writeFileSync(file, pattern(size));
    return file;
  });
  for (const file of files) {
    const first = await bide.fs.readFile(file);
    assert.equal(first.buffer.byteLength, first.length, 'the ArrayBuffer holds the file alone');
    const copy = Buffer.from(first);
    await Promise.all(Array.from({ length: 256 }, () => bide.fs.readFile(__filename)));
    assert.ok(first.equals(copy));
    structuredClone(first, { transfer: [first.buffer] });
    assert.equal(first.length, 0, 'it can be transferred, as what Node reads can');
  }
});

test('encodings, and the ways to name them, give what fs.promises gives', async (t) => {
  const file = path.join(folderFor(t), 'text');
  fs.writeFileSync(
    file,
    Buffer.concat([Buffer.from('\ufeffgrüße, 世界 \u{1f600}\n'), Buffer.from([0xff, 0xc3])]),
  );
  const options = [
    undefined,
    null,
    {},
    'utf8',
    'UTF-8',
    'latin1',
    'base64',
    'base64url',
    'hex',
    'ascii',
    'utf16le',
    { encoding: 'utf8' },
    { encoding: null },
    { flag: 'r' },
    { encoding: 'hex', flag: 'r' },
    { encoding: 'utf8', flag: 'r+' },
  ];
  for (const each of options) {
    const [ours, nodes] = await Promise.all([
      bide.fs.readFile(file, each),
      fs.promises.readFile(file, each),
    ]);
    assert.deepEqual(ours, nodes, JSON.stringify(each));
  }
});

test('a path may be a string, a Buffer, a Uint8Array or a URL, and long', async (t) => {
  const folder = path.join(
    folderFor(t),
    ...Array.from({ length: 6 }, (_, i) => `${i}`.repeat(200)),
  );
  fs.mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'grüße % 世界');
  fs.writeFileSync(file, 'here');
  for (const name of [
    file,
    Buffer.from(file),
    new Uint8Array(Buffer.from(file)),
    pathToFileURL(file),
  ]) {
    assert.equal(await bide.fs.readFile(name, 'utf8'), 'here');
    assert.equal((await bide.fs.stat(name)).size, 4);
  }
  for (let length = 220; length < 240; length++) {
    const exact = path.join(folderFor(t), 'x'.repeat(255)).slice(0, length);
    fs.writeFileSync(exact, String(length));
    assert.equal(await bide.fs.readFile(exact, 'utf8'), String(length));
  }
});

test('a path in a buffer is the one of the call, also when the buffer changes', async (t) => {
  const folder = folderFor(t);
  const [first, second] = ['aa', 'bb'].map((name) => path.join(folder, name));
  fs.writeFileSync(first, 'first');
  fs.writeFileSync(second, 'second');
  // More than are started at once, so that the last ones wait.
  const before = Array.from({ length: 200 }, () => bide.fs.readFile(first));
  const name = Buffer.from(first);
  const read = bide.fs.readFile(name, 'utf8');
  name.write(second);
  assert.equal(await read, 'first');
  await Promise.all(before);
});

test('files without a size, of /proc and pipes, come to their end', async (t) => {
  const status = await bide.fs.readFile('/proc/self/status', 'utf8');
  assert.match(status, new RegExp(`^Pid:\\s+${process.pid}$`, 'm'));
  const cpuinfo = await bide.fs.readFile('/proc/cpuinfo', 'utf8');
  assert.match(cpuinfo, /processor/);

  const fifo = path.join(folderFor(t), 'fifo');
  execFileSync('mkfifo', [fifo]);
  const contents = pattern(200_000);
  const [read] = await Promise.all([
    bide.fs.readFile(fifo),
    fs.promises.writeFile(fifo, contents),
  ]);
  assert.ok(read.equals(contents));
});

test("bide.fs.readFile takes handles, bide's and Node's", async () => {
  const expected = fs.readFileSync(__filename, 'utf8');
  for (const open of [bide.fs.open, fs.promises.open]) {
    const handle = await open(__filename);
    assert.equal(await bide.fs.readFile(handle, 'utf8'), expected);
    await handle.close();
  }
});
