"""Going over to TLS on an open connection: users lose bytes on either side of the change,
or talk plain where they believe to be safe."""

import asyncio
import contextvars
import socket
import ssl

import bide
import pytest
from protocols import Recorder, close_all, connected_pair, listen, noise
from tls_peers import Pipe, blocking_server, client_context, flush, server_context, shake_with

pytest.importorskip("trustme")


async def upgraded(here, there, **options):
    """Two connected protocols whose connection goes over to TLS."""
    loop = asyncio.get_running_loop()
    serving = loop.start_tls(
        there.transport, there, server_context(), server_side=True, **options
    )
    asking = loop.start_tls(
        here.transport, here, client_context(), server_hostname="localhost", **options
    )
    there.transport, here.transport = await asyncio.gather(serving, asking)


def test_both_sides_go_over(run):
    async def main():
        here, there, server = await connected_pair()
        here.transport.write(b"plain")
        await there.until(lambda: there.data == b"plain")
        await upgraded(here, there)
        here.transport.write(noise(300_000))
        there.transport.write(noise(300_000, 2))
        await here.until(lambda: len(here.data) == 300_000)
        await there.until(lambda: len(there.data) == 300_005)
        assert here.data == noise(300_000, 2) and there.data[5:] == noise(300_000)
        # connection_made is not called again.
        assert here.events.count("made") == there.events.count("made") == 1
        await close_all(here, there, server)

    run(main())


def test_what_was_written_before_leaves_before_and_plain(run, loop):
    """More than the socket takes at once, so that the handshake waits behind it."""

    def serve(sock):
        size = 0
        while size < 4_000_000:
            size += len(sock.recv(min(65536, 4_000_000 - size)))
        with server_context().wrap_socket(sock, server_side=True) as wrapped:
            assert wrapped.recv(100) == b"safe"
            wrapped.unwrap()

    async def main(address):
        transport, here = await loop.create_connection(Recorder, *address)
        transport.write(noise(4_000_000))
        here.transport = await loop.start_tls(
            transport, here, client_context(), server_hostname="localhost"
        )
        await here.until(lambda: not here.paused)
        here.transport.write(b"safe")
        assert await here.lost is None

    with blocking_server(serve) as address:
        run(main(address))


async def start_stream(writer, context, **options):
    """StreamWriter.start_tls, which came with 3.11."""
    if hasattr(writer, "start_tls"):
        await writer.start_tls(context, **options)
        return
    protocol = writer.transport.get_protocol()
    writer._transport = await asyncio.get_running_loop().start_tls(
        writer.transport, protocol, context, server_side=not options, **options
    )
    protocol._over_ssl = True


def test_streams_go_over(run):
    async def main():
        async def serve(reader, writer):
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"OK\n")
            await start_stream(writer, server_context())
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"OK\n"
        await start_stream(writer, client_context(), server_hostname="localhost")
        writer.write(b"secret\n")
        assert await reader.readline() == b"SECRET\n"
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        await close_all(server)

    run(main())


def test_a_handshake_in_the_same_segment_is_not_lost(run):
    """A client that does not wait for the answer: its first record lies in the reader."""

    async def main():
        done = asyncio.get_running_loop().create_future()

        async def serve(reader, writer):
            assert await reader.readline() == b"PROXY TCP4\n"
            await start_stream(writer, server_context())
            done.set_result(await reader.readexactly(4))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        peer, sock = Pipe(client_context(), server_hostname="localhost"), socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockets[0].getsockname())
        assert not peer.shake()
        await loop.sock_sendall(sock, b"PROXY TCP4\n" + peer.take())
        await shake_with(peer, sock)
        peer.ssl.write(b"ping")
        await flush(peer, sock)
        assert await done == b"ping"
        sock.close()
        await close_all(server)

    run(main())


@pytest.mark.parametrize("serving", [False, True])
def test_a_stream_that_has_ended_before_fails_at_once(run, serving):
    """A peer that is gone when the handshake begins: nobody waits a minute for it."""

    async def main():
        here, there = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=here)
        there.shutdown(socket.SHUT_WR)
        assert await reader.read() == b""
        with pytest.raises(ConnectionResetError, match="during the SSL handshake"):
            await asyncio.get_running_loop().start_tls(
                writer.transport,
                writer.transport.get_protocol(),
                server_context() if serving else client_context(),
                server_side=serving,
                server_hostname=None if serving else "localhost",
            )
        there.close()

    run(main())


def test_what_came_while_paused_is_the_handshakes(run, loop):
    """A transport that holds unread bytes gives them to TLS, not to the protocol."""

    async def main():
        here, there, server = await connected_pair()
        there.transport.pause_reading()
        asking = asyncio.create_task(
            loop.start_tls(
                here.transport, here, client_context(), server_hostname="localhost"
            )
        )
        await asyncio.sleep(0.05)
        there.transport = await loop.start_tls(
            there.transport, there, server_context(), server_side=True
        )
        here.transport = await asking
        assert there.data == b""
        await close_all(here, there, server)

    run(main())


def test_tls_runs_inside_tls(run, caplog):
    """An HTTPS proxy reached by TLS."""

    async def main():
        here, there, server = await connected_pair()
        await upgraded(here, there)
        await upgraded(here, there)
        here.transport.write(noise(300_000))
        there.transport.writelines([noise(200_000, 2), noise(100_000, 3)])
        await there.until(lambda: len(there.data) == 300_000)
        await here.until(lambda: len(here.data) == 300_000)
        assert there.data == noise(300_000)
        assert here.data == noise(200_000, 2) + noise(100_000, 3)
        assert repr(here.transport).count("<SSLTransport open") == 2
        assert here.transport.get_extra_info("peername") is not None
        here.transport.close()
        assert await here.lost is None and await there.lost is None
        assert there.transport.get_extra_info("close_notify") is True
        await close_all(server)

    run(main())
    assert "eof_received" not in caplog.text  # which is TLS's own


class Wire(asyncio.Transport):
    """A user's own transport: two of them are a connection in memory."""

    _start_tls_compatible = True

    def __init__(self, loop, protocol):
        super().__init__()
        self.loop, self.protocol = loop, protocol
        self.other = None
        self.closing = self.paused = False
        self.waiting = []

    def write(self, data):
        assert not self.closing
        self.other.waiting.append(bytes(data))
        self.loop.call_soon(self.other.deliver)

    def deliver(self):
        while self.waiting and not self.paused and not self.closing:
            self.protocol.data_received(self.waiting.pop(0))

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False
        self.loop.call_soon(self.deliver)

    def is_closing(self):
        return self.closing

    def close(self):
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self.other.ended)
            self.loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def ended(self):
        self.deliver()
        if not self.closing and not self.protocol.eof_received():
            self.close()

    def set_protocol(self, protocol):
        self.protocol = protocol

    def get_protocol(self):
        return self.protocol

    def get_write_buffer_size(self):
        return 0


async def wired(here, there):
    """Connects two protocols by TLS over a transport in memory."""
    loop = asyncio.get_running_loop()
    wires = [Wire(loop, here), Wire(loop, there)]
    wires[0].other, wires[1].other = wires[1], wires[0]
    here.connection_made(wires[0])
    there.connection_made(wires[1])
    await upgraded(here, there)


def test_any_transport_carries_tls(run):
    async def main():
        here, there = Recorder(), Recorder()
        await wired(here, there)
        here.transport.write(noise(300_000))
        await there.until(lambda: len(there.data) == 300_000)
        there.transport.pause_reading()
        here.transport.write(b"later")
        await asyncio.sleep(0)
        there.transport.resume_reading()
        await there.until(lambda: there.data.endswith(b"later"))
        assert there.data == noise(300_000) + b"later"
        there.transport.close()
        assert await there.lost is None and await here.lost is None

    run(main())


def test_callbacks_keep_their_context(run, loop):
    variable = contextvars.ContextVar("variable")
    seen = []

    class Seeing(Recorder):
        def connection_made(self, transport):
            variable.set(type(self).__name__)
            super().connection_made(transport)

        def data_received(self, data):
            seen.append(variable.get(None))
            super().data_received(data)

    async def main():
        here, there, server = await connected_pair(server=Seeing)
        variable.set("the caller's")
        await upgraded(here, there)
        here.transport.write(b"x")
        await there.until(lambda: there.data)
        await close_all(here, there, server)

        accepted = loop.create_future()

        def factory():
            accepted.set_result(Seeing())
            return accepted.result()

        server, address = await listen(factory, ssl=server_context())
        _, here = await loop.create_connection(Recorder, *address, ssl=client_context())
        here.transport.write(b"x")
        there = await accepted
        await there.until(lambda: there.data)
        await close_all(here, there, server)

    run(main())
    assert seen == ["Seeing", "Seeing"]


def test_a_refused_certificate_ends_the_connection(run, loop):
    async def main():
        here, there, server = await connected_pair()
        serving = asyncio.create_task(
            loop.start_tls(there.transport, there, server_context(), server_side=True)
        )
        await asyncio.sleep(0)
        with pytest.raises(ssl.SSLCertVerificationError):
            await loop.start_tls(
                here.transport, here, client_context(), server_hostname="example.org"
            )
        with pytest.raises(ssl.SSLError, match="alert"):
            await serving
        # A protocol that was told of a connection is told of its end.
        assert isinstance(await here.lost, ssl.SSLCertVerificationError)
        assert isinstance(await there.lost, ssl.SSLError)
        await close_all(server)

    run(main())


def test_wrong_arguments_say_what_is_wrong(run, loop):
    async def main():
        here, there, server = await connected_pair()
        start, context = loop.start_tls, client_context()
        with pytest.raises(TypeError, match="sslcontext is expected to be an instance"):
            await start(here.transport, here, None)
        with pytest.raises(TypeError, match="is not supported by start_tls()"):
            await start(asyncio.Transport(), here, context)
        with pytest.raises(ValueError, match="ssl_handshake_timeout should be a positive"):
            await start(here.transport, here, context, ssl_handshake_timeout=0)
        await close_all(here, there, server)

    run(main())


def test_a_closing_connection_is_answered_with_none(run, loop):
    """aiohttp reports a proxy that hung up by it."""

    async def main():
        here, there, server = await connected_pair()
        here.transport.close()
        assert await loop.start_tls(here.transport, here, client_context()) is None
        assert await here.lost is None
        await close_all(there, server)

    run(main())


@pytest.mark.parametrize("new_loop", [asyncio.SelectorEventLoop, bide.new_event_loop])
@pytest.mark.parametrize("how", ["close", "abort"])
def test_closing_what_goes_over_gives_no_transport(new_loop, how):
    """aiohttp and others ask for None; an error would be taken for the peer's."""

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        transport, here = await loop.create_connection(Recorder, sock=left)
        going = asyncio.ensure_future(
            loop.start_tls(transport, here, client_context(), server_hostname="localhost")
        )
        assert await loop.run_in_executor(None, right.recv, 1) == b"\x16"
        getattr(transport, how)()
        assert await going is None
        right.close()

    loop = new_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


@pytest.mark.parametrize("new_loop", [asyncio.SelectorEventLoop, bide.new_event_loop])
def test_write_eof_below_ends_the_connection_at_the_next_write(new_loop):
    """What is written would vanish without a word."""

    async def main():
        here, there, server = await connected_pair()
        below = here.transport
        await upgraded(here, there)
        below.write_eof()
        here.transport.write(b"lost")
        error = await here.lost
        await there.lost
        # Up to 3.10 asyncio takes a transport that was lost for an open one.
        here.transport.close()
        there.transport.close()
        server.close()
        return error

    reported = []
    loop = new_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    try:
        error = loop.run_until_complete(asyncio.wait_for(main(), 10))
    finally:
        loop.close()
    assert str(error) == "Cannot call write() after write_eof()"
    assert reported == [error] and type(error) is RuntimeError


def test_going_over_after_write_eof_fails_at_once(run, loop):
    """asyncio waits for the end of the handshake's time."""
    reported = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))

    async def main():
        here, there, server = await connected_pair()
        here.transport.write_eof()
        with pytest.raises(RuntimeError, match="after write_eof") as raised:
            await loop.start_tls(
                here.transport, here, client_context(), server_hostname="localhost"
            )
        assert await here.lost is raised.value
        assert reported == [raised.value]
        await there.lost
        await close_all(server)

    run(main())
