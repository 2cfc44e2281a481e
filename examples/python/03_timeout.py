"""A fetch with a time limit.

When the limit passes, the fetch is cancelled: CancelledError rises at its await, its
`finally` closes the connection, and only then does our await return. Nothing of it goes
on behind our back.
"""

import asyncio

import bide
from fetch import Stopwatch, fetch


async def main():
    watch = Stopwatch()
    try:
        async with asyncio.timeout(0.1):
            await fetch("/user/ada?delay_ms=5000")
    except TimeoutError:
        print(f"a reply of 5000 ms: timed out after {watch}")

    # A fetch that is quicker than its limit does not notice it.
    watch = Stopwatch()
    async with asyncio.timeout(5):
        user = await fetch("/user/ada?delay_ms=20")
    print(f"a reply of 20 ms: user {user['id']} after {watch}")


bide.run(main())
