"""Flow control of TLS connections: users run out of memory under a slow reader or writer."""

import asyncio
import gc
import resource

import pytest
from protocols import Recorder, close_all, connected_pair, noise
from test_tls import connected
from test_tls_close import with_pipe
from tls_peers import blocking_server, client_context, server_context

pytest.importorskip("trustme")


def test_a_slow_reader_pauses_the_writer(run):
    async def main():
        here, there, server = await connected()
        there.transport.pause_reading()
        written = 0
        while not here.paused:
            here.transport.write(bytes(65536))
            written += 65536
            await asyncio.sleep(0)
            assert written < 50_000_000
        low, high = here.transport.get_write_buffer_limits()
        assert (low, high) == (131072, 524288)
        assert here.transport.get_write_buffer_size() > high
        there.transport.resume_reading()
        await here.until(lambda: not here.paused)
        await there.until(lambda: len(there.data) == written)
        assert here.transport.get_write_buffer_size() == 0
        await close_all(here, there, server)

    run(main())


def test_limits_of_nothing_wait_for_the_last_byte(run):
    """writer.drain() with limits of 0 is how programs wait until all is sent."""

    async def main():
        here, there, server = await connected()
        here.transport.set_write_buffer_limits(0)
        assert here.transport.get_write_buffer_limits() == (0, 0)
        here.transport.write(b"fits")
        assert not here.paused
        there.transport.pause_reading()
        while not here.paused:
            here.transport.write(bytes(262144))
            await asyncio.sleep(0)
        there.transport.resume_reading()
        await here.until(lambda: not here.paused)
        assert here.transport.get_write_buffer_size() == 0
        with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\)"):
            here.transport.set_write_buffer_limits(1, 2)
        here.transport.set_write_buffer_limits()
        assert here.transport.get_write_buffer_limits() == (131072, 524288)
        await close_all(here, there, server)

    run(main())


def test_limits_of_nothing_do_not_pause_a_new_connection(run):
    """What the handshake has to send yet is nothing that the program wrote."""

    class Strict(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.set_write_buffer_limits(0)
            assert not self.paused

    async def main():
        here, there, server = await connected(client=Strict, server=Strict)
        assert "pause" not in here.events + there.events
        await close_all(here, there, server)

    run(main())


@pytest.mark.parametrize("secure", [False, True])
def test_a_reader_that_pauses_every_other_turn_reads_on(run, secure):
    async def main():
        if secure:
            here, there, server = await connected()
        else:
            here, there, server = await connected_pair()
        here.transport.write(bytes(1_000_000))
        turns = 0
        while len(there.data) < 1_000_000:
            there.transport.pause_reading()
            await asyncio.sleep(0)
            there.transport.resume_reading()
            await asyncio.sleep(0)
            turns += 1
            assert turns < 20_000
        await close_all(here, there, server)

    run(main())


def test_what_a_pause_has_left_comes_before_the_end(run):
    """Also when the end comes in the very turn in which reading goes on."""

    async def main():
        for turns in range(4):
            here, peer, sock = await with_pipe()
            here.transport.pause_reading()
            peer.ssl.write(b"the last words")
            await asyncio.get_running_loop().sock_sendall(sock, peer.take())
            for _ in range(turns):
                await asyncio.sleep(0)
            sock.close()
            here.transport.resume_reading()
            await here.lost
            assert here.data == b"the last words", turns

    run(main())


def test_a_hundred_megabytes_cost_no_memory_twice(run, loop):
    """What waits is the bytes that were written: no second, encrypted copy of them."""
    payload = bytes(100_000_000)

    def serve(sock):
        size = 0
        while piece := sock.recv(262144):
            size += len(piece)
        assert size == len(payload)
        sock.unwrap()

    async def main(address):
        _, here = await loop.create_connection(Recorder, *address, ssl=client_context())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        here.transport.write(payload)
        assert here.paused
        here.transport.close()
        assert await here.lost is None
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 30_000, f"{grown} KiB"

    with blocking_server(serve, server_context()) as address:
        run(main(address), timeout=60)


def test_a_buffer_may_change_once_it_is_written(run):
    async def main():
        here, there, server = await connected()
        there.transport.pause_reading()
        data = bytearray(noise(8_000_000))
        here.transport.write(data)
        here.transport.write(memoryview(data)[:1000])
        data[:] = bytes(len(data))
        there.transport.resume_reading()
        await there.until(lambda: len(there.data) == 8_001_000)
        assert there.data == noise(8_000_000) + noise(8_000_000)[:1000]
        await close_all(here, there, server)

    run(main())


def test_paused_reading_stops_the_peer(run):
    """What is not read stays with the peer, and is not gathered here."""

    async def main():
        here, peer, sock = await with_pipe()
        here.transport.pause_reading()
        assert not here.transport.is_reading()
        sent, stuck = 0, False
        while not stuck:
            peer.ssl.write(bytes(65536))
            data = peer.take()
            try:
                await asyncio.wait_for(
                    asyncio.get_running_loop().sock_sendall(sock, data), 0.2
                )
            except asyncio.TimeoutError:
                stuck = True
            sent += len(data)
            assert sent < 20_000_000
        assert here.data == b""
        here.transport.resume_reading()
        await here.until(lambda: len(here.data) > 65536)
        here.transport.abort()
        await here.lost
        sock.close()

    run(main())


def test_a_pause_in_the_middle_of_a_delivery_holds(run):
    """Records that had come already wait for resume_reading, and so does the end."""

    class Sipping(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async def main():
        here, peer, sock = await with_pipe(Sipping)
        loop = asyncio.get_running_loop()
        for round in range(3):
            peer.ssl.write(b"%d" % round)
            await loop.sock_sendall(sock, peer.take())
            await here.until(lambda: len(here.data) == round + 1)
            here.transport.resume_reading()
        peer.ssl.write(b"end")
        peer.end()
        await loop.sock_sendall(sock, peer.take())
        await here.until(lambda: here.data == b"012end")
        await asyncio.sleep(0)
        assert "eof" not in here.events
        here.transport.resume_reading()
        assert await here.lost is None
        assert here.transport.get_extra_info("close_notify") is True
        sock.close()

    run(main())


@pytest.mark.parametrize("size", [1, 7, 1000, 16384, 65536])
def test_buffered_protocols_read_into_their_own_memory(run, size):
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.buffer = bytearray(size)
            self.data = bytearray()
            self.changed = asyncio.Event()

        def connection_made(self, transport):
            self.transport = transport

        def get_buffer(self, sizehint):
            assert sizehint > 0
            return self.buffer

        def buffer_updated(self, nbytes):
            assert 0 < nbytes <= size
            self.data += self.buffer[:nbytes]
            self.changed.set()

        async def wait(self, count):
            while len(self.data) < count:
                self.changed.clear()
                await self.changed.wait()

    async def main():
        here, peer, sock = await with_pipe(Buffered)
        count = min(200_000, size * 3000)
        peer.ssl.write(noise(count))
        await asyncio.get_running_loop().sock_sendall(sock, peer.take())
        await here.wait(count)
        assert here.data == noise(count)
        # The protocol may change in kind.
        plain = Recorder()
        here.transport.set_protocol(plain)
        assert here.transport.get_protocol() is plain
        peer.ssl.write(b"plain")
        await asyncio.get_running_loop().sock_sendall(sock, peer.take())
        await plain.until(lambda: plain.data == b"plain")
        here.transport.abort()
        await plain.lost
        sock.close()

    run(main())


def test_connections_that_come_and_go_leave_no_memory(run, traced_bytes):
    async def main():
        for _ in range(2):
            await once()
        for _ in range(3):
            await once()
        gc.collect()
        first = traced_bytes()
        for _ in range(10):
            await once()
        gc.collect()
        grown = traced_bytes() - first
        assert grown < 20_000, f"{grown} bytes"

    async def once():
        here, there, server = await connected()
        here.transport.write(b"x" * 1000)
        await there.until(lambda: len(there.data) == 1000)
        await close_all(here, there, server)

    run(main())
