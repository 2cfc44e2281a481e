// make bench-node: bide beside Node's own fs and the pools of others, on Node 20, 24 and 26,
// on io_uring and on the fallback.
//
// Node 24 and 26 come from the npm packages node-linux-*, into ~/.cache/bide, once; NODES, a
// list of programs with colons between, names others. QUICK=1 stays under a minute. Writes
// build/bench/node.json and node.svg and prints the table; PUBLISH=1 puts the figures into
// docs/performance-node.md and the README too.

import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { median } from './median.mjs'
import { print, printVerdict, publish, write } from './report.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const quick = process.env.QUICK === '1'
const rounds = quick ? 3 : 5
const milliseconds = quick ? 10 : 100
const treeFiles = quick ? 1_000 : 20_000
const versions = ['24.21.0', '26.10.0']

function installed(version) {
  const name = `node-linux-${process.arch}`
  const prefix = path.join(os.homedir(), '.cache', 'bide', `node-${version}`)
  const program = path.join(prefix, 'node_modules', name, 'bin', 'node')
  if (!fs.existsSync(program)) {
    fs.mkdirSync(prefix, { recursive: true })
    const args = [
      'install',
      '--prefix',
      prefix,
      '--no-audit',
      '--no-fund',
      `${name}@${version}`,
    ]
    execFileSync('npm', args, { stdio: 'inherit' })
  }
  return program
}

function nodes() {
  const named = (process.env.NODES ?? '').split(':').filter(Boolean)
  return named.length > 0 ? named : [process.execPath, ...versions.map(installed)]
}

// The addon of plain system calls, the same file for every Node.
function buildFloor(target) {
  const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)))
  const headers = path.join(prefix, 'include', 'node')
  const source = path.join(root, 'benchmarks', 'node', 'floor.c')
  const flags = ['-std=c11', '-O3', '-fPIC', '-shared', '-D_GNU_SOURCE', '-DNAPI_VERSION=9']
  const [command, ...first] = (process.env.CC || 'cc').split(' ')
  execFileSync(command, [...first, ...flags, `-I${headers}`, source, '-o', target])
  return target
}

// Folders of thirty files from 200 bytes to 30 KiB, as those of node_modules.
function makeTree(folder) {
  for (let i = 0; i < treeFiles; i++) {
    const group = Math.floor(i / 30)
    const below = path.join(folder, String(group % 37), String(group))
    fs.mkdirSync(below, { recursive: true })
    fs.writeFileSync(
      path.join(below, `${i}.js`),
      Buffer.alloc(200 + ((i * 7919) % 30_000), 'x'),
    )
  }
}

function run(program, backend, folder, tree, floor) {
  const { status, stdout, stderr } = spawnSync(
    program,
    [
      path.join(root, 'benchmarks', 'node', 'cases.mjs'),
      folder,
      rounds,
      milliseconds,
      tree,
      floor,
    ].map(String),
    { encoding: 'utf8', env: { ...process.env, BIDE_BACKEND: backend }, maxBuffer: 1 << 26 },
  )
  if (status !== 0) throw new Error(`${program} on ${backend}: ${stderr}`)
  const [about, ...slices] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  return { about, slices }
}

// One row a case: the medians of each contender, and what bide's is beside the others'.
function rowsOf({ about, slices }) {
  const rows = new Map()
  for (const slice of slices) {
    const key = `${slice.case} ${slice.inFlight}`
    if (!rows.has(key))
      rows.set(key, { case: slice.case, inFlight: slice.inFlight, slices: {} })
    ;(rows.get(key).slices[slice.contender] ??= []).push(slice)
  }
  return [...rows.values()].map((row) => {
    const medians = {}
    for (const [contender, each] of Object.entries(row.slices)) {
      medians[contender] = {
        rate: median(each.map(({ rate }) => rate)),
        cpu_us: median(each.map(({ cpu_us }) => cpu_us)),
      }
    }
    const ratios = {}
    for (const contender of Object.keys(medians)) {
      if (contender === 'bide') continue
      ratios[contender] = medians.bide.rate / medians[contender].rate
    }
    return { ...about, case: row.case, inFlight: row.inFlight, medians, ratios }
  })
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bide-bench-'))
try {
  const tree = path.join(folder, 'tree')
  makeTree(tree)
  const floor = buildFloor(path.join(folder, 'floor.node'))
  const rows = []
  const programs = nodes()
  for (const program of programs) {
    // The fallback takes as long again: the quick run looks at it on the newest alone.
    const both = !quick || program === programs.at(-1)
    for (const backend of both ? ['io_uring', 'epoll'] : ['io_uring']) {
      rows.push(...rowsOf(run(program, backend, folder, tree, floor)))
    }
  }
  print(rows)
  printVerdict(rows)
  const machine = {
    date: new Date().toISOString(),
    kernel: os.release(),
    processors: os.cpus().length,
    model: os.cpus()[0].model.trim(),
  }
  const target = path.join(root, 'build', 'bench')
  write(target, machine, rows)
  console.log(`\nas JSON and SVG in ${target}`)
  if (process.env.PUBLISH === '1') publish(root, machine, rows)
} finally {
  fs.rmSync(folder, { recursive: true, force: true })
}
