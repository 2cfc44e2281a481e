// A GET by Node's own client, and where the examples find their server. bide gives Node
// files and executors; the network is Node's own, and the two loops live side by side.

import { once } from 'node:events'
import http from 'node:http'
import { json } from 'node:stream/consumers'

const given = process.argv.slice(2, 4)
const [host, port] = [
  given[0] ?? process.env.EXAMPLES_HOST ?? '127.0.0.1',
  given[1] ?? process.env.EXAMPLES_PORT ?? '8642',
]

// The JSON body of the reply; rejects for one that is no 200. Aborted by the signal, it
// closes its connection.
export async function fetchJson(path, signal) {
  const request = http.get({ host, port, path, signal, agent: false })
  const [reply] = await once(request, 'response') // or rejects with the request's error
  if (reply.statusCode !== 200) {
    reply.destroy()
    throw new Error(`GET ${path}: the server answered ${reply.statusCode}`)
  }
  return json(reply)
}

// `${stopwatch()}` is the time since then, in whole milliseconds.
export function stopwatch() {
  const started = performance.now()
  return {
    get ms() {
      return Math.floor(performance.now() - started)
    },
    toString() {
      return `${this.ms} ms`
    },
  }
}
