"""sock_* stood in for in C: users get what their socket itself would give, and their own
sockets are asked."""

import asyncio
import random
import socket

import pytest


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    yield left, right
    left.close()
    right.close()


def test_a_sockets_own_method_is_called(loop, run, pair, monkeypatch):
    """Somebody has replaced it: in a subclass, or in socket.socket itself."""
    seen = []

    class Own(socket.socket):
        def recv(self, *args):
            seen.append("recv")
            return super().recv(*args)

        def send(self, *args):
            seen.append("send")
            return super().send(*args)

    async def talk(here, there):
        reading = loop.create_task(loop.sock_recv(here, 5))
        await asyncio.sleep(0)
        await loop.sock_sendall(there, b"hello")
        assert await reading == b"hello"

    async def main():
        left, right = pair
        with Own(fileno=left.detach()) as own:
            await talk(own, right)
            await talk(right, own)
        assert seen == ["recv", "recv", "send"]
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            monkeypatch.setattr(socket.socket, "recv", lambda self, _: b"replaced")
            assert await loop.sock_recv(left, 5) == b"replaced"

    run(main())


def test_wrong_arguments_are_refused_as_the_socket_does(loop, run, pair):
    left, right = pair

    def refusal(call, *args):
        with pytest.raises(Exception) as caught:
            call(*args)
        return type(caught.value), str(caught.value)

    async def main():
        for method, asked, argument in (
            ("recv", "sock_recv", -1), ("recv", "sock_recv", 1.5),
            ("recv_into", "sock_recv_into", b"no room"), ("send", "sock_sendall", "text"),
            ("send", "sock_sendall", 3),
        ):
            expected = refusal(getattr(left, method), argument)
            with pytest.raises(expected[0]) as caught:
                await getattr(loop, asked)(left, argument)
            assert str(caught.value) == expected[1]
        right.close()
        left.close()
        for call in (loop.sock_recv(left, 1), loop.sock_sendall(left, b"x")):
            with pytest.raises(OSError, match="Bad file descriptor"):
                await call

    run(main())


def test_large_receives_take_what_is_there(loop, run, pair):
    left, right = pair
    payload = random.Random(5).randbytes(300_000)

    async def main():
        for sock in pair:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sending = loop.create_task(loop.sock_sendall(right, payload))
        received = bytearray()
        while len(received) < len(payload):
            received += await loop.sock_recv(left, 1 << 20)
        await sending
        assert received == payload

    run(main())


def test_several_may_wait_on_one_socket(loop, run, pair):
    left, right = pair

    async def main():
        seen = []
        loop.add_reader(left, lambda: (seen.append("reader"), loop.remove_reader(left)))
        readers = [loop.create_task(loop.sock_recv(left, 1)) for _ in range(3)]
        await asyncio.sleep(0)
        right.send(b"abc")
        assert sorted(await asyncio.gather(*readers)) == [b"a", b"b", b"c"]
        await asyncio.sleep(0)
        assert seen == ["reader"]

    run(main())


def test_an_empty_datagram_is_sent(loop, run):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    async def main():
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            reading = loop.create_task(loop.sock_recv(left, 5))
            await asyncio.sleep(0)
            await loop.sock_sendall(right, b"")
            assert await reading == b""

    run(main())


def test_a_dropped_call_lets_socket_and_buffer_go(loop, run, pair):
    left, _ = pair
    buffer = bytearray(10)

    async def main():
        call = loop.sock_recv_into(left, buffer)
        assert call.send(None).get_loop() is loop
        with pytest.raises(BufferError):
            buffer.append(1)
        call.close()
        buffer.append(1)
        left.close()
        assert left.fileno() == -1
        await asyncio.sleep(0)

    run(main())
