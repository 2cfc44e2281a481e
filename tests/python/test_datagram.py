"""Datagram endpoints: users lose datagrams, or learn of errors that nobody told them."""

import asyncio
import errno
import gc
import os
import socket
import sys
import weakref

import pytest
from protocols import noise


class Datagrams(asyncio.DatagramProtocol):
    """Keeps what came in `got`, errors in `errors`."""

    def __init__(self):
        self.events = []
        self.got = []
        self.errors = []
        self.lost = asyncio.get_running_loop().create_future()
        self.changed = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def datagram_received(self, data, address):
        assert type(data) is bytes
        self.got.append((data, address))
        self.changed.set()

    def error_received(self, error):
        self.errors.append(error)
        self.changed.set()

    def pause_writing(self):
        self.events.append("pause")
        self.changed.set()

    def resume_writing(self):
        self.events.append("resume")
        self.changed.set()

    def connection_lost(self, error):
        self.events.append("lost")
        self.lost.set_result(error)

    async def until(self, condition):
        while not condition():
            self.changed.clear()
            await self.changed.wait()


async def endpoint(*args, **options):
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(Datagrams, *args, **options)
    return protocol


def name_of(protocol):
    return protocol.transport.get_extra_info("sockname")


async def close_all(*protocols):
    for protocol in protocols:
        protocol.transport.close()
        assert await protocol.lost is None
        assert protocol.events[-1] == "lost"


def socket_pair():
    """Unix datagram sockets, the first of which fills up after a few datagrams."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    there.setblocking(False)
    return here, there


async def fill(protocol, size=1000):
    """Sends until the socket is full and something waits; returns how many were sent."""
    count = 0
    while protocol.transport.get_write_buffer_size() == 0:
        protocol.transport.sendto(count.to_bytes(4, "big") + bytes(size - 4))
        count += 1
    return count


LOCAL = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0)}


@pytest.mark.parametrize("family", LOCAL)
def test_datagrams_come_with_their_sender(run, family):
    async def main():
        server = await endpoint(LOCAL[family])
        client = await endpoint(LOCAL[family])
        client.transport.sendto(b"ping", name_of(server))
        await server.until(lambda: server.got)
        assert server.got == [(b"ping", name_of(client))]
        server.transport.sendto(b"pong", server.got[0][1])
        await client.until(lambda: client.got)
        assert client.got == [(b"pong", name_of(server))]
        await close_all(server, client)

    run(main())


def test_a_connected_endpoint_needs_no_address(run):
    async def main():
        server = await endpoint(("127.0.0.1", 0))
        address = name_of(server)
        client = await endpoint(remote_addr=address)
        assert client.transport.get_extra_info("peername") == address
        client.transport.sendto(b"1")
        client.transport.sendto(b"2", address)
        client.transport.sendto(bytearray(b"3"), None)
        client.transport.sendto(data=memoryview(b"4"), addr=address)
        await server.until(lambda: len(server.got) == 4)
        assert [data for data, _ in server.got] == [b"1", b"2", b"3", b"4"]
        with pytest.raises(ValueError, match="Invalid address: must be None or"):
            client.transport.sendto(b"x", ("127.0.0.1", 9))
        await close_all(server, client)

    run(main())


def test_empty_datagrams_are_datagrams(run):
    async def main():
        server = await endpoint(("127.0.0.1", 0))
        client = await endpoint(remote_addr=name_of(server))
        client.transport.sendto(b"")
        client.transport.sendto(b"after")
        await server.until(lambda: len(server.got) == 2)
        assert [data for data, _ in server.got] == [b"", b"after"]
        await close_all(server, client)

    run(main())


def test_the_largest_datagram(run):
    async def main():
        server = await endpoint(("127.0.0.1", 0))
        client = await endpoint(("127.0.0.1", 0))
        data = noise(65507)
        client.transport.sendto(data, name_of(server))
        await server.until(lambda: server.got)
        assert server.got[0][0] == data
        client.transport.sendto(data + b"x", name_of(server))
        assert [error.errno for error in client.errors] == [errno.EMSGSIZE]
        client.transport.sendto(b"still works", name_of(server))
        await server.until(lambda: len(server.got) == 2)
        await close_all(server, client)

    run(main())


def test_a_port_that_nobody_reads_is_told(run):
    async def main():
        server = await endpoint(("127.0.0.1", 0))
        client = await endpoint(remote_addr=name_of(server))
        await close_all(server)
        client.transport.sendto(b"anybody?")
        await client.until(lambda: client.errors)
        assert isinstance(client.errors[0], ConnectionRefusedError)
        assert not client.transport.is_closing()
        await close_all(client)

    run(main())


def link_local_addresses():
    with open("/proc/net/if_inet6", encoding="ascii") as lines:
        for line in lines:
            address, _, _, scope, _, interface = line.split()
            if scope == "20":
                yield socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address)), interface


def test_ipv6_zones(run):
    """A link-local address means nothing without its interface."""
    host, interface = next(link_local_addresses(), (None, None))
    if host is None:
        pytest.skip("no interface here has a link-local address")
    scope = socket.if_nametoindex(interface)

    async def main():
        server = await endpoint((f"{host}%{interface}", 0))
        port = name_of(server)[1]
        assert name_of(server) == (host, port, 0, scope)
        client = await endpoint((f"{host}%{interface}", 0))
        client.transport.sendto(b"scope", (host, port, 0, scope))
        client.transport.sendto(b"zone", (f"{host}%{interface}", port))
        connected = await endpoint(remote_addr=(f"{host}%{interface}", port))
        connected.transport.sendto(b"connected")
        await server.until(lambda: len(server.got) == 3)
        assert server.got[0] == (b"scope", name_of(client))
        assert [data for data, _ in server.got] == [b"scope", b"zone", b"connected"]
        await close_all(server, client, connected)

    run(main())


def test_an_ipv6_zone_is_not_dropped(run):
    """Without it a datagram would leave by another interface."""

    async def main():
        client = await endpoint(("::", 0))
        for address in (("fe80::1%no-such", 9), ("fe80::1", 9, 0, 999_999)):
            client.transport.sendto(b"x", address)
        assert len(client.errors) == 2
        await close_all(client)

    run(main())


def test_unix_datagrams(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def main():
        server = await endpoint("server", family=socket.AF_UNIX)
        named = await endpoint("client", "server", family=socket.AF_UNIX)
        nameless = await endpoint(family=socket.AF_UNIX)
        named.transport.sendto(b"named")
        nameless.transport.sendto(b"nameless", "server")
        await server.until(lambda: len(server.got) == 2)
        assert server.got == [(b"named", "client"), (b"nameless", None)]
        server.transport.sendto(noise(100_000), "client")
        await named.until(lambda: named.got)
        assert named.got == [(noise(100_000), "server")]
        await close_all(server, named, nameless)
        again = await endpoint("server", family=socket.AF_UNIX)
        assert name_of(again) == "server"
        await close_all(again)

    run(main())


def test_abstract_unix_names(run):
    async def main():
        name = f"\0bide-datagram-{os.getpid()}"
        server = await endpoint(name, family=socket.AF_UNIX)
        client = await endpoint(name + "-client", name, family=socket.AF_UNIX)
        client.transport.sendto(b"x")
        await server.until(lambda: server.got)
        assert server.got == [(b"x", os.fsencode(name + "-client"))]
        await close_all(server, client)

    run(main())


def test_broadcast_is_asked_for(run):
    async def main():
        refused = await endpoint(("0.0.0.0", 0))
        refused.transport.sendto(b"x", ("255.255.255.255", 9))
        assert isinstance(refused.errors[0], PermissionError)
        allowed = await endpoint(("0.0.0.0", 0), allow_broadcast=True)
        sock = allowed.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
        await close_all(refused, allowed)

    run(main())


def test_a_remote_address_with_broadcast_is_not_connected(run):
    """A connected socket would drop the answers of all who heard the broadcast."""

    async def main():
        server = await endpoint(("127.0.0.1", 0))
        other = await endpoint(("127.0.0.1", 0))
        client = await endpoint(
            ("127.0.0.1", 0), remote_addr=name_of(server), allow_broadcast=True
        )
        assert client.transport.get_extra_info("peername") is None
        client.transport.sendto(b"to the remote address")
        await server.until(lambda: server.got)
        other.transport.sendto(b"from somebody else", name_of(client))
        await client.until(lambda: client.got)
        await close_all(server, other, client)

    run(main())


def test_ports_are_shared_on_demand(run):
    async def main():
        first = await endpoint(("127.0.0.1", 0), reuse_port=True)
        second = await endpoint(name_of(first), reuse_port=True)
        with pytest.raises(OSError) as caught:
            await endpoint(name_of(first))
        assert caught.value.errno == errno.EADDRINUSE
        await close_all(first, second)

    run(main())


def test_names_are_resolved_when_sending(run):
    async def main():
        server = await endpoint(("127.0.0.1", 0))
        client = await endpoint(("127.0.0.1", 0))
        client.transport.sendto(b"x", ("localhost", name_of(server)[1]))
        await server.until(lambda: server.got)
        await close_all(server, client)

    run(main())


@pytest.mark.parametrize(
    "address", [None, ("127.0.0.1", "9"), ("127.0.0.1", 70000), ("127.0.0.1\0x", 9), "host", 5]
)
def test_an_address_that_is_none_ends_the_endpoint(loop, run, address):
    """As asyncio has it: the program is told, and not only the protocol."""
    told = []
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))

    async def main():
        client = await endpoint(("127.0.0.1", 0))
        client.transport.sendto(b"x", address)
        error = await client.lost
        assert isinstance(error, (TypeError, OverflowError, ValueError))
        assert told == ["Fatal write error on datagram transport"]

    run(main())


def test_what_does_not_fit_waits_in_order(run):
    here, there = socket_pair()

    async def main():
        client = await endpoint(sock=here)
        count = await fill(client)
        mutable = bytearray(b"before")
        client.transport.sendto(mutable)
        mutable[:] = b"after!"
        client.transport.close()
        got = []
        while len(got) < count + 1:
            got.append(await asyncio.get_running_loop().sock_recv(there, 65536))
        assert [int.from_bytes(data[:4], "big") for data in got[:count]] == [*range(count)]
        assert got[count] == b"before"
        assert await client.lost is None
        there.close()

    run(main())


def test_the_size_of_what_waits(run):
    header = 8 if sys.version_info >= (3, 13) else 0
    here, there = socket_pair()

    async def main():
        client = await endpoint(sock=here)
        assert client.transport.get_write_buffer_size() == 0
        await fill(client, 1000)
        assert client.transport.get_write_buffer_size() == 1000 + header
        client.transport.sendto(b"")
        assert client.transport.get_write_buffer_size() == 1000 + 2 * header
        client.transport.abort()
        assert client.transport.get_write_buffer_size() == 0
        assert await client.lost is None
        there.close()

    run(main())


def test_a_full_buffer_pauses_the_protocol(run):
    here, there = socket_pair()

    async def main():
        client = await endpoint(sock=here)
        client.transport.set_write_buffer_limits(high=3000, low=1000)
        assert client.transport.get_write_buffer_limits() == (1000, 3000)
        count = await fill(client)
        assert client.events == ["made"]
        for _ in range(3):
            client.transport.sendto(bytes(1000))
        assert client.events == ["made", "pause"]
        for _ in range(count + 3):
            await asyncio.get_running_loop().sock_recv(there, 65536)
        await client.until(lambda: "resume" in client.events)
        await close_all(client)
        there.close()

    run(main())


def test_an_endpoint_under_fire_leaves_time_for_others(loop, run):
    """Everything that is there must not be taken in one turn."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    async def main():
        turns = []

        class Counting(Datagrams):
            def datagram_received(self, data, address):
                super().datagram_received(data, address)
                if len(self.got) == 1:
                    loop.call_soon(lambda: turns.append(len(self.got)))

        sent = 0
        there.setblocking(False)
        try:
            while sent < 500:
                there.send(b"x")
                sent += 1
        except BlockingIOError:
            pass
        _, server = await loop.create_datagram_endpoint(Counting, sock=here)
        await server.until(lambda: len(server.got) == sent)
        assert sent > 100 and turns[0] < 50
        await close_all(server)
        there.close()

    run(main())


def test_only_an_unconnected_endpoint_sends_after_close(loop, run, caplog):
    async def main():
        server = await endpoint(("127.0.0.1", 0))
        client = await endpoint(remote_addr=name_of(server))
        await close_all(client)
        for _ in range(8):
            client.transport.sendto(b"late")
        client.transport.close()
        client.transport.abort()
        assert [r.message for r in caplog.records] == ["socket.send() raised exception."] * 4
        probe = await endpoint(("127.0.0.1", 0))
        probe.transport.close()
        probe.transport.sendto(b"farewell", name_of(server))
        probe.transport.sendto(b"x" * 70000, name_of(server))
        assert [error.errno for error in probe.errors] == [errno.EMSGSIZE]
        await server.until(lambda: server.got)
        assert [data for data, _ in server.got] == [b"farewell"]
        await close_all(server, probe)

    run(main())


@pytest.mark.parametrize("wanted", [1, 15, 16, 17, 32])
@pytest.mark.parametrize("end", ["close", "abort"])
def test_no_datagram_comes_after_close(loop, run, wanted, end):
    """Wherever in a batch that is."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    async def main():
        class OnlyFew(Datagrams):
            def datagram_received(self, data, address):
                super().datagram_received(data, address)
                if len(self.got) == wanted:
                    getattr(self.transport, end)()

        for _ in range(wanted + 5):
            there.send(b"x")
        _, protocol = await loop.create_datagram_endpoint(OnlyFew, sock=here)
        await protocol.lost
        assert len(protocol.got) == wanted
        there.close()

    run(main())


def test_exceptions_of_the_protocol_are_reported_and_survived(loop, run):
    told = []
    loop.set_exception_handler(lambda _, context: told.append(context))

    class Raising(Datagrams):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            raise ZeroDivisionError

    async def main():
        _, server = await loop.create_datagram_endpoint(Raising, ("127.0.0.1", 0))
        client = await endpoint(remote_addr=name_of(server))
        client.transport.sendto(b"1")
        client.transport.sendto(b"2")
        await server.until(lambda: len(server.got) == 2)
        await close_all(server, client)
        assert [type(context["exception"]) for context in told] == [ZeroDivisionError] * 2
        assert told[0]["protocol"] is server and told[0]["transport"] is server.transport

    run(main())


def test_it_is_what_isinstance_expects(run):
    async def main():
        server = await endpoint(("127.0.0.1", 0))
        transport = server.transport
        assert isinstance(transport, asyncio.DatagramTransport)
        assert isinstance(transport, asyncio.Transport)
        assert transport.get_protocol() is server
        assert weakref.ref(transport)() is transport
        await asyncio.sleep(0)
        assert repr(transport).endswith("read=polling write=<idle, bufsize=0>>")
        sock = transport.get_extra_info("socket")
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        assert sock.getsockname() == name_of(server)
        assert transport.get_extra_info("nothing", 5) == 5
        with pytest.raises(TypeError, match="data argument must be a bytes-like object"):
            transport.sendto("text", ("127.0.0.1", 9))
        with pytest.raises(RuntimeError, match="is used by transport"):
            asyncio.get_running_loop().add_reader(sock.fileno(), print)
        await close_all(server)
        assert repr(transport).startswith("<DatagramTransport closed fd=")
        assert transport.get_extra_info("sockname")[0] == "127.0.0.1"

    run(main())


def test_the_protocol_can_be_changed(run):
    async def main():
        server = await endpoint(("127.0.0.1", 0))
        other = Datagrams()
        server.transport.set_protocol(protocol=other)
        client = await endpoint(remote_addr=name_of(server))
        client.transport.sendto(b"x")
        await other.until(lambda: other.got)
        assert server.got == []
        client.transport.close()
        server.transport.close()
        await other.lost

    run(main())


def test_arguments_that_contradict_each_other(loop, run):
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as sock:
        for options, expected, message in [
            ({"sock": stream}, ValueError, "A (datagram socket|UDP Socket) was expected"),
            ({"sock": sock, "reuse_port": True}, ValueError, r"\(reuse_port=True\)"),
            ({}, ValueError, "unexpected address family"),
            ({"local_addr": "host"}, TypeError, "2-tuple is expected"),
            ({"local_addr": b"x", "family": socket.AF_UNIX}, TypeError, "string is exp"),
            (
                {"local_addr": ("127.0.0.1", 0), "remote_addr": ("::1", 1)},
                ValueError,
                "can not get address information",
            ),
        ]:
            with pytest.raises(expected, match=message):
                run(loop.create_datagram_endpoint(Datagrams, **options))


def test_reuse_address_is_refused(loop, run):
    with pytest.raises(ValueError, match="Passing `reuse_address=True` is no longer"):
        run(loop.create_datagram_endpoint(Datagrams, ("::1", 0), reuse_address=True))
    with pytest.warns(DeprecationWarning, match="reuse_address"):
        transport, _ = run(
            loop.create_datagram_endpoint(Datagrams, ("::1", 0), reuse_address=False)
        )
    transport.close()


def test_a_factory_that_raises_leaves_no_socket(loop, run, open_fds):
    before = open_fds()

    def factory():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(loop.create_datagram_endpoint(factory, ("127.0.0.1", 0)))
    assert open_fds() == before


def test_a_closed_endpoint_frees_its_port_without_the_collector(loop, run):
    async def main():
        gc.disable()
        try:
            server = await endpoint(("127.0.0.1", 0))
            address = name_of(server)
            reference = weakref.ref(server.transport)
            await close_all(server)
            again = await endpoint(address)
            await close_all(again)
            del server.transport
            assert reference() is None
        finally:
            gc.enable()

    run(main())


def test_an_endpoint_that_nobody_closes_warns(loop, run):
    async def main():
        return await endpoint(("127.0.0.1", 0))

    protocol = run(main())
    loop.close()
    with pytest.warns(ResourceWarning, match="unclosed transport <DatagramTransport"):
        del protocol
        gc.collect()


def test_sending_on_a_closed_loop_is_refused(loop, run):
    async def main():
        return await endpoint(("127.0.0.1", 0))

    protocol = run(main())
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        protocol.transport.sendto(b"x", ("127.0.0.1", 9))
    protocol.transport.close()
