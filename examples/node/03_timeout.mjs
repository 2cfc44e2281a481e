// A fetch with a time limit. A promise cannot be cancelled from outside: the limit travels
// as a signal to the one who can, here the client, which closes its connection. Racing the
// fetch against a timer alone would leave it running behind our back.

import { fetchJson, stopwatch } from './fetch.mjs'

let watch = stopwatch()
try {
  await fetchJson('/user/ada?delay_ms=5000', AbortSignal.timeout(100))
} catch (error) {
  if (error.cause?.name !== 'TimeoutError') throw error
  console.log(`a reply of 5000 ms: timed out after ${watch}`)
}

// A fetch that is quicker than its limit does not notice it.
watch = stopwatch()
const user = await fetchJson('/user/ada?delay_ms=20', AbortSignal.timeout(5000))
console.log(`a reply of 20 ms: user ${user.id} after ${watch}`)
