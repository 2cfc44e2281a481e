"""Runs what a program does with a loop again and again, and looks whether anything stays.

    scenarios.py [NAME ...]

On a debug build of CPython every reference is counted, on any other the blocks of memory
that Python's allocator has handed out; file descriptors on both. Each scenario runs until
caches are warm; then it goes on until two rounds have left nothing behind, which those of a
leak never do: it grows in each of them, and by more than the noise, since a round has the
scenario many times.
"""

import asyncio
import gc
import os
import socket
import sys
import tempfile

import bide
from bide import fs

ROUNDS_WARM = 6
ROUNDS_MEASURED_MAX = 24  # some go on warming: 28, 11, 5, 3 and then 0 were seen
CLEAN_ROUNDS = 2
REPEATS = 20
ROOM = 12  # numbers and the like come and go; less than one for each repeat

count = getattr(sys, "gettotalrefcount", sys.getallocatedblocks)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def calls_and_timers():
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_soon(list)
    loop.call_later(30, list).cancel()
    loop.call_later(0.001, done.set_result, None)
    await done
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(10)))
    waiting = asyncio.ensure_future(asyncio.sleep(30))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def connections():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x" * 100000)
    await reader.readexactly(100000)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def connections_cut_short():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    waiting = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    waiting.cancel()
    writer.transport.abort()
    await asyncio.gather(waiting, return_exceptions=True)
    server.close()
    await server.wait_closed()
    try:
        await loop.create_connection(Echo, *("127.0.0.1", 1))
    except OSError:
        pass


async def sockets():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        await loop.sock_sendall(left, b"abc")
        assert await loop.sock_recv(right, 10) == b"abc"
        try:
            await asyncio.wait_for(loop.sock_recv(right, 10), 0.001)
        except asyncio.TimeoutError:
            pass
        waiting = loop.create_task(loop.sock_recv_into(right, bytearray(10)))
        await asyncio.sleep(0)
        await loop.sock_sendall(left, b"defg")
        assert await waiting == 4
        waiting = loop.create_task(loop.sock_recvfrom(right, 10))
        await asyncio.sleep(0)
        right.close()
        await loop.sock_sendall(left, b"hij")
        assert (await waiting)[0] == b"hij" and right.fileno() == -1
        loop.add_reader(left, list)
        loop.remove_reader(left)


async def datagrams():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    transport.sendto(b"x", transport.get_extra_info("sockname"))
    await asyncio.sleep(0.001)
    transport.close()
    await asyncio.sleep(0)


async def processes():
    process = await asyncio.create_subprocess_exec(
        "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(b"abc")
    assert output == b"abc"


async def files():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "a")
        async with bide.open(path, "w") as file:
            await file.write("one\ntwo\n")
        async with bide.open(path) as file:
            assert [line async for line in file] == ["one\n", "two\n"]
        assert await fs.read_file(path) == b"one\ntwo\n"
        assert await fs.listdir(directory) == ["a"]
        await asyncio.gather(fs.stat(path), fs.stat(path + "?"), return_exceptions=True)


async def work_elsewhere():
    loop = asyncio.get_running_loop()
    assert await asyncio.gather(*(bide.offload(int, n) for n in range(5))) == list(range(5))
    assert await loop.run_in_executor(None, int, "5") == 5
    await asyncio.gather(asyncio.to_thread(int, "x"), return_exceptions=True)
    await loop.getaddrinfo("127.0.0.1", 80)


SCENARIOS = (
    calls_and_timers, connections, connections_cut_short, sockets, datagrams, processes,
    files, work_elsewhere,
)


def open_fds():
    return len(os.listdir("/proc/self/fd"))


async def repeated(scenario):
    for _ in range(REPEATS):
        await scenario()


def is_clean(added):
    return sum(one <= ROOM for one in added) == CLEAN_ROUNDS


def added_by_round(scenario):
    before = count()
    bide.run(repeated(scenario))
    gc.collect()
    return count() - before


def growth(scenario):
    """(counts that each measured round added, fds that they all added)."""
    for _ in range(ROUNDS_WARM):
        added_by_round(scenario)
    added, fds = [], open_fds()
    while not is_clean(added) and len(added) < ROUNDS_MEASURED_MAX:
        added.append(added_by_round(scenario))
    return added, open_fds() - fds


def main():
    wrong = 0
    for scenario in SCENARIOS:
        if sys.argv[1:] and scenario.__name__ not in sys.argv[1:]:
            continue
        added, fds = growth(scenario)
        clean = is_clean(added) and fds == 0
        wrong += not clean
        print(f"{scenario.__name__}: {'clean' if clean else 'GROWS'}: "
              f"{count.__name__} {added}, fds {fds}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
