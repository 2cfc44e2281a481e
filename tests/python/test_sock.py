"""sock_* and add_reader: users lose bytes, or get another connection's."""

import asyncio
import os
import random
import socket
import time
import weakref

import bide
import pytest
from protocols import Recorder, close_all, connected_pair


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    yield left, right
    left.close()
    right.close()


def test_sock_recv_waits_and_tries_first(loop, run, pair):
    left, right = pair

    async def main():
        right.send(b"there")
        assert await loop.sock_recv(left, 100) == b"there"
        waiting = asyncio.ensure_future(loop.sock_recv(left, 100))
        await asyncio.sleep(0)
        right.send(b"later")
        assert await waiting == b"later"
        buffer = bytearray(10)
        waiting = asyncio.ensure_future(loop.sock_recv_into(left, buffer))
        await asyncio.sleep(0)
        right.send(b"into")
        assert await waiting == 4 and buffer[:4] == b"into"
        right.close()
        assert await loop.sock_recv(left, 1) == b""

    run(main())


def test_a_cancelled_sock_recv_loses_no_byte(loop, run, pair):
    left, right = pair
    payload = random.Random(3).randbytes(200_000)

    async def send():
        for start in range(0, len(payload), 1000):
            await loop.sock_sendall(right, payload[start : start + 1000])
            await asyncio.sleep(0)
        right.close()

    async def main():
        sending = asyncio.ensure_future(send())
        received = bytearray()
        cancelled = 0
        while True:
            task = asyncio.ensure_future(loop.sock_recv(left, 777))
            for _ in range(cancelled % 4):
                await asyncio.sleep(0)
            task.cancel()
            try:
                data = await task
            except asyncio.CancelledError:
                cancelled += 1
                continue
            if not data:
                break
            received += data
            cancelled += 1
        await sending
        assert received == payload and cancelled > 10

    run(main())


def test_wait_for_around_sock_recv_loses_no_byte(loop, run, pair):
    left, right = pair

    async def main():
        for _ in range(20):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(loop.sock_recv(left, 10), 0.0005)
        right.send(b"all of it")
        assert await asyncio.wait_for(loop.sock_recv(left, 100), 5) == b"all of it"

    run(main())


def test_sock_sendall_sends_all(loop, run, pair):
    left, right = pair
    payload = random.Random(4).randbytes(3_000_000)

    async def receive():
        received = bytearray()
        while len(received) < len(payload):
            received += await loop.sock_recv(right, 1 << 20)
        return received

    async def main():
        receiving = asyncio.ensure_future(receive())
        await loop.sock_sendall(left, payload)
        assert await receiving == payload
        await loop.sock_sendall(left, b"")

    run(main())


def test_datagrams_by_sock_sendto_and_recvfrom(loop, run):
    async def main():
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(
            type=socket.SOCK_DGRAM
        ) as two:
            for sock in (one, two):
                sock.setblocking(False)
                sock.bind(("127.0.0.1", 0))
            waiting = asyncio.ensure_future(loop.sock_recvfrom(two, 100))
            await asyncio.sleep(0)
            assert await loop.sock_sendto(one, b"datagram", two.getsockname()) == 8
            assert await waiting == (b"datagram", one.getsockname())
            buffer = bytearray(20)
            waiting = asyncio.ensure_future(loop.sock_recvfrom_into(two, buffer))
            await asyncio.sleep(0)
            await loop.sock_sendto(one, b"into", two.getsockname())
            assert await waiting == (4, one.getsockname())
            assert buffer[:4] == b"into"

    run(main())


def test_a_method_replaced_meanwhile_is_the_one_that_is_tried(loop, run):
    class Balky(socket.socket):
        def sendto(self, *_):
            raise BlockingIOError

    async def main():
        with Balky(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            loop.call_soon(delattr, Balky, "sendto")
            sending = loop.sock_sendto(sock, b"data", sock.getsockname())
            assert await asyncio.wait_for(sending, 10) == 4
            assert await loop.sock_recv(sock, 9) == b"data"

    run(main())


def test_sock_accept_and_sock_connect(loop, run):
    async def main():
        with socket.socket() as listening, socket.socket() as client:
            listening.setblocking(False)
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            client.setblocking(False)
            accepting = asyncio.ensure_future(loop.sock_accept(listening))
            await asyncio.sleep(0)
            await loop.sock_connect(client, listening.getsockname())
            connection, address = await accepting
            assert address == client.getsockname()
            assert connection.gettimeout() == 0
            connection.close()
        with socket.socket() as client:
            client.setblocking(False)
            address = listening_address = ("127.0.0.1", 1)
            with pytest.raises(ConnectionRefusedError, match=r"\('127.0.0.1', 1\)"):
                await loop.sock_connect(client, listening_address)

    run(main())


def test_debug_mode_refuses_blocking_sockets(loop, run):
    loop.set_debug(True)
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            run(loop.sock_recv(sock, 1))


def test_a_transports_socket_is_its_own(loop, run):
    async def main():
        here, there, server = await connected_pair()
        fd = here.transport.get_extra_info("socket").fileno()
        for method in (loop.add_reader, loop.add_writer):
            with pytest.raises(RuntimeError, match=f"{fd} is used by transport"):
                method(fd, print)
        for method in (loop.remove_reader, loop.remove_writer):
            with pytest.raises(RuntimeError, match="is used by transport"):
                method(fd)
        await close_all(here, there, server)

    run(main())


# ---- add_reader and add_writer ----


def test_readers_are_level_triggered(loop, run, pair):
    left, right = pair
    seen = []

    async def main():
        done = loop.create_future()

        def readable(*args):
            seen.append((args, left.recv(1)))
            if len(seen) == 5:
                assert loop.remove_reader(left)
                done.set_result(None)

        loop.add_reader(left, readable, "argument")
        right.send(b"12345 and more")
        await done
        assert not loop.remove_reader(left)
        await asyncio.sleep(0.005)

    run(main())
    assert seen == [(("argument",), bytes([byte])) for byte in b"12345"]


def test_writers_are_level_triggered(loop, run, pair):
    left, right = pair
    calls = []

    async def main():
        done = loop.create_future()

        def writable():
            calls.append(1)
            if len(calls) == 3:
                loop.remove_writer(left.fileno())
                done.set_result(None)

        loop.add_writer(left.fileno(), writable)
        await done
        await asyncio.sleep(0.005)

    run(main())
    assert len(calls) == 3


def test_a_replaced_reader_is_not_called_again(loop, run, pair):
    left, right = pair
    calls = []

    async def main():
        done = loop.create_future()

        def first():
            calls.append("first")
            loop.add_reader(left, second)

        def second():
            calls.append("second")
            if len(calls) == 3:
                loop.remove_reader(left)
                done.set_result(None)

        loop.add_reader(left, first)
        right.send(b"x")
        await done

    run(main())
    assert calls == ["first", "second", "second"]


def test_reader_and_writer_of_one_fd_are_apart(loop, run, pair):
    left, right = pair

    async def main():
        read, written = loop.create_future(), loop.create_future()

        def readable():
            loop.remove_reader(left)
            read.set_result(left.recv(10))

        def writable():
            loop.remove_writer(left)
            written.set_result(None)

        loop.add_reader(left, readable)
        loop.add_writer(left, writable)
        await written
        assert not read.done()
        right.send(b"x")
        assert await read == b"x"

    run(main())


def test_a_reader_that_raises_stays(loop, run, pair):
    left, right = pair
    reports = []

    async def main():
        loop.set_exception_handler(lambda _, context: reports.append(context))
        done = loop.create_future()

        def readable():
            if len(reports) == 2:
                loop.remove_reader(left)
                done.set_result(None)
            raise LookupError

        loop.add_reader(left, readable)
        right.send(b"x")
        await done

    run(main())
    assert len(reports) == 3


def test_a_reused_fd_number_never_wakes_the_old_reader(loop, run):
    """The user closes a watched fd without a word and gets its number anew."""
    old_calls = []

    async def main():
        for _ in range(50):
            left, right = socket.socketpair()
            left.setblocking(False)
            number = left.fileno()
            loop.add_reader(number, old_calls.append, number)
            await asyncio.sleep(0)
            left.close()
            fresh, far = socket.socketpair()
            assert fresh.fileno() == number
            fresh.setblocking(False)
            got = loop.create_future()
            loop.add_reader(number, lambda: got.done() or got.set_result(fresh.recv(10)))
            far.send(b"fresh")
            assert await got == b"fresh"
            loop.remove_reader(number)
            for sock in (right, fresh, far):
                sock.close()

    run(main())
    assert old_calls == []


def test_what_a_reader_made_ready_comes_before_its_next_event(loop, run, pair):
    """anyio and others wake a future from a reader and remove the reader when it is
    done: called twice before that it would set the future twice."""
    left, right = pair
    calls = []
    removed = loop.create_future()

    def remove():
        loop.remove_reader(left)
        removed.set_result(None)

    def on_readable():
        calls.append("read")
        for _ in range(3):
            loop.call_soon(time.sleep, 0.02)
        loop.call_soon(remove)

    async def main():
        right.send(b"left unread")
        loop.add_reader(left, on_readable)
        await removed

    run(main())
    assert calls == ["read"]


def test_a_closed_socket_is_still_removed(loop, run):
    """It closes its socket first and removes the reader when the waiting task runs."""

    async def main():
        left, right = socket.socketpair()
        left.setblocking(False)
        gone = weakref.ref(left)
        loop.add_reader(left, print)
        loop.add_writer(left, loop.remove_writer, left)
        left.close()
        assert loop.remove_reader(left) is True
        assert loop.remove_writer(left) is True
        del left
        assert gone() is None
        right.close()

    run(main())


def test_a_reader_that_closes_its_fd_never_hears_of_the_next(loop, run):
    """The number is another connection's when the callback returns, and that has
    data."""
    calls, opened = [], []

    async def main():
        left, right = socket.socketpair()
        number = left.fileno()

        def close_and_reopen():
            calls.append(left.fileno())
            left.close()
            opened.extend(socket.socketpair())
            opened[1].send(b"not for you")

        loop.add_reader(number, close_and_reopen)
        right.send(b"x")
        while not opened:
            await asyncio.sleep(0)
        assert opened[0].fileno() == number
        # Where this one is told of the data, the old reader would have been too.
        await watched(opened[0].dup())
        assert calls == [number]
        for sock in (right, *opened):
            sock.close()

    async def watched(sock):
        ready = loop.create_future()
        with sock:
            loop.add_reader(sock, lambda: ready.done() or ready.set_result(None))
            await ready
            loop.remove_reader(sock)

    run(main())


def test_a_reused_fd_number_may_become_a_transport(loop, run):
    async def main():
        left, right = socket.socketpair()
        number = left.fileno()
        loop.add_reader(number, pytest.fail, "the old reader was called")
        await asyncio.sleep(0)
        left.close()
        fresh, far = socket.socketpair()
        assert fresh.fileno() == number
        transport, protocol = await loop.create_connection(Recorder, sock=fresh)
        far.send(b"fresh")
        await protocol.until(lambda: protocol.data == b"fresh")
        right.close()
        far.close()
        await protocol.lost

    run(main())


def test_wrong_fds_are_named(loop, tmp_path):
    with pytest.raises(ValueError, match="Invalid file object: 'x'"):
        loop.add_reader("x", print)
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        loop.add_reader(-1, print)
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.add_reader(10_000, print)
    with (tmp_path / "file").open("w") as file:
        with pytest.raises(PermissionError):
            loop.add_reader(file, print)
    with pytest.raises(TypeError, match="add_reader"):
        loop.add_reader(0)


def test_pipes_can_be_watched(loop, run):
    async def main():
        reader, writer = os.pipe()
        got = loop.create_future()
        loop.add_reader(reader, lambda: got.done() or got.set_result(os.read(reader, 10)))
        os.write(writer, b"pipe")
        assert await got == b"pipe"
        loop.remove_reader(reader)
        os.close(reader)
        os.close(writer)

    run(main())


def test_readers_of_a_closed_loop_are_let_go(pair):
    import weakref

    class Callback:
        def __call__(self):
            pass

    loop = bide.new_event_loop()
    callback = Callback()
    watch = weakref.ref(callback)
    loop.add_reader(pair[0], callback)
    loop.add_writer(pair[0], callback)
    del callback
    loop.close()
    assert watch() is None


@pytest.mark.parametrize("method", ["recv", "recv_into", "recvfrom", "recvfrom_into"])
def test_a_socket_closed_under_its_reader_is_kept_until_it_has_read(loop, run, pair, method):
    """Its number must not become another connection's while somebody waits on it."""
    here, there = pair

    async def main():
        argument = bytearray(5) if "into" in method else 5
        reading = loop.create_task(getattr(loop, f"sock_{method}")(here, argument))
        await asyncio.sleep(0)
        number = here.fileno()
        here.close()
        with socket.socket() as other:
            assert other.fileno() != number
        there.send(b"bytes")
        got = await reading
        assert (got[0] if "from" in method else got) in (b"bytes", 5)
        assert here.fileno() == -1

    run(main())


def test_a_cancelled_reader_lets_a_closed_socket_go(loop, run, pair):
    here, there = pair

    async def main():
        reading = loop.create_task(loop.sock_recv(here, 5))
        await asyncio.sleep(0)
        here.close()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert here.fileno() == -1
        assert await loop.sock_recv(there, 5) == b""

    run(main())


def test_a_closed_loop_lets_a_closed_socket_go(loop, run, pair):
    here, _ = pair

    async def main():
        reading = loop.create_task(loop.sock_recv(here, 5))
        reading._log_destroy_pending = False
        await asyncio.sleep(0)
        here.close()

    run(main())
    assert here.fileno() >= 0
    loop.close()
    assert here.fileno() == -1
