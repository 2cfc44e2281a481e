// The cases of runInExecutor and of those that do the like.

import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import bide from 'bide'
import { Piscina } from 'piscina'
import Tinypool from 'tinypool'
import workerpool from 'workerpool'

const module = new URL('./work.mjs', import.meta.url)
const filename = module.href
const threads = Math.max(2, cpus().length)
const mebibyte = () => new Uint8Array(1 << 20)

function makePools() {
  const workers = new bide.WorkerExecutor({ threads })
  const piscina = new Piscina({ filename, minThreads: threads, maxThreads: threads })
  const tinypool = new Tinypool({ filename, minThreads: threads, maxThreads: threads })
  const pool = workerpool.pool(fileURLToPath(module), {
    workerType: 'thread',
    maxWorkers: threads,
    workerThreadOpts: { env: { ...process.env, BIDE_BENCH_WORKERPOOL: '1' } },
  })
  const close = () =>
    Promise.all([workers.close(), piscina.destroy(), tinypool.destroy(), pool.terminate()])
  return { workers, piscina, tinypool, pool, close }
}

// { contenders: { name: call }, close }
export function executors(name) {
  const { workers, piscina, tinypool, pool, close } = makePools()
  const argument = name === 'length' ? mebibyte : () => 1
  const moved = (bytes) => (name === 'length' ? [bytes.buffer] : [])
  const contenders = {
    bide: () => {
      const value = argument()
      return workers.run({ module, name }, [name === 'length' ? bide.move(value) : value])
    },
    piscina: () => {
      const value = argument()
      return piscina.run(value, { name, transferList: moved(value) })
    },
    tinypool: () => {
      const value = argument()
      return tinypool.run(value, { name, transferList: moved(value) })
    },
    workerpool: () => {
      const value = argument()
      return pool.exec(name, [value], { transfer: moved(value) })
    },
  }
  return { contenders, close }
}
