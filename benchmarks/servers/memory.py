"""Bytes of memory that a task takes which sleeps.

    python benchmarks/servers/memory.py LOOP TASKS      prints them
"""

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lib import loops, memory  # noqa: E402


async def main(count):
    tasks = [None] * count
    await asyncio.sleep(0)
    before = memory.resident_bytes(os.getpid())
    for i in range(count):
        tasks[i] = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.sleep(0)
    print((memory.resident_bytes(os.getpid()) - before) / count, flush=True)
    os._exit(0)  # to cancel a million tasks is not what is measured


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loops.factory(sys.argv[1])) as runner:
        runner.run(main(int(sys.argv[2])))
