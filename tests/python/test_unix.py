"""Unix sockets: users lose servers that start twice, and files that nobody removes."""

import asyncio
import errno
import os
import pathlib
import socket
import sys

import pytest
from protocols import Echo, Recorder, close_all, noise

CLEANS_UP = sys.version_info >= (3, 13)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A short name, whatever the length of the test's directory."""
    monkeypatch.chdir(tmp_path)
    return "s"


async def echo_through(path, size=100_000):
    """Connects, has `size` bytes echoed, and closes."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_unix_connection(Recorder, path)
    data = noise(size)
    transport.write(data)
    await protocol.until(lambda: len(protocol.data) == size)
    assert protocol.data == data
    await close_all(protocol)


@pytest.mark.parametrize("kind", [str, os.fsencode, pathlib.Path])
def test_paths_of_every_kind(loop, run, path, kind):
    async def main():
        server = await loop.create_unix_server(Echo, kind(path))
        assert server.sockets[0].getsockname() == path
        await echo_through(kind(path))
        await close_all(server)

    run(main())


@pytest.mark.parametrize("kind", [str, os.fsencode])
def test_abstract_names(loop, run, path, kind):
    name = f"\0bide-test-{os.getpid()}"

    async def main():
        server = await loop.create_unix_server(Echo, kind(name))
        await echo_through(kind(name))
        await close_all(server)
        assert os.listdir() == []

    run(main())


def test_extra_info_tells_the_names(loop, run, path):
    async def main():
        accepted = loop.create_future()

        class Server(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                accepted.set_result(self)

        server = await loop.create_unix_server(Server, path)
        here, protocol = await loop.create_unix_connection(Recorder, path)
        there = (await accepted).transport
        assert here.get_extra_info("peername") == path
        assert here.get_extra_info("sockname") == ""
        assert there.get_extra_info("sockname") == path
        assert there.get_extra_info("peername") == ""
        assert here.get_extra_info("socket").family == socket.AF_UNIX
        assert there.get_extra_info("socket").family == socket.AF_UNIX
        await close_all(protocol, server)
        assert here.get_extra_info("peername") == path

    run(main())


def test_a_bound_client_is_told_by_its_name(loop, run, path):
    async def main():
        accepted = loop.create_future()

        class Server(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                accepted.set_result(self)

        server = await loop.create_unix_server(Server, path)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(b"\0client-" + str(os.getpid()).encode())
        sock.connect(path)
        transport, protocol = await loop.create_unix_connection(Recorder, sock=sock)
        name = sock.getsockname()
        assert (await accepted).transport.get_extra_info("peername") == name
        await close_all(protocol, server)

    run(main())


def test_a_dead_servers_file_is_in_nobodys_way(loop, run, path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)

    async def main():
        server = await loop.create_unix_server(Echo, path)
        await echo_through(path)
        await close_all(server)

    run(main())


def test_a_file_that_is_no_socket_is_left_alone(loop, run, path):
    pathlib.Path(path).write_text("precious")
    with pytest.raises(OSError, match="Address 's' is already in use") as caught:
        run(loop.create_unix_server(Echo, path))
    assert caught.value.errno == errno.EADDRINUSE
    assert pathlib.Path(path).read_text() == "precious"


@pytest.mark.parametrize("cleanup", [None, True, False])
def test_the_file_goes_with_the_server(loop, run, path, cleanup):
    options = {} if cleanup is None else {"cleanup_socket": cleanup}

    async def main():
        server = await loop.create_unix_server(Echo, path, **options)
        server.close()
        await server.wait_closed()

    run(main())
    removed = CLEANS_UP if cleanup is None else cleanup
    assert os.path.exists(path) is not removed


def test_another_servers_file_stays(loop, run, path):
    async def main():
        first = await loop.create_unix_server(Echo, path, cleanup_socket=True)
        second = await loop.create_unix_server(Echo, path, cleanup_socket=True)
        first.close()
        await echo_through(path)
        await close_all(second)
        assert os.listdir() == []

    run(main())


def test_a_servers_own_socket_is_cleaned_up_too(loop, run, path):
    async def main():
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        server = await loop.create_unix_server(Echo, sock=sock, cleanup_socket=True)
        await echo_through(path)
        await close_all(server)
        assert not os.path.exists(path)

    run(main())


def test_nobody_listens(loop, run, path, open_fds):
    before = open_fds()
    with pytest.raises(FileNotFoundError):
        run(loop.create_unix_connection(Recorder, path))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    with pytest.raises(ConnectionRefusedError):
        run(loop.create_unix_connection(Recorder, path))
    assert open_fds() == before


def test_a_name_that_is_too_long(loop, run, open_fds):
    before = open_fds()
    for method in (loop.create_unix_connection, loop.create_unix_server):
        with pytest.raises(OSError, match="AF_UNIX path too long"):
            run(method(Recorder, "x" * 200))
    assert open_fds() == before


def test_arguments_that_contradict_each_other(loop, run, path):
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as tcp:
        for method in (loop.create_unix_connection, loop.create_unix_server):
            with pytest.raises(ValueError, match="path and sock can not be specified at the"):
                run(method(Recorder, path, sock=unix))
            with pytest.raises(ValueError, match="A UNIX Domain Stream Socket was expected"):
                run(method(Recorder, sock=tcp))
            with pytest.raises(ValueError, match="no.* sock.* specified"):
                run(method(Recorder))
            with pytest.raises(ValueError, match="ssl_handshake_timeout is only meaningful"):
                run(method(Recorder, path, ssl_handshake_timeout=1))
    with pytest.raises(TypeError, match="ssl argument must be an SSLContext or None"):
        run(loop.create_unix_server(Recorder, path, ssl=True))
    with pytest.raises(ValueError, match="server_hostname is only meaningful with ssl"):
        run(loop.create_unix_connection(Recorder, path, server_hostname="x"))
    with pytest.raises(ValueError, match="you have to pass server_hostname when using ssl"):
        run(loop.create_unix_connection(Recorder, path, ssl=True))


def test_a_full_queue_is_waited_for(loop, run, path):
    """The kernel refuses with EAGAIN, and a poll of the unconnected socket calls it
    writable: that is not a connection."""

    async def main():
        with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
            full.bind(path)
            full.listen(0)
            first.connect(path)
            connecting = loop.create_task(loop.create_unix_connection(Recorder, path))
            await asyncio.sleep(0.02)
            assert not connecting.done()
            full.accept()[0].close()
            transport, protocol = await connecting
            full.accept()[0].close()
            assert await protocol.lost is None

    run(main())


def test_streams(run, path):
    async def serve(reader, writer):
        writer.write(await reader.read())
        writer.close()

    async def main():
        server = await asyncio.start_unix_server(serve, path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"half closed")
        writer.write_eof()
        assert await reader.read() == b"half closed"
        writer.close()
        await close_all(server)

    run(main())


def test_an_accepted_socket(loop, run):
    async def main():
        mine, theirs = socket.socketpair()
        transport, protocol = await loop.connect_accepted_socket(Recorder, theirs)
        assert transport.get_extra_info("peername") == ""
        mine.sendall(b"hello")
        await protocol.until(lambda: protocol.data == b"hello")
        mine.close()
        assert await protocol.lost is None

    run(main())
