'use strict';
// Builds the addon: node-gyp in build/node, where its output does not meet CMake's, the
// result in build/bide.node. The headers are those of the Node that runs this: nothing is
// downloaded.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.dirname(__dirname);
const folder = path.join(root, 'build', 'node');
const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)));

function stop(message) {
  console.error(`bide: ${message}`);
  process.exit(1);
}

function need(command, advice) {
  const { error } = spawnSync(command, ['--version'], { stdio: 'ignore' });
  if (error) stop(`${command} is missing: ${advice}`);
}

function findNodeGyp() {
  try {
    return require.resolve('node-gyp/bin/node-gyp.js');
  } catch {
    return stop('node-gyp is missing: run "npm ci" in the checkout');
  }
}

function run(...args) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [findNodeGyp(), ...args, '-C', folder, `--nodedir=${prefix}`, '--loglevel=error'],
    { encoding: 'utf8' },
  );
  if (status !== 0) {
    process.stderr.write(stdout + stderr);
    stop(`node-gyp ${args[0]} failed`);
  }
  process.stderr.write(stderr);
}

function check() {
  if (process.platform !== 'linux') stop('bide is for Linux');
  for (const header of ['node_api.h', 'uv.h']) {
    const file = path.join(prefix, 'include', 'node', header);
    if (!fs.existsSync(file)) {
      stop(
        `${file} is missing: install the headers of Node ${process.version} ` +
          '(its own archive has them; Debian calls them libnode-dev)',
      );
    }
  }
  need('make', 'install it (apt-get install make)');
  need(process.env.CC || 'cc', 'install a C compiler (apt-get install gcc)');
  need(process.env.PYTHON || 'python3', 'node-gyp needs it (apt-get install python3)');
}

// The makefile is made anew when what it depends on has changed: the targets, this file,
// or the Node whose headers it names.
function configure() {
  const stamp = path.join(folder, 'configured.json');
  const inputs = ['binding.gyp', 'node/build.js', 'package-lock.json'];
  const wanted = JSON.stringify([
    process.version,
    prefix,
    ...inputs.map(
      (name) => fs.statSync(path.join(root, name), { throwIfNoEntry: false })?.mtimeMs,
    ),
  ]);
  const makefile = path.join(folder, 'build', 'Makefile');
  const configured = fs.existsSync(makefile) && fs.existsSync(stamp);
  if (configured && fs.readFileSync(stamp, 'utf8') === wanted) return;
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'binding.gyp'), "{'includes': ['../../binding.gyp']}\n");
  run('configure');
  fs.writeFileSync(stamp, wanted);
}

// A process that has the old addon loaded keeps its file: the new one takes only the name.
function publish() {
  const built = path.join(folder, 'build', 'Release', 'bide.node');
  const target = path.join(root, 'build', 'bide.node');
  if (fs.existsSync(target) && fs.readFileSync(target).equals(fs.readFileSync(built))) return;
  fs.copyFileSync(built, `${target}.new`);
  fs.renameSync(`${target}.new`, target);
  console.log(`built ${path.relative(process.cwd(), target)}`);
}

check();
configure();
run('build');
publish();
