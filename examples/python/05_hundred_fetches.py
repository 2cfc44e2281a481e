"""A hundred fetches at the same time, on one thread.

A task that waits holds no thread: it is a coroutine's frame and an entry in the kernel's
list of things to wait for. While all hundred wait, the thread sleeps.
"""

import asyncio

import bide
from fetch import Stopwatch, fetch

FETCHES = 100


async def main():
    watch = Stopwatch()
    pages = await asyncio.gather(*(fetch(f"/page/{i}?delay_ms=200") for i in range(FETCHES)))
    replies = sum(page["page"] == i for i, page in enumerate(pages))
    print(f"{FETCHES} fetches of 200 ms on one thread: {replies} replies after {watch}")


bide.run(main())
