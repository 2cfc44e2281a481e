"""Protocols on connections: users lose exceptions, buffers, addresses or contexts."""

import asyncio
import contextvars
import socket
import weakref

import pytest
from asyncio import trsock
from protocols import Recorder, close_all, connected_pair, listen, noise, tcp_pair


def test_an_exception_in_the_protocol_ends_the_connection(loop, run):
    reports = []

    class Broken(Recorder):
        def data_received(self, data):
            raise LookupError("broken")

    async def main():
        loop.set_exception_handler(lambda _, context: reports.append(context))
        here, there, server = await connected_pair(server=Broken)
        here.transport.write(b"x")
        assert isinstance(await there.lost, LookupError)
        await here.lost
        (report,) = reports
        assert report["message"] == "Fatal error: protocol.data_received() call failed."
        assert report["transport"] is there.transport and report["protocol"] is there
        assert isinstance(report["exception"], LookupError)
        await close_all(server)

    run(main())


def test_exceptions_in_other_callbacks_are_reported(loop, run):
    reports = []

    class Broken(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise LookupError("made")

        def eof_received(self):
            raise LookupError("eof")

        def connection_lost(self, error):
            super().connection_lost(error)
            raise LookupError("lost")

    async def main():
        loop.set_exception_handler(lambda _, context: reports.append(context))
        here, there, server = await connected_pair(server=Broken)
        here.transport.write_eof()
        await there.lost
        await here.lost
        await close_all(server)

    run(main())
    assert [str(report["exception"]) for report in reports] == ["made", "eof", "lost"]
    assert reports[1]["message"] == "Fatal error: protocol.eof_received() call failed."


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_protocol_ends_the_run(loop, run, error):
    class Interrupting(Recorder):
        def data_received(self, data):
            super().data_received(data)
            raise error("from data_received")

    async def main():
        nonlocal pair
        pair = await connected_pair(server=Interrupting)
        pair[0].transport.write(b"x")
        await pair[1].lost

    pair = None
    with pytest.raises(error, match="from data_received"):
        run(main())

    async def end():
        assert pair[1].data == b"x"
        await close_all(*pair)

    run(end())


class Buffered(asyncio.BufferedProtocol):
    def __init__(self, size=10):
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, hint):
        assert hint == -1
        return memoryview(self.buffer)

    def buffer_updated(self, count):
        self.data += self.buffer[:count]

    def connection_lost(self, error):
        self.done.set_result(error)


def test_buffered_protocols_are_filled_in_their_own_buffers(run):
    async def main():
        here, there, server = await connected_pair(server=BufferedOnce)
        here.transport.write(noise(100_000))
        here.transport.close()
        assert await there.done is None
        assert there.data == noise(100_000)
        await close_all(server)

    class BufferedOnce(Buffered):
        @property
        def made(self):
            return asyncio.sleep(0)

    run(main())


class Asked(asyncio.BufferedProtocol):
    """Notes in which order it is called."""

    def __init__(self, size):
        self.buffer = bytearray(size)
        self.calls, self.data = [], bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def get_buffer(self, hint):
        self.calls.append("get")
        return self.buffer

    def buffer_updated(self, count):
        self.calls.append(count)
        self.data += self.buffer[:count]

    def eof_received(self):
        self.ended.set_result(None)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_buffer_is_asked_for_when_there_is_something_for_it(loop, run, family):
    """A protocol that takes its buffer from a pool would lose one at each call in vain."""
    sent = noise(300_000)

    async def main():
        if family == socket.AF_UNIX:
            here, there = socket.socketpair()
        else:
            here, there = tcp_pair()
        there.setblocking(False)
        transport, protocol = await loop.create_connection(lambda: Asked(70_000), sock=here)
        await asyncio.sleep(0)
        assert protocol.calls == []
        for i in range(5):
            await loop.sock_sendall(there, b"%d" % i)
            while len(protocol.data) <= i:
                await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)
            assert protocol.calls == ["get", 1] * (i + 1)
        await loop.sock_sendall(there, sent)
        there.close()
        await protocol.ended
        assert protocol.data == b"01234" + sent
        counts = protocol.calls[1::2]
        assert protocol.calls[::2] == ["get"] * ((len(protocol.calls) + 1) // 2)
        assert sum(count for count in counts if count != "get") == len(protocol.data)
        transport.close()
        await asyncio.sleep(0)

    run(main())


@pytest.mark.parametrize("broken", ["get_buffer", "buffer_updated", "empty"])
def test_broken_buffered_protocols_are_reported(loop, run, broken):
    reports = []

    class Broken(Buffered):
        made = property(lambda self: asyncio.sleep(0))

        def get_buffer(self, hint):
            if broken == "get_buffer":
                raise LookupError
            return bytearray(0 if broken == "empty" else 10)

        def buffer_updated(self, count):
            raise LookupError

    async def main():
        loop.set_exception_handler(lambda _, context: reports.append(context["message"]))
        here, there, server = await connected_pair(server=Broken)
        here.transport.write(b"x")
        error = await there.done
        assert isinstance(error, RuntimeError if broken == "empty" else LookupError)
        await here.lost
        await close_all(server)

    run(main())
    name = "buffer_updated" if broken == "buffer_updated" else "get_buffer"
    assert reports == [f"Fatal error: protocol.{name}() call failed."]


def test_the_protocol_may_be_exchanged_at_any_time(loop, run):
    async def main():
        here, there, server = await connected_pair()

        class Line(Recorder):
            def data_received(self, data):
                super().data_received(data)
                second.transport = self.transport
                there.transport.set_protocol(second)

        first, second = Line(), Buffered()
        first.transport = there.transport
        there.transport.set_protocol(first)
        assert there.transport.get_protocol() is first
        here.transport.write(b"first")
        await first.until(lambda: first.data)
        here.transport.write(b"second")
        here.transport.close()
        assert await second.done is None
        assert first.data == b"first" and second.data == b"second"
        await close_all(server)

    run(main())


def test_extra_info(run):
    async def main():
        here, there, server = await connected_pair()
        name = there.transport.get_extra_info
        assert name("peername") == here.transport.get_extra_info("sockname")
        assert name("sockname") == here.transport.get_extra_info("peername")
        sock = name("socket")
        assert isinstance(sock, trsock.TransportSocket)
        assert sock is name("socket") and sock.type == socket.SOCK_STREAM
        assert sock.getsockname() == name("sockname")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert here.transport.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY
        )
        assert name("nothing") is None and name("nothing", default=5) == 5
        peer = name("peername")
        await close_all(here, there, server)
        assert there.transport.get_extra_info("peername") == peer

    run(main())


def test_ipv6_addresses_have_four_parts(run):
    async def main():
        try:
            server, address = await listen(Recorder, "::1")
        except OSError:
            pytest.skip("no IPv6 here")
        _, writer = await asyncio.open_connection(*address)
        assert writer.get_extra_info("peername") == ("::1", address[1], 0, 0)
        writer.close()
        await writer.wait_closed()
        await close_all(server)

    run(main())


def test_transports_are_asyncios(run):
    async def main():
        here, there, server = await connected_pair()
        assert isinstance(here.transport, asyncio.Transport)
        assert weakref.ref(here.transport)() is here.transport
        fd = here.transport.get_extra_info("socket").fileno()
        assert repr(here.transport).startswith(f"<Transport fd={fd} read=")
        await close_all(here, there, server)

    run(main())


def test_protocol_calls_share_the_contexts_of_their_connection(loop, run):
    var = contextvars.ContextVar("var", default=None)
    seen = []

    class Noting(Recorder):
        def connection_made(self, transport):
            seen.append(var.get())
            var.set(id(self))
            super().connection_made(transport)

        def data_received(self, data):
            assert var.get() == id(self)
            super().data_received(data)

    async def main():
        var.set("serving")
        here, there, server = await connected_pair(server=Noting)
        var.set("changed since")
        one, two, second = await connected_pair(server=Noting)
        here.transport.write(b"x")
        one.transport.write(b"x")
        await there.until(lambda: there.data)
        await two.until(lambda: two.data)
        await close_all(here, there, server, one, two, second)

    run(main())
    assert seen == ["serving", "changed since"]
