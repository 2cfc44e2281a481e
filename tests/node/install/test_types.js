'use strict';
// If this fails, a TypeScript program that does what the docs say does not compile, or one
// that does what bide refuses compiles.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { root, run } = require('../helpers.js');

test('the types hold what the package does, under --strict', async () => {
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const fixtures = ['program.mts', 'program.cts'].map((name) =>
    path.join(__dirname, '..', 'fixtures', name),
  );
  const { code, stdout } = await run(
    process.execPath,
    [
      tsc,
      '--strict',
      '--noEmit',
      '--target',
      'es2022',
      '--module',
      'nodenext',
      '--lib',
      'es2022,esnext.disposable',
      '--types',
      'node',
      '--exactOptionalPropertyTypes',
      ...fixtures,
    ],
    { timeoutMs: 120_000 },
  );
  assert.equal(stdout, '');
  assert.equal(code, 0);
});
