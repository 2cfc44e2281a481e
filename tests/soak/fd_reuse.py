"""The fd-reuse hammer: connections opened, cancelled, closed under the loop and their
numbers reused, with every byte tagged by the connection that it belongs to.

    python tests/soak/fd_reuse.py [--connections 200000] [--seed N]

A server of its own process and this one's clients, both on bide's loop, write nothing but
their connection's tag, over and over: the client's address and port. A byte that comes to
another connection does not fit there. The last line of the output is a JSON object; the
exit code is 0 only if no byte was wrong and no descriptor was left.
"""

import argparse
import asyncio
import collections
import gc
import json
import os
import random
import socket
import subprocess
import sys
import time
from typing import Any

import bide

WORKERS = 64
DOORS = 16  # how many addresses the server listens on
LIMIT_S = 20  # no connection takes longer
TAG_BYTES = 8


def tag_of(address: Any) -> bytes:
    """The client's end names the connection: its address is drawn anew each time."""
    host, port = address[:2]
    return socket.inet_aton(host) + port.to_bytes(2, "big") + b"\xb1\xde"


class Tagged:
    """A stream of which each byte is known."""

    def __init__(self, tag: bytes) -> None:
        self.tag = tag
        self.received = 0

    def wrong(self, data: bytes) -> int:
        """How many bytes of the next piece are not this connection's."""
        start = self.received % TAG_BYTES
        self.received += len(data)
        pattern = self.tag * (len(data) // TAG_BYTES + 2)
        expected = pattern[start:start + len(data)]
        if data == expected:
            return 0
        return sum(a != b for a, b in zip(data, expected))


# ---- the server's process ----


class Echo(asyncio.Protocol):
    """Answers each byte of a tag with one."""

    wrong = 0
    total = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.input = Tagged(tag_of(transport.get_extra_info("peername")))
        Echo.total += 1

    def data_received(self, data: bytes) -> None:
        start = self.input.received % TAG_BYTES
        Echo.wrong += self.input.wrong(data)
        pattern = self.input.tag * (len(data) // TAG_BYTES + 2)
        self.transport.write(pattern[start:start + len(data)])


async def serve() -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    servers = []
    for _ in range(DOORS):
        servers.append(await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096))
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps(ports), flush=True)
    ended = loop.create_future()
    loop.add_reader(0, lambda: ended.done() or ended.set_result(None))
    await ended
    loop.remove_reader(0)
    for server in servers:
        server.close()
        server.close_clients()
    print(json.dumps({"wrong": Echo.wrong, "accepted": Echo.total}), flush=True)


# ---- the clients ----


class Client(asyncio.Protocol):
    """Sends pieces of its tag and checks what comes back."""

    def __init__(self, hammer: "Hammer") -> None:
        self.hammer = hammer
        self.lost = asyncio.get_running_loop().create_future()
        self.heard = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.input = Tagged(tag_of(transport.get_extra_info("sockname")))

    def data_received(self, data: bytes) -> None:
        self.hammer.count(self.input, data)
        self.heard.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(None)


class Hammer:
    def __init__(self, ports: list[int], connections: int, seed: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.random = random.Random(seed)
        self.ports = ports
        self.left = connections
        self.wrong = 0
        self.stale = 0
        self.reported = 0
        self.loop.set_exception_handler(self.report)
        self.bytes = 0
        self.done: collections.Counter[str] = collections.Counter()
        self.ways = [
            self.transport, self.streams, self.sock, self.sock_closed_while_receiving,
            self.reader, self.cancelled_connect, self.duplicate,
            self.transport_of_a_closed_socket, self.transport_of_a_closed_number,
        ]

    def count(self, stream: Tagged, data: bytes) -> None:
        self.wrong += stream.wrong(data)
        self.bytes += len(data)

    def report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.reported += 1
        loop.default_exception_handler(context)

    def piece(self, tag: bytes) -> bytes:
        return tag * self.random.choice((1, 3, 17, 200, 4000))

    def source(self) -> str:
        """An address of the loopback network that is hardly ever drawn twice."""
        return "127.%d.%d.%d" % tuple(self.random.randint(1, 254) for _ in range(3))

    def target(self) -> tuple[str, int]:
        return "127.0.0.1", self.random.choice(self.ports)

    def new_socket(self) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((self.source(), 0))
        return sock

    async def connected(self) -> tuple[socket.socket, Tagged]:
        sock = self.new_socket()
        try:
            await self.loop.sock_connect(sock, self.target())
        except BaseException:
            sock.close()
            raise
        return sock, Tagged(tag_of(sock.getsockname()))

    # ---- the ways to use and to abuse a connection ----

    async def transport(self) -> None:
        sock, _ = await self.connected()
        transport, client = await self.loop.create_connection(lambda: Client(self), sock=sock)
        for _ in range(self.random.randint(0, 3)):
            transport.write(self.piece(client.input.tag))
            if self.random.random() < 0.7:
                client.heard.clear()
                await client.heard.wait()
        self.random.choice((transport.close, transport.abort))()
        if self.random.random() < 0.5:
            await client.lost

    async def transport_of_a_closed_socket(self) -> None:
        """The program closes its own socket object under the transport."""
        sock, _ = await self.connected()
        transport, client = await self.loop.create_connection(lambda: Client(self), sock=sock)
        transport.write(self.piece(client.input.tag))
        sock.close()
        await self.pause()
        transport.write(self.piece(client.input.tag))
        await self.pause()
        transport.abort()

    async def transport_of_a_closed_number(self) -> None:
        """The number is closed from under the transport, and a new socket has it."""
        transport, client = await self.loop.create_connection(
            lambda: Client(self), *self.target(), local_addr=(self.source(), 0)
        )
        transport.write(self.piece(client.input.tag))
        await self.pause()
        number = transport.get_extra_info("socket").fileno()
        with self.new_socket() as other:
            sock = socket.socket(fileno=os.dup2(other.fileno(), number, inheritable=False))
        with sock:
            await self.loop.sock_connect(sock, self.target())
            stream = Tagged(tag_of(sock.getsockname()))
            await self.loop.sock_sendall(sock, self.piece(stream.tag))
            self.count(stream, await self.loop.sock_recv(sock, 65536))
            transport.abort()
            await client.lost

    async def streams(self) -> None:
        reader, writer = await asyncio.open_connection(
            *self.target(), local_addr=(self.source(), 0)
        )
        try:
            stream = Tagged(tag_of(writer.get_extra_info("sockname")))
            for _ in range(self.random.randint(0, 3)):
                sent = self.piece(stream.tag)
                writer.write(sent)
                with_limit = asyncio.wait_for(reader.readexactly(len(sent)), LIMIT_S)
                self.count(stream, await with_limit)
        finally:
            writer.close()

    async def sock(self) -> None:
        sock, stream = await self.connected()
        with sock:
            for _ in range(self.random.randint(1, 3)):
                sent = self.piece(stream.tag)
                await self.loop.sock_sendall(sock, sent)
                left = len(sent)
                while left > 0:
                    data = await self.impatient_recv(sock)
                    self.count(stream, data)
                    left -= len(data)

    async def impatient_recv(self, sock: socket.socket) -> bytes:
        """A receive that is cancelled again and again; none of them may lose a byte."""
        while True:
            receiving = asyncio.ensure_future(self.loop.sock_recv(sock, 65536))
            await self.pause()
            if self.random.random() < 0.3:
                receiving.cancel()
            try:
                return await receiving
            except asyncio.CancelledError:
                continue

    async def sock_closed_while_receiving(self) -> None:
        sock, stream = await self.connected()
        receiving = asyncio.ensure_future(self.loop.sock_recv(sock, 65536))
        await self.pause()
        sock.close()
        other, other_stream = await self.connected()  # mostly under the same number
        with other:
            sent = self.piece(other_stream.tag)
            await self.loop.sock_sendall(other, sent)
            self.count(other_stream, await self.loop.sock_recv(other, 65536))
            receiving.cancel()
            for result in await asyncio.gather(receiving, return_exceptions=True):
                if isinstance(result, bytes):
                    self.count(stream, result)

    async def reader(self) -> None:
        sock, stream = await self.connected()
        number = sock.fileno()
        heard = self.loop.create_future()

        def readable() -> None:
            if sock.fileno() < 0:
                self.stale += 1
                return
            self.count(stream, sock.recv(65536))
            if not heard.done():
                heard.set_result(None)

        self.loop.add_reader(number, readable)
        await self.loop.sock_sendall(sock, self.piece(stream.tag))
        await heard
        if self.random.random() < 0.3:
            self.loop.remove_reader(number)
        sock.close()

    async def cancelled_connect(self) -> None:
        connecting = asyncio.ensure_future(
            self.loop.create_connection(
                lambda: Client(self), *self.target(), local_addr=(self.source(), 0)
            )
        )
        for _ in range(self.random.randint(0, 4)):
            await asyncio.sleep(0)
        connecting.cancel()
        try:
            transport, client = await connecting
        except asyncio.CancelledError:
            return
        transport.abort()

    async def duplicate(self) -> None:
        """The number is closed while a duplicate keeps the connection open."""
        sock, stream = await self.connected()
        receiving = asyncio.ensure_future(self.loop.sock_recv(sock, 65536))
        await self.pause()
        twin = sock.dup()
        sock.close()
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        with twin:
            twin.setblocking(False)
            await self.loop.sock_sendall(twin, self.piece(stream.tag))
            self.count(stream, await self.loop.sock_recv(twin, 65536))

    async def pause(self) -> None:
        for _ in range(self.random.randint(0, 3)):
            await asyncio.sleep(0)

    async def work(self) -> None:
        while self.left > 0:
            self.left -= 1
            way = self.random.choice(self.ways)
            try:
                await asyncio.wait_for(way(), LIMIT_S)
                self.done[way.__name__] += 1
            except asyncio.TimeoutError:
                self.done[f"{way.__name__} timed out"] += 1


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


async def hammer(ports: list[int], connections: int, seed: int) -> Hammer:
    made = Hammer(ports, connections, seed)
    await asyncio.gather(*(made.work() for _ in range(WORKERS)))
    return made


async def settled_fds(limit: int) -> int:
    """Closing transports need some turns of the loop."""
    deadline = time.monotonic() + LIMIT_S
    while open_fds() > limit and time.monotonic() < deadline:
        gc.collect()
        await asyncio.sleep(0.01)
    return open_fds()


async def main(ports: list[int], connections: int, seed: int) -> dict[str, Any]:
    asyncio.get_running_loop().set_debug(False)
    before = open_fds()
    began = time.monotonic()
    done = await hammer(ports, connections, seed)
    return {
        "backend": asyncio.get_running_loop().backend,
        "connections": sum(done.done.values()),
        "ways": dict(sorted(done.done.items())),
        "bytes": done.bytes,
        "wrong": done.wrong,
        "stale": done.stale,
        "reported": done.reported,
        "fds": [before, await settled_fds(before)],
        "seconds": round(time.monotonic() - began, 1),
    }


def run() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        bide.run(serve())
        return 0
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    assert server.stdin is not None and server.stdout is not None
    with server:
        ports = json.loads(server.stdout.readline())
        report = bide.run(main(ports, options.connections, options.seed))
        server.stdin.close()
        report["server"] = json.loads(server.stdout.readline())
    print(json.dumps(report))
    wrong = report["wrong"] + report["stale"] + report["reported"]
    wrong += report["server"]["wrong"]
    timed_out = any("timed out" in way for way in report["ways"])
    return int(wrong > 0 or timed_out or report["fds"][0] != report["fds"][1])


if __name__ == "__main__":
    sys.exit(run())
