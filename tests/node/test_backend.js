'use strict';
// If these fail, a container that refuses io_uring takes bide down with it, or an operator
// cannot tell, or choose, what a process waits on.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { test } = require('node:test');
const bide = require('../..');
const { run, runProgram, root } = require('./helpers.js');

const wanted = process.env.BIDE_BACKEND ?? 'auto';
const program = `
  const read = await bide.fs.readFile('package.json', 'utf8');
  const { size } = await bide.fs.stat('package.json');
  const sum = await bide.runInExecutor(null, (a, b) => a + b, 1, 2);
  console.log(JSON.stringify([bide.backend, bide.backendReason, read.length === size, sum]));
`;

test('backend, backendReason and version say what serves', () => {
  assert.match(bide.version, /^\d+\.\d+\.\d+$/);
  assert.ok(['io_uring', 'epoll'].includes(bide.backend));
  if (wanted !== 'auto') assert.equal(bide.backend, wanted);
  assert.ok(bide.backendReason.length > 0);
});

test('BIDE_BACKEND chooses, and a value that is none is named', async () => {
  const epoll = await runProgram(program, { env: { BIDE_BACKEND: 'epoll' } });
  const [backend, reason, same, sum] = JSON.parse(epoll.stdout);
  assert.deepEqual([backend, same, sum], ['epoll', true, 3]);
  assert.match(reason, /BIDE_BACKEND/);

  const wrong = await runProgram('', { env: { BIDE_BACKEND: 'kqueue' } });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /BIDE_BACKEND must be auto, io_uring or epoll/);
});

const strace = spawnSync('strace', ['-V']).status === 0;

for (const errno of ['EPERM', 'ENOSYS', 'ENOMEM']) {
  const options = { skip: strace ? false : 'strace is missing: apt-get install strace' };
  test(`a ring refused with ${errno} falls back to epoll and says why`, options, async () => {
    const source = `const bide = require(${JSON.stringify(root)}); (async () => {${program}})();`;
    const trace = [
      '-f',
      '-qq',
      '-e',
      'trace=io_uring_setup',
      '-e',
      `inject=io_uring_setup:error=${errno}`,
    ];
    const auto = await run('strace', [...trace, process.execPath, '-e', source], {
      env: { BIDE_BACKEND: 'auto' },
    });
    assert.equal(auto.code, 0, auto.stderr);
    const [backend, reason, same, sum] = JSON.parse(auto.stdout);
    assert.deepEqual([backend, same, sum], ['epoll', true, 3]);
    assert.match(reason, new RegExp(errno));

    const demanded = await run('strace', [...trace, process.execPath, '-e', source], {
      env: { BIDE_BACKEND: 'io_uring' },
    });
    assert.equal(demanded.code, 1);
    assert.match(demanded.stderr, new RegExp(`bide cannot make its loop: ${errno}`));
  });
}
