"""The end of TLS connections: users lose the tail of what was written, hang on dead peers,
or take a truncated stream for a whole one."""

import asyncio
import gc
import socket
import ssl
import threading
import time
import warnings
import weakref

import pytest
from protocols import Recorder, close_all, listen, noise
from tls_peers import (
    VERSIONS,
    Pipe,
    blocking_server,
    client_context,
    flush,
    read_exactly,
    server_context,
    shake_with,
)

pytest.importorskip("trustme")


async def with_pipe(protocol=Recorder, version=None, **options):
    """A protocol of the loop and, at its other end, a Pipe on a non-blocking socket."""
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    right.setblocking(False)
    peer = Pipe(server_context(version=version), server_side=True)
    shaking = asyncio.create_task(shake_with(peer, right))
    _, here = await loop.create_connection(
        protocol, sock=left, ssl=client_context(), server_hostname="localhost", **options
    )
    await shaking
    return here, peer, right


@pytest.mark.parametrize("version", VERSIONS)
def test_all_that_was_written_arrives_before_the_end(run, version):
    payload = noise(3_000_000)

    async def main():
        here, peer, sock = await with_pipe(version=version)
        here.transport.write(payload)
        here.transport.close()
        assert here.transport.is_closing()
        here.transport.write(b"too late")
        assert await read_exactly(peer, sock, len(payload)) == payload
        while not peer.ended:
            peer.give(await asyncio.get_running_loop().sock_recv(sock, 65536))
            assert peer.read_all() == b""
        peer.end()
        await flush(peer, sock)
        assert await here.lost is None
        assert here.transport.get_extra_info("close_notify") is True
        sock.close()

    run(main())


def test_a_clean_end_is_told_from_a_cut_one(run):
    """Both are eof_received() and connection_lost(None), as in asyncio; the transport knows
    which it was, or an attacker could shorten what was sent."""

    async def main():
        here, peer, sock = await with_pipe()
        peer.ssl.write(b"all of it")
        peer.end()
        await flush(peer, sock)
        assert await here.lost is None
        assert here.events == ["made", "data", "eof", "lost"]
        assert here.transport.get_extra_info("close_notify") is True
        sock.close()

        here, peer, sock = await with_pipe()
        peer.ssl.write(b"part of it, and a record cut short")
        await asyncio.get_running_loop().sock_sendall(sock, peer.take()[:-1])
        sock.close()
        assert await here.lost is None
        assert here.events == ["made", "eof", "lost"] and here.data == b""
        assert here.transport.get_extra_info("close_notify") is False

    run(main())


def test_what_is_pending_goes_out_after_the_peers_close_notify(run):
    """A peer may end its side first and still read."""

    async def main():
        here, peer, sock = await with_pipe()
        here.transport._ssl_protocol.pause_writing()
        here.transport.write(noise(500_000))
        peer.end()
        await flush(peer, sock)
        await here.eof
        here.transport._ssl_protocol.resume_writing()
        assert await read_exactly(peer, sock, 500_000) == noise(500_000)
        assert await here.lost is None
        sock.close()

    run(main())


class Firehose:
    """Sends for as long as the peer takes it; counts what that was."""

    def __init__(self):
        self.sent = 0

    def __call__(self, sock):
        sock.recv(1)
        try:
            while True:
                self.sent += sock.send(b"x" * 65536)
        except OSError:
            pass


@pytest.mark.parametrize("paused", [False, True])
def test_a_close_stops_the_download(run, paused):
    """uvloop reads on for half a minute, and asyncio makes an error of it."""
    hose = Firehose()

    async def main(address):
        loop = asyncio.get_running_loop()
        _, here = await loop.create_connection(Recorder, *address, ssl=client_context())
        here.transport.write(b"!")
        await here.until(lambda: here.data)
        if paused:
            here.transport.pause_reading()
        size = len(here.data)
        here.transport.close()
        begin = time.monotonic()
        assert await here.lost is None
        assert time.monotonic() - begin < 5
        assert len(here.data) == size

    with blocking_server(hose, server_context()) as address:
        run(main(address))
    # Socket buffers of both sides, far from 30 s of it.
    assert hose.sent < 50_000_000


def test_a_silent_peer_does_not_hold_a_close_for_long(run):
    async def main():
        here, peer, sock = await with_pipe()
        begin = time.monotonic()
        here.transport.close()
        assert await here.lost is None
        assert time.monotonic() - begin < 5
        sock.close()

    run(main())


def test_a_shutdown_timeout_of_the_users_own_is_an_error(run):
    async def main():
        here, peer, sock = await with_pipe(ssl_shutdown_timeout=0.05)
        here.transport.close()
        error = await here.lost
        assert isinstance(error, asyncio.TimeoutError)
        assert str(error) == "SSL shutdown timed out"
        sock.close()

    run(main())


def test_an_abort_is_at_once(run):
    async def main():
        here, peer, sock = await with_pipe()
        here.transport._ssl_protocol.pause_writing()
        here.transport.write(noise(100_000))
        here.transport.abort()
        assert await here.lost is None
        # Of the 100,000 bytes nothing has left.
        try:
            assert await asyncio.get_running_loop().sock_recv(sock, 65536) == b""
        except ConnectionResetError:
            pass
        sock.close()

    run(main())


def test_a_reset_reaches_the_protocol(run):
    def serve(sock):
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async def main(address):
        loop = asyncio.get_running_loop()
        _, here = await loop.create_connection(Recorder, *address, ssl=client_context())
        here.transport.write(b"!")
        assert isinstance(await here.lost, ConnectionResetError)
        assert here.transport.get_extra_info("close_notify") is False

    with blocking_server(serve, server_context()) as address:
        run(main(address))


def test_returning_true_from_eof_received_is_warned_about(run, caplog):
    class Keeping(Recorder):
        keep_open = True

    async def main():
        here, peer, sock = await with_pipe(Keeping)
        peer.end()
        await flush(peer, sock)
        assert await here.lost is None
        sock.close()

    run(main())
    assert "returning true from eof_received() has no effect when using ssl" in caplog.text


def test_late_writes_are_dropped_and_logged(run, caplog):
    async def main():
        here, peer, sock = await with_pipe()
        here.transport.abort()
        await here.lost
        for _ in range(10):
            here.transport.write(b"nobody")
            here.transport.writelines([b"nobody"])
        sock.close()

    run(main())
    assert "SSL connection is closed" in caplog.text


# ---- handshakes that do not end ----


def test_a_slow_handshake_is_given_up(run, loop):
    async def main():
        left, right = socket.socketpair()
        with pytest.raises(ConnectionAbortedError) as raised:
            await loop.create_connection(
                Recorder,
                sock=left,
                ssl=client_context(),
                server_hostname="localhost",
                ssl_handshake_timeout=0.05,
            )
        assert str(raised.value) == (
            "SSL handshake is taking longer than 0.05 seconds: aborting the connection"
        )
        assert right.recv(65536)[:1] == b"\x16"
        assert right.recv(65536) == b""
        right.close()

    run(main())


def test_a_server_gives_up_silent_clients_by_itself(run):
    async def main():
        server, address = await listen(
            Recorder, ssl=server_context(), ssl_handshake_timeout=0.05
        )
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
        await close_all(server)

    run(main())


def test_a_peer_that_leaves_during_the_handshake_is_an_error_once(run, loop):
    def serve(sock):
        sock.recv(1024)

    async def main(address):
        with pytest.raises(ConnectionResetError):
            await loop.create_connection(Recorder, *address, ssl=client_context())

    with blocking_server(serve) as address:
        run(main(address))


def test_a_cancelled_handshake_closes_its_socket(run, loop, open_fds):
    async def main():
        listening = socket.create_server(("127.0.0.1", 0))
        before = open_fds()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(
                loop.create_connection(
                    Recorder, *listening.getsockname(), ssl=client_context()
                ),
                0.05,
            )
        peer, _ = listening.accept()
        peer.setblocking(False)
        while await loop.sock_recv(peer, 65536):
            pass
        peer.close()
        assert open_fds() == before
        listening.close()

    run(main())


def test_debug_mode_tells_of_failed_handshakes(loop, run):
    """Nobody awaits an accepted connection: asyncio reports it in debug mode alone."""
    reported = []
    loop.set_exception_handler(lambda _, context: reported.append(context))

    async def main():
        server, address = await listen(Recorder, ssl=server_context())
        for debug in (False, True):
            loop.set_debug(debug)
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
            # An alert says what was wrong.
            assert (await reader.read())[:1] == b"\x15"
            writer.close()
        await close_all(server)

    run(main())
    assert [context["message"] for context in reported] == [
        "Error on transport creation for incoming connection"
    ]
    assert isinstance(reported[0]["exception"], ssl.SSLError)


# ---- what is left behind ----


def test_nothing_keeps_a_connection_that_is_over(run, loop, open_fds):
    """Without the collector: a cycle would keep sockets and contexts until it runs."""
    gone = []

    async def connect(address):
        context = client_context()
        _, here = await loop.create_connection(Recorder, *address, ssl=context)
        gone.extend([weakref.ref(here.transport), weakref.ref(here), weakref.ref(context)])
        here.transport.write(b"x")
        here.transport.close()
        await here.lost

    async def refused(address):
        context = ssl.create_default_context()
        gone.append(weakref.ref(context))
        try:
            await loop.create_connection(Recorder, *address, ssl=context)
        except ssl.SSLCertVerificationError:
            pass

    async def main():
        server, address = await listen(asyncio.Protocol, ssl=server_context())
        gc.collect()
        gc.disable()
        try:
            before = open_fds()
            await connect(address)
            await refused(address)
            while open_fds() != before:
                await asyncio.sleep(0)
            assert [each() for each in gone] == [None] * len(gone)
        finally:
            gc.enable()
        await close_all(server)

    run(main())


def test_a_transport_dropped_open_warns(loop):
    async def main():
        left, right = socket.socketpair()
        serving = asyncio.create_task(
            loop.connect_accepted_socket(asyncio.Protocol, right, ssl=server_context())
        )
        await loop.create_connection(
            asyncio.Protocol, sock=left, ssl=client_context(), server_hostname="localhost"
        )
        await serving

    loop.run_until_complete(main())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.close()
        gc.collect()
    texts = [str(each.message) for each in caught]
    assert sum("unclosed transport <SSLTransport open" in text for text in texts) == 2


def test_a_loop_that_is_closed_takes_its_connections_along(loop):
    """transport.close() after the loop's only has the socket left to close."""

    async def main():
        left, right = socket.socketpair()
        serving = asyncio.create_task(
            loop.connect_accepted_socket(asyncio.Protocol, right, ssl=server_context())
        )
        return [
            (
                await loop.create_connection(
                    asyncio.Protocol,
                    sock=left,
                    ssl=client_context(),
                    server_hostname="localhost",
                )
            )[0],
            (await serving)[0],
        ]

    transports = loop.run_until_complete(main())
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        transports[0].write(b"x")
    transports[0].close()
    transports[1].abort()
    assert all(transport.is_closing() for transport in transports)


def test_many_threads_shut_down_cleanly(run):
    """Blocking peers that unwrap() find close_notify, in whichever order they close."""
    ended = []

    def client(address):
        with socket.create_connection(address, timeout=10) as raw:
            with client_context().wrap_socket(raw, server_hostname="localhost") as sock:
                sock.sendall(b"ping")
                assert sock.recv(100) == b"pong"
                sock.unwrap()
                ended.append(True)

    async def main():
        async def serve(reader, writer):
            assert await reader.readexactly(4) == b"ping"
            writer.write(b"pong")
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context())
        address = server.sockets[0].getsockname()
        threads = [threading.Thread(target=client, args=[address]) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(ended) < len(threads) and any(t.is_alive() for t in threads):
            await asyncio.sleep(0.01)
        for thread in threads:
            thread.join()
        await close_all(server)

    run(main())
    assert len(ended) == 8
