"""One port and a loop for each core.

    python many_loops.py [LOOPS [PORT]]

Each loop listens on the port with a socket of its own, which reuse_port=True lets it, and the
kernel deals new connections out to them. Whatever a loop's handlers compute then holds up that
loop's connections alone. The loops run in threads where Python has no GIL, and in processes
where it has one: threads would take turns there, and two loops compute no more than one.

A client sends lines, each a number, and is answered with the sum of the squares below it and
the number of the loop that has added them up. Ctrl-C ends the server.
"""

import asyncio
import contextlib
import functools
import multiprocessing
import os
import socket
import sys
import threading

import bide

HOST = "127.0.0.1"


def has_gil():
    """Also where Python could do without, and an imported module needs it."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def reserve(port):
    """A socket that keeps the port, 0 for any free one, for the loops' own. It does not
    listen, so that no connection is dealt out to it."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((HOST, port))
    return holder


async def answer(number, reader, writer):
    while line := await reader.readline():
        total = sum(value * value for value in range(int(line)))
        writer.write(b"%d %d\n" % (total, number))
    writer.close()


async def serve(number, port, ready):
    """`ready.wait` returns once all loops listen."""
    handler = functools.partial(answer, number)
    async with await asyncio.start_server(handler, HOST, port, reuse_port=True) as server:
        await asyncio.to_thread(ready.wait)
        await server.serve_forever()


def run(number, port, ready):
    """What each thread or process does."""
    with contextlib.suppress(KeyboardInterrupt):
        bide.run(serve(number, port, ready))


def main(count, port=0):
    if has_gil():
        kind, worker, barrier = "processes", multiprocessing.Process, multiprocessing.Barrier
    else:
        kind, worker, barrier = "threads", threading.Thread, threading.Barrier
    with reserve(port) as holder, contextlib.suppress(KeyboardInterrupt):
        port = holder.getsockname()[1]
        ready = barrier(count + 1)
        workers = [
            worker(target=run, args=(number, port, ready), daemon=True)
            for number in range(count)
        ]
        for each in workers:
            each.start()
        ready.wait()
        print(f"{count} loops in {kind} on {HOST}:{port}", flush=True)
        for each in workers:
            each.join()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or [os.cpu_count()]))
