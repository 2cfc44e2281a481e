// Every case on the Node that runs this, its contenders in turn, round by round, in one
// process: all of them meet the same heap and the same page cache.
//
//   node benchmarks/node/cases.mjs FOLDER ROUNDS MILLISECONDS TREE FLOOR
//
// FLOOR is the addon of floor.c. Prints a JSON line for each slice: {"case", "contender",
// "round", "rate", "cpu_us"}; the CPU is that of all threads of the process, an operation's
// share.

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import fsp from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import bide from 'bide'
import { executors } from './executors.mjs'
import { median } from './median.mjs'

const [folder, rounds, milliseconds, tree, floor] = process.argv.slice(2)
const plainCalls = createRequire(import.meta.url)(floor)
const none = () => {}
const quick = process.env.QUICK === '1'
const warmMs = quick ? 15 : 30

function fileOf(size) {
  const file = join(folder, String(size))
  fs.writeFileSync(file, Buffer.alloc(size, 'x'))
  return file
}

// As many under way as asked for. The result counts what has ended within the slice.
async function slice(call, inFlight, ms = Number(milliseconds)) {
  let count = 0
  const cpu = process.cpuUsage()
  const started = performance.now()
  const end = started + ms
  const one = async () => {
    do {
      await call()
      count++
    } while (performance.now() < end)
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  const seconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { rate: count / seconds, cpu_us: (user + system) / count }
}

// Whether the first two are so near each other that chance could turn them round.
function isClose([bide, rival], rates) {
  const ratio = median(rates[bide]) / median(rates[rival])
  return ratio > 0.8 && ratio < 1.2
}

async function compare(name, inFlight, contenders, options = {}) {
  const { warmInFlight = Math.max(inFlight, 16), ms } = options
  const names = Object.keys(contenders)
  // Warm: the compiler, the caches, and threads that start as work comes.
  for (const each of names) await slice(contenders[each], warmInFlight, warmMs)
  const rates = Object.fromEntries(names.map((each) => [each, []]))
  for (let round = 0; round < 3 * rounds; round++) {
    if (round === Number(rounds) && (quick || !isClose(names, rates))) return
    for (const contender of round % 2 ? [...names].reverse() : names) {
      const found = await slice(contenders[contender], inFlight, ms)
      rates[contender].push(found.rate)
      console.log(JSON.stringify({ case: name, inFlight, contender, round, ...found }))
    }
  }
}

// ---- files ----

const callbacks = {
  readFile: promisify(fs.readFile),
  stat: promisify(fs.stat),
  open: promisify(fs.open),
  close: promisify(fs.close),
  read: promisify(fs.read),
}

// What one processor could do if it had nothing else to do: see floor.c.
async function readPlainly(file, size) {
  const contents = Buffer.allocUnsafeSlow(size)
  plainCalls.readFile(file, contents)
  return contents
}

// Long enough that at 4 GB/s each of those in flight comes round four times: of a shorter
// slice most is its first wave, which pays for the memory that another contender has left.
function msOfReads(size, inFlight) {
  return Math.max(Number(milliseconds), quick ? 0 : (4 * inFlight * size) / 4e6)
}

async function reads() {
  for (const [label, size] of [
    ['4 KiB', 4096],
    ['64 KiB', 65536],
    ['1 MiB', 1 << 20],
  ]) {
    const file = fileOf(size)
    const contenders = {
      bide: () => bide.fs.readFile(file),
      'fs.promises': () => fsp.readFile(file),
      fs: () => callbacks.readFile(file),
      'plain calls': () => readPlainly(file, size),
    }
    for (const inFlight of [1, 64, 256]) {
      const ms = msOfReads(size, inFlight)
      await compare(`readFile ${label}`, inFlight, contenders, { ms })
    }
  }
  const file = fileOf(65536)
  const free = Array.from({ length: 64 }, () => bide.fs.allocate(65536))
  await compare('readFile 64 KiB, pooled', 64, {
    bide: async () => {
      const buffer = free.pop()
      await bide.fs.readFile(file, { buffer })
      free.push(buffer)
    },
    'fs.promises': () => fsp.readFile(file),
  })
}

async function single() {
  const file = fileOf(4096)
  const handles = [await bide.fs.open(file), await fsp.open(file)]
  const { fd } = handles[1]
  const buffers = Array.from({ length: 256 }, () => Buffer.alloc(4096))
  let next = 0
  const buffer = () => buffers[next++ & 255]
  const openAndClose = (library) => async () => (await library.open(file)).close()
  for (const inFlight of [1, 64, 256]) {
    await compare('stat', inFlight, {
      bide: () => bide.fs.stat(file),
      'fs.promises': () => fsp.stat(file),
      fs: () => callbacks.stat(file),
    })
    await compare('open and close', inFlight, {
      bide: openAndClose(bide.fs),
      'fs.promises': openAndClose(fsp),
      fs: async () => callbacks.close(await callbacks.open(file)),
    })
    await compare('pread 4 KiB', inFlight, {
      bide: () => handles[0].read(buffer(), 0, 4096, 0),
      'fs.promises': () => handles[1].read(buffer(), 0, 4096, 0),
      fs: () => callbacks.read(fd, buffer(), 0, 4096, 0),
    })
  }
  await Promise.all(handles.map((handle) => handle.close()))
}

async function writes() {
  const bytes = Buffer.alloc(4096, 'w')
  let next = 0
  const file = () => join(folder, `written-${next++ & 63}`)
  for (const [label, flush] of [
    ['', false],
    [' and fsync', true],
  ]) {
    await compare(`writeFile 4 KiB${label}`, 16, {
      bide: () => bide.fs.writeFile(file(), bytes, { flush }),
      'fs.promises': () => fsp.writeFile(file(), bytes, { flush }),
    })
  }
}

// ---- a tree, walked, stat'ed and hashed ----

// Every file's size and digest, and one digest of them all.
async function hashFiles(files, digestOf) {
  files.sort((a, b) => (a.path < b.path ? -1 : 1))
  const digests = new Array(files.length)
  let next = 0
  const one = async () => {
    for (let at = next++; at < files.length; at = next++)
      digests[at] = await digestOf(files[at].path)
  }
  await Promise.all(Array.from({ length: 64 }, one))
  const hash = createHash('sha1')
  files.forEach(({ path, bytes }, i) => hash.update(`${path} ${bytes}`).update(digests[i]))
  return hash.digest('hex')
}

const { native, runInExecutor } = bide

async function byBide() {
  const files = await runInExecutor(null, native.listTree, tree)
  return hashFiles(
    files,
    async (path) => (await runInExecutor(null, native.hashFile, path, 'sha1')).digest,
  )
}

async function byNode() {
  const entries = await fsp.readdir(tree, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  const files = await Promise.all(
    paths.map(async (path) => ({ path, bytes: (await fsp.stat(path)).size })),
  )
  return hashFiles(files, async (path) =>
    createHash('sha1')
      .update(await fsp.readFile(path))
      .digest(),
  )
}

const walkers = { bide: byBide, 'fs.promises': byNode }

async function walks() {
  const found = new Set()
  for (const walk of Object.values(walkers)) found.add(await walk())
  if (found.size !== 1) throw new Error('the contenders found different trees')
  await compare('tree: walk, stat, hash', 1, walkers, { warmInFlight: 1 })
}

// ---- executors ----

async function offloads() {
  // 1,024 calls of a millisecond take half a second, however short a slice is to be.
  const slow = quick ? [1, 64] : [1, 64, 1024]
  const rows = [
    ['trivial', 'run trivial', [1, 64, 1024]],
    ['oneMillisecond', 'run 1 ms', slow],
    ['length', 'run, 1 MiB moved', slow],
  ]
  for (const [name, label, counts] of rows) {
    const { contenders, close } = executors(name)
    for (const inFlight of counts) await compare(label, inFlight, contenders)
    await close().catch(none)
  }
}

console.log(JSON.stringify({ backend: bide.backend, node: process.version }))
await reads()
await single()
await writes()
await walks()
await offloads()
