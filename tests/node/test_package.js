'use strict';
// If these fail, bide cannot be required, imported or compiled against as its readers were
// told, or its installation runs scripts and compilers behind their back.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const bide = require('../..');
const { root, folderFor, run } = require('./helpers.js');

const names = [
  'NativeExecutor',
  'WorkerExecutor',
  'all',
  'backend',
  'backendReason',
  'fs',
  'move',
  'native',
  'race',
  'runInExecutor',
  'sleep',
  'timeout',
  'version',
];

test('require and import give the same names and the same objects', async () => {
  assert.deepEqual(Object.keys(bide).sort(), names);
  assert.equal(require('bide'), bide);
  const module = await import('bide');
  assert.equal(module.default, bide);
  assert.deepEqual(Object.keys(module).sort(), [...names, 'default'].sort());
  for (const name of names) assert.equal(module[name], bide[name], name);
});

test('bide/fs is fs/promises, with what bide adds', async () => {
  const fsModule = require('bide/fs');
  assert.equal(fsModule, bide.fs);
  const own = ['allocate', 'readFiles', 'statAll'];
  assert.deepEqual(Object.keys(fsModule).sort(), [...Object.keys(fs.promises), ...own].sort());
  const module = await import('bide/fs');
  for (const name of Object.keys(fsModule)) assert.equal(module[name], fsModule[name], name);
});

test('programs of both kinds run from another folder', async (t) => {
  const folder = folderFor(t);
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(root, path.join(folder, 'node_modules', 'bide'));
  const body = "fs.readFile('package.json').catch(({ code }) => console.log(code, backend));";
  fs.writeFileSync(path.join(folder, 'a.mjs'), `import { fs, backend } from 'bide';\n${body}`);
  fs.writeFileSync(
    path.join(folder, 'a.cjs'),
    `const { fs, backend } = require('bide');\n${body}`,
  );
  for (const file of ['a.mjs', 'a.cjs']) {
    const { code, stdout, stderr } = await run(process.execPath, [file], { cwd: folder });
    assert.deepEqual([code, stdout, stderr], [0, `ENOENT ${bide.backend}\n`, '']);
  }
});

test('an addon that is not built is one clear error', async (t) => {
  const folder = folderFor(t);
  fs.cpSync(path.join(root, 'node'), path.join(folder, 'node'), { recursive: true });
  fs.copyFileSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
  const { code, stderr } = await run(process.execPath, ['-e', 'require("./")'], {
    cwd: folder,
  });
  assert.equal(code, 1);
  assert.match(stderr, /the package @bide\/linux-\w+-\w+ is not installed .*npx bide build/);
});

test('Bun and Electron are refused by name', async () => {
  for (const [name, words] of [
    ['bun', /bide needs the libuv of Node, which Bun does not have/],
    ['electron', /libuv of Node, which Electron drives by a loop of its own/],
  ]) {
    const pretend = `Object.defineProperty(process.versions, '${name}', { value: '1.0.0' });`;
    const { code, stderr } = await run(process.execPath, ['-e', `${pretend} require('./')`], {
      cwd: root,
    });
    assert.equal(code, 1);
    assert.match(stderr, words);
  }
});

test('installing runs no script and no compiler', () => {
  const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  assert.equal(manifest.gypfile, false);
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
    assert.equal(manifest.scripts[script], undefined);
  }
  assert.equal(manifest.dependencies, undefined);
  assert.equal(manifest.version, bide.version);
  const lock = JSON.parse(fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  for (const [name, entry] of Object.entries(lock.packages))
    assert.equal(entry.resolved, undefined, name);
});

const headers = path.join(
  path.dirname(path.dirname(fs.realpathSync(process.execPath))),
  'include',
);
const options = { skip: fs.existsSync(headers) ? false : 'this Node has no headers' };

test('the build says what is missing in one line', options, async () => {
  const cli = path.join(root, 'node', 'cli.js');
  const target = path.join(root, 'build', 'bide.node');
  const { mtime } = fs.statSync(target);
  fs.utimesSync(target, 0, 0); // it would have nothing to do
  for (const [args, env, words] of [
    [['build'], { CC: 'no-such-compiler' }, /^bide: no-such-compiler is missing: install a C/],
    [['build'], { CC: 'false' }, /^bide: false failed/],
    [
      ['build', '--nodedir=/nowhere'],
      {},
      /^bide: \/nowhere\/include\/node\/node_api.h is missing/,
    ],
    [['install'], {}, /^bide: usage: bide build/],
  ]) {
    const { code, stderr } = await run(process.execPath, [cli, ...args], { env });
    assert.equal(code, 1);
    assert.match(stderr, words);
    assert.equal(stderr.trim().split('\n').length, 1);
  }
  fs.utimesSync(target, mtime, mtime);
});
