"""CPython's own tests of asyncio, as each interpreter brings them: the classes that hold
for any loop, and the suites that run with a loop installed."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run as runner

RUNS = ["asyncio", "uvloop", "io_uring", "epoll"]
LIMIT_S = 3600  # half of it are the 30 s that each hang of uvloop costs


def run(context):
    runner.run_modules(context.loop, context.journal, context.wants, context.work)
    context.journal.complete()
