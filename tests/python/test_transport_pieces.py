"""A connection whose pieces grow and shrink is received in one way and in another: users
lose bytes, their order, a pause, or the end of the stream at the change."""

import asyncio
import random
import socket
import struct

import pytest
from protocols import Recorder, close_all, connected_pair, noise

SMALL, LARGE = 100, 100_000
PHASES = [SMALL] * 3 + [LARGE] + [SMALL] * 40 + [LARGE] * 3 + [SMALL] * 40


class Pausing(Recorder):
    """Pauses at every other piece, for a turn or some."""

    def data_received(self, data):
        super().data_received(data)
        if len(self.events) % 2:
            self.transport.pause_reading()
            self.resume_after(len(self.events) % 3)

    def resume_after(self, turns):
        if turns:
            asyncio.get_running_loop().call_soon(self.resume_after, turns - 1)
        elif not self.transport.is_closing():
            self.transport.resume_reading()


class Buffered(Recorder, asyncio.BufferedProtocol):
    size = 65_536

    def get_buffer(self, hint):
        self.buffer = bytearray(self.size)
        return self.buffer

    def buffer_updated(self, count):
        super().data_received(bytes(self.buffer[:count]))


class Narrow(Buffered):
    size = 1000


async def send_one_by_one(here, there, sizes):
    """Each when the one before has come whole."""
    sent = b""
    for number, size in enumerate(sizes):
        piece = noise(size, number)
        sent += piece
        here.transport.write(piece)
        await there.until(lambda: len(there.data) >= len(sent))
    return sent


async def turns_of_the_kernel(count=3):
    """Turns in each of which the loop has heard all that had come by then."""
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        for _ in range(count):
            there.send(b"!")
            await asyncio.get_running_loop().sock_recv(here, 1)


@pytest.mark.parametrize("protocol", [Recorder, Pausing, Buffered, Narrow])
def test_pieces_that_grow_and_shrink_arrive_in_order(run, protocol):
    async def main():
        here, there, server = await connected_pair(server=protocol)
        assert there.data == await send_one_by_one(here, there, PHASES)
        await close_all(here, there, server)

    run(main())


@pytest.mark.parametrize("protocol", [Recorder, Pausing, Buffered])
def test_a_stream_of_any_pieces_arrives_whole_with_its_end(run, protocol):
    sizes = random.Random(7).choices([1, SMALL, 8000, LARGE, 300_000], k=120)

    async def main():
        here, there, server = await connected_pair(server=protocol)
        pieces = [noise(size, number) for number, size in enumerate(sizes)]
        for number, piece in enumerate(pieces):
            here.transport.write(piece)
            if number % 5 == 0:
                await asyncio.sleep(0)
        here.transport.close()
        assert await there.lost is None
        assert there.data == b"".join(pieces)
        assert there.events[-2:] == ["eof", "lost"]
        await close_all(server)

    run(main())


@pytest.mark.parametrize("before", [[LARGE], [LARGE, *[SMALL] * 32]])
def test_the_end_right_behind_a_piece_is_told(run, before):
    async def main():
        here, there, server = await connected_pair()
        sent = await send_one_by_one(here, there, before)
        here.transport.write(b"the last")
        here.transport.write_eof()
        await there.eof
        assert there.data == sent + b"the last"
        await close_all(here, there, server)

    run(main())


@pytest.mark.parametrize("before", [[LARGE], [LARGE, *[SMALL] * 32]])
def test_a_reset_after_large_pieces_is_told(run, before):
    async def main():
        here, there, server = await connected_pair()
        await send_one_by_one(here, there, before)
        linger = struct.pack("ii", 1, 0)
        here.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        here.transport.abort()
        assert isinstance(await there.lost, ConnectionResetError)
        await close_all(server)

    run(main())


@pytest.mark.parametrize("before", [SMALL, LARGE])
def test_what_lies_behind_urgent_data_arrives(run, before):
    """A receive stops before urgent data, and looks as if it had emptied the socket."""

    async def main():
        here, there, server = await connected_pair()
        sent = await send_one_by_one(here, there, [before])
        sock = socket.socket(fileno=here.transport.get_extra_info("socket").fileno())
        try:
            sock.send(b"front")
            sock.send(b"!", socket.MSG_OOB)
            sock.send(b"behind")
        finally:
            sock.detach()
        await there.until(lambda: there.data.endswith(b"behind"))
        assert there.data == sent + b"frontbehind"
        await close_all(here, there, server)

    run(main())


def test_streams_get_what_comes_in_a_turn_of_many_large_pieces(run):
    """The loop takes in only so much a turn for readers: what comes above that in another
    way than they receive in, as a small piece does, would be lost."""

    async def main():
        pairs = [socket.socketpair() for _ in range(9)]
        streams = [await asyncio.open_connection(sock=here) for here, _ in pairs]
        sizes = [LARGE] * 8 + [SMALL]
        for number in range(10):
            pieces = [noise(size, number) for size in sizes]
            for (_, there), piece in zip(pairs, pieces):
                there.sendall(piece)
            received = [
                await reader.readexactly(len(piece))
                for (reader, _), piece in zip(streams, pieces)
            ]
            assert received == pieces
        for (_, writer), (_, there) in zip(streams, pairs):
            writer.close()
            await writer.wait_closed()
            there.close()

    run(main())


def test_a_paused_connection_takes_nothing_whatever_came_before(run):
    async def main():
        here, there, server = await connected_pair()
        sent = await send_one_by_one(here, there, [LARGE])
        there.transport.pause_reading()
        here.transport.write(b"later")
        await turns_of_the_kernel()
        assert there.data == sent
        there.transport.resume_reading()
        await there.until(lambda: there.data == sent + b"later")
        await close_all(here, there, server)

    run(main())
