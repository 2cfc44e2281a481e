// A handler that saves three orders. Forgetting to await them, it returns before anything
// is saved, and an error among them ends the whole program as an unhandled rejection. The
// repair is to await them; or, where the caller should not wait, to keep them in a place
// that somebody does wait for.

import { fetchJson } from './fetch.mjs'

const ORDERS = [1, 2, 3]

async function save(order, saved) {
  await fetchJson(`/save/${order}?delay_ms=50`)
  saved.push(order)
}

async function forgetful(saved) {
  for (const order of ORDERS) save(order, saved)
}

async function careful(saved) {
  await Promise.all(ORDERS.map((order) => save(order, saved)))
}

async function inBackground(saved, pending) {
  for (const order of ORDERS) {
    const saving = save(order, saved)
      .catch((error) => console.error(`order ${order} was not saved:`, error))
      .finally(() => pending.delete(saving))
    pending.add(saving)
  }
}

const forgotten = []
await forgetful(forgotten)
console.log(`forgotten: ${forgotten.length} of 3 saved when the handler returned`)

const awaited = []
await careful(awaited)
console.log(`awaited: ${awaited.length} of 3 saved when the handler returned`)

const background = []
const pending = new Set()
await inBackground(background, pending)
const early = background.length
await Promise.all(pending)
console.log(
  `in the background: ${early} of 3 saved when the handler returned, ` +
    `${background.length} of 3 when the program ended`,
)
