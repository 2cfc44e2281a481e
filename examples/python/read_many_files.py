"""Counts the words in every file below a directory: many files are read at once, a bounded
number at a time, and the loop goes on meanwhile.

    python read_many_files.py [DIRECTORY]
"""

import asyncio
import sys
from collections import Counter

import bide

AT_ONCE = 64


async def words_of(path, limit):
    async with limit:
        return len((await bide.fs.read_file(path)).split())


async def main(top):
    limit = asyncio.Semaphore(AT_ONCE)
    tasks = {}
    async with asyncio.TaskGroup() as group:
        async for directory, _, names in bide.fs.walk(top):
            for name in names:
                path = f"{directory}/{name}"
                tasks[path] = group.create_task(words_of(path, limit))
    counts = Counter({path: task.result() for path, task in tasks.items()})
    print(f"{counts.total()} words in {len(counts)} files")
    for path, count in sorted(counts.most_common(3), key=lambda found: (-found[1], found[0])):
        print(f"{count:8} {path}")


bide.run(main(sys.argv[1] if len(sys.argv) > 1 else "."))
