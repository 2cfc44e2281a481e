"""A user and their orders, neither of which needs the other: first one after the other,
then together.

Waiting adds up when each await stands before the next start; started first and awaited
afterwards, the times overlap, and the longest is all that counts.
"""

import asyncio

import bide
from fetch import Stopwatch, fetch

USER = "/user/ada?delay_ms=150"
ORDERS = "/orders/7?delay_ms=200"


async def main():
    watch = Stopwatch()
    await fetch(USER)
    await fetch(ORDERS)
    print(f"one after the other: {watch}, the sum of 150 and 200")

    # The group's end awaits both; if one failed, it would cancel the other and wait for it.
    watch = Stopwatch()
    async with asyncio.TaskGroup() as group:
        group.create_task(fetch(USER))
        group.create_task(fetch(ORDERS))
    print(f"together: {watch}, the longer of 150 and 200")


bide.run(main())
