"""One connection among many: users of the others wait while a large answer goes to a peer
who reads as fast as it is sent."""

import asyncio
import contextlib
import hashlib
import os
import socket
import subprocess

import pytest
from protocols import Recorder, noise
from test_tls_start import wired
from tls_peers import blocking_server, client_context, server_context

SIZE = 24_000_000
PLAIN_TURN, TLS_TURN = 4 << 20, 1 << 20
# What has been encrypted and waits in the transport below may leave in the same turn: its
# high mark, and the piece that went beyond it.
TLS_BELOW = 4 * 65536


class Writer(Recorder):
    async def sent(self):
        """The most that has left between two turns of the loop."""
        most, left = 0, self.transport.get_write_buffer_size()
        while left > 0:
            await asyncio.sleep(0)
            now = self.transport.get_write_buffer_size()
            most, left = max(most, left - now), now
        return most


@contextlib.asynccontextmanager
async def over_tcp():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        _, here = await asyncio.get_running_loop().create_connection(
            Writer, *listening.getsockname()
        )
        there, _ = listening.accept()
    with there:
        yield here, there.fileno()


@contextlib.asynccontextmanager
async def over_unix():
    near, far = socket.socketpair()
    with far:
        _, here = await asyncio.get_running_loop().create_unix_connection(
            Writer, sock=near
        )
        yield here, far.fileno()


@contextlib.asynccontextmanager
async def over_pipe():
    read, write = os.pipe()
    with open(read, "rb") as there:
        _, here = await asyncio.get_running_loop().connect_write_pipe(
            Writer, open(write, "wb", 0)
        )
        yield here, there.fileno()


def write_bytes(transport):
    transport.write(bytes(SIZE))


def write_buffer(transport):
    transport.write(bytearray(SIZE))


def write_lines(transport):
    transport.writelines([bytes(SIZE // 24)] * 24)


@pytest.mark.parametrize(
    "over, write",
    [
        (over_tcp, write_bytes),
        (over_tcp, write_buffer),
        (over_tcp, write_lines),
        (over_unix, write_bytes),
        (over_pipe, write_bytes),
    ],
)
def test_a_fast_reader_is_served_in_turns(run, over, write):
    async def main():
        async with over() as (here, fd):
            with subprocess.Popen(["cat"], stdin=fd, stdout=subprocess.DEVNULL) as reader:
                write(here.transport)
                # A buffer that may change is sent as far as that goes, then copied.
                assert here.transport.get_write_buffer_size() >= SIZE - 2 * PLAIN_TURN
                assert here.paused
                assert await here.sent() <= PLAIN_TURN
                assert not here.paused
                here.transport.close()
                await here.lost
                # The file is closed by then, without another turn of the loop.
                assert reader.wait(20) == 0

    run(main())


@pytest.mark.parametrize("write", [write_bytes, write_buffer, write_lines])
def test_a_fast_reader_of_tls_is_served_in_turns(run, write):
    def serve(sock):
        sock.settimeout(None)
        subprocess.run(["cat"], stdin=sock.fileno(), stdout=subprocess.DEVNULL)

    async def main(address):
        _, here = await asyncio.get_running_loop().create_connection(
            Writer, *address, ssl=client_context()
        )
        write(here.transport)
        assert here.transport.get_write_buffer_size() >= SIZE - 2 * TLS_TURN
        assert here.paused
        assert await here.sent() <= TLS_TURN + TLS_BELOW
        assert not here.paused
        here.transport.abort()
        await here.lost

    with blocking_server(serve, server_context()) as address:
        run(main(address))


def test_a_transport_in_memory_is_fed_in_turns(run):
    """What carries TLS may take everything: it is no reason to encrypt it all at once."""
    payload = noise(5_000_000)

    async def main():
        here, there = Writer(), Recorder()
        await wired(here, there)
        here.transport.write(payload)
        assert here.transport.get_write_buffer_size() >= len(payload) - TLS_TURN
        assert here.paused
        assert await here.sent() <= TLS_TURN
        assert not here.paused
        here.transport.write(b"the end")
        here.transport.close()
        await there.lost
        assert there.data == payload + b"the end"

    run(main())


@pytest.mark.parametrize("over", [over_tcp, over_unix, over_pipe])
def test_turns_keep_the_order_and_the_end(run, over):
    """Pieces of all sizes, written while others are on their way, then the end."""
    pieces = [noise(size, seed) for seed, size in enumerate((6_000_000, 1, 70_000))]
    expected = hashlib.sha256(b"".join(pieces + pieces + [bytes(6_000_000)])).hexdigest()

    async def main():
        async with over() as (here, fd):
            with subprocess.Popen(["sha256sum"], stdin=fd, stdout=subprocess.PIPE) as reader:
                for piece in pieces:
                    here.transport.write(piece)
                    await asyncio.sleep(0)
                here.transport.writelines([bytearray(piece) for piece in pieces])
                last = bytearray(6_000_000)
                here.transport.write(last)
                last[:] = b"x" * len(last)
                here.transport.write_eof()
                printed = await asyncio.to_thread(reader.stdout.read)
                assert printed.split()[0] == expected.encode()
                here.transport.close()
                await here.lost

    run(main())
