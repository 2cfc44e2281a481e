"""TLS over a network that misbehaves: users lose bytes where the stream is cut into
pieces, take forged bytes for real ones, or leak a connection for each attack."""

import asyncio
import random
import shutil
import socket
import ssl
import subprocess

import pytest
from protocols import Recorder, close_all, listen, noise
from test_tls_close import with_pipe
from tls_peers import VERSIONS, Pipe, client_context, flush, server_context, shake_with

pytest.importorskip("trustme")


async def send_in_pieces(sock, data, sizes):
    """Each piece arrives alone: the loop gets a turn to read it."""
    loop = asyncio.get_running_loop()
    while data:
        size = next(sizes)
        await loop.sock_sendall(sock, data[:size])
        data = data[size:]
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def cuts(seed):
    chance = random.Random(seed)
    while True:
        yield chance.choice([1, 2, 5, 100, 1000, 20_000])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", range(4))
def test_a_stream_may_be_cut_anywhere(run, loop, seed, version):
    """The handshake, the data and the end in pieces of any size."""

    async def main():
        left, right = socket.socketpair()
        right.setblocking(False)
        peer = Pipe(server_context(version=version), server_side=True)
        connecting = asyncio.create_task(
            loop.create_connection(
                Recorder, sock=left, ssl=client_context(), server_hostname="localhost"
            )
        )
        sizes = cuts(seed)
        while not peer.shake():
            await send_in_pieces(right, peer.take(), sizes)
            peer.give(await loop.sock_recv(right, next(sizes)))
        await send_in_pieces(right, peer.take(), sizes)
        _, here = await connecting
        for size in (1, 1000, 16385, 50_000):
            peer.ssl.write(noise(size))
        peer.end()
        await send_in_pieces(right, peer.take(), sizes)
        assert await here.lost is None
        assert here.data == noise(1) + noise(1000) + noise(16385) + noise(50_000)
        assert here.transport.get_extra_info("close_notify") is True
        right.close()

    run(main())


def test_one_byte_at_a_time_will_do(run):
    async def main():
        here, peer, sock = await with_pipe()
        peer.ssl.write(noise(300))
        peer.ssl.write(noise(200, 2))
        await send_in_pieces(sock, peer.take(), iter(lambda: 1, 0))
        await here.until(lambda: len(here.data) == 500)
        assert here.data == noise(300) + noise(200, 2)
        here.transport.abort()
        await here.lost
        sock.close()

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", range(8))
def test_a_forged_byte_ends_the_connection(run, seed, version):
    """What came before it is given; nothing behind it is."""

    async def main():
        chance = random.Random(seed)
        here, peer, sock = await with_pipe(version=version)
        peer.ssl.write(b"before")
        good = peer.take()
        peer.ssl.write(noise(1000))
        bad = bytearray(peer.take())
        bad[chance.randrange(5, len(bad))] ^= 1 << chance.randrange(8)
        await asyncio.get_running_loop().sock_sendall(sock, good + bad)
        assert isinstance(await here.lost, ssl.SSLError)
        assert here.data == b"before" and "eof" not in here.events
        # The peer learns why.
        peer.give(await asyncio.get_running_loop().sock_recv(sock, 65536))
        with pytest.raises(ssl.SSLError, match="alert"):
            peer.read_all()
        sock.close()

    run(main())


@pytest.mark.parametrize("seed", range(3))
def test_garbage_for_a_handshake_is_refused(run, seed, open_fds):
    async def main():
        loop = asyncio.get_running_loop()
        server, address = await listen(Recorder, ssl=server_context())
        before = open_fds()
        chance = random.Random(seed)
        for _ in range(20):
            reader, writer = await asyncio.open_connection(*address)
            hello = Pipe(client_context(), server_hostname="localhost")
            hello.shake()
            data = bytearray(hello.take())
            for _ in range(chance.randrange(1, 20)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            writer.write(data[: chance.randrange(1, len(data) + 1)])
            if writer.can_write_eof():
                writer.write_eof()
            try:
                while await reader.read(65536):
                    pass
            except ConnectionResetError:
                pass
            writer.close()
            await asyncio.wait([asyncio.ensure_future(closed(writer))])
        while open_fds() != before:
            await asyncio.sleep(0)
        # And the server still serves.
        _, here = await loop.create_connection(Recorder, *address, ssl=client_context())
        await close_all(here, server)

    async def closed(writer):
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass

    run(main())


@pytest.mark.parametrize("at", [0, 1, 5, 100, 300, 500])
def test_a_reset_in_the_handshake_is_told_to_who_awaits_it(run, loop, at, open_fds):
    """After so many bytes of the server's first flight."""

    async def main():
        server = socket.create_server(("127.0.0.1", 0))
        server.setblocking(False)
        before = open_fds()
        connecting = asyncio.create_task(
            loop.create_connection(Recorder, *server.getsockname(), ssl=client_context())
        )
        sock, _ = await loop.sock_accept(server)
        peer = Pipe(server_context(), server_side=True)
        peer.give(await loop.sock_recv(sock, 65536))
        assert not peer.shake()
        await loop.sock_sendall(sock, peer.take()[:at])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        with pytest.raises(ConnectionResetError):
            await connecting
        while open_fds() != before:
            await asyncio.sleep(0)
        server.close()

    run(main())


def test_a_client_that_asks_to_renegotiate_is_refused(run, loop):
    """TLS 1.2's renegotiation is an attack on the server's CPU: OpenSSL 3 says no."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")

    async def main():
        server, address = await listen(
            Recorder, ssl=server_context(version=ssl.TLSVersion.TLSv1_2)
        )
        client = await loop.run_in_executor(
            None,
            lambda: subprocess.run(
                ["openssl", "s_client", "-connect", f"{address[0]}:{address[1]}", "-tls1_2"],
                input=b"R\n",
                capture_output=True,
                timeout=8,
            ),
        )
        assert b"no renegotiation" in client.stderr
        await close_all(server)

    run(main())


def test_errors_of_protocols_end_their_connection_alone(loop, run):
    reported = []
    loop.set_exception_handler(lambda _, context: reported.append(context["message"]))

    class Failing(Recorder):
        def data_received(self, data):
            raise ZeroDivisionError(data)

    class FailingAtTheEnd(Recorder):
        def eof_received(self):
            raise ZeroDivisionError

    async def main():
        here, peer, sock = await with_pipe(Failing)
        other, far, wire = await with_pipe(FailingAtTheEnd)
        peer.ssl.write(b"x")
        await flush(peer, sock)
        assert isinstance(await here.lost, ZeroDivisionError)
        far.ssl.write(b"fine")
        far.end()
        await flush(far, wire)
        assert isinstance(await other.lost, ZeroDivisionError)
        assert other.data == b"fine"
        sock.close()
        wire.close()

    run(main())
    assert reported == ["Fatal error on SSL protocol", "Error calling eof_received()"]


def test_shaking_hands_with_oneself_over_one_loop(run):
    """Many at once, each with its own bytes."""

    async def one(number):
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)
        peer = Pipe(server_context(), server_side=True)
        shaking = asyncio.create_task(shake_with(peer, right))
        _, here = await loop.create_connection(
            Recorder, sock=left, ssl=client_context(), server_hostname="localhost"
        )
        await shaking
        peer.ssl.write(noise(20_000, number))
        await flush(peer, right)
        await here.until(lambda: len(here.data) == 20_000)
        assert here.data == noise(20_000, number)
        here.transport.abort()
        await here.lost
        right.close()

    async def main():
        await asyncio.gather(*(one(number) for number in range(20)))

    run(main())
