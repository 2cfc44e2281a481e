'use strict';
// If these fail, code that uses the rest of fs/promises, or what bide has beyond it, gets
// other files, results or errors than it asked for.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { MessageChannel } = require('node:worker_threads');
const bide = require('../..');
const {
  folderFor,
  describeError,
  rejectionOf,
  openDescriptors,
  runProgram,
} = require('./helpers.js');

const libraries = [bide.fs, fs.promises];

async function sameOutcome(call) {
  const settled = async (library) => {
    try {
      return await call(library);
    } catch (error) {
      return describeError(error);
    }
  };
  const [ours, nodes] = [await settled(bide.fs), await settled(fs.promises)];
  assert.deepEqual(ours, nodes, String(call));
  return ours;
}

test('writeFile and appendFile write what they are given, as Node does', async (t) => {
  const folder = folderFor(t);
  const file = path.join(folder, 'file');
  const big = Buffer.alloc(3_000_001, 'big');
  const rows = [
    ['text'],
    ['grüße', 'latin1'],
    ['c3a9', { encoding: 'hex' }],
    ['', undefined],
    [Buffer.from('bytes')],
    [new Uint16Array([0x4142, 0x4344])],
    [new DataView(new ArrayBuffer(3), 1)],
    [big],
    [big.toString(), { flush: true }],
    ['more', { flag: 'a' }],
    ['secret', { mode: 0o600, flag: 'w' }],
    [['a', 'b', Buffer.from('c')]],
  ];
  for (const method of ['writeFile', 'appendFile']) {
    for (const [data, options] of rows) {
      const contents = [];
      for (const library of libraries) {
        fs.rmSync(file, { force: true });
        fs.writeFileSync(file, 'before');
        await library[method](file, data, options).catch(() => {});
        contents.push(fs.readFileSync(file), fs.statSync(file).mode);
      }
      assert.ok(contents[0].equals(contents[2]), `${method} ${String(data).slice(0, 20)}`);
      assert.equal(contents[1], contents[3]);
    }
  }
});

test("a failed or wrong write is refused with Node's error", async (t) => {
  const folder = folderFor(t);
  const file = path.join(folder, 'file');
  fs.writeFileSync(file, 'x');
  const missing = path.join(folder, 'no', 'file');
  const calls = [
    (library) => library.writeFile(missing, 'x'),
    (library) => library.writeFile(folder, 'x'),
    (library) => library.writeFile('/dev/full', 'x'),
    (library) => library.writeFile('/dev/full', Buffer.alloc(100_000)),
    (library) => library.writeFile('/dev/null', 'x', { flush: true }),
    (library) => library.writeFile(file, 'x', 'utf-9'),
    (library) => library.writeFile(file, 'x', { flag: 'q' }),
    (library) => library.writeFile(file, 'x', { flag: 'wx' }),
    (library) => library.writeFile(file, 'x', { mode: 'rw' }),
    (library) => library.writeFile(file, 'x', { flush: 1 }),
    (library) => library.writeFile(file, 'x', { signal: 1 }),
    (library) => library.writeFile(file, 'x', { signal: AbortSignal.abort('no') }),
    (library) => library.writeFile(file, 1),
    (library) => library.writeFile(file, null),
    (library) => library.writeFile(file, {}),
    (library) => library.appendFile(missing, 'x'),
    (library) => library.appendFile(file, undefined),
  ];
  const before = openDescriptors();
  for (const call of calls) await sameOutcome(call);
  assert.equal(openDescriptors(), before);
});

test('a write of many may change its buffer at once, and ends them all', async (t) => {
  const folder = folderFor(t);
  const bytes = Buffer.alloc(5000);
  const before = openDescriptors();
  await Promise.all(
    Array.from({ length: 400 }, (_, i) => {
      bytes.fill(i & 255);
      const written = bide.fs.writeFile(path.join(folder, String(i)), bytes);
      bytes.fill(0);
      return written;
    }),
  );
  for (let i = 0; i < 400; i++) {
    const read = fs.readFileSync(path.join(folder, String(i)));
    assert.ok(read.length === 5000 && read.every((byte) => byte === (i & 255)));
  }
  assert.equal(openDescriptors(), before);
});

test('an aborted write is told at once and leaves no descriptor', async (t) => {
  const folder = folderFor(t);
  const bytes = Buffer.alloc(1 << 20, 'x');
  const files = ['a', 'b', 'c', 'd'].map((name) => path.join(folder, name));
  for (const file of files) await bide.fs.writeFile(file, bytes);
  const before = openDescriptors();
  for (let i = 0; i < 60; i++) {
    const controller = new AbortController();
    const { signal } = controller;
    // Without creating: what was aborted may still open when the folder goes.
    const all = files.map((file) => bide.fs.writeFile(file, bytes, { signal, flag: 'r+' }));
    const settled = Promise.allSettled(all);
    if (i % 2 === 0) controller.abort();
    else setImmediate(() => controller.abort());
    for (const { status, reason } of await settled) {
      if (status === 'rejected') assert.equal(reason.name, 'AbortError');
    }
  }
  while (openDescriptors() > before) await bide.fs.stat(folder);
});

test("a handle is one of Node's: streams, lines, vectors, transfers", async (t) => {
  const file = path.join(folderFor(t), 'file');
  const nodes = await fs.promises.open(file, 'w+');
  const handle = await bide.fs.open(file, 'w+');
  assert.ok(handle instanceof nodes.constructor);
  await nodes.close();
  await handle.writeFile('one\ntwo\n');
  await handle.writev([Buffer.from('three'), Buffer.from('\n')]);
  const lines = [];
  for await (const line of handle.readLines({ start: 0, autoClose: false })) lines.push(line);
  assert.deepEqual(lines, ['one', 'two', 'three']);
  const vector = [Buffer.alloc(2), Buffer.alloc(2)];
  assert.equal((await handle.readv(vector, 1)).bytesRead, 4);
  assert.equal(Buffer.concat(vector).toString(), 'ne\nt');
  await handle.truncate(7);
  await handle.chmod(0o600);
  await handle.utimes(1, 2);
  assert.equal((await handle.stat()).mtimeMs, 2000);
  await fs.promises.appendFile(handle, '!');
  assert.equal(fs.readFileSync(file, 'utf8').length, 15);
  const stream = fs.createReadStream(null, { fd: handle, start: 0, autoClose: false });
  assert.match((await stream.toArray()).join(''), /^one\ntwo/);

  await handle.close();
  const { port1, port2 } = new MessageChannel();
  const sent = await bide.fs.open(file);
  port1.postMessage(sent, [sent]);
  const [received] = await once(port2, 'message');
  assert.equal(sent.fd, -1);
  assert.equal((await rejectionOf(sent.read())).code, 'EBADF');
  assert.equal((await received.stat()).size, 15);
  await received.close();
  port1.close();
});

test('web streams and write streams of a handle carry all bytes and close it', async (t) => {
  const file = path.join(folderFor(t), 'file');
  const writer = (await bide.fs.open(file, 'w')).createWriteStream();
  writer.write('a'.repeat(100_000));
  writer.end('b');
  await once(writer, 'close');
  const handle = await bide.fs.open(file);
  let bytes = 0;
  for await (const chunk of handle.readableWebStream({ type: 'bytes' })) {
    bytes += chunk.byteLength;
  }
  assert.equal(bytes, 100_001);
  await handle.close();
  const reader = (await bide.fs.open(file)).createReadStream();
  assert.equal((await reader.toArray()).join('').length, 100_001);
});

test('readFile fills the buffer that it is given', async (t) => {
  const file = path.join(folderFor(t), 'file');
  for (const size of [0, 5, 16_448, 100_000, 2_000_000]) {
    const contents = Buffer.alloc(size, 'contents');
    fs.writeFileSync(file, contents);
    for (const make of [
      Buffer.alloc,
      bide.fs.allocate,
      (bytes) => new DataView(new ArrayBuffer(bytes)),
    ]) {
      const buffer = make(size + 10);
      const read = await bide.fs.readFile(file, { buffer });
      assert.equal(read.buffer, buffer.buffer, 'it is the same memory');
      assert.ok(read.equals(contents));
      assert.equal(
        await bide.fs.readFile(file, { buffer, encoding: 'latin1' }),
        contents.toString(),
      );
      const handle = await bide.fs.open(file);
      assert.ok((await handle.readFile({ buffer })).equals(contents));
      await handle.close();
      if (size === 0) continue;
      const { code, message } = await rejectionOf(
        bide.fs.readFile(file, { buffer: make(size - 1) }),
      );
      assert.equal(code, 'ERR_INVALID_ARG_VALUE');
      assert.match(message, new RegExp(`smaller than the file size of ${size} bytes`));
    }
    const asked = [];
    const buffer = (bytes) => asked.push(bytes) && Buffer.alloc(bytes);
    assert.ok((await bide.fs.readFile(file, { buffer })).equals(contents));
    assert.deepEqual(asked, [size]);
  }
  const status = await bide.fs.readFile('/proc/self/status', { buffer: Buffer.alloc(8000) });
  assert.match(status.toString(), /^Name:/);
  const short = rejectionOf(
    bide.fs.readFile('/proc/self/status', { buffer: Buffer.alloc(20) }),
  );
  assert.match((await short).message, /too small to contain the entire file/);
});

test('a buffer that is transferred under a whole read is left alone', async (t) => {
  const file = path.join(folderFor(t), 'file');
  fs.writeFileSync(file, Buffer.alloc(50_000, 'x'));
  const buffer = Buffer.alloc(60_000);
  const read = bide.fs.readFile(file, { buffer });
  const moved = structuredClone(buffer.buffer, { transfer: [buffer.buffer] });
  assert.equal((await rejectionOf(read)).code, 'ERR_INVALID_STATE');
  assert.ok(new Uint8Array(moved).every((byte) => byte === 0));
  // Most of these still wait for their turn.
  const many = Array.from({ length: 300 }, () => Buffer.alloc(60_000));
  const reads = many.map((each) => rejectionOf(bide.fs.readFile(file, { buffer: each })));
  for (const each of many) structuredClone(each.buffer, { transfer: [each.buffer] });
  for (const { code } of await Promise.all(reads)) assert.equal(code, 'ERR_INVALID_STATE');
});

test('shared memory is read into and written from without a copy', async (t) => {
  const handle = await bide.fs.open(path.join(folderFor(t), 'file'), 'w+');
  const shared = bide.fs.allocate(100_000).fill('s');
  assert.equal((await handle.write(shared, 0, 50_000, 0)).bytesWritten, 50_000);
  shared.fill(0);
  assert.equal((await handle.read(shared, 10, 90_000, 0)).bytesRead, 50_000);
  assert.ok(shared.subarray(10, 50_010).every((byte) => byte === 's'.charCodeAt(0)));
  assert.equal(shared[9] + shared[50_010], 0);
  await handle.close();
});

test('readFiles and statAll give one result a path, in their order', async (t) => {
  const folder = folderFor(t);
  const files = Array.from({ length: 300 }, (_, i) => {
    const file = path.join(folder, `grüße ${i}`);
    fs.writeFileSync(file, String(i).repeat(i % 7 === 0 ? 20_000 : 1));
    return i % 3 === 0 ? Buffer.from(file) : file;
  });
  const contents = await bide.fs.readFiles(files, { encoding: 'utf8' });
  contents.forEach((text, i) => assert.ok(text.startsWith(String(i))));
  const stats = await bide.fs.statAll(files);
  stats.forEach(({ size }, i) => assert.equal(size, contents[i].length));
  assert.ok(stats[0] instanceof fs.Stats);
  assert.equal((await bide.fs.statAll(files, { bigint: true }))[1].size, 1n);
  assert.deepEqual(await Promise.all([bide.fs.readFiles([]), bide.fs.statAll([])]), [[], []]);
  const link = path.join(folder, 'link');
  fs.symlinkSync(folder, link);
  assert.ok((await bide.fs.statAll([link], { followSymlinks: false }))[0].isSymbolicLink());
});

test('readFiles and statAll tell the first error, or each in its place', async () => {
  const paths = [__filename, '/does/not/exist', '/'];
  for (const method of ['readFiles', 'statAll']) {
    // Of several errors it is the first to come, whichever that is.
    const error = await rejectionOf(bide.fs[method](paths.slice(0, 2)));
    assert.equal(error.code, 'ENOENT');
    assert.equal(error.path, '/does/not/exist');
    const results = await bide.fs[method](paths, { errors: 'return' });
    const codes = results.map((result) => result.code);
    assert.deepEqual(codes, [undefined, 'ENOENT', method === 'statAll' ? undefined : 'EISDIR']);
    for (const wrong of ['file', [1], ['a\0b'], null]) {
      assert.match((await rejectionOf(bide.fs[method](wrong))).code, /^ERR_INVALID_ARG/);
    }
    const bad = rejectionOf(bide.fs[method](paths, { errors: 'ignore' }));
    assert.equal((await bad).code, 'ERR_INVALID_ARG_VALUE');
    const controller = new AbortController();
    const { signal } = controller;
    const many = rejectionOf(bide.fs[method](Array(1000).fill(__filename), { signal }));
    controller.abort();
    assert.equal((await many).name, 'AbortError');
    assert.equal((await rejectionOf(bide.fs[method](paths, { signal }))).name, 'AbortError');
  }
});

test('an abort ends opens, stats, reads and writes, and leaves no descriptor', async (t) => {
  const file = path.join(folderFor(t), 'file');
  const handle = await bide.fs.open(file, 'w+');
  const before = openDescriptors();
  for (let round = 0; round < 100; round++) {
    const controller = new AbortController();
    const { signal } = controller;
    const settled = Promise.allSettled([
      bide.fs.open(file, 'r', 0o666, { signal }),
      bide.fs.open(file, 'r', 0o666, { signal }),
      bide.fs.stat(file, { signal }),
      bide.fs.lstat(file, { signal, bigint: true }),
      handle.stat({ signal }),
      handle.read(Buffer.alloc(100), { signal }),
      handle.write(Buffer.alloc(100_000), { position: 0, signal }),
    ]);
    if (round % 2 === 0) controller.abort(new Error('enough'));
    else setImmediate(() => controller.abort(new Error('enough')));
    for (const { status, value, reason } of await settled) {
      if (status === 'rejected') assert.equal(reason.cause.message, 'enough');
      else if (value.close !== undefined) await value.close();
    }
  }
  while (openDescriptors() > before) await bide.fs.stat(file);
  assert.equal(openDescriptors(), before);
  await handle.close();
});

test('throwIfNoEntry is obeyed as this version obeys it', async () => {
  const options = { throwIfNoEntry: false };
  await sameOutcome((library) => library.stat('/does/not/exist', options));
  await sameOutcome((library) => library.stat('/', { throwIfNoEntry: false }).then(String));
});

test('a hundred thousand operations at once cost little memory', async () => {
  const { stdout, code, stderr } = await runProgram(`
    const before = process.memoryUsage().arrayBuffers;
    const all = (call) => Promise.all(Array.from({ length: 100_000 }, call));
    const counts = [
      (await all(() => bide.fs.stat('/').then(() => 0))).length,
      (await all(() => bide.runInExecutor(null, bide.native.sleep, 0))).length,
    ];
    const grown = (process.memoryUsage().arrayBuffers - before) / 2 ** 20;
    console.log(...counts, grown < 40 ? 'little' : grown);
  `);
  assert.deepEqual([code, stderr, stdout], [0, '', '100000 100000 little\n']);
});
