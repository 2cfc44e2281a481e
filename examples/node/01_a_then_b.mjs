// Load A, then B that depends on A: the orders of a user whose number only the first reply
// tells. At each `await` the function stops, keeps its locals and gives the thread back to
// the loop, which resumes it when the reply is there.

import { fetchJson, stopwatch } from './fetch.mjs'

async function ordersOf(name) {
  const user = await fetchJson(`/user/${name}?delay_ms=50`)
  const orders = await fetchJson(`/orders/${user.id}?delay_ms=50`)
  return [user.id, orders.count]
}

const watch = stopwatch()
const [user, count] = await ordersOf('ada')
console.log(`with await: user ${user} has ${count} orders, after ${watch}`)
