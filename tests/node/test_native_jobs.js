'use strict';
// If these fail, a digest or an archive that was made off the event loop is wrong, memory of
// the caller's is read after it has changed, or a broken archive ends the process.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const zlib = require('node:zlib');
const bide = require('../..');
const { filesBelow, folderFor, rejectionOf, root } = require('./helpers.js');

const { native } = bide;
const run = (...args) => bide.runInExecutor(null, ...args);
const random = crypto.randomBytes(1_000_003);
const text = Buffer.from('many words, '.repeat(100_000));
const samples = [random, text, Buffer.alloc(0), Buffer.from('x')];

test('hash gives the digest that crypto gives', async () => {
  for (const algorithm of ['sha256', 'sha1', 'md5', 'SHA512', 'sha3-256']) {
    for (const bytes of samples) {
      const digest = await run(native.hash, bytes, algorithm);
      assert.deepEqual(digest, crypto.createHash(algorithm).update(bytes).digest());
    }
  }
  const words = new Uint16Array(random.buffer.slice(0, 200), 20, 30);
  const digest = await run(native.hash, words);
  assert.deepEqual(digest, crypto.createHash('sha256').update(words).digest());
});

test('hash takes the bytes of the call, and shared ones without a copy', async () => {
  const bytes = Buffer.from(random);
  const expected = crypto.createHash('sha256').update(bytes).digest();
  const hashing = run(native.hash, bytes);
  bytes.fill(0);
  assert.deepEqual(await hashing, expected);
  const shared = bide.fs.allocate(random.length);
  random.copy(shared);
  assert.deepEqual(await run(native.hash, shared), expected);
});

test('hashFile reads all of a file', async (t) => {
  const file = path.join(folderFor(t), 'file');
  for (const bytes of samples) {
    fs.writeFileSync(file, bytes);
    const found = await run(native.hashFile, file, 'sha1');
    assert.equal(found.bytes, bytes.length);
    assert.deepEqual(found.digest, crypto.createHash('sha1').update(bytes).digest());
  }
  const error = await rejectionOf(run(native.hashFile, `${file}.missing`));
  assert.equal(error.message, `ENOENT: no such file or directory, open '${file}.missing'`);
  const folder = await rejectionOf(run(native.hashFile, path.dirname(file)));
  assert.equal(folder.code, 'EISDIR');
  assert.equal(folder.syscall, 'read');
});

test('gzip and gunzip are those of zlib', async () => {
  for (const bytes of samples) {
    for (const level of [0, 1, 6, 9]) {
      const zipped = await run(native.gzip, bytes, level);
      assert.deepEqual(zlib.gunzipSync(zipped), bytes);
      assert.deepEqual(await run(native.gunzip, zipped), bytes);
    }
  }
  const two = Buffer.concat([zlib.gzipSync(random), zlib.gzipSync(text)]);
  assert.deepEqual(await run(native.gunzip, two), Buffer.concat([random, text]));
  const padded = Buffer.concat([zlib.gzipSync(text), Buffer.alloc(512)]);
  assert.deepEqual(await run(native.gunzip, padded), text);
});

test('a broken archive, or one that holds too much, is an error', async () => {
  const zipped = zlib.gzipSync(random);
  const changed = Buffer.from(zipped);
  changed[zipped.length - 6] ^= 1;
  for (const broken of [Buffer.from('no archive'), zipped.subarray(0, -1), changed, samples[2]]) {
    const error = await rejectionOf(run(native.gunzip, broken));
    assert.equal(error.message, 'EINVAL: invalid argument, inflate');
  }
  const bomb = zlib.gzipSync(Buffer.alloc(10_000_000));
  assert.equal((await rejectionOf(run(native.gunzip, bomb, 9_999_999))).code, 'EFBIG');
  assert.equal((await run(native.gunzip, bomb, 10_000_000)).length, 10_000_000);
});

test('listTree tells every file of a tree', async () => {
  const folder = path.join(root, 'node_modules', 'piscina');
  const files = await run(native.listTree, folder);
  assert.deepEqual(files.map((file) => file.path).sort(), filesBelow(folder).sort());
  for (const file of files.slice(0, 20)) {
    const { size, mtimeMs } = fs.statSync(file.path);
    assert.equal(file.bytes, size);
    assert.ok(Math.abs(file.mtimeMs - mtimeMs) < 0.01);
  }
});

test('what a job does not take is refused before it starts', async () => {
  for (const args of [
    [native.hash, 'text'],
    [native.hash, random, 'no such digest'],
    [native.hashFile, 7],
    [native.gzip, random, 10],
    [native.gunzip, random, -1],
  ]) {
    assert.equal((await rejectionOf(run(...args))).code, 'ERR_INVALID_ARG_VALUE');
  }
});

test('an abort of a job leaves nothing of its result', async () => {
  const executor = new bide.NativeExecutor({ threads: 2 });
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 20; i++) {
    const controller = new AbortController();
    const { signal } = controller;
    const zipped = zlib.gzipSync(Buffer.alloc(5_000_000));
    const ending = executor.run(native.gunzip, [zipped], { signal });
    setTimeout(() => controller.abort(), i % 3);
    await ending.then(
      (bytes) => assert.equal(bytes.length, 5_000_000),
      (error) => assert.equal(error.name, 'AbortError'),
    );
  }
  await executor.close();
  assert.ok(process.memoryUsage().rss - before < 90_000_000);
});
