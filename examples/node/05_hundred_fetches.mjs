// A hundred fetches at the same time, on one thread. An async function that waits holds no
// thread: it is a frame on the heap and an entry in the kernel's list of things to wait
// for. While all hundred wait, the thread sleeps.

import { fetchJson, stopwatch } from './fetch.mjs'

const FETCHES = 100

const watch = stopwatch()
const pages = await Promise.all(
  Array.from({ length: FETCHES }, (_, i) => fetchJson(`/page/${i}?delay_ms=200`)),
)
const replies = pages.filter((page, i) => page.page === i).length
console.log(`${FETCHES} fetches of 200 ms on one thread: ${replies} replies after ${watch}`)
