"""Connections: users lose bytes, order, flow control or the reason of an end."""

import asyncio
import os
import gc
import hashlib
import random
import socket
import struct
import sys
import weakref

import pytest
from protocols import (
    Echo,
    HalfOpen,
    Recorder,
    close_all,
    connected_pair,
    listen,
    noise,
)
from test_tls import connected

SIZES = [1, 2, 1000, 65535, 65536, 65537, 122_879, 122_880, 122_881, 1_000_000, 10_000_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_arrive_both_ways(run, size, kind):
    payload = noise(size)

    async def main():
        here, there, server = await connected_pair()
        here.transport.write(kind(payload))
        there.transport.write(kind(payload))
        await here.until(lambda: len(here.data) >= size)
        await there.until(lambda: len(there.data) >= size)
        assert here.data == payload and there.data == payload
        assert here.transport.get_write_buffer_size() == 0
        await close_all(here, there, server)

    run(main())


def test_an_echo_of_many_sizes_keeps_order(run):
    random_sizes = random.Random(7)
    pieces = [noise(random_sizes.randrange(1, 200_000), n) for n in range(60)]
    expected = hashlib.sha256(b"".join(pieces)).digest()
    total = sum(map(len, pieces))

    async def main():
        server, address = await listen(Echo)
        reader, writer = await asyncio.open_connection(*address)

        async def send():
            for piece in pieces:
                writer.write(piece)
                await writer.drain()

        sending = asyncio.create_task(send())
        assert hashlib.sha256(await reader.readexactly(total)).digest() == expected
        await sending
        writer.close()
        await writer.wait_closed()
        await close_all(server)

    run(main())


def test_what_one_callback_writes_leaves_as_one(loop, run):
    """Head and body in two writes must not cost two packets, nor two system calls."""

    async def main():
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        right.setblocking(False)
        transport.write(b"head")
        transport.write(b"")
        transport.writelines([b" and ", bytearray(b"body")])
        with pytest.raises(BlockingIOError):
            right.recv(100)
        assert transport.get_write_buffer_size() == 13
        await asyncio.sleep(0)
        assert right.recv(100) == b"head and body"
        assert transport.get_write_buffer_size() == 0
        right.close()
        await protocol.lost

    run(main())


def test_a_write_while_the_loop_stands_still_is_sent_when_it_runs(loop, run):
    left, right = socket.socketpair()
    transport, protocol = run(loop.create_connection(Recorder, sock=left))
    transport.write(b"later")
    run(asyncio.sleep(0))
    assert right.recv(10) == b"later"
    right.close()

    async def end():
        await protocol.lost

    run(end())


@pytest.mark.parametrize("paired", [False, True])
def test_what_is_sent_is_received_two_turns_later(run, paired):
    """Tests of both ends on one loop count the turns by sleep(0)."""

    async def main():
        if paired:
            loop, ends = asyncio.get_running_loop(), socket.socketpair()
            here, there = [(await loop.create_connection(Recorder, sock=s))[1] for s in ends]
            closables = here, there
        else:
            here, there, listening = await connected_pair()
            closables = listening, here, there
        await asyncio.sleep(0)  # who awaited the connection goes on before it is read
        for size in range(1, 301):
            here.transport.write(b"x")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(there.data) == size
        await close_all(*closables)

    run(main())


def test_a_slow_reader_pauses_the_writer_and_bounds_its_memory(run):
    size = 8_000_000
    payload = noise(size)

    async def main():
        here, there, server = await connected_pair()
        sock = here.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        there.transport.pause_reading()
        assert not there.transport.is_reading()
        here.transport.write(payload)
        assert here.paused and here.events == ["made", "pause"]
        assert here.transport.get_write_buffer_size() > 65536
        there.transport.resume_reading()
        await there.until(lambda: len(there.data) == size)
        await here.until(lambda: not here.paused)
        assert here.events == ["made", "pause", "resume"]
        assert there.data == payload
        await close_all(here, there, server)

    run(main())


def test_a_paused_reader_gets_nothing_and_then_everything(run):
    async def main():
        here, there, server = await connected_pair()
        there.transport.pause_reading()
        there.transport.pause_reading()
        for number in range(5):
            here.transport.write(b"%d" % number * 1000)
            await asyncio.sleep(0.005)
        here.transport.write_eof()
        await asyncio.sleep(0.005)
        assert there.events == ["made"]
        there.transport.resume_reading()
        there.transport.resume_reading()
        await there.lost
        assert there.data == b"".join(b"%d" % n * 1000 for n in range(5))
        assert there.events[-2:] == ["eof", "lost"]
        await close_all(here, server)

    run(main())


def test_pausing_inside_data_received_holds_the_rest(run):
    class Once(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    size = 1_000_000

    async def main():
        here, there, server = await connected_pair(server=Once)
        here.transport.write(noise(size))
        pieces = 0
        while len(there.data) < size:
            await there.until(lambda: not there.transport.is_reading())
            seen = len(there.data)
            await asyncio.sleep(0)
            assert len(there.data) == seen
            pieces += 1
            there.changed.clear()
            there.transport.resume_reading()
            if seen < size:
                await there.changed.wait()
        assert there.data == noise(size) and pieces > 1
        await close_all(here, there, server)

    run(main())


def test_write_limits(run):
    async def main():
        here, there, server = await connected_pair()
        transport = here.transport
        assert transport.get_write_buffer_limits() == (16384, 65536)
        transport.set_write_buffer_limits(high=1000)
        assert transport.get_write_buffer_limits() == (250, 1000)
        transport.set_write_buffer_limits(low=1000)
        assert transport.get_write_buffer_limits() == (1000, 4000)
        transport.set_write_buffer_limits(high=0)
        assert transport.get_write_buffer_limits() == (0, 0)
        transport.set_write_buffer_limits(high=10, low=5)
        assert transport.get_write_buffer_limits() == (5, 10)
        with pytest.raises(ValueError, match="must be >= low"):
            transport.set_write_buffer_limits(high=1, low=2)
        with pytest.raises(ValueError, match="-1"):
            transport.set_write_buffer_limits(high=-1)
        with pytest.raises(TypeError):
            transport.set_write_buffer_limits(high="much")
        await close_all(here, there, server)

    run(main())


def test_half_close_lets_the_answer_through(run):
    async def main():
        here, there, server = await connected_pair(client=HalfOpen, server=HalfOpen)
        assert here.transport.can_write_eof()
        here.transport.write(b"question")
        here.transport.write_eof()
        here.transport.write_eof()
        with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof\(\)"):
            here.transport.write(b"more")
        await there.eof
        there.transport.write(b"answer")
        there.transport.close()
        await there.lost
        await here.eof
        assert here.data == b"answer" and there.data == b"question"
        await close_all(here, server)

    run(main())


def test_write_eof_waits_for_what_was_written(run):
    size = 3_000_000

    async def main():
        here, there, server = await connected_pair()
        there.transport.pause_reading()
        here.transport.write(noise(size))
        here.transport.write_eof()
        there.transport.resume_reading()
        await there.lost
        assert there.data == noise(size)
        await close_all(here, server)

    run(main())


def test_close_sends_what_was_written_first(run):
    size = 5_000_000

    async def main():
        here, there, server = await connected_pair()
        there.transport.pause_reading()
        here.transport.write(noise(size))
        here.transport.close()
        here.transport.close()
        assert here.transport.is_closing() and not here.transport.is_reading()
        assert here.events[-1] != "lost"
        there.transport.resume_reading()
        assert await here.lost is None
        await there.lost
        assert there.data == noise(size)
        await close_all(server)

    run(main())


def test_programs_may_look_at_asyncios_flags(loop, run):
    async def main():
        here, there, server = await connected_pair()
        transport = here.transport
        flags = [(transport._paused, transport._closing)]
        transport.pause_reading()
        flags.append((transport._paused, transport._closing))
        transport.close()
        flags.append((transport._paused, transport._closing))
        await close_all(here, there, server)
        return flags

    assert run(main()) == [(False, False), (True, False), (True, True)]
    assert not loop._closed
    loop.close()
    assert loop._closed


def test_close_calls_connection_lost_later_and_once(loop, run):
    async def main():
        here, there, server = await connected_pair()
        fd = here.transport.get_extra_info("socket").fileno()
        assert fd >= 0
        here.transport.close()
        assert "lost" not in here.events
        await asyncio.sleep(0)
        assert here.events[-1] == "lost" and here.lost.result() is None
        while here.transport.get_extra_info("socket").fileno() != -1:
            await asyncio.sleep(0)
        here.transport.abort()
        here.transport.close()
        assert here.transport.get_protocol() is None
        assert here.events.count("lost") == 1
        closed = f"<Transport closed fd={fd} read=idle write=<idle, bufsize=0>>"
        assert repr(here.transport) == closed
        await there.lost
        await close_all(server)

    run(main())


def test_abort_drops_what_was_written(run):
    async def main():
        here, there, server = await connected_pair()
        there.transport.pause_reading()
        here.transport.write(noise(8_000_000))
        assert here.transport.get_write_buffer_size() > 0
        here.transport.abort()
        assert here.transport.get_write_buffer_size() == 0
        assert await here.lost is None
        there.transport.resume_reading()
        await there.lost
        assert len(there.data) < 8_000_000
        await close_all(server)

    run(main())


def test_what_the_socket_takes_leaves_before_an_abort(run):
    """The last words of a server that aborts in the callback which answers."""

    async def main():
        here, there, server = await connected_pair()
        here.transport.write(b"last ")
        here.transport.write(b"words")
        here.transport.abort()
        await there.lost
        assert there.data == b"last words"
        await close_all(server)

    run(main())


def test_late_writes_are_dropped_and_logged(run, caplog):
    async def main():
        here, there, server = await connected_pair()
        here.transport.close()
        await here.lost
        for _ in range(10):
            here.transport.write(b"nobody")
        await there.lost
        await close_all(server)

    run(main())
    assert "socket.send() raised exception." in caplog.text


def reset(transport):
    """Closes the connection with a RST instead of a FIN."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def test_a_reset_is_told_to_its_connection_alone(run):
    async def main():
        here, there, server = await connected_pair()
        other, far, second = await connected_pair()
        reset(here.transport)
        assert isinstance(await there.lost, ConnectionResetError)
        assert "eof" not in there.events
        other.transport.write(b"fine")
        await far.until(lambda: far.data == b"fine")
        await close_all(other, far, server, second)

    run(main())


def test_a_reset_in_the_middle_of_a_write(run):
    async def main():
        here, there, server = await connected_pair()
        here.transport.pause_reading()
        there.transport.write(noise(8_000_000))
        assert there.paused
        reset(here.transport)
        error = await there.lost
        assert isinstance(error, (ConnectionResetError, BrokenPipeError))
        assert there.transport.get_write_buffer_size() == 0
        await close_all(server)

    run(main())


def test_wrong_data_is_named(run):
    async def main():
        here, there, server = await connected_pair()
        with pytest.raises(
            TypeError, match="data argument must be a bytes.*, not 'str'"
        ):
            here.transport.write("text")
        with pytest.raises(TypeError, match="bytes-like object.* int|not 'int'"):
            here.transport.writelines([b"fine", 1])
        with pytest.raises(TypeError):
            here.transport.writelines(1)
        await asyncio.sleep(0.005)
        assert there.data == b""
        await close_all(here, there, server)

    run(main())


def test_users_put_attributes_and_functions_on_a_transport(run):
    """As on asyncio's: uvicorn's tests do, and frameworks that wrap write()."""

    async def main():
        here, there, server = await connected_pair()
        transport = here.transport
        written = []
        transport.owner = "me"
        transport.write = written.append
        transport.write(b"kept")
        assert (written, transport.owner) == ([b"kept"], "me")
        assert set(vars(transport)) == {"owner", "write"}
        del transport.write
        transport.write(b"sent")
        await there.changed.wait()
        assert there.data == b"sent"
        # A cycle through the dictionary is collected, once the kernel is done with it.
        transport.itself = transport
        gone = weakref.ref(transport)
        await close_all(here, there, server)
        del transport, here
        while gone() is not None:
            await asyncio.sleep(0)
            gc.collect()

    run(main())


def test_a_dropped_transport_warns_and_closes(loop, run):
    async def main():
        left, right = socket.socketpair()
        transport, protocol = await loop.create_connection(asyncio.Protocol, sock=left)
        # A transport that reads is kept by its loop.
        transport.pause_reading()
        return transport, right

    transport, right = run(main())
    with pytest.warns(ResourceWarning, match="unclosed transport <Transport fd="):
        del transport
        gc.collect()
    assert right.recv(1) == b""
    right.close()


def test_the_users_close_of_the_socket_does_not_hit_another_connection(loop, run):
    """The number must not be reused while the transport reads from it."""

    async def main():
        left, right = socket.socketpair()
        fd = left.fileno()
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        left.close()
        fresh = socket.socketpair()
        assert fd not in (fresh[0].fileno(), fresh[1].fileno())
        right.send(b"still here")
        await protocol.until(lambda: protocol.data)
        assert protocol.data == b"still here"
        right.close()
        await protocol.lost
        for sock in fresh:
            sock.close()

    run(main())


def test_what_is_written_between_runs_is_sent_at_once(loop, run):
    """A program that writes its goodbye and closes the loop still says it."""
    mine, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        transport, protocol = run(loop.create_connection(Recorder, sock=mine))
        transport.write(b"bye")
        assert theirs.recv(10) == b"bye"

        async def end():
            transport.close()
            await protocol.lost

        run(end())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_collected_transport_leaves_its_number_to_the_next(loop, run):
    """Else the next connection of that number never hears anything."""

    async def drop(sock):
        transport, _ = await loop.create_connection(Recorder, sock=sock)
        await asyncio.sleep(0)
        held = sys.getrefcount(transport)
        transport.pause_reading()
        # Until the cancelled receive lets go: then nothing but the cycle of transport
        # and protocol holds either.
        while sys.getrefcount(transport) == held:
            await asyncio.sleep(0)

    async def main():
        first, far = socket.socketpair()
        number = first.fileno()
        await drop(first)
        del first
        gc.collect()
        second, peer = socket.socketpair()
        assert second.fileno() == number
        transport, protocol = await loop.create_connection(Recorder, sock=second)
        peer.send(b"for the second")
        await protocol.until(lambda: protocol.data)
        assert protocol.data == b"for the second"
        transport.close()
        await protocol.lost
        far.close()
        peer.close()

    # In one collection, which comes to the older socket first.
    gc.collect()
    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_a_detached_socket_leaves_its_number_usable(loop, run):
    """The user takes the socket from under a transport and closes it: the next
    connection of that number gets its bytes."""

    async def main():
        taken, far = socket.socketpair()
        transport, protocol = await loop.create_connection(Recorder, sock=taken)
        far.send(b"first")
        await protocol.changed.wait()
        number = taken.detach()
        transport.abort()
        await protocol.lost
        os.close(number)
        far.close()

        fresh, other = socket.socketpair()
        assert fresh.fileno() == number
        transport, protocol = await loop.create_connection(Recorder, sock=fresh)
        other.send(b"second")
        await protocol.changed.wait()
        assert protocol.data == b"second"
        transport.abort()
        await protocol.lost
        other.close()

    run(main())


@pytest.mark.parametrize("secure", [False, True])
def test_arguments_have_asyncios_names(run, secure):
    """Code that names them must not have to know whose transport it has."""

    async def main():
        here, there, server = await (connected() if secure else connected_pair())
        here.transport.write(data=b"1")
        here.transport.writelines(list_of_data=[b"2", b"3"])
        here.transport.set_protocol(protocol=here)
        here.transport.set_write_buffer_limits(low=1, high=2)
        assert here.transport.get_extra_info(name="none", default=5) == 5
        await there.until(lambda: there.data == b"123")
        for wrong in ({}, {"text": b""}, {"data": b"", "more": 1}):
            with pytest.raises(TypeError, match="takes one argument, 'data'"):
                here.transport.write(**wrong)
        await close_all(here, there, server)

    run(main())
