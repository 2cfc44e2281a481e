'use strict';
// Builds the addon for the Node that runs this, or for another machine: one call of a C
// compiler. The headers are those of an installed Node; nothing is downloaded.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.dirname(__dirname);
const ownPrefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)));

class BuildError extends Error {}

function sources() {
  const folder = path.join(root, 'bindings', 'node');
  const glue = fs.readdirSync(folder).filter((name) => name.endsWith('.c'));
  return [
    path.join(root, 'core', 'src', 'lib.c'),
    ...glue.map((name) => path.join(folder, name)),
  ];
}

// The folder of node_api.h and uv.h.
function headersIn(nodedir) {
  const folder = path.join(nodedir ?? ownPrefix, 'include', 'node');
  for (const header of ['node_api.h', 'uv.h']) {
    const file = path.join(folder, header);
    if (fs.existsSync(file)) continue;
    throw new BuildError(
      `${file} is missing: install the headers of Node ${process.version} (its own archive ` +
        'has them; Debian calls them libnode-dev), or name where they are with --nodedir',
    );
  }
  return folder;
}

function compile(compiler, args) {
  const [command, ...first] = compiler.split(' ');
  const { error, status, stderr } = spawnSync(command, [...first, ...args], {
    encoding: 'utf8',
  });
  if (error !== undefined) {
    throw new BuildError(
      `${command} is missing: install a C compiler (apt-get install gcc), or name one in CC`,
    );
  }
  process.stderr.write(stderr);
  if (status !== 0) throw new BuildError(`${command} failed`);
}

// Node-API 9 is what Node 20 has, and all that came after it.
function build({ target, nodedir, compiler = process.env.CC || 'cc' }) {
  if (process.platform !== 'linux') throw new BuildError('bide is for Linux');
  const built = `${target}.new`;
  const headers = headersIn(nodedir);
  fs.mkdirSync(path.dirname(target), { recursive: true });
  compile(compiler, [
    ...['-std=c11', '-O3', '-fPIC', '-shared', '-pthread', '-fvisibility=hidden'],
    ...['-Wall', '-Wextra', '-DNDEBUG', '-D_GNU_SOURCE', '-DBIDE_EMBEDDED', '-DNAPI_VERSION=9'],
    `-I${path.join(root, 'core', 'include')}`,
    `-I${headers}`,
    ...sources(),
    '-o',
    built,
  ]);
  // A process that has the old addon loaded keeps its file: the new one takes only the name.
  fs.renameSync(built, target);
}

function newestOf(folder) {
  const times = fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => fs.statSync(path.join(entry.parentPath ?? entry.path, entry.name)).mtimeMs);
  return Math.max(...times);
}

// That nothing it is made of is newer.
function isFresh(target) {
  const made = fs.statSync(target, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const folders = ['core', path.join('bindings', 'node')].map((name) => path.join(root, name));
  const newest = Math.max(fs.statSync(__filename).mtimeMs, ...folders.map(newestOf));
  return made > newest;
}

module.exports = { BuildError, build, isFresh };
