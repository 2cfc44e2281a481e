"""sendfile and sock_sendfile: users send files that arrive short, twice or not at all."""

import asyncio
import io
import os
import socket
import sys

import pytest
from protocols import Recorder, close_all, connected_pair, noise

SIZE = 3_000_000


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(noise(SIZE))
    with open(path, "rb") as opened:
        yield opened


class NoDescriptor(io.BytesIO):
    """A file for which only the fallback will do."""


def sources(file):
    return [file, NoDescriptor(file.read())]


def small_buffers(transport):
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("offset, count", [(0, None), (5, None), (7, 100_000), (0, SIZE + 9)])
def test_a_file_arrives(loop, run, file, kind, offset, count):
    async def main():
        here, there, server = await connected_pair()
        source = sources(file)[kind]
        expected = noise(SIZE)[offset : SIZE if count is None else offset + count]
        sent = await loop.sendfile(here.transport, source, offset, count)
        assert sent == len(expected)
        assert source.tell() == offset + sent
        here.transport.write(b"after")
        await there.until(lambda: len(there.data) == sent + 5)
        assert there.data == expected + b"after"
        await close_all(here, there, server)

    run(main())


@pytest.mark.parametrize("kind", [0, 1])
def test_what_was_written_before_comes_before(loop, run, file, kind):
    async def main():
        here, there, server = await connected_pair()
        head = noise(5_000_000, seed=2)
        here.transport.write(head)
        assert await loop.sendfile(here.transport, sources(file)[kind], 0) == SIZE
        await there.until(lambda: len(there.data) == len(head) + SIZE)
        assert there.data == head + noise(SIZE)
        assert here.paused is False
        await close_all(here, there, server)

    run(main())


def test_an_empty_file_is_sent_at_once(loop, run, tmp_path):
    async def main():
        here, there, server = await connected_pair()
        (tmp_path / "empty").touch()
        with open(tmp_path / "empty", "rb") as empty:
            assert await loop.sendfile(here.transport, empty) == 0
            sock = here.transport.get_extra_info("socket")
            assert await loop.sock_sendfile(sock._sock, empty) == 0
        assert await loop.sendfile(here.transport, io.BytesIO()) == 0
        await close_all(here, there, server)

    run(main())


def test_nothing_is_written_between(loop, run, file):
    async def main():
        here, there, server = await connected_pair()
        small_buffers(here.transport)
        there.transport.pause_reading()
        task = loop.create_task(loop.sendfile(here.transport, file))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="unable to write; sendfile is in progress"):
            here.transport.write(b"x")
        # Before 3.12 it is a write() of what the lines come to.
        method = "writelines" if sys.version_info >= (3, 12) else "write"
        with pytest.raises(RuntimeError, match=f"unable to {method}; sendfile is in progress"):
            here.transport.writelines([b"x"])
        with pytest.raises(RuntimeError, match="sendfile is in progress"):
            await loop.sendfile(here.transport, file)
        assert not here.transport.is_reading()
        here.transport.write_eof()
        there.transport.resume_reading()
        assert await task == SIZE
        assert here.transport.is_reading()
        await there.eof
        assert there.data == noise(SIZE)
        await close_all(here, there, server)

    run(main())


@pytest.mark.parametrize("kind", [0, 1])
def test_a_peer_that_goes_in_the_middle(loop, run, file, kind):
    async def main():
        here, there, server = await connected_pair()
        small_buffers(here.transport)
        there.transport.pause_reading()
        task = loop.create_task(loop.sendfile(here.transport, sources(file)[kind]))
        await asyncio.sleep(0)
        there.transport.abort()
        with pytest.raises(ConnectionError):
            await task
        await here.lost
        await close_all(server)

    run(main())
    assert 0 <= file.tell() <= SIZE


@pytest.mark.parametrize("method", ["close", "abort"])
@pytest.mark.parametrize("kind", [0, 1])
def test_a_transport_that_closes_in_the_middle(loop, run, file, kind, method):
    async def main():
        here, there, server = await connected_pair()
        small_buffers(here.transport)
        there.transport.pause_reading()
        task = loop.create_task(loop.sendfile(here.transport, sources(file)[kind]))
        while not (here.transport._protocol_paused or kind == 0):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        getattr(here.transport, method)()
        there.transport.resume_reading()
        with pytest.raises(ConnectionError):
            await task
        await close_all(there, server)
        await here.lost

    run(main())


def test_a_cancelled_sendfile_tells_how_far_it_came(loop, run, file):
    """The position goes on where the peer's bytes end."""

    async def main():
        here, there, server = await connected_pair()
        small_buffers(here.transport)
        there.transport.pause_reading()
        task = loop.create_task(loop.sendfile(here.transport, file))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        sent = file.tell()
        assert 0 < sent < SIZE
        there.transport.resume_reading()
        here.transport.write(b"after")
        await there.until(lambda: len(there.data) == sent + 5)
        assert there.data == noise(SIZE)[:sent] + b"after"
        await close_all(here, there, server)

    run(main())


def test_the_fallback_can_be_forbidden(loop, run, file):
    async def main():
        here, there, server = await connected_pair()
        with pytest.raises(asyncio.SendfileNotAvailableError, match="not a regular file"):
            await loop.sendfile(here.transport, io.BytesIO(b"x"), fallback=False)
        sock = here.transport.get_extra_info("socket")._sock
        with pytest.raises(asyncio.SendfileNotAvailableError, match="not a regular file"):
            await loop.sock_sendfile(sock, io.BytesIO(b"x"), fallback=False)
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as pipe, open(write_end, "wb"):
            with pytest.raises(asyncio.SendfileNotAvailableError, match="call failed"):
                await loop.sendfile(here.transport, pipe, 0, 5, fallback=False)
        assert await loop.sendfile(here.transport, file, 0, 10, fallback=False) == 10
        await there.until(lambda: len(there.data) == 10)
        await close_all(here, there, server)

    run(main())


def test_a_paused_protocol_hears_of_room_once(loop, run, file):
    """The fallback takes the protocol's place; what it heard meanwhile must be passed on."""

    async def main():
        here, there, server = await connected_pair()
        there.transport.pause_reading()
        here.transport.write(noise(5_000_000))
        assert here.paused
        task = loop.create_task(loop.sendfile(here.transport, sources(file)[1], 0))
        await asyncio.sleep(0)
        there.transport.resume_reading()
        assert await task == SIZE
        await there.until(lambda: len(there.data) == 5_000_000 + SIZE)
        assert not here.paused and here.events.count("pause") == here.events.count("resume")
        await close_all(here, there, server)

    run(main())


def test_states_and_transports_that_cannot(loop, run, file):
    async def main():
        here, there, server = await connected_pair()
        endpoint, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, ("127.0.0.1", 0)
        )
        with pytest.raises(RuntimeError, match="sendfile is not supported for transport"):
            await loop.sendfile(endpoint, file)
        endpoint.close()
        here.transport.write_eof()
        with pytest.raises(RuntimeError, match=r"Cannot call sendfile\(\) after write_eof"):
            await loop.sendfile(here.transport, file)
        here.transport.close()
        with pytest.raises(RuntimeError, match="Transport is closing"):
            await loop.sendfile(here.transport, file)
        await close_all(here, there, server)

    run(main())


@pytest.mark.parametrize(
    "offset, count, expected",
    [(-1, None, ValueError), ("0", None, TypeError), (0, 0, ValueError), (0, "1", TypeError)],
)
def test_wrong_arguments(loop, run, file, offset, count, expected):
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(expected, match="must be a (positive|non-negative) integer"):
            run(loop.sock_sendfile(sock, file, offset, count))


def test_text_files_and_datagram_sockets_are_refused(loop, run, file, tmp_path):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError, match="only SOCK_STREAM type sockets are supported"):
            run(loop.sock_sendfile(sock, file))
    with socket.socket() as sock, open(file.name) as text:
        with pytest.raises(ValueError, match="file should be opened in binary mode"):
            run(loop.sock_sendfile(sock, text))


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("offset, count", [(0, None), (7, 1_000_000)])
def test_sock_sendfile(loop, run, file, kind, offset, count):
    async def main():
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            there.setblocking(False)
            source = sources(file)[kind]
            expected = noise(SIZE)[offset : SIZE if count is None else offset + count]
            task = loop.create_task(loop.sock_sendfile(here, source, offset, count))
            got = bytearray()
            while len(got) < len(expected):
                got += await loop.sock_recv(there, 1 << 16)
            assert await task == len(expected) and got == expected
            assert source.tell() == offset + len(expected)

    run(main())


def test_a_cancelled_sock_sendfile_loses_its_place_in_nothing(loop, run, file):
    async def main():
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            there.setblocking(False)
            with pytest.raises((asyncio.TimeoutError, TimeoutError)):
                await asyncio.wait_for(loop.sock_sendfile(here, file), 0.05)
            sent = file.tell()
            here.close()
            got = bytearray()
            while piece := await loop.sock_recv(there, 1 << 16):
                got += piece
            assert len(got) == sent and got == noise(SIZE)[:sent]

    run(main())


def test_a_buffered_protocol_gets_its_transport_back(loop, run, file):
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.buffer = bytearray(100)
            self.got = loop.create_future()

        def get_buffer(self, hint):
            return self.buffer

        def buffer_updated(self, count):
            self.got.set_result(bytes(self.buffer[:count]))

    async def main():
        accepted = loop.create_future()

        class Peer(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                accepted.set_result(self)

        server = await loop.create_server(Peer, "127.0.0.1", 0)
        here, protocol = await loop.create_connection(
            Buffered, *server.sockets[0].getsockname()
        )
        peer = await accepted
        assert await loop.sendfile(here, sources(file)[1], 0, 1000) == 1000
        peer.transport.write(b"answer")
        assert await protocol.got == b"answer"
        here.close()
        await peer.lost
        await close_all(server)

    run(main())
