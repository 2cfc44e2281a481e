"""Load A, then B that depends on A: the orders of a user whose number only the first
reply tells.

At each `await` the function stops, keeps its locals and gives the thread back to the
loop, which resumes it when the reply is there.
"""

import bide
from fetch import Stopwatch, fetch


async def orders_of(name):
    user = await fetch(f"/user/{name}?delay_ms=50")
    orders = await fetch(f"/orders/{user['id']}?delay_ms=50")
    return user["id"], orders["count"]


async def main():
    watch = Stopwatch()
    user, count = await orders_of("ada")
    print(f"with await: user {user} has {count} orders, after {watch}")


bide.run(main())
