// Runs Node's own tests on Node and beside it with bide in the place of fs/promises.
//
//   node tests/compat/node/compare.mjs FOLDER [--backends io_uring,epoll] [--only TEXT]
//
// FOLDER is a checkout of Node's test tree, the one with test/parallel in it. The Node that
// runs this runs the tests. A file that fails with bide and passes without is run twice more
// by itself: what passes then is called flaky, the rest are new failures, unless
// expected.json has a reason. The results are kept in docs/results/node.json, a row for each
// version and backend, and shown in node.md. The exit code is 0 only without new failures.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const root = path.resolve(here, '../../..');
const results = path.join(root, 'docs', 'results');
const jobs = 2;
const limitMs = 60_000;
const reruns = 2;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    backends: { type: 'string', default: 'io_uring,epoll' },
    only: { type: 'string', default: '' },
  },
});
if (positionals.length !== 1) {
  console.error('compare.mjs: name the folder of the tests: make compat-node NODE_SRC=folder');
  process.exit(2);
}
const tree = path.resolve(positionals[0]);
const parallel = path.join(tree, 'test', 'parallel');

// ---- the tests ----

const named = /^test-(fs-promises|filehandle|fs-filehandle|timers|worker)/;

// Those by name, and those of fs that use its promises.
function isOurs(name) {
  if (!/\.m?js$/.test(name) || !name.includes(values.only)) return false;
  if (named.test(name)) return true;
  if (!name.startsWith('test-fs-')) return false;
  return /promises/.test(fs.readFileSync(path.join(parallel, name), 'utf8'));
}

function flagsOf(name) {
  const text = fs.readFileSync(path.join(parallel, name), 'utf8');
  const line = /^\/\/ Flags: (.*)$/m.exec(text);
  return line === null ? [] : line[1].trim().split(/\s+/);
}

function commitOf() {
  if (process.env.NODE_SRC_COMMIT) return process.env.NODE_SRC_COMMIT;
  const [commit] = execFileSync('git', ['-C', tree, 'rev-parse', 'HEAD'], {
    encoding: 'utf8',
  }).split('\n');
  return commit;
}

// ---- a run ----

// From 25 on Node warns whoever looks at all globals, as every test does: what then counts
// warnings or reads stderr fails.
const options = process.allowedNodeEnvironmentFlags.has('--webstorage')
  ? '--no-webstorage'
  : '';

function kill(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

// 'passed', 'skipped', or the end of what it said.
function outcomeOf(code, signal, output) {
  if (code === 0) return /^1\.\.0 # Skipped/m.test(output) ? 'skipped' : 'passed';
  const lines = output.trim().split('\n');
  const told = lines.find((line) => /Error\b|Assertion/.test(line)) ?? lines.at(-1);
  return `failed: ${signal ?? `code ${code}`}: ${told.trim().slice(0, 160)}`;
}

function run(name, backend, job) {
  const preload = backend === 'node' ? [] : ['--require', path.join(here, 'preload.cjs')];
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'bide-compat-node-'));
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [...flagsOf(name), ...preload, path.join(parallel, name)],
      {
        cwd: path.join(tree, 'test'),
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...process.env,
          BIDE_BACKEND: backend === 'node' ? 'auto' : backend,
          NODE_TEST_DIR: scratch,
          TEST_THREAD_ID: String(job),
          NODE_OPTIONS: options,
        },
      },
    );
    let output = '';
    const add = (bytes) => {
      output += bytes;
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    const timer = setTimeout(() => kill(child), limitMs);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      kill(child);
      fs.rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
      resolve(outcomeOf(code, signal, output));
    });
  });
}

async function runAll(names, backend) {
  const outcomes = {};
  let next = 0;
  const worker = async (_, job) => {
    while (next < names.length) {
      const name = names[next++];
      outcomes[name] = await run(name, backend, job);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return outcomes;
}

// ---- what it comes to ----

const failed = (outcome) => outcome.startsWith('failed');
const count = (outcomes, kind) =>
  Object.values(outcomes).filter((outcome) => outcome.startsWith(kind)).length;

function reasonFor(name, reasons) {
  return reasons[name]?.[process.versions.node.split('.')[0]] ?? reasons[name]?.all;
}

async function judge(outcomes, reference, backend) {
  const reasons = JSON.parse(fs.readFileSync(path.join(here, 'expected.json'), 'utf8'));
  const row = { explained: {}, flaky: {}, new: {} };
  for (const [name, outcome] of Object.entries(outcomes)) {
    if (!failed(outcome) || failed(reference[name])) continue;
    const reason = reasonFor(name, reasons);
    if (reason !== undefined) {
      row.explained[name] = reason;
      continue;
    }
    let last = outcome;
    for (let i = 0; i < reruns && failed(last); i++) last = await run(name, backend, 0);
    row[failed(last) ? 'new' : 'flaky'][name] = outcome;
  }
  return row;
}

function versionOf(file, pattern) {
  return pattern.exec(fs.readFileSync(file, 'utf8'))?.[1];
}

// Of the Node that the tests are of. denoland/node_test tells it in one of two files.
function testsVersion() {
  for (const [name, pattern] of [
    ['node_version.ts', /version = "(.*?)"/],
    ['vendor.ts', /tag = "v(.*?)"/],
  ]) {
    const file = path.join(tree, name);
    const version = fs.existsSync(file) ? versionOf(file, pattern) : undefined;
    if (version !== undefined) return version;
  }
  return 'unknown';
}

function page(rows) {
  const lines = [
    '# Node',
    '',
    "Node's own tests of fs/promises, file handles, timers and workers, each on Node and with",
    "bide's functions in the place of `fs/promises` (`make compat-node`). A new failure fails",
    'with bide, fails again by itself, and does not fail on Node. The tests are those of',
    'denoland/node_test, which keeps one tree at a time: where its version is not that of the',
    'Node, the newest that it had before it (25.8.1 for Node 26, whose own tree it never had), so',
    'that some tests fail on Node itself; what Node 26 has that they do not know is tried by',
    '`tests/node` alone.',
    '',
    '| Node | tests of, commit | with | passed | failed | skipped | new | explained | flaky |',
    '|---|---|---|---|---|---|---|---|---|',
  ];
  for (const row of rows) {
    const { node, commit, backend, passed, skipped } = row;
    const more =
      row.new === undefined
        ? ' | | '
        : ['new', 'explained', 'flaky']
            .map((kind) => Object.keys(row[kind]).length)
            .join(' | ');
    const library = backend === 'node' ? 'Node alone' : `bide, ${backend}`;
    const tests = `${row.tests}, ${commit.slice(0, 10)}`;
    lines.push(
      `| ${node} | ${tests} | ${library} | ${passed} | ${row.failed} | ${skipped} | ${more} |`,
    );
  }
  for (const row of rows) {
    for (const kind of ['new', 'explained', 'flaky']) {
      for (const [name, reason] of Object.entries(row[kind] ?? {})) {
        if (lines.at(-1).startsWith('|')) lines.push('');
        lines.push(`- ${row.node}, ${row.backend}, ${kind}: \`${name}\`: ${reason}`);
      }
    }
  }
  return `${lines.join('\n')}\n`;
}

function keep(rows) {
  const file = path.join(results, 'node.json');
  const before = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : [];
  const key = ({ node, backend }) => `${node} ${backend}`;
  const mine = new Set(rows.map(key));
  const all = [...before.filter((row) => !mine.has(key(row))), ...rows];
  const order = ['node', 'io_uring', 'epoll', 'auto'];
  const place = ({ node, backend }) => 10 * Number.parseInt(node, 10) + order.indexOf(backend);
  all.sort((a, b) => place(a) - place(b));
  fs.writeFileSync(file, `${JSON.stringify(all, null, 1)}\n`);
  fs.writeFileSync(path.join(results, 'node.md'), page(all));
}

const names = fs.readdirSync(parallel).filter(isOurs);
const about = {
  node: process.versions.node,
  commit: commitOf(),
  tests: testsVersion(),
  bide: versionOf(path.join(root, 'package.json'), /"version": "(.*?)"/),
  date: new Date().toISOString().slice(0, 10),
};
const reference = await runAll(names, 'node');
const counts = (outcomes) => ({
  passed: count(outcomes, 'passed'),
  failed: count(outcomes, 'failed'),
  skipped: count(outcomes, 'skipped'),
});
const onlyFailed = (outcomes) =>
  Object.fromEntries(Object.entries(outcomes).filter(([, outcome]) => failed(outcome)));
const rows = [
  { ...about, backend: 'node', ...counts(reference), failures: onlyFailed(reference) },
];
let newFailures = 0;
for (const backend of values.backends.split(',')) {
  const outcomes = await runAll(names, backend);
  const row = await judge(outcomes, reference, backend);
  rows.push({
    ...about,
    backend,
    ...counts(outcomes),
    ...row,
    failures: onlyFailed(outcomes),
  });
  newFailures += Object.keys(row.new).length;
  console.log(`Node ${about.node}, ${backend}:`, counts(outcomes), row);
}
if (values.only === '') keep(rows);
process.exitCode = newFailures > 0 ? 1 : 0;
