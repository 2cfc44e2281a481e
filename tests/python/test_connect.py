"""create_connection: users lose the reason why nothing connected."""

import asyncio
import gc
import socket
import sys

import pytest
from protocols import Echo, Recorder, close_all, listen


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_refused_connection_names_the_address(loop, run):
    port = free_port()
    with pytest.raises(ConnectionRefusedError, match=rf"\('127.0.0.1', {port}\)"):
        run(loop.create_connection(Recorder, "127.0.0.1", port))


def test_an_error_is_freed_as_soon_as_it_is_dropped(run):
    """Not held by a cycle through its traceback, which keeps sockets until a collection."""

    async def main():
        try:
            await asyncio.get_running_loop().create_connection(Recorder, "127.0.0.1", free_port())
        except OSError as raised:
            error = raised
        assert not [held for held in gc.get_referrers(error) if isinstance(held, (list, tuple))]

    run(main())


def test_names_are_resolved(loop, run):
    async def main():
        server, (_, port) = await listen(Echo)
        infos = await loop.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
        if not any(info[0] == socket.AF_INET for info in infos):
            pytest.skip("localhost has no IPv4 address here")
        transport, protocol = await loop.create_connection(
            Recorder, "localhost", port, family=socket.AF_INET
        )
        assert transport.get_extra_info("peername") == ("127.0.0.1", port)
        await close_all(protocol, server)

    run(main())


def fake_resolver(monkeypatch, loop, addresses):
    async def getaddrinfo(host, port, **options):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)
            for address in addresses
        ]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo, raising=False)


def test_the_next_address_is_tried(loop, run, monkeypatch):
    async def main():
        server, address = await listen(Echo)
        fake_resolver(monkeypatch, loop, [("127.0.0.1", free_port()), address])
        for options in ({}, {"happy_eyeballs_delay": 0.01}, {"interleave": 1}):
            transport, protocol = await loop.create_connection(
                Recorder, "some.host", 1, **options
            )
            assert transport.get_extra_info("peername") == address
            await close_all(protocol)
        await close_all(server)

    run(main())


def test_all_failures_are_told(loop, run, monkeypatch):
    first, second = free_port(), free_port()
    fake_resolver(monkeypatch, loop, [("127.0.0.1", first), ("127.0.0.1", second)])
    with pytest.raises(OSError, match=f"Multiple exceptions: .*{first}.*{second}"):
        run(loop.create_connection(Recorder, "some.host", 1))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.11 brought groups")
def test_all_errors_gives_a_group(loop, run, monkeypatch):
    first, second = free_port(), free_port()
    fake_resolver(monkeypatch, loop, [("127.0.0.1", first), ("127.0.0.1", second)])
    with pytest.raises(Exception) as caught:
        run(loop.create_connection(Recorder, "some.host", 1, all_errors=True))
    assert type(caught.value).__name__ == "ExceptionGroup"
    assert len(caught.value.exceptions) == 2


def test_local_addresses(loop, run):
    async def main():
        server, address = await listen(Recorder)
        transport, protocol = await loop.create_connection(
            Recorder, *address, local_addr=("127.0.0.9", 0)
        )
        assert transport.get_extra_info("sockname")[0] == "127.0.0.9"
        with pytest.raises(OSError, match="error while attempting to bind on address"):
            await loop.create_connection(
                Recorder, *address, local_addr=("203.0.113.1", 0)
            )
        with pytest.raises(OSError, match="no matching local address"):
            await loop.create_connection(Recorder, *address, local_addr=("::1", 0))
        await close_all(protocol, server)

    run(main())


def test_wrong_arguments_say_what_is_wrong(loop, run):
    async def main():
        connect = loop.create_connection
        with pytest.raises(ValueError, match="no sock specified"):
            await connect(Recorder)
        with socket.socket() as sock:
            with pytest.raises(ValueError, match="can not be specified at the same time"):
                await connect(Recorder, "127.0.0.1", 1, sock=sock)
        with socket.socket(type=socket.SOCK_DGRAM) as datagram:
            with pytest.raises(ValueError, match="A Stream Socket was expected"):
                await connect(Recorder, sock=datagram)
        with pytest.raises(ValueError, match="server_hostname is only meaningful with ssl"):
            await connect(Recorder, "127.0.0.1", 1, server_hostname="x")

    run(main())


def test_a_cancelled_connect_leaves_nothing_open(loop, run, open_fds):
    async def main():
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        # A full backlog leaves the next ones waiting for their SYN to be answered.
        fill = [socket.socket() for _ in range(4)]
        for sock in fill:
            sock.setblocking(False)
            try:
                sock.connect(address)
            except BlockingIOError:
                pass
        before = open_fds()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loop.create_connection(Recorder, *address), 0.05)
        assert open_fds() == before
        for sock in (*fill, listening):
            sock.close()

    run(main())


def test_who_awaits_the_connection_goes_on_before_its_data(loop, run):
    order = []

    class Eager(Recorder):
        def data_received(self, data):
            super().data_received(data)
            order.append("data")

    async def main():
        left, right = socket.socketpair()
        right.send(b"early")
        transport, protocol = await loop.create_connection(Eager, sock=left)
        order.append("connected")
        await protocol.until(lambda: protocol.data == b"early")
        right.close()
        await protocol.lost

    run(main())
    assert order == ["connected", "data"]


def test_connect_accepted_socket(loop, run):
    async def main():
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        client = socket.create_connection(listening.getsockname())
        accepted, address = await loop.sock_accept(listening)
        transport, protocol = await loop.connect_accepted_socket(Recorder, accepted)
        assert transport.get_extra_info("peername") == address
        client.sendall(b"x")
        client.close()
        await protocol.lost
        assert protocol.data == b"x"
        listening.close()

    run(main())


def test_streams_read_lines_and_tell_of_their_end(run):
    async def serve(reader, writer):
        async for line in reader:
            writer.write(line.upper())
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"one\ntwo\nthree")
        writer.write_eof()
        assert await reader.readline() == b"ONE\n"
        assert await reader.readuntil(b"\n") == b"TWO\n"
        assert await reader.read() == b"THREE"
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(1)
        writer.close()
        await writer.wait_closed()
        await close_all(server)

    run(main())


def test_a_factory_that_raises_leaves_no_socket_open(loop, run, open_fds):
    def broken():
        raise LookupError("no protocol today")

    with socket.create_server(("127.0.0.1", 0)) as door:
        before = open_fds()
        with pytest.raises(LookupError):
            run(loop.create_connection(broken, *door.getsockname()))
        assert open_fds() == before


def test_a_race_closes_whatever_it_does_not_return(loop, run, monkeypatch):
    """A cancel that comes when an attempt has just connected must not leak it."""
    made = []

    async def connect_and_forget(attempts, delay, *, loop):
        made.append(await attempts[0]())
        raise asyncio.CancelledError

    monkeypatch.setattr(asyncio.staggered, "staggered_race", connect_and_forget)

    async def main():
        server, address = await listen(Echo)
        with pytest.raises(asyncio.CancelledError):
            await loop.create_connection(Recorder, *address, happy_eyeballs_delay=1)
        assert [sock.fileno() for sock in made] == [-1]
        await close_all(server)

    run(main())
