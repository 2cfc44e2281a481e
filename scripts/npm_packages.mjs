// Packs what npm installs: bide itself, without an addon, and one package for each platform
// with nothing but the addon in it, which npm chooses among by os, cpu and libc. No package
// runs a script when it is installed.
//
//   node scripts/npm_packages.mjs [TARGET ...]
//
// A TARGET is linux-x64-gnu, linux-x64-musl, linux-arm64-gnu or linux-arm64-musl; without any
// it is the machine's own. For another than that ZIG names the compiler, such as
// "python3 -m ziglang". The archives come to build/npm.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { build } = createRequire(import.meta.url)('../node/build.js');
const folder = path.join(root, 'build', 'npm');
const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));

const triples = {
  'linux-x64-gnu': 'x86_64-linux-gnu.2.28',
  'linux-x64-musl': 'x86_64-linux-musl',
  'linux-arm64-gnu': 'aarch64-linux-gnu.2.28',
  'linux-arm64-musl': 'aarch64-linux-musl',
};

function ownTarget() {
  const { glibcVersionRuntime } = process.report.getReport().header;
  return `linux-${process.arch}-${glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`;
}

function compilerFor(target) {
  if (target === ownTarget()) return process.env.CC || 'cc';
  if (process.env.ZIG) return `${process.env.ZIG} cc -target ${triples[target]}`;
  throw new Error(`for ${target} on ${ownTarget()} name a compiler: ZIG="python3 -m ziglang"`);
}

function writeManifest(to, contents) {
  fs.mkdirSync(to, { recursive: true });
  fs.writeFileSync(path.join(to, 'package.json'), `${JSON.stringify(contents, null, 2)}\n`);
}

function pack(from) {
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--pack-destination', folder], {
      cwd: from,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  console.log(`packed ${path.relative(root, path.join(folder, filename))}`);
}

function packAddon(target) {
  const [os, cpu, libc] = target.split('-');
  const stage = path.join(folder, target);
  const { version, license, engines } = manifest;
  writeManifest(stage, {
    name: `@bide/${target}`,
    version,
    description: `The addon of bide for ${os} on ${cpu} with ${libc === 'gnu' ? 'glibc' : libc}`,
    license,
    engines,
    os: [os],
    cpu: [cpu],
    libc: [libc === 'gnu' ? 'glibc' : libc],
    main: 'bide.node',
    files: ['bide.node'],
  });
  build({
    target: path.join(stage, 'bide.node'),
    compiler: compilerFor(target),
    nodedir: process.env.npm_config_nodedir,
  });
  fs.copyFileSync(path.join(root, 'LICENSE'), path.join(stage, 'LICENSE'));
  pack(stage);
}

function packMain() {
  const stage = path.join(folder, 'bide');
  const { devDependencies, scripts, ...published } = manifest;
  const targets = Object.keys(triples).map((target) => [`@bide/${target}`, manifest.version]);
  writeManifest(stage, { ...published, optionalDependencies: Object.fromEntries(targets) });
  for (const name of [...manifest.files, 'LICENSE', 'README.md', 'docs/node.md']) {
    fs.cpSync(path.join(root, name), path.join(stage, name), { recursive: true });
  }
  pack(stage);
}

const targets = process.argv.slice(2);
for (const target of targets) {
  if (!Object.hasOwn(triples, target)) throw new Error(`no such target: ${target}`);
}
fs.rmSync(folder, { recursive: true, force: true });
packMain();
(targets.length > 0 ? targets : [ownTarget()]).forEach(packAddon);
