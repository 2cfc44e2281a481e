// What the executors of the benchmark run, by its name.

import { parentPort } from 'node:worker_threads'
import workerpool from 'workerpool'

export const trivial = (x) => x + 1

export function oneMillisecond() {
  const end = performance.now() + 1
  while (performance.now() < end);
  return 1
}

export const length = (bytes) => bytes.length

// workerpool's own threads ask for methods by name.
if (parentPort !== null && process.env.BIDE_BENCH_WORKERPOOL === '1') {
  workerpool.worker({ trivial, oneMillisecond, length })
}
