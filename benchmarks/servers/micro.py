"""Small costs of a Python event loop, each in ns of CPU.

    python benchmarks/servers/micro.py LOOP           prints a JSON line: {case: ns}
    python benchmarks/servers/micro.py LOOP KIND FD   serves echoes; KIND: protocol, streams
"""

import asyncio
import json
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lib import loops  # noqa: E402

COUNT = 50_000
BATCH = 1000
CHUNK = 64 * 1024


async def call_soon():
    """A callback scheduled and run, a thousand at a time."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def callback(last):
        if last:
            done.set_result(None)

    for _ in range(COUNT // BATCH):
        done = loop.create_future()
        for i in range(BATCH):
            loop.call_soon(callback, i == BATCH - 1)
        await done


async def sleep_zero():
    for _ in range(COUNT):
        await asyncio.sleep(0)


async def create_task_and_await():
    async def nothing():
        pass

    for _ in range(COUNT):
        await asyncio.create_task(nothing())


async def future_wake():
    """A future that another callback resolves."""
    loop = asyncio.get_running_loop()
    for _ in range(COUNT):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


async def timer_set_and_cancel():
    loop = asyncio.get_running_loop()
    for _ in range(COUNT // BATCH):
        for handle in [loop.call_later(60, print) for _ in range(BATCH)]:
            handle.cancel()
        await asyncio.sleep(0)


CASES = (call_soon, sleep_zero, create_task_and_await, future_wake, timer_set_and_cancel)


async def measure():
    found = {}
    for case in CASES:
        await case()  # warm
        started = time.process_time_ns()
        await case()
        found[case.__name__] = (time.process_time_ns() - started) / COUNT
    return found


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo_stream(reader, writer):
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(kind, fd):
    listener = socket.socket(fileno=int(fd))
    if kind == "protocol":
        server = await asyncio.get_running_loop().create_server(Echo, sock=listener)
    else:
        server = await asyncio.start_server(echo_stream, sock=listener)
    await server.serve_forever()


def main(loop, *served):
    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        if served:
            runner.run(serve(*served))
        else:
            print(json.dumps(runner.run(measure())))


if __name__ == "__main__":
    main(*sys.argv[1:])
