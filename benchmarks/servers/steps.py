"""Steps of event loops, to be counted from outside: before the first of each kind and
after the last the process calls getppid.

    python benchmarks/servers/steps.py STEPS LIBRARY LOOP...

LIBRARY is one whose begin() is called before all, or "-".
"""

import asyncio
import ctypes
import gc
import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lib import loops  # noqa: E402

WARM = 100
# No larger than what malloc keeps a list of for each size: beyond that the instructions of
# an allocation hang on what happens to lie beside it, and with it on the paths of this tree.
MESSAGE = b"x" * 900


async def call_soon(steps):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = steps

    def callback():
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(callback)
        else:
            done.set_result(None)

    loop.call_soon(callback)
    await done


async def sleep_zero(steps):
    for _ in range(steps):
        await asyncio.sleep(0)


class Pong(asyncio.Protocol):
    """Sends back what it gets, so many times."""

    def __init__(self, steps, done):
        self.left = steps
        self.done = done

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.left -= 1
        if self.left:
            self.transport.write(data)
        elif not self.done.done():
            self.done.set_result(None)


async def protocol_echo(steps):
    """Both ends are the loop's; a step is a message, received and sent."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    ends = [
        await loop.create_connection(lambda: Pong(steps // 2, done), sock=end)
        for end in socket.socketpair()
    ]
    ends[0][0].write(MESSAGE)
    await done
    for transport, _ in ends:
        transport.close()
    await asyncio.sleep(0)


async def stream_echo(steps):
    ends = [await asyncio.open_connection(sock=end) for end in socket.socketpair()]

    async def pong(reader, writer):
        for _ in range(steps // 2):
            writer.write(await reader.readexactly(len(MESSAGE)))
            await writer.drain()

    other = asyncio.create_task(pong(*ends[1]))
    reader, writer = ends[0]
    for _ in range(steps // 2):
        writer.write(MESSAGE)
        await writer.drain()
        await reader.readexactly(len(MESSAGE))
    await other
    for _, writer in ends:
        writer.close()
    await asyncio.sleep(0)


async def sock_echo(steps):
    loop = asyncio.get_running_loop()
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)

    async def pong(end):
        for _ in range(steps // 2):
            await loop.sock_sendall(end, await loop.sock_recv(end, len(MESSAGE)))

    other = asyncio.create_task(pong(ends[1]))
    for _ in range(steps // 2):
        await loop.sock_sendall(ends[0], MESSAGE)
        await loop.sock_recv(ends[0], len(MESSAGE))
    await other
    for end in ends:
        end.close()


KINDS = (call_soon, sleep_zero, protocol_echo, stream_echo, sock_echo)


async def count(steps):
    for kind in KINDS:
        await kind(WARM)
        gc.collect()
        os.getppid()
        await kind(steps)
        os.getppid()


def main(steps, library, *names):
    if library != "-":
        ctypes.CDLL(library).begin()
    gc.disable()
    for name in names:
        with asyncio.Runner(loop_factory=loops.factory(name, owns_thread=False)) as runner:
            runner.run(count(int(steps)))


if __name__ == "__main__":
    main(*sys.argv[1:])
