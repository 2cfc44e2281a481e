"""A handler that saves three orders.

Forgetting to await them, it returns before anything is saved, nobody hears of an error,
and what is still under way when the program ends is cancelled. The repair is to await
them; or, where the caller should not wait, to keep them in a place that somebody does
wait for.
"""

import asyncio

import bide
from fetch import fetch

ORDERS = [1, 2, 3]


async def save(order, saved):
    await fetch(f"/save/{order}?delay_ms=50")
    saved.append(order)


async def forgetful(saved):
    # Worse still is a bare `save(order, saved)`: it only makes a coroutine, which never
    # begins; Python warns that it "was never awaited".
    for order in ORDERS:
        asyncio.create_task(save(order, saved))


async def careful(saved):
    async with asyncio.TaskGroup() as group:
        for order in ORDERS:
            group.create_task(save(order, saved))


async def in_background(saved, pending):
    # The loop holds its tasks weakly: without the set, one might vanish half-way.
    for order in ORDERS:
        task = asyncio.create_task(save(order, saved))
        pending.add(task)
        task.add_done_callback(pending.discard)


async def main():
    saved = []
    await forgetful(saved)
    print(f"forgotten: {len(saved)} of 3 saved when the handler returned")

    saved = []
    await careful(saved)
    print(f"awaited: {len(saved)} of 3 saved when the handler returned")

    saved, pending = [], set()
    await in_background(saved, pending)
    early = len(saved)
    await asyncio.gather(*pending)
    print(
        f"in the background: {early} of 3 saved when the handler returned, "
        f"{len(saved)} of 3 when the program ended"
    )


bide.run(main())
