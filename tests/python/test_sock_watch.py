"""The registration that a socket object keeps from one sock_recv to the next. What fails here
lets a receiver wait for ever, or shows it another connection's bytes."""

import asyncio
import collections.abc
import gc
import inspect
import os
import socket
import warnings

import pytest
from protocols import Recorder


def non_blocking_pair():
    pair = socket.socketpair()
    for sock in pair:
        sock.setblocking(False)
    return pair


async def receive(loop, sock, there, data):
    """Waits for what is sent only then."""
    reading = loop.create_task(loop.sock_recv(sock, 100))
    await asyncio.sleep(0)
    there.send(data)
    assert await reading == data


def test_each_wait_of_a_socket_is_woken(loop, run):
    here, there = non_blocking_pair()

    async def main():
        with here, there:
            for i in range(50):
                await receive(loop, here, there, b"%d" % i)
                if i % 3 == 0:  # taken behind the loop's back
                    there.send(b"x")
                    await asyncio.sleep(0)
                    assert here.recv(1) == b"x"
            there.send(b"abc")
            for byte in (b"a", b"b", b"c"):
                assert await loop.sock_recv(here, 1) == byte
            reading = loop.create_task(loop.sock_recv_into(here, bytearray(9)))
            await asyncio.sleep(0)
            there.close()
            assert await reading == 0

    run(main())


def test_a_new_socket_under_a_watched_number_is_its_own(loop, run):
    async def main():
        here, there = non_blocking_pair()
        number = here.fileno()
        await receive(loop, here, there, b"first")
        for i in range(20):
            twin = here.dup() if i % 2 else None
            here.close()
            fresh, far = non_blocking_pair()
            assert fresh.fileno() == number
            reading = loop.create_task(loop.sock_recv(fresh, 100))
            await asyncio.sleep(0)
            there.send(b"for the one before") if twin else None
            await asyncio.sleep(0)
            assert not reading.done()
            far.send(b"fresh")
            assert await reading == b"fresh"
            there.close()
            if twin:
                twin.close()
            here, there = fresh, far
        here.close()
        there.close()

    run(main())


def test_another_file_may_be_put_under_a_sockets_number(loop, run):
    """The object is the same, but what was registered has gone."""

    async def main():
        here, there = non_blocking_pair()
        with here:
            await receive(loop, here, there, b"before")
            for i in range(6):
                fresh, far = non_blocking_pair()
                twin = here.dup() if i % 2 else None
                os.dup2(fresh.fileno(), here.fileno())
                fresh.close()
                there.send(b"for the one before") if twin else None
                there.close()
                there = far
                await asyncio.wait_for(receive(loop, here, there, b"after"), 5)
                if twin:
                    twin.close()
            there.close()

    run(main())


def test_one_number_may_be_that_of_two_sockets(loop, run):
    """Both are read from at once: neither keeps the other from its events."""
    here, there = non_blocking_pair()
    again = socket.socket(fileno=here.fileno())

    async def main():
        for first, second in ((here, again), (again, here)):
            await receive(loop, first, there, b"before")
            reading = [loop.create_task(loop.sock_recv(sock, 1)) for sock in (first, second)]
            await asyncio.sleep(0)
            there.send(b"xy")
            assert sorted(await asyncio.gather(*reading)) == [b"x", b"y"]

    run(main())
    again.detach()
    here.close()
    there.close()


def test_a_watched_socket_may_become_a_transport(loop, run):
    here, there = non_blocking_pair()

    async def main():
        await receive(loop, here, there, b"by the socket")
        reading = loop.create_task(loop.sock_recv(here, 100))
        await asyncio.sleep(0)
        transport, protocol = await loop.create_connection(Recorder, sock=here)
        with pytest.raises(RuntimeError, match="is used by transport"):
            await reading
        there.send(b"by the transport")
        await protocol.until(lambda: protocol.data == b"by the transport")
        there.close()
        await protocol.lost

    run(main())


def test_a_watched_socket_may_have_readers(loop, run):
    here, there = non_blocking_pair()

    async def main():
        with here, there:
            heard = []
            await receive(loop, here, there, b"1")
            loop.add_reader(here, lambda: heard.append(here.recv(1)))
            there.send(b"2")
            while not heard:
                await asyncio.sleep(0)
            assert loop.remove_reader(here)
            await receive(loop, here, there, b"3")
            assert heard == [b"2"]

    run(main())


def test_watches_do_not_keep_sockets(loop, run, open_fds):
    """Nor descriptors, once the user has dropped them."""

    async def main():
        for _ in range(20):
            here, there = non_blocking_pair()
            await receive(loop, here, there, b"x")
            del here, there

    before = open_fds()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        run(main())
        gc.collect()
    assert open_fds() == before


def test_a_call_is_a_coroutine(loop, run):
    here, there = non_blocking_pair()

    async def main():
        with here, there:
            call = loop.sock_recv(here, 10)
            assert inspect.isawaitable(call) and asyncio.iscoroutine(call)
            assert isinstance(call, collections.abc.Coroutine)
            assert call.__qualname__ == "EventLoop.sock_recv"
            reading = loop.create_task(call)
            assert "EventLoop.sock_recv()" in repr(reading)
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="being awaited already"):
                await call
            there.send(b"data")
            assert await reading == b"data"
            with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
                await call
            # Nothing is taken or sent before it is awaited.
            there.send(b"later")
            calls = [loop.sock_recv(here, 10), loop.sock_sendall(here, b"no")]
            for call in calls:
                call.close()
            assert await asyncio.wait_for(loop.sock_recv(here, 10), 5) == b"later"
            with pytest.raises(BlockingIOError):
                there.recv(10)
            with pytest.raises(StopIteration) as ended:
                loop.sock_sendall(here, b"by hand").send(None)
            assert ended.value.value is None
            with pytest.raises(StopIteration) as ended:
                loop.sock_recv(there, 10).send(None)
            assert ended.value.value == b"by hand"

    run(main())


def test_a_call_that_nobody_awaits_is_told_of(loop):
    here, there = non_blocking_pair()
    with here, there:
        with pytest.warns(RuntimeWarning, match="'EventLoop.sock_recv' was never awaited"):
            loop.sock_recv(here, 10)
        with pytest.raises(TypeError, match=r"EventLoop\.sock_recv\(\) missing 1 required"):
            loop.sock_recv()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_childs_copy_of_a_watched_socket_can_be_closed(loop, run):
    here, there = non_blocking_pair()

    async def main():
        with here, there:
            await receive(loop, here, there, b"before")
            child = os.fork()
            if child == 0:
                here.close()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            await receive(loop, here, there, b"after")

    run(main())
