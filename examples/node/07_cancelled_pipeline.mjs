// A pipeline, fetch a page and store it, page after page, that is cancelled half-way and
// leaves nothing behind. The abort reaches the innermost await, the fetch of page 3, and
// comes back out as an exception level by level; each level cleans up what it owns, and
// may await while it does.

import { existsSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import bide from 'bide'
import { fetchJson } from './fetch.mjs'

// Page 3 takes for ever.
const pageDelayMs = (page) => (page < 3 ? 20 : 60000)

const how = (error) => (error.name === 'AbortError' ? 'cancelled' : error.message)

// Stores ten pages in the file `path`, or leaves no file.
async function pipeline(path, signal) {
  const file = await bide.fs.open(path, 'wx')
  let page = 1
  try {
    for (; page <= 10; page++) {
      const body = await fetchJson(`/page/${page}?delay_ms=${pageDelayMs(page)}`, signal)
      await file.write(JSON.stringify(body))
      console.log(`stored page ${page}`)
    }
    await file.close()
  } catch (error) {
    console.log(`stopped at page ${page}: ${how(error)}`)
    // The signal stays aborted: what cleans up must not listen to it.
    await file.close()
    unlinkSync(path)
    await fetchJson('/undo?delay_ms=20')
    console.log('cleaned up: file removed, server told')
    // Not to swallow it: whoever awaits us must see it.
    throw error
  }
}

const path = join(tmpdir(), `bide_pages_${process.pid}`)
const cancel = new AbortController()
const ended = pipeline(path, cancel.signal).catch(how)
await sleep(500)
cancel.abort()

// Asking is not the end: the pipeline has ended when its promise has settled.
const left = (await ended, existsSync(path)) ? 'still there' : 'gone'
console.log(`the pipeline ended: ${await ended}; its file: ${left}`)
