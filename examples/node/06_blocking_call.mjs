// A call that blocks its thread blocks the loop, and with it everybody: no reply is read
// until it returns. The repair is to run it on another thread and to await its end.

import { setTimeout as sleep } from 'node:timers/promises'
import bide from 'bide'
import { fetchJson, stopwatch } from './fetch.mjs'

// Stands for a password hash, a parser, a synchronous driver. It goes to the worker as its
// source text, so that all it needs must be inside it.
function slowQuery() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  return 42
}

// Asks the server for a sign of life over and over, and remembers the longest time that
// went by without one. Ends with the reply after `stop`.
class Heartbeat {
  longestMs = 0
  stop = false

  async run() {
    let watch = stopwatch()
    while (!this.stop) {
      await fetchJson('/ping?delay_ms=10')
      this.longestMs = Math.max(this.longestMs, watch.ms)
      watch = stopwatch()
    }
  }
}

// The heartbeat's longest silence while `await query()` runs, and the query's result.
async function silenceDuring(query) {
  const heartbeat = new Heartbeat()
  const ended = heartbeat.run()
  await sleep(50)
  const result = await query()
  await sleep(50)
  heartbeat.stop = true
  await ended
  return [heartbeat.longestMs, result]
}

const [frozenMs, frozen] = await silenceDuring(async () => slowQuery())
console.log(`called on the loop: silent for ${frozenMs} ms, result ${frozen}`)

const [silentMs, result] = await silenceDuring(() => bide.runInExecutor(null, slowQuery))
console.log(`run in the executor: silent for ${silentMs} ms, result ${result}`)
