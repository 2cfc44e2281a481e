'use strict';
// If these fail, a process that starts and ends workers grows for ever, or touches memory
// that is no longer its own. They build the addon once more, with the address sanitizer.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test, before, after } = require('node:test');
const os = require('node:os');
const { root, run } = require('./helpers.js');

const compiler = process.env.CC ?? 'cc';
const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)));

// The path of a runtime of the compiler's; undefined when it is not installed.
function runtime(name) {
  const { stdout } = spawnSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' });
  return path.isAbsolute(stdout?.trim() ?? '') ? stdout.trim() : undefined;
}

const runtimes = ['libasan.so', 'libubsan.so'].map(runtime);
const options = runtimes.includes(undefined)
  ? { skip: `${compiler} has no shared libasan and libubsan` }
  : {};
let folder;

before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bide-node-asan-'));
  if (options.skip !== undefined) return;
  fs.cpSync(path.join(root, 'node'), path.join(folder, 'node'), { recursive: true });
  fs.copyFileSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
  fs.mkdirSync(path.join(folder, 'build'));
  const glue = path.join(root, 'bindings', 'node');
  const sources = fs
    .readdirSync(glue)
    .filter((name) => name.endsWith('.c'))
    .map((name) => path.join(glue, name));
  const built = spawnSync(
    compiler,
    [
      '-g',
      '-O1',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=undefined',
      '-fPIC',
      '-shared',
      '-std=c11',
      '-fvisibility=hidden',
      '-pthread',
      '-DBIDE_EMBEDDED',
      '-D_GNU_SOURCE',
      '-DNAPI_VERSION=9',
      `-I${path.join(root, 'core', 'include')}`,
      `-I${path.join(prefix, 'include', 'node')}`,
      path.join(root, 'core', 'src', 'lib.c'),
      ...sources,
      '-o',
      path.join(folder, 'build', 'bide.node'),
    ],
    { encoding: 'utf8' },
  );
  assert.equal(built.status, 0, built.stderr);
});

after(() => fs.rmSync(folder, { recursive: true, force: true }));

test(
  'everything, and workers ended in the midst of it, leaves nothing behind',
  options,
  async () => {
    // 24 bytes of the OpenSSL that is part of Node 26, and what Node 24 keeps of each script
    // that was compiled in a thread which has ended.
    const known = path.join(folder, 'known_leaks');
    fs.writeFileSync(
      known,
      'leak:ossl_load_builtin_compressions\nleak:node::contextify::ContextifyScript::New\n',
    );
    const { code, signal, stderr } = await run(
      process.execPath,
      [path.join(__dirname, 'fixtures', 'everything.js'), folder],
      {
        env: {
          LD_PRELOAD: runtimes.join(' '),
          ASAN_OPTIONS: 'detect_leaks=1',
          LSAN_OPTIONS: `suppressions=${known}:print_suppressions=0`,
        },
        timeoutMs: 180_000,
      },
    );
    assert.deepEqual([code, signal, stderr], [0, null, '']);
  },
);
