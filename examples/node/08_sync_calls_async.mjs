// Synchronous code that needs something asynchronous. Node's thread is inside its loop from
// the first line to the last, and no function can run that loop until a promise settles.
// What comes nearest: another thread runs the asynchronous code on a loop of its own, and
// ours blocks until it has the result. That blocks our loop too, with all it serves; it is
// for programs that have nothing else to do meanwhile. Everywhere else: await.

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { fetchJson, stopwatch } from './fetch.mjs'

async function fetchCount(name) {
  const user = await fetchJson(`/user/${name}?delay_ms=50`)
  const orders = await fetchJson(`/orders/${user.id}?delay_ms=50`)
  return orders.count
}

// An ordinary function, for callers who know nothing of promises.
function countOrders(name) {
  const settled = new Int32Array(new SharedArrayBuffer(4))
  const { port1: ours, port2: theirs } = new MessageChannel()
  const options = { argv: process.argv.slice(2), workerData: { name, settled, theirs } }
  new Worker(new URL(import.meta.url), { ...options, transferList: [theirs] })
  Atomics.wait(settled, 0, 0)
  const { error, count } = receiveMessageOnPort(ours).message
  ours.close()
  if (error) throw error
  return count
}

// The same file, in the worker: the result is sent before the waiting thread is woken, so
// that it finds it there.
async function serve({ name, settled, theirs }) {
  theirs.postMessage(await fetchCount(name).then((count) => ({ count }), (error) => ({ error })))
  Atomics.store(settled, 0, 1)
  Atomics.notify(settled, 0)
}

function main() {
  const watch = stopwatch()
  let ticks = 0
  const timer = setInterval(() => ticks++, 5)
  const count = countOrders('ada')
  console.log(`from synchronous code: user 7 has ${count} orders, after ${watch}`)
  console.log(`from inside the loop: frozen, ${ticks} ticks of a 5 ms timer meanwhile`)
  clearInterval(timer)
}

if (isMainThread) {
  main()
  const user = await fetchJson('/user/ada?delay_ms=50')
  console.log(`with await instead: user ${user.id}`)
} else {
  await serve(workerData)
}
