// Reads every file under a folder through one contender after the other, round by round, in
// one process, so that all of them meet the same heap and the same page cache.
//
//   node benchmarks/node/files.mjs FOLDER ROUNDS SECONDS
//
// Prints a JSON line for each slice: {"round", "contender", "files", "bytes", "seconds",
// "cpu_s"}; the CPU is that of all of the process's threads.

import { readdirSync } from 'node:fs'
import fs from 'node:fs/promises'
import { join } from 'node:path'
import bide from 'bide'

const IN_FLIGHT = 64

const [folder, rounds, seconds] = process.argv.slice(2)
const contenders = { 'bide.fs': bide.fs.readFile, 'fs.promises': fs.readFile }

const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name))

// One pass over all files, IN_FLIGHT at a time. Returns how many bytes there were.
async function readAll(readFile) {
  let next = 0
  let bytes = 0
  async function reader() {
    while (next < paths.length) {
      const { length } = await readFile(paths[next++])
      bytes += length // not in one line: `bytes +=` would take bytes before the await
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, reader))
  return bytes
}

async function slice(readFile) {
  const cpu = process.cpuUsage()
  const started = performance.now()
  let passes = 0
  let bytes = 0
  do {
    bytes += await readAll(readFile)
    passes++
  } while (performance.now() - started < seconds * 1000)
  const { user, system } = process.cpuUsage(cpu)
  return {
    files: passes * paths.length,
    bytes,
    seconds: (performance.now() - started) / 1000,
    cpu_s: (user + system) / 1e6,
  }
}

// Warm: the page cache, the compiler; and both must have read the same.
const sizes = new Set()
for (const readFile of Object.values(contenders)) sizes.add(await readAll(readFile))
if (sizes.size !== 1) throw new Error(`the contenders read differently: ${[...sizes]} bytes`)

const names = Object.keys(contenders)
for (let round = 0; round < rounds; round++) {
  for (const name of round % 2 ? [...names].reverse() : names) {
    const found = await slice(contenders[name])
    console.log(JSON.stringify({ round, contender: name, ...found }))
  }
}
