"""Servers: users lose connections, or cannot stop what they started."""

import asyncio
import gc
import socket
import subprocess
import sys
import textwrap
import weakref

import bide
import pytest
from asyncio import trsock
from protocols import Echo, Recorder, close_all, connected_pair, listen
from tls_peers import client_context, server_context

WAITS_FOR_CLIENTS = sys.version_info >= (3, 12)


def test_server_objects(loop, run):
    async def main():
        server, address = await listen(Recorder)
        assert isinstance(server, asyncio.AbstractServer)
        assert server.is_serving() and server.get_loop() is loop
        assert isinstance(server.sockets, tuple)
        assert isinstance(server.sockets[0], trsock.TransportSocket)
        assert str(address[1]) in repr(server)
        server.close()
        server.close()
        assert server.sockets == () and not server.is_serving()
        await server.wait_closed()

    run(main())


def test_the_port_is_free_when_close_returns(run):
    async def main():
        server, address = await listen(Recorder)
        for _ in range(20):
            server.close()
            server = await asyncio.get_running_loop().create_server(Recorder, *address)
        await close_all(server)

    run(main())


def test_close_leaves_connections_open(run):
    async def main():
        here, there, server = await connected_pair()
        server.close()
        here.transport.write(b"still")
        await there.until(lambda: there.data == b"still")
        waiting = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert waiting.done() is not WAITS_FOR_CLIENTS
        await close_all(here, there)
        await waiting
        await server.wait_closed()

    run(main())


def test_start_serving_later(run):
    async def main():
        server, address = await listen(Echo, start_serving=False)
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        await server.start_serving()
        await server.start_serving()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()
        await close_all(server)

    run(main())


def test_serve_forever_ends_on_cancel_and_on_close(run):
    async def main():
        server, _ = await listen(Recorder)
        forever = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already being awaited"):
            await server.serve_forever()
        forever.cancel()
        with pytest.raises(asyncio.CancelledError):
            await forever
        with pytest.raises(RuntimeError, match="is closed"):
            await server.serve_forever()

        server, _ = await listen(Recorder)
        forever = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0)
        server.close()
        with pytest.raises(asyncio.CancelledError):
            await forever

    run(main())


def test_close_clients_and_abort_clients(run):
    async def main():
        here, there, server = await connected_pair()
        there.transport.write(b"last words")
        server.close()
        server.close_clients()
        assert await there.lost is None
        await here.lost
        assert here.data == b"last words"

        size = 20_000_000
        here, there, server = await connected_pair()
        there.transport.write(bytes(size))
        server.close()
        server.abort_clients()
        await there.lost
        await here.lost
        assert len(here.data) < size
        await server.wait_closed()

    run(main())


def test_several_hosts_share_a_server(run):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, ["127.0.0.1", "127.0.0.2", "127.0.0.1"], 0)
        assert len(server.sockets) == 2
        for sock in server.sockets:
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()
            await writer.wait_closed()
        await close_all(server)

    run(main())


def test_a_server_on_a_socket_and_with_reuse_port(run):
    async def main():
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        server = await loop.create_server(Echo, sock=sock)
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()
        await writer.wait_closed()
        await close_all(server)

        first, address = await listen(Echo, reuse_port=True)
        second = await loop.create_server(Echo, *address, reuse_port=True)
        await close_all(first, second)

    run(main())


def test_wrong_arguments_say_what_is_wrong(loop, run):
    async def main():
        server, address = await listen(Recorder)
        create = loop.create_server
        with pytest.raises(OSError, match="error while attempting to bind on address"):
            await create(Recorder, *address)
        with pytest.raises(OSError, match="bind on (address|any address out of) "):
            await create(Recorder, "203.0.113.1", 0)
        with pytest.raises(ValueError, match="Neither host/port nor sock were specified"):
            await create(Recorder)
        with pytest.raises(ValueError, match="can not be specified at the same time"):
            await create(Recorder, "127.0.0.1", 0, sock=server.sockets[0])
        with socket.socket(type=socket.SOCK_DGRAM) as datagram:
            with pytest.raises(ValueError, match="A Stream Socket was expected"):
                await create(Recorder, sock=datagram)
        with pytest.raises(TypeError, match="ssl argument must be an SSLContext or None"):
            await create(Recorder, "127.0.0.1", 0, ssl=True)
        with pytest.raises(TypeError, match="ssl argument must be an SSLContext or None"):
            await create(Recorder, "127.0.0.1", 0, ssl=object())
        with pytest.raises(ValueError, match="ssl_handshake_timeout is only meaningful"):
            await create(Recorder, "127.0.0.1", 0, ssl_handshake_timeout=1)
        with pytest.raises(socket.gaierror):
            await create(Recorder, "no.such.host.invalid", 0)
        await close_all(server)

    run(main())


def test_a_factory_that_fails_costs_its_connection_alone(loop, run):
    reports = []
    made = []

    def factory():
        if not made:
            made.append(1)
            raise LookupError("factory")
        return Echo()

    async def main():
        loop.set_exception_handler(lambda _, context: reports.append(context))
        server, address = await listen(factory)
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()
        await writer.wait_closed()
        await close_all(server)

    run(main())
    assert [str(report["exception"]) for report in reports] == ["factory"]
    assert isinstance(reports[0]["socket"], trsock.TransportSocket)


def test_a_thousand_connections_come_and_go(run, open_fds):
    async def visit(address, number):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"%d" % number)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def main():
        server, address = await listen(Echo)
        for start in range(0, 1000, 100):
            answers = await asyncio.gather(
                *(visit(address, number) for number in range(start, start + 100))
            )
            assert answers == [b"%d" % number for number in range(start, start + 100)]
        await close_all(server)

    before = open_fds()
    run(main(), 30)
    assert len(open_fds() - before) <= 4  # the core's own, made when first needed


EXHAUSTED = """
    import asyncio, os, resource, socket, sys
    import bide

    reports = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))

        async def serve(reader, writer):
            writer.write(await reader.read(10))
            writer.close()

        # A ring's accept goes by the limit of the moment in which it was submitted.
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        client = socket.socket()
        client.setblocking(False)
        reserve = os.open("/dev/null", os.O_RDONLY)
        hoard = [reserve]
        try:
            while True:
                hoard.append(os.dup(reserve))
        except OSError:
            pass
        start = loop.time()
        await loop.sock_connect(client, address)
        await loop.sock_sendall(client, b"patience")
        while not reports:
            await asyncio.sleep(0.01)
        for fd in hoard:
            os.close(fd)
        assert await loop.sock_recv(client, 100) == b"patience"
        took = loop.time() - start
        client.close()
        server.close()
        assert len(reports) == 1, reports
        assert reports[0]["message"] == "socket.accept() out of system resource", reports
        assert reports[0]["exception"].errno == 24, reports
        assert 0.9 < took < 5, took

    bide.run(main())
    print("recovered")
"""


def test_accept_backs_off_when_descriptors_run_out_and_recovers():
    done = subprocess.run(
        [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-c",
         textwrap.dedent(EXHAUSTED)],
        capture_output=True, text=True, timeout=30,
    )
    assert done.stdout.strip() == "recovered", done.stderr


@pytest.mark.skipif(not WAITS_FOR_CLIENTS, reason="wait_closed() did not wait yet")
def test_wait_closed_waits_for_connections_made_elsewhere(loop, run):
    """asyncio's own transports tell their server of themselves."""

    async def main():
        server, _ = await listen(Echo)
        assert server._ssl_context is None
        server._attach()
        waiting = loop.create_task(server.wait_closed())
        server.close()
        await asyncio.sleep(0)
        assert not waiting.done()
        loop.call_soon(server._detach)
        await waiting

    run(main())


@pytest.mark.parametrize("method", ["close", "abort"])
def test_a_closed_connection_needs_no_collector(run, method):
    """A cycle would keep sockets open until the collector runs, if it ever does."""

    async def main():
        gc.disable()
        try:
            here, there, server = await connected_pair()
            references = [weakref.ref(here.transport), weakref.ref(there.transport)]
            getattr(here.transport, method)()
            await here.lost
            await there.lost
            await close_all(server)
            del here.transport, there.transport
            del here.made, there.made
            assert [reference() for reference in references] == [None, None]
        finally:
            gc.enable()

    run(main())


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("connections", [0, 2])
def test_a_closed_server_needs_no_collector(run, connections, secure):
    """Nor does what its factory holds: an application reloaded, and all it has in memory."""

    async def main():
        application = Recorder()
        reference = weakref.ref(application)
        here, there = client_context(), server_context()
        server, address = await listen(
            lambda held=application: Echo(), ssl=there if secure else None
        )
        del application
        opened = [
            await asyncio.open_connection(*address, ssl=here if secure else None)
            for _ in range(connections)
        ]
        server.close()
        for _, writer in opened:
            writer.close()
            await writer.wait_closed()
        await server.wait_closed()
        while any(listener.client_count for listener in server._listeners):
            await asyncio.sleep(0)
        references = [reference, weakref.ref(server)]
        del server
        await asyncio.sleep(0)
        assert [reference() for reference in references] == [None, None]

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_a_closed_server_cannot_be_started(run):
    async def main():
        server, _ = await listen(Echo)
        server.close()
        with pytest.raises(RuntimeError, match="is closed"):
            await server.start_serving()

    run(main())


@pytest.mark.parametrize("new_loop", [asyncio.SelectorEventLoop, bide.new_event_loop])
def test_a_forgotten_server_is_warned_of(new_loop):
    async def main():
        return (await listen(Recorder))[1]

    loop = new_loop()
    address = loop.run_until_complete(main())
    with pytest.warns(ResourceWarning, match="unclosed <socket.socket fd="):
        loop.close()
        gc.collect()
    socket.create_server(address).close()


@pytest.mark.parametrize("new_loop", [asyncio.SelectorEventLoop, bide.new_event_loop])
def test_a_server_may_be_closed_after_its_loop(new_loop, recwarn):
    loop = new_loop()
    server, address = loop.run_until_complete(listen(Recorder))
    loop.close()
    assert server.is_serving() and server.sockets[0].fileno() >= 0
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    del server
    gc.collect()
    assert [str(each.message) for each in recwarn if address[0] in str(each.message)] == []
