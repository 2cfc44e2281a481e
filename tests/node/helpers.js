'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '../..');

// A fresh folder that goes with the test.
function folderFor(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bide-node-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

// Runs a program in a process of its own: { code, signal, stdout, stderr }.
function run(command, args, { env, timeoutMs = 60_000, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined, ...env },
      ...options,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (bytes) => {
      stdout += bytes;
    });
    child.stderr.on('data', (bytes) => {
      stderr += bytes;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

// `program` is the body of an async function that has `bide` and `require`.
function runProgram(program, { nodeArgs = [], ...options } = {}) {
  const source = `const bide = require(${JSON.stringify(root)});
    (async () => {${program}})();`;
  return run(process.execPath, [...nodeArgs, '-e', source], options);
}

function openDescriptors() {
  return fs.readdirSync('/proc/self/fd').length;
}

// Errors compared as a user can tell them apart; the stack's lines are each library's own.
function describeError(error) {
  return {
    class: Object.getPrototypeOf(error)?.constructor?.name,
    name: error.name,
    message: error.message,
    fields: { ...error },
    keys: Object.keys(error),
    text: String(error),
  };
}

async function rejectionOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('the promise was expected to reject');
}

// Every file below a folder, in a stable order.
function filesBelow(folder) {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

module.exports = {
  root,
  folderFor,
  run,
  runProgram,
  openDescriptors,
  describeError,
  rejectionOf,
  filesBelow,
};
