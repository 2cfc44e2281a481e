"""A call that blocks its thread blocks the loop, and with it everybody: no reply is read
until it returns. The repair is to run it on a thread of a pool and to await its end.
"""

import asyncio
import time

import bide
from fetch import Stopwatch, fetch


def slow_query():
    """Stands for a database driver, a password hash, a library that knows no loop."""
    time.sleep(0.3)
    return 42


class Heartbeat:
    """Asks the server for a sign of life over and over, and remembers the longest time
    that went by without one. Ends with the reply after `stop`."""

    def __init__(self):
        self.longest_ms = 0
        self.stop = False

    async def run(self):
        watch = Stopwatch()
        while not self.stop:
            await fetch("/ping?delay_ms=10")
            self.longest_ms = max(self.longest_ms, watch.ms)
            watch = Stopwatch()


async def silence_during(query):
    """The heartbeat's longest silence while `await query()` runs, and the query's result."""
    heartbeat = Heartbeat()
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat.run())
        await asyncio.sleep(0.05)
        result = await query()
        await asyncio.sleep(0.05)
        heartbeat.stop = True
    return heartbeat.longest_ms, result


async def called_as_it_is():
    return slow_query()


async def in_executor():
    return await asyncio.get_running_loop().run_in_executor(None, slow_query)


async def main():
    silent_ms, result = await silence_during(called_as_it_is)
    print(f"called on the loop: silent for {silent_ms} ms, result {result}")

    silent_ms, result = await silence_during(in_executor)
    print(f"run in the executor: silent for {silent_ms} ms, result {result}")


bide.run(main())
