"""Protocols for the tests: what they saw, and futures for what they will see."""

import asyncio
import random
import socket


def noise(size, seed=1):
    """The same bytes for the same size and seed, which no mix-up would leave as they
    are."""
    return random.Random(seed).randbytes(size)


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as door:
        there = socket.create_connection(door.getsockname())
        return door.accept()[0], there


class Recorder(asyncio.Protocol):
    """Keeps every call in `events` and all data in `data`; `made` and `lost` are
    futures."""

    keep_open = False

    def __init__(self):
        loop = asyncio.get_running_loop()
        self.events = []
        self.data = bytearray()
        self.made = loop.create_future()
        self.lost = loop.create_future()
        self.eof = loop.create_future()
        self.changed = asyncio.Event()
        self.paused = False

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")
        self.made.set_result(transport)

    def data_received(self, data):
        assert type(data) is bytes and data
        self.data += data
        self.events.append("data")
        self.changed.set()

    def eof_received(self):
        self.events.append("eof")
        self.eof.set_result(None)
        return self.keep_open

    def pause_writing(self):
        assert not self.paused
        self.paused = True
        self.events.append("pause")
        self.changed.set()

    def resume_writing(self):
        assert self.paused
        self.paused = False
        self.events.append("resume")
        self.changed.set()

    def connection_lost(self, error):
        self.events.append("lost")
        self.lost.set_result(error)

    async def until(self, condition):
        """Waits until condition() holds, looking after each event."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()


class HalfOpen(Recorder):
    """Stays open for writing when the peer has ended its stream."""

    keep_open = True


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def listen(factory, host="127.0.0.1", **options):
    """A server, and the address of its first socket."""
    server = await asyncio.get_running_loop().create_server(factory, host, 0, **options)
    return server, server.sockets[0].getsockname()[:2]


async def connected_pair(client=Recorder, server=Recorder):
    """Two connected protocols of the loop, and the server between them."""
    accepted = asyncio.get_running_loop().create_future()

    def factory():
        protocol = server()
        accepted.set_result(protocol)
        return protocol

    listening, address = await listen(factory)
    _, here = await asyncio.get_running_loop().create_connection(client, *address)
    there = await accepted
    await there.made
    return here, there, listening


async def close_all(*closables):
    """Closes protocols' transports and servers with their connections, and waits for
    it."""
    for each in closables:
        if isinstance(each, Recorder):
            each.transport.close()
            await each.lost
            continue
        each.close()
        each.abort_clients()
        while any(listener.client_count for listener in each._listeners):
            await asyncio.sleep(0)
        await each.wait_closed()
