"""Connections to addresses in numbers, which C makes without a socket.socket: users lose what
they see, replace or forbid of the one that asyncio makes."""

import asyncio
import socket

import bide
import pytest
from processes import run_program
from protocols import Echo, Recorder, close_all, connected_pair, listen


async def connect(**options):
    """Connects to a server and ends it; the transport, which is closed."""
    server, address = await listen(Echo)
    transport, protocol = await asyncio.get_running_loop().create_connection(
        Recorder, *address, **options
    )
    await close_all(protocol, server)
    return transport


def test_the_socket_is_that_of_a_connection(run):
    async def main():
        here, there, server = await connected_pair()
        for end in here, there:
            sock = end.transport.get_extra_info("socket")
            assert (sock.family, sock.type, sock.proto) == (
                socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
            )
            assert sock.gettimeout() == 0 and sock._sock.gettimeout() == 0
            assert not sock._sock.get_inheritable()
        await close_all(here, there, server)

    run(main())


def test_a_closed_connection_has_its_socket_still(run):
    """Those who log a connection ask once it is over."""

    async def main():
        here, there, server = await connected_pair()
        ends = [end.transport for end in (here, there)]
        await close_all(here, there, server)
        for transport in ends:
            sock = transport.get_extra_info("socket")
            assert sock is transport.get_extra_info("socket")
            assert sock.fileno() == -1
            assert (sock.family, sock.type, sock.proto) == (
                socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
            )
        assert ends[0].get_extra_info("sockname") == ends[1].get_extra_info("peername")

    run(main())


@pytest.mark.parametrize(
    "options",
    [
        {}, {"family": socket.AF_INET}, {"proto": socket.IPPROTO_TCP},
        {"interleave": 1}, {"happy_eyeballs_delay": 1}, {"local_addr": ("127.0.0.1", 0)},
    ],
)
def test_all_options_connect(run, options):
    transport = run(connect(**options))
    assert transport.get_extra_info("sockname")[0] == "127.0.0.1"


def test_a_replaced_class_makes_the_socket(run, monkeypatch):
    made = []

    class Counted(socket.socket):
        def __init__(self, *args, **keywords):
            super().__init__(*args, **keywords)
            made.append(self)

    async def main():
        server, address = await listen(Echo)
        monkeypatch.setattr(socket, "socket", Counted)
        transport, protocol = await asyncio.get_running_loop().create_connection(
            Recorder, *address
        )
        assert [sock.getpeername() for sock in made] == [address]
        await close_all(protocol, server)

    run(main())


def test_a_replaced_connect_may_forbid_it(run, monkeypatch, open_fds):
    """So programs keep their tests from the network."""

    def refuse(sock, address):
        raise PermissionError(f"not to {address}")

    async def main():
        server, address = await listen(Echo)
        before = open_fds()
        monkeypatch.setattr(socket.socket, "connect", refuse)
        with pytest.raises(PermissionError, match="not to"):
            await asyncio.get_running_loop().create_connection(Recorder, *address)
        assert open_fds() == before
        await close_all(server)

    run(main())


def test_a_loop_with_its_own_sock_connect_is_asked(run, loop, monkeypatch):
    asked = []

    async def sock_connect(sock, address):
        asked.append(address)
        await bide.EventLoop.sock_connect(loop, sock, address)

    monkeypatch.setattr(loop, "sock_connect", sock_connect, raising=False)
    transport = run(connect())
    assert asked == [transport.get_extra_info("peername")]


def test_an_audit_sees_the_connection_and_may_forbid_it():
    told = run_program(
        """
        import asyncio, os, socket, sys
        import bide

        seen, forbidden = [], False

        def audit(event, args):
            if event == "socket.connect":
                seen.append(args)
                if forbidden:
                    raise PermissionError("not today")

        async def main():
            global forbidden
            loop = asyncio.get_running_loop()
            with socket.create_server(("127.0.0.1", 0)) as door:
                address = door.getsockname()
                transport, _ = await loop.create_connection(asyncio.Protocol, *address)
                (sock, where), = seen
                assert type(sock) is socket.socket and where == address
                assert sock.getpeername() == address
                seen.clear()
                transport.abort()
                await asyncio.sleep(0)
                assert sock.fileno() == -1
                before = len(os.listdir("/proc/self/fd"))
                forbidden = True
                try:
                    await loop.create_connection(asyncio.Protocol, *address)
                except PermissionError as error:
                    print(error)
                assert seen[0][1] == address and seen[0][0].fileno() == -1
                assert len(os.listdir("/proc/self/fd")) == before

        sys.addaudithook(audit)
        bide.run(main())
        """
    )
    assert told == "not today\n"


def test_a_connection_that_takes_its_time_is_waited_for(run, loop, monkeypatch):
    """As all do that leave this host."""
    begun = []

    def dial(host, port, family, proto):
        sock = socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        begun.append((sock, sock.connect_ex((host, port))))
        return sock

    monkeypatch.setattr(loop, "_dial", dial, raising=False)
    transport = run(connect())
    (sock, _), = begun
    assert transport.get_extra_info("socket")._sock is sock


@pytest.mark.parametrize(
    ("made", "error", "options"),
    [
        (None, AttributeError, {}),
        (object(), AttributeError, {}),
        (asyncio.BaseTransport(), AttributeError, {}),
        (asyncio.Protocol(), ValueError, {"ssl": True, "ssl_handshake_timeout": -1}),
    ],
)
def test_what_cannot_be_made_leaves_nothing_open(run, loop, open_fds, made, error, options):
    with socket.create_server(("127.0.0.1", 0)) as door:
        before = open_fds()
        with pytest.raises(error, match="connection_made|ssl_handshake_timeout"):
            run(loop.create_connection(lambda: made, *door.getsockname(), **options))
        assert open_fds() == before


def test_a_port_that_cannot_be_is_refused(run, loop):
    for port in (70000, -1, 2**80):
        with pytest.raises(OverflowError):
            run(loop.create_connection(Recorder, "127.0.0.1", port))
