'use strict';
// If these fail, `npm install bide` gives a package that cannot be required, imported or
// compiled against, that runs scripts, or whose missing addon is a riddle.
//
// BIDE_NODES lists more Nodes, with colons between, to run the installed packages on: the one
// addon serves them all.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test, before, after } = require('node:test');
const { root } = require('../helpers.js');

const nodes = [process.execPath, ...(process.env.BIDE_NODES ?? '').split(':').filter(Boolean)];
const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)));
const options = {
  skip: fs.existsSync(path.join(prefix, 'include', 'node', 'uv.h'))
    ? false
    : 'this Node has no headers',
};
const archives = path.join(root, 'build', 'npm');
let folder;

function run(command, args, { cwd = folder, env } = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined, ...env },
  });
  return { status, stdout, stderr };
}

function succeed(command, args, more) {
  const { status, stdout, stderr } = run(command, args, more);
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

function install(...names) {
  const files = fs.readdirSync(archives).filter((name) => name.endsWith('.tgz'));
  const wanted = names.map((name) => {
    const found = files.find((file) => file.startsWith(name));
    return path.join(archives, found);
  });
  succeed('npm', ['install', '--offline', '--no-audit', '--no-fund', ...wanted]);
}

const program = `
  const text = await fs.readFile('package.json', 'utf8');
  const sum = await runInExecutor(null, (a, b) => a + b, 1, 2);
  const [stats] = await statAll(['package.json']);
  console.log(JSON.parse(text).name, sum, stats.isFile(), backend);`;
const imports = `import { backend, runInExecutor } from 'bide';
  import fs, { statAll } from 'bide/fs';`;
const expected = /^fresh 3 true (io_uring|epoll)\n$/;

before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bide-install-'));
  if (options.skip) return;
  fs.writeFileSync(path.join(folder, 'package.json'), '{"name": "fresh", "private": true}');
  succeed(process.execPath, [path.join(root, 'scripts', 'npm_packages.mjs')], { cwd: root });
});

after(() => fs.rmSync(folder, { recursive: true, force: true }));

test(
  'without its platform package bide says what is missing, and can be built',
  options,
  () => {
    install('bide-0');
    const { status, stderr } = run(process.execPath, ['-e', 'require("bide")']);
    assert.equal(status, 1);
    assert.match(stderr, /the package @bide\/linux-\w+-\w+ is not installed/);
    assert.match(stderr, /npx bide build/);
    const told = succeed('npx', ['--no-install', 'bide', 'build', `--nodedir=${prefix}`]);
    assert.match(told, /^built .*bide\.node/);
    succeed(process.execPath, ['-e', 'require("bide").fs.stat(".")']);
    fs.rmSync(path.join(folder, 'node_modules'), { recursive: true });
  },
);

test('the packed packages run from CJS and ESM on every Node, by one addon', options, () => {
  install('bide-0', 'bide-linux');
  const addons = fs
    .readdirSync(path.join(folder, 'node_modules'), { recursive: true })
    .filter((name) => name.endsWith('.node'));
  assert.equal(addons.length, 1, String(addons));
  fs.writeFileSync(path.join(folder, 'a.mjs'), `${imports}\n${program}`);
  fs.writeFileSync(
    path.join(folder, 'a.cjs'),
    `const { backend, runInExecutor, fs } = require('bide');\n` +
      `const { statAll } = require('bide/fs');\n(async () => {${program}})();`,
  );
  for (const node of nodes) {
    for (const file of ['a.mjs', 'a.cjs']) assert.match(succeed(node, [file]), expected);
  }
});

test('TypeScript compiles against what was installed, strictly, and runs', options, () => {
  install('bide-0', 'bide-linux');
  fs.writeFileSync(
    path.join(folder, 'b.mts'),
    `${imports}\n${program}`.replace('(a, b)', '(a: number, b: number)'),
  );
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const types = path.join(root, 'node_modules', '@types');
  succeed(process.execPath, [
    ...[tsc, '--strict', '--target', 'es2022', '--module', 'nodenext'],
    ...['--lib', 'es2022,esnext.disposable', '--types', 'node', '--typeRoots', types, 'b.mts'],
  ]);
  for (const node of nodes) assert.match(succeed(node, ['b.mjs']), expected);
});

test('an installed package holds no script that npm would run, and no path of this machine', () => {
  const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  for (const name of manifest.files) assert.ok(fs.existsSync(path.join(root, name)), name);
  if (options.skip) return;
  const packed = JSON.parse(
    fs.readFileSync(path.join(archives, 'bide', 'package.json'), 'utf8'),
  );
  assert.equal(packed.scripts, undefined);
  assert.equal(packed.devDependencies, undefined);
  assert.equal(packed.gypfile, false);
  const platforms = Object.keys(packed.optionalDependencies);
  assert.ok(platforms.includes(`@bide/linux-${process.arch}-gnu`));
  for (const version of Object.values(packed.optionalDependencies)) {
    assert.equal(version, manifest.version);
  }
});
