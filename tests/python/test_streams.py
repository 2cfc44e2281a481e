"""asyncio's streams: users find the very state that asyncio leaves, and their own
subclasses and replacements called."""

import asyncio
import contextlib
import socket
import struct
import sys

import bide
import pytest
from protocols import tcp_pair
from tls_peers import client_context, server_context

FEEDERS = ("data_received", "feed_data", "_wakeup_waiter")


class OwnReader(asyncio.StreamReader):
    """asyncio's by another name, which takes the plain path."""


@contextlib.asynccontextmanager
async def connected(reader=None, limit=2**16):
    """The reader and writer of one end, and the socket of the other."""
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    reader = reader or asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, sock=near)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    with far:
        yield reader, writer, far
        writer.close()
        with contextlib.suppress(Exception):
            await writer.wait_closed()


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


async def swell(reader, far):
    """After a large piece the next may go straight to the reader's buffer."""
    far.sendall(b"x" * 50_000)
    await reader.readexactly(50_000)


both_sizes = pytest.mark.parametrize("large", [False, True], ids=["small", "large"])


@contextlib.contextmanager
def calls_counted():
    """The names of FEEDERS, one for each call that runs Python code."""
    seen = []

    def profile(frame, event, _):
        if event == "call" and frame.f_code.co_name in FEEDERS:
            seen.append(frame.f_code.co_name)

    outer = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield seen
    finally:
        sys.setprofile(outer)


@pytest.mark.parametrize("own", [False, True])
def test_only_asyncios_own_reader_is_fed_without_python(run, own):
    async def main():
        made = OwnReader() if own else None
        async with connected(made) as (reader, _, far):
            with calls_counted() as seen:
                waiting = asyncio.ensure_future(reader.readexactly(4))
                await asyncio.sleep(0)
                far.send(b"abcd")
                assert await waiting == b"abcd"
            assert sorted(seen) == (sorted(FEEDERS) if own else [])

    run(main())


def reader_state(reader):
    return {
        name: value if name != "_loop" else None
        for name, value in vars(reader).items()
        if name != "_transport"
    }


def test_a_fed_reader_is_as_asyncio_leaves_it(run):
    async def state_of(reader):
        states = []
        async with connected(reader) as (_, writer, far):
            waiting = asyncio.ensure_future(reader.readline())
            await asyncio.sleep(0)
            far.send(b"no end")
            await until(lambda: reader._buffer)
            await until(lambda: reader._waiter is not None)
            waiter = reader._waiter
            far.send(b"\nand more")
            await until(waiter.done)
            assert reader._waiter is None and waiter.result() is None
            states.append(reader_state(reader))
            assert await waiting == b"no end\n"
            states.append(reader_state(reader))
            assert type(reader._buffer) is bytearray and reader._transport is writer.transport
            far.send(b"x" * 100)
            await until(lambda: reader._paused)
            states.append((reader_state(reader), writer.transport.is_reading()))
            assert await reader.readexactly(108) == b"and more" + b"x" * 100
            states.append((reader_state(reader), writer.transport.is_reading()))
            far.shutdown(socket.SHUT_WR)
            assert await reader.read() == b""
            states.append((reader_state(reader), reader.at_eof()))
        return states

    async def main():
        stock = await state_of(asyncio.StreamReader(limit=20))
        assert stock == await state_of(OwnReader(limit=20))
        assert stock[2][0]["_paused"] and not stock[2][1]

    run(main())


@both_sizes
@pytest.mark.parametrize("name", ["feed_data", "_wakeup_waiter"])
def test_a_method_put_on_a_reader_is_called(run, name, large):
    async def main():
        async with connected() as (reader, _, far):
            if large:
                await swell(reader, far)
            seen = []
            original = getattr(reader, name)
            setattr(reader, name, lambda *args: (seen.append(args), original(*args)))
            far.send(b"abc")
            assert await reader.readexactly(3) == b"abc"
            assert seen == [(b"abc",) if name == "feed_data" else ()]

    run(main())


@both_sizes
def test_a_method_put_on_a_protocol_is_called(run, large):
    async def main():
        async with connected() as (reader, writer, far):
            if large:
                await swell(reader, far)
            writer.transport.get_protocol().data_received = (
                lambda data: reader.feed_data(data.upper())
            )
            far.send(b"abc")
            assert await reader.readexactly(3) == b"ABC"

    run(main())


@pytest.mark.parametrize("owner, name", [
    (asyncio.StreamReader, "feed_data"), (asyncio.StreamReader, "_wakeup_waiter"),
    (asyncio.StreamReaderProtocol, "data_received"),
    (asyncio.StreamReaderProtocol, "_stream_reader"),
])
def test_a_method_replaced_in_asyncio_is_called(run, monkeypatch, owner, name):
    seen = []

    def replace():
        original = vars(owner)[name]
        if isinstance(original, property):
            made = property(lambda self: (seen.append(name), original.fget(self))[1])
        else:
            made = lambda self, *args: (seen.append(name), original(self, *args))[1]  # noqa: E731
        monkeypatch.setattr(owner, name, made)

    async def main():
        async with connected() as (reader, _, far):
            far.send(b"before")
            assert await reader.readexactly(6) == b"before"
            replace()
            far.send(b"after")
            assert await reader.readexactly(5) == b"after"
            assert name in seen
            monkeypatch.undo()
            seen.clear()
            far.send(b"again")
            with calls_counted() as called:
                assert await reader.readexactly(5) == b"again"
            assert seen == called == []

    run(main())


@both_sizes
def test_bytes_after_a_cancelled_read_are_kept(run, large):
    async def main():
        async with connected() as (reader, _, far):
            if large:
                await swell(reader, far)
            waiting = asyncio.ensure_future(reader.read(10))
            await until(lambda: reader._waiter is not None)
            waiter = reader._waiter
            waiter.cancel()
            reader._waiter = waiter  # as it is until the reading task runs
            far.send(b"kept")
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await reader.read(10) == b"kept"

    run(main())


def test_a_cancelled_waiter_is_left_alone_and_others_are_an_error(loop, run):
    async def main():
        async with connected() as (reader, _, far):
            reader._waiter = loop.create_future()
            reader._waiter.cancel()
            far.send(b"first")
            await until(lambda: reader._buffer)
            assert reader._waiter is None
            reader._waiter = loop.create_future()
            reader._waiter.set_result(None)
            far.send(b"second")
            await until(lambda: reader._exception is not None)
            assert isinstance(reader._exception, asyncio.InvalidStateError)
            assert bytes(reader._buffer) == b"firstsecond"

    reported = []
    loop.set_exception_handler(lambda _, context: reported.append(context["message"]))
    run(main())
    assert reported == ["Fatal error: protocol.data_received() call failed."]


@both_sizes
@pytest.mark.parametrize("reader_class", [asyncio.StreamReader, OwnReader])
def test_a_buffer_that_is_lent_fails_the_connection(loop, run, reader_class, large):
    async def main():
        async with connected(reader_class()) as (reader, _, far):
            if large:
                await swell(reader, far)
            far.send(b"abc")
            await until(lambda: reader._buffer)
            with memoryview(reader._buffer):
                far.send(b"def")
                await until(lambda: reader._exception is not None)
            assert isinstance(reader._exception, BufferError)
            assert bytes(reader._buffer) == b"abc"

    reported = []
    loop.set_exception_handler(lambda _, context: reported.append(context["message"]))
    run(main())
    assert reported == ["Fatal error: protocol.data_received() call failed."]


LINE = bytes(range(11, 256)) * 300 + b"\n"


async def read_lines(reader, count):
    """So many lines, by each way to read in its turn. A read that is cancelled takes none."""
    ways = [
        lambda: reader.readline(), lambda: reader.readexactly(len(LINE)),
        lambda: reader.readuntil(b"\n"),
    ]
    for number in range(count):
        reading = asyncio.ensure_future(ways[number % 3]())
        await asyncio.sleep(0)
        if reading.cancel():
            with pytest.raises(asyncio.CancelledError):
                await reading
            reading = ways[number % 3]()
        assert await reading == LINE


@pytest.mark.parametrize("reader_class", [asyncio.StreamReader, OwnReader])
@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_large_messages_arrive_whole(loop, run, reader_class, family):
    """With a limit that pauses the transport all the time, up to the end of the stream, for
    whichever protocol is the transport's then."""

    class Rest(asyncio.Protocol):
        def data_received(self, data):
            rest.extend(data)

        def eof_received(self):
            ended.set_result(None)

    rest, ended = bytearray(), loop.create_future()

    async def main():
        near, far = socket.socketpair() if family == socket.AF_UNIX else tcp_pair()
        far.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=near, limit=len(LINE))
        if reader_class is not asyncio.StreamReader:
            reader = reader_class(limit=len(LINE))
            protocol = asyncio.StreamReaderProtocol(reader)
            protocol.connection_made(writer.transport)
            writer.transport.set_protocol(protocol)
        with far:
            sending = asyncio.ensure_future(loop.sock_sendall(far, LINE * 30))
            await read_lines(reader, 20)
            assert reader._transport is writer.transport
            writer.transport.set_protocol(Rest())
            rest.extend(await reader.read(len(LINE) * 10) if reader._buffer else b"")
            writer.transport.resume_reading()
            await sending
        await ended
        assert bytes(rest) == LINE * 10
        writer.transport.close()

    run(main())


def test_a_reset_behind_a_large_message_is_told(run):
    async def main():
        near, far = tcp_pair()
        reader, writer = await asyncio.open_connection(sock=near)
        await swell(reader, far)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        with pytest.raises(ConnectionResetError):
            await reader.read(100)
        writer.close()

    run(main())


def test_a_limit_that_is_no_int_counts(run):
    async def main():
        async with connected(limit=2.5) as (reader, writer, far):
            far.send(b"12345")
            await until(lambda: len(reader._buffer) == 5)
            assert not reader._paused
            far.send(b"6")
            await until(lambda: len(reader._buffer) == 6)
            assert reader._paused and not writer.transport.is_reading()

    run(main())


def test_data_for_a_reader_that_is_gone_is_dropped(loop, run):
    async def main():
        near, far = socket.socketpair()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, sock=near)
        reader._transport = None
        del reader
        with far:
            far.send(b"nobody")
            far.shutdown(socket.SHUT_WR)
            await until(lambda: protocol._stream_reader is None)
            transport.write(b"still open")
            assert await loop.run_in_executor(None, far.recv, 100) == b"still open"
            transport.close()
            await protocol._closed

    run(main())


def test_debug_mode_tells_where_a_read_was_woken(loop, run):
    loop.set_debug(True)

    async def main():
        async with connected() as (reader, _, far):
            assert reader._source_traceback
            with calls_counted() as seen:
                far.send(b"abc")
                assert await reader.readexactly(3) == b"abc"
            assert "feed_data" in seen

    run(main())


def test_readers_of_tls_are_fed_without_python(run):

    async def echo(reader, writer):
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context())
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(
            host, port, ssl=client_context(), server_hostname="localhost"
        )
        with calls_counted() as seen:
            for line in (b"one\n", b"t" * 50_000 + b"\n"):
                writer.write(line)
                assert await reader.readline() == line
        assert seen == []
        writer.close()
        await writer.wait_closed()
        server.close()

    run(main())


def test_new_futures_are_as_their_class_makes_them(loop):
    made = loop.create_future()
    called = asyncio.Future(loop=loop)
    again = loop.create_future()
    for future in (made, again):
        assert type(future) is asyncio.Future and future.get_loop() is loop
        assert repr(future) == repr(called)
        assert not future.done() and not future.cancelled()
        for name in ("_callbacks", "_source_traceback", "_asyncio_future_blocking",
                     "_log_traceback", "_cancel_message", "_state"):
            assert getattr(future, name) == getattr(called, name)
    again.set_result(3)
    assert again.result() == 3
    made.cancel("why")
    assert made.cancelled()
    loop.set_debug(True)
    assert loop.create_future()._source_traceback


def test_a_subclass_own_debug_mode_reaches_new_futures():
    class Loop(bide.EventLoop):
        debugged = False

        def get_debug(self):
            return self.debugged

    loop = Loop()
    try:
        assert loop.create_future()._source_traceback is None
        assert loop.create_future()._source_traceback is None
        loop.debugged = True
        assert loop.create_future()._source_traceback
    finally:
        loop.debugged = False
        loop.close()
