'use strict';
// If these fail, a program that writes and reads through a handle of bide's loses or mixes
// up bytes, closes under its own operations, or leaks descriptors.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const bide = require('../..');
const {
  folderFor,
  runProgram,
  rejectionOf,
  describeError,
  openDescriptors,
} = require('./helpers.js');

test("what is written is read back, by position, by the file's own, and in parts", async (t) => {
  const file = path.join(folderFor(t), 'file');
  const handle = await bide.fs.open(file, 'w+', 0o640);
  assert.equal(fs.statSync(file).mode & 0o777, 0o640 & ~process.umask());
  assert.deepEqual(
    { ...(await handle.write('hello ')) },
    { bytesWritten: 6, buffer: 'hello ' },
  );
  await handle.write(Buffer.from('xxworldxx'), 2, 5);
  await handle.write(new Uint16Array([0x2121]), { position: 11 });
  await handle.write('J', 0);
  await handle.write('c3a9', null, 'hex');
  assert.equal(fs.readFileSync(file, 'latin1'), 'Jello world\xc3\xa9');

  const buffer = Buffer.alloc(20, '.');
  const { bytesRead } = await handle.read(buffer, 2, 5, 6);
  assert.equal(bytesRead, 5);
  assert.equal(buffer.toString(), '..world.............');
  assert.equal((await handle.read({ buffer, position: 1n })).bytesRead, 12);
  assert.equal(
    (await handle.read(buffer, { offset: 1, length: 4, position: 0 })).buffer,
    buffer,
  );
  assert.equal(buffer.toString('latin1', 0, 5), 'eJell');
  assert.equal((await handle.read(new Float64Array(1), null, null, 0)).bytesRead, 8);
  assert.equal((await handle.read()).bytesRead, 0, "the file's own position is at its end");
  await handle.sync();
  await handle.datasync();
  await handle.close();
});

test("results have the shape of Node's", async (t) => {
  const file = path.join(folderFor(t), 'file');
  fs.writeFileSync(file, 'text');
  const [ours, nodes] = await Promise.all([
    bide.fs.open(file, 'r+'),
    fs.promises.open(file, 'r+'),
  ]);
  const calls = [
    (handle) => handle.read(Buffer.alloc(3), 0, 3, 0),
    (handle) => handle.read({ length: 0 }),
    (handle) => handle.write('text', 0),
    (handle) => handle.write(Buffer.alloc(0)),
    (handle) => handle.write(Buffer.from('text'), 0, 4, 0),
    (handle) => handle.write(Buffer.from('text'), null, 2, 0),
    (handle) => handle.stat(),
    (handle) => handle.stat({ bigint: true }),
  ];
  for (const call of calls) {
    const [our, their] = [await call(ours), await call(nodes)];
    assert.deepEqual(our, their, String(call));
    assert.equal(Object.getPrototypeOf(our), Object.getPrototypeOf(their));
  }
  assert.equal(typeof ours.fd, typeof nodes.fd);
  await Promise.all([ours.close(), nodes.close()]);
  assert.equal(ours.fd, nodes.fd);
});

test('large transfers arrive whole, and a written buffer may be used at once', async (t) => {
  const handle = await bide.fs.open(path.join(folderFor(t), 'file'), 'w+');
  const length = 3_000_001;
  const written = Buffer.alloc(length, 'abcdefg');
  const copy = Buffer.from(written);
  const write = handle.write(written, 0, length, 0);
  const small = Buffer.from('small');
  const writeSmall = handle.write(small, 0, 5, length);
  written.fill(0);
  small.fill(0);
  assert.equal((await write).bytesWritten, length);
  await writeSmall;
  const read = Buffer.alloc(length + 10);
  assert.equal((await handle.read(read, 0, length + 10, 0)).bytesRead, length + 5);
  assert.ok(read.subarray(0, length).equals(copy));
  assert.equal(read.toString('latin1', length, length + 5), 'small');
  await handle.close();
});

test('handle.readFile goes from the position to the end', async (t) => {
  const file = path.join(folderFor(t), 'file');
  for (const size of [0, 1, 16448, 100_000]) {
    fs.writeFileSync(file, Buffer.alloc(size, 'z'));
    const handle = await bide.fs.open(file);
    if (size > 0) await handle.read(Buffer.alloc(1), 0, 1);
    assert.equal((await handle.readFile()).length, Math.max(size - 1, 0));
    assert.equal(await handle.readFile('utf8'), '');
    await handle.close();
  }
  const handle = await bide.fs.open('/proc/self/status');
  assert.match(await handle.readFile({ encoding: 'utf8' }), /Pid:/);
  await handle.close();
});

test('close waits for the operations in flight, and a second close is harmless', async (t) => {
  const file = path.join(folderFor(t), 'file');
  const handle = await bide.fs.open(file, 'w+');
  let closes = 0;
  handle.on('close', () => {
    closes++;
  });
  const writes = Array.from({ length: 32 }, (_, i) =>
    handle.write(Buffer.alloc(50_000, i), 0, 50_000, i * 50_000),
  );
  const closed = handle.close();
  const results = await Promise.all(writes);
  assert.ok(results.every(({ bytesWritten }) => bytesWritten === 50_000));
  await closed;
  await handle.close();
  assert.equal(handle.fd, -1);
  assert.equal(closes, 1);
  assert.equal(fs.statSync(file).size, 32 * 50_000);
});

test('await using closes', async (t) => {
  const file = path.join(folderFor(t), 'file');
  const handle = await bide.fs.open(file, 'w');
  await handle[Symbol.asyncDispose]();
  assert.equal(handle.fd, -1);
});

test('a descriptor that somebody else closed gives EBADF from each call', async (t) => {
  const handle = await bide.fs.open(path.join(folderFor(t), 'file'), 'w+');
  fs.closeSync(handle.fd);
  for (const call of ['read', 'stat', 'sync', 'close']) {
    const error = await rejectionOf(handle[call]());
    assert.equal(error.code, 'EBADF', call);
  }
});

test('a buffer that is transferred under a read is left alone', async (t) => {
  const file = path.join(folderFor(t), 'file');
  fs.writeFileSync(file, Buffer.alloc(200_000, 'x'));
  const handle = await bide.fs.open(file);
  for (const size of [100, 150_000]) {
    const buffer = Buffer.alloc(size);
    const read = handle.read(buffer, 0, size, 0);
    const moved = structuredClone(buffer.buffer, { transfer: [buffer.buffer] });
    const error = await rejectionOf(read);
    assert.equal(error.code, 'ERR_INVALID_STATE');
    assert.match(error.message, /transferred/);
    assert.ok(new Uint8Array(moved).every((byte) => byte === 0));
  }
  const detached = Buffer.alloc(10);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  const node = await fs.promises.open(file);
  const errors = await Promise.all(
    [handle, node].map((each) => rejectionOf(each.read(detached, 0, 10))),
  );
  assert.deepEqual(...errors.map(describeError));
  await Promise.all([handle.close(), node.close()]);
});

test('a view that shrinks or goes under a read is a clear error', async (t) => {
  const file = path.join(folderFor(t), 'file');
  fs.writeFileSync(file, Buffer.alloc(100_000, 'x'));
  const handle = await bide.fs.open(file);
  t.after(() => handle.close());
  for (const size of [100, 50_000]) {
    const memory = new ArrayBuffer(60_000, { maxByteLength: 60_000 });
    const shrunk = handle.read(new DataView(memory, 100), 0, size, 0);
    memory.resize(50);
    const gone = new Uint8Array(60_000);
    const atTheEnd = handle.read(gone, 0, size, 1e6);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    for (const { reason } of await Promise.allSettled([shrunk, atTheEnd])) {
      assert.equal(reason.code, 'ERR_INVALID_STATE');
    }
  }
});

test('a write to a full pipe goes on until all is written', async (t) => {
  const fifo = path.join(folderFor(t), 'fifo');
  execFileSync('mkfifo', [fifo]);
  const reading = fs.promises.readFile(fifo);
  const handle = await bide.fs.open(fifo, 'w');
  const small = Buffer.alloc(10_000, 'a');
  const writes = [
    handle.write(small),
    handle.write(Buffer.alloc(200_000, 'b')),
    handle.write('c'.repeat(100_000)),
  ];
  small.fill('x');
  const counts = [];
  for (const write of writes) counts.push((await write).bytesWritten);
  await handle.close();
  assert.deepEqual(counts, [10_000, 200_000, 100_000]);
  const bytes = (await reading).toString('latin1');
  assert.equal(bytes.length, 310_000);
  for (const [letter, count] of [
    ['a', 10_000],
    ['b', 200_000],
    ['c', 100_000],
  ]) {
    assert.equal(bytes.split(letter).length - 1, count);
  }
});

// The report of a version is a warning or an error; the numbers of the descriptors differ.
test("a handle that is forgotten is closed and reported as this Node's own", async () => {
  const program = (library) => `
    const fs = require('node:fs');
    process.on('uncaughtException', ({ code, message }) => console.log(code, message));
    const folder = '/proc/self/fd/';
    const target = (fd) => fs.existsSync(folder + fd) ? fs.readlinkSync(folder + fd) : '';
    const isOurs = (fd) => target(fd) === process.execPath;
    const count = () => fs.readdirSync(folder).filter(isOurs).length;
    async function forget() {
      for (let i = 0; i < 5; i++) await ${library}.open(process.execPath);
      return count();
    }
    const opened = await forget();
    const deadline = Date.now() + 10_000;
    while (count() > 0 && Date.now() < deadline) {
      gc();
      await new Promise(setImmediate);
    }
    await new Promise(setImmediate);
    console.log(opened > 0, count());
  `;
  const [ours, nodes] = await Promise.all(
    ['bide.fs', 'fs.promises'].map((library) =>
      runProgram(program(library), { nodeArgs: ['--expose-gc'] }),
    ),
  );
  const told = ({ stdout, stderr, code }) => [
    code,
    stdout.replace(/\d+ \(.*\)$/gm, 'N'),
    stderr.replace(/\(node:\d+\)/g, '').replace(/descriptor \d+/g, 'descriptor N'),
  ];
  assert.deepEqual(told(ours), told(nodes));
  assert.match(ours.stdout, /true 0\n$/);
  assert.match(ours.stdout + ours.stderr, /garbage collection/);
});

test('opening and closing many times leaves no descriptor', async (t) => {
  const file = path.join(folderFor(t), 'file');
  fs.writeFileSync(file, 'text');
  await (await bide.fs.open(file)).close();
  const before = openDescriptors();
  for (let round = 0; round < 30; round++) {
    const handles = await Promise.all(Array.from({ length: 64 }, () => bide.fs.open(file)));
    await Promise.all(handles.map((handle) => handle.read(Buffer.alloc(4))));
    await Promise.all(handles.map((handle) => handle.close()));
  }
  assert.equal(openDescriptors(), before);
});
