'use strict';
// If these fail, code written for fs.promises (if (error.code === 'ENOENT') ...) takes
// another branch on bide.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { pathToFileURL } = require('node:url');
const bide = require('../..');
const {
  root,
  folderFor,
  describeError,
  rejectionOf,
  run,
  runProgram,
  openDescriptors,
} = require('./helpers.js');

// Both libraries reject, and their errors look alike.
async function sameError(call) {
  const [ours, nodes] = await Promise.all([
    rejectionOf(call(bide.fs)),
    rejectionOf(call(fs.promises)),
  ]);
  assert.deepEqual(describeError(ours), describeError(nodes), String(call));
  return ours;
}

// What a call resolves with, or the description of its error.
function outcomeOf(promise) {
  return promise.catch(describeError);
}

test("failed system calls give Node's error, field by field", async (t) => {
  const folder = folderFor(t);
  const file = path.join(folder, 'file');
  fs.writeFileSync(file, 'text');
  fs.symlinkSync('loop', path.join(folder, 'loop'));
  const missing = path.join(folder, 'missing');
  const calls = [
    (library) => library.readFile(missing),
    (library) => library.readFile(Buffer.from(missing)),
    (library) => library.readFile(pathToFileURL(missing), 'utf8'),
    (library) => library.readFile(folder),
    (library) => library.readFile(path.join(file, 'below')),
    (library) => library.readFile(path.join(folder, 'loop')),
    (library) => library.readFile(path.join(folder, 'x'.repeat(300))),
    (library) => library.readFile(''),
    (library) => library.open(missing),
    (library) => library.open(missing, 'r+'),
    (library) => library.open(file, 'wx'),
    (library) => library.open(folder, 'w'),
    (library) => library.stat(missing),
    (library) => library.stat(missing, { bigint: true }),
    (library) => library.lstat(missing),
    (library) => library.stat(path.join(folder, 'loop')),
    (library) => library.stat(''),
  ];
  for (const call of calls) await sameError(call);
});

test('what an option throws when it is looked at rejects the promise', async () => {
  const options = {
    get encoding() {
      throw new RangeError('looked at');
    },
  };
  await sameError((library) => library.readFile(__filename, options));
});

test("wrong arguments are refused in Node's words, as a rejection", async () => {
  const wrong = [
    undefined,
    null,
    1,
    true,
    {},
    [],
    () => {},
    Symbol('s'),
    'a\0b',
    Buffer.from('a\0b'),
    new URL('http://example.org/x'),
    new URL('file://host/x'),
  ];
  for (const value of wrong) {
    await sameError((library) => library.readFile(value));
    await sameError((library) => library.open(value));
    await sameError((library) => library.stat(value));
    await sameError((library) => library.lstat(value));
  }
  const options = [
    'utf-9',
    { encoding: 'utf-9' },
    1,
    true,
    { signal: 1 },
    { signal: 'now' },
    { flag: 'q' },
  ];
  for (const value of options)
    await sameError((library) => library.readFile(__filename, value));
  for (const flags of ['q', 'rw', 1.5, {}, true])
    await sameError((library) => library.open(__filename, flags));
  // Node 20 reads into no buffer of the caller's.
  const readsInto = Number.parseInt(process.versions.node, 10) >= 24;
  for (const value of readsInto ? [1, 'text', null, {}, () => {}, Symbol('s'), 1n] : [])
    await sameError((library) => library.readFile(__filename, { buffer: () => value }));
  await sameError((library) => library.stat(__filename, null));
  await sameError((library) => library.lstat(__filename, null));
  for (const mode of ['9', -1, 1.5, {}, true, 5n, Symbol('s')])
    await sameError((library) => library.open(__filename, 'r', mode));
});

test('the calls of a handle are refused as Node refuses them', async (t) => {
  const file = path.join(folderFor(t), 'file');
  fs.writeFileSync(file, 'text');
  const buffer = Buffer.alloc(8);
  const calls = [
    (handle) => handle.read('text'),
    (handle) => handle.read(Buffer.alloc(0)),
    (handle) => handle.read(buffer, -1),
    (handle) => handle.read(buffer, 9, 1),
    (handle) => handle.read(buffer, 1.5),
    (handle) => handle.read(buffer, '1'),
    (handle) => handle.read(buffer, 1n),
    (handle) => handle.read(buffer, Symbol('s')),
    (handle) => handle.read(buffer, 0, 9),
    (handle) => handle.read(buffer, 0, -1),
    (handle) => handle.read(buffer, 0, 8, 1.5),
    (handle) => handle.read(buffer, 0, 8, 'x'),
    (handle) => handle.read(buffer, 0, 8, 2n ** 63n),
    (handle) => handle.read({ buffer: 'text' }),
    (handle) => handle.read(buffer, { length: 9 }),
    (handle) => handle.write(1),
    (handle) => handle.write(null),
    (handle) => handle.write(buffer, -1),
    (handle) => handle.write(buffer, 9),
    (handle) => handle.write(buffer, 1n),
    (handle) => handle.write(buffer, Symbol('s')),
    (handle) => handle.write(buffer, 0, 9),
    (handle) => handle.write('text', 0, 'utf-9'),
    (handle) => handle.write('abc', 0, 'hex'),
    (handle) => handle.readFile('utf-9'),
    (handle) => handle.readFile({ flag: 1 }).then(String),
    (handle) => handle.stat({ bigint: 1 }).then(({ size }) => size),
    (handle) => handle.stat(null),
    (handle) => handle.write('into a file opened for reading'),
    (handle) => handle.write(buffer),
  ];
  const [ours, nodes] = await Promise.all([bide.fs.open(file), fs.promises.open(file)]);
  for (const call of calls) {
    const errors = await Promise.all([call(ours), call(nodes)].map(outcomeOf));
    assert.deepEqual(...errors, String(call));
  }
  await Promise.all([ours.close(), nodes.close()]);
  for (const method of ['read', 'write', 'stat', 'readFile', 'sync', 'datasync']) {
    const argument = method === 'write' ? 'text' : undefined;
    const errors = await Promise.all(
      [ours, nodes].map((handle) => outcomeOf(handle[method](argument))),
    );
    assert.ok(errors[0].message, `${method} of a closed handle rejects`);
    assert.deepEqual(...errors, method);
  }
});

test('a file that is too large is refused as Node refuses it, and harms no other', async (t) => {
  const file = path.join(folderFor(t), 'sparse');
  for (const size of [2 ** 31, 5 * 2 ** 30]) {
    fs.writeFileSync(file, '');
    fs.truncateSync(file, size);
    const other = bide.fs.readFile(__filename);
    const nodes = await rejectionOf(fs.promises.readFile(file));
    const handle = await bide.fs.open(file);
    for (const call of [() => bide.fs.readFile(file), () => handle.readFile()]) {
      const { name, code, message } = await rejectionOf(call());
      assert.deepEqual([name, code, message], [nodes.name, nodes.code, nodes.message]);
    }
    await handle.close();
    assert.deepEqual(await other, fs.readFileSync(__filename));
  }
});

test('a file for which there is no memory is an error, not the end of the process', async (t) => {
  const file = path.join(folderFor(t), 'sparse');
  fs.writeFileSync(file, '');
  fs.truncateSync(file, 1.5 * 2 ** 30);
  const { stdout, stderr, code } = await runProgram(`
    const status = require('fs').readFileSync('/proc/self/status', 'utf8');
    const limit = 1024 * Number(/VmSize:\\s+(\\d+)/.exec(status)[1]) + 700 * 2 ** 20;
    require('child_process').execFileSync('prlimit', ['--as=' + limit, '-p', process.pid]);
    await bide.fs.readFile(${JSON.stringify(file)}).catch((error) => console.log(error.code));
    console.log((await bide.fs.readFile('package.json')).length > 0);
  `);
  assert.equal(stdout, 'ENOMEM\ntrue\n', stderr);
  assert.equal(code, 0);
});

// Node before 26 ends the process for such a length.
test('a length that is none is refused, or taken as Node takes it', async (t) => {
  const file = path.join(folderFor(t), 'file');
  const [ours, nodes] = await Promise.all([
    bide.fs.open(file, 'w+'),
    fs.promises.open(file, 'w+'),
  ]);
  t.after(() => Promise.all([ours.close(), nodes.close()]));
  const endsProcesses = Number.parseInt(process.versions.node, 10) < 26;
  const expected = { 1.5: 'ERR_OUT_OF_RANGE', NaN: 'ERR_OUT_OF_RANGE' };
  for (const length of [1.5, NaN, '2', true, {}]) {
    const read = (handle) => outcomeOf(handle.read(Buffer.alloc(8), 0, length));
    if (endsProcesses) {
      const { fields } = await read(ours);
      assert.equal(fields.code, expected[length] ?? 'ERR_INVALID_ARG_TYPE');
    } else {
      assert.deepEqual(await read(ours), await read(nodes));
    }
    const write = (handle) => outcomeOf(handle.write(Buffer.alloc(8), 0, length));
    assert.deepEqual(await write(ours), await write(nodes));
  }
});

test('the stack of an error leads to the line that asked', async () => {
  async function loadTheSettings() {
    await bide.fs.readFile('/does/not/exist');
  }
  const error = await rejectionOf(loadTheSettings());
  assert.match(error.stack, /loadTheSettings.*test_fs_errors\.js/);
});

test('EMFILE is told by each call that needs a descriptor, and ends with the want', async (t) => {
  const file = path.join(folderFor(t), 'file');
  fs.writeFileSync(file, 'contents');
  const program = `
    const bide = require(${JSON.stringify(root)});
    const fs = require('node:fs/promises');
    const file = ${JSON.stringify(file)};
    const tell = ({ code, errno, syscall, path }) => [code, errno, syscall, path].join(' ');
    const calls = [
      ({ open }) => open(file),
      ({ readFile }) => readFile(file),
      ({ writeFile }) => writeFile(file, 'text'),
      ({ appendFile }) => appendFile(file, 'text'),
    ];
    const errors = async (library) =>
      (await Promise.all(calls.map((call) => call(library).then(() => 'done', tell)))).join();
    (async () => {
      await (await bide.fs.open(file)).close(); // what bide opens once is open
      const handles = [];
      let error;
      while (error === undefined) {
        await bide.fs.open(file).then((each) => handles.push(each), (e) => { error = e; });
      }
      console.log(tell(error), (await errors(bide.fs)) === (await errors(fs)));
      console.log(tell(await bide.fs.readFiles([file, file]).catch((e) => e)));
      console.log((await bide.fs.statAll([file, file])).length);
      await handles.pop().close();
      console.log(await bide.fs.readFile(file, 'utf8'));
      await Promise.all(handles.map((each) => each.close()));
      console.log((await bide.fs.readFiles(Array(20).fill(file))).length);
    })();
  `;
  const limited = ['-c', 'ulimit -n 60 && exec "$0" -e "$1"', process.execPath, program];
  const { stdout, stderr, code } = await run('sh', limited);
  const told = `EMFILE -24 open ${file}`;
  const lines = [`${told} true`, told, '2', 'contents', '20', ''];
  assert.deepEqual([code, stderr, stdout], [0, '', lines.join('\n')]);
});

test('no descriptor stays open behind an error', async (t) => {
  const folder = folderFor(t);
  await rejectionOf(bide.fs.readFile(folder));
  const before = openDescriptors();
  for (let i = 0; i < 500; i++) {
    await rejectionOf(bide.fs.readFile(folder));
    await rejectionOf(bide.fs.open(folder, 'w'));
  }
  assert.equal(openDescriptors(), before);
});
