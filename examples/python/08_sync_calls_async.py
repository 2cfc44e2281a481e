"""Synchronous code that needs something asynchronous: it runs a loop until the coroutine
has ended (bide.run).

That is for code outside the loop. A coroutine is inside it already; there a second run
would wait for a loop that waits for its caller, and is refused: await instead.
"""

import bide
from fetch import Stopwatch, fetch


async def fetch_count(name):
    user = await fetch(f"/user/{name}?delay_ms=50")
    orders = await fetch(f"/orders/{user['id']}?delay_ms=50")
    return orders["count"]


def count_orders(name):
    """An ordinary function, for callers who know nothing of coroutines."""
    return bide.run(fetch_count(name))


async def inside():
    coroutine = fetch("/user/ada?delay_ms=50")
    try:
        bide.run(coroutine)
    except RuntimeError as error:
        print(f"from inside the loop: refused, {error}")
        coroutine.close()
    user = await fetch("/user/ada?delay_ms=50")
    print(f"with await instead: user {user['id']}")


watch = Stopwatch()
count = count_orders("ada")
print(f"from synchronous code: user 7 has {count} orders, after {watch}")
bide.run(inside())
