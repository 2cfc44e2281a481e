// A user and their orders, neither of which needs the other: first one after the other,
// then together. Waiting adds up when each await stands before the next start; started
// first and awaited afterwards, the times overlap, and the longest is all that counts.

import { fetchJson, stopwatch } from './fetch.mjs'

const USER = '/user/ada?delay_ms=150'
const ORDERS = '/orders/7?delay_ms=200'

let watch = stopwatch()
await fetchJson(USER)
await fetchJson(ORDERS)
console.log(`one after the other: ${watch}, the sum of 150 and 200`)

// Promise.all rejects at the first error and leaves the others running; allSettled is for
// those who must know how each of them ended.
watch = stopwatch()
await Promise.all([fetchJson(USER), fetchJson(ORDERS)])
console.log(`together: ${watch}, the longer of 150 and 200`)
