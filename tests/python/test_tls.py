"""TLS connections: users lose bytes, certificates' checks, or what they need to know of
either."""

import asyncio
import hashlib
import random
import socket
import ssl

import pytest
from protocols import Echo, Recorder, close_all, listen, noise
from tls_peers import (
    VERSIONS,
    blocking_server,
    certificate,
    client_context,
    server_context,
)

pytest.importorskip("trustme")


async def connected(client=Recorder, server=Recorder, contexts=None, **options):
    """Two connected protocols over TLS, and the server between them."""
    loop = asyncio.get_running_loop()
    accepted = loop.create_future()

    def factory():
        protocol = server()
        accepted.set_result(protocol)
        return protocol

    there_context, here_context = contexts or (server_context(), client_context())
    listening, address = await listen(factory, ssl=there_context)
    _, here = await loop.create_connection(client, *address, ssl=here_context, **options)
    there = await accepted
    await there.made
    return here, there, listening


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [1, 1000, 16384, 16385, 65536, 1_000_000])
def test_bytes_arrive_both_ways(run, size, version):
    payload = noise(size)

    async def main():
        contexts = server_context(version=version), client_context(version)
        here, there, server = await connected(contexts=contexts)
        here.transport.write(payload)
        there.transport.write(memoryview(bytearray(payload)))
        await here.until(lambda: len(here.data) >= size)
        await there.until(lambda: len(there.data) >= size)
        assert here.data == payload and there.data == payload
        await close_all(here, there, server)

    run(main())


def test_an_echo_of_many_sizes_keeps_order(run):
    random_sizes = random.Random(7)
    pieces = [noise(random_sizes.randrange(1, 200_000), n) for n in range(60)]
    expected = hashlib.sha256(b"".join(pieces)).digest()
    total = sum(map(len, pieces))

    async def main():
        server, address = await listen(Echo, ssl=server_context())
        reader, writer = await asyncio.open_connection(*address, ssl=client_context())

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


def test_what_one_callback_writes_becomes_one_record(run):
    """Head and body in two writes must not cost two records, each with its header, its
    tag and its system call."""

    def serve(sock):
        sizes = []
        for _ in range(2):
            sizes.append(len(sock.recv(65536)))
        assert sizes == [11, 16384]
        sock.unwrap()

    async def main(address):
        reader, writer = await asyncio.open_connection(*address, ssl=client_context())
        writer.write(b"head")
        writer.writelines([b" and ", bytearray(b"bo")])
        await asyncio.sleep(0)
        writer.write(b"x" * 384)
        writer.write(b"y" * 16000)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    with blocking_server(serve, server_context()) as address:
        run(main(address))


def test_the_transport_is_asyncios_and_knows_its_connection(run):
    async def main():
        contexts = server_context(), client_context()
        here, there, server = await connected(contexts=contexts)
        transport = here.transport
        assert isinstance(transport, asyncio.Transport)
        assert transport.get_protocol() is here
        assert transport.get_extra_info("sslcontext") is contexts[1]
        assert transport._ssl_protocol._sslcontext is contexts[1]
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert ("DNS", "localhost") in transport.get_extra_info("peercert")["subjectAltName"]
        assert transport.get_extra_info("cipher")[1] == "TLSv1.3"
        assert transport.get_extra_info("compression", 7) is None
        assert transport.get_extra_info("nothing", 7) == 7
        assert transport.get_extra_info("close_notify", 7) == 7
        own = transport.get_extra_info("socket")
        assert own.getpeername() == transport.get_extra_info("peername")
        assert there.transport.get_extra_info("peercert") is None
        assert not transport.can_write_eof() and not transport.is_closing()
        with pytest.raises(NotImplementedError):
            transport.write_eof()
        assert repr(transport).startswith("<SSLTransport open bufsize=0 over <Transport fd=")
        await close_all(here, there, server)
        assert transport.is_closing() and repr(transport) == "<SSLTransport closed>"
        # Logs are written in connection_lost and after it.
        assert transport.get_extra_info("peername") == server_address(there)
        assert transport.get_extra_info("cipher")[1] == "TLSv1.3"

    def server_address(there):
        return there.transport.get_extra_info("sockname")

    run(main())


def test_a_certificate_that_does_not_verify_is_the_callers_error(run, loop):
    """The caller gets it, once; the server's peer learns why; nobody logs it."""

    async def main():
        server, address = await listen(Recorder, ssl=server_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            await loop.create_connection(
                Recorder, *address, ssl=ssl.create_default_context()
            )
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await loop.create_connection(
                Recorder, *address, ssl=client_context(), server_hostname="example.org"
            )
        await close_all(server)

    run(main())


def test_a_refused_client_tells_the_server_why(run):
    def serve(sock):
        with pytest.raises(ssl.SSLError, match="unknown ca"):
            server_context().wrap_socket(sock, server_side=True)

    async def main(address):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                *address, ssl=ssl.create_default_context(), server_hostname="localhost"
            )

    with blocking_server(serve) as address:
        run(main(address))


def test_a_server_may_ask_for_a_certificate(run, loop):
    demanding, plain, known = server_context(), client_context(), client_context()
    demanding.verify_mode = ssl.CERT_REQUIRED
    demanding.load_verify_locations(cadata=trust())
    certificate("client.example").configure_cert(known)

    async def main():
        here, there, server = await connected(contexts=(demanding, known))
        assert ("DNS", "client.example") in there.transport.get_extra_info("peercert")[
            "subjectAltName"
        ]
        await close_all(here, there, server)
        # In TLS 1.3 the client's handshake is over when the server refuses it.
        server, address = await listen(Recorder, ssl=demanding)
        _, refused = await loop.create_connection(Recorder, *address, ssl=plain)
        assert "certificate required" in str(await refused.lost)
        await close_all(server)

    run(main())


def trust():
    from tls_peers import authority

    return authority().cert_pem.bytes().decode()


def test_protocols_are_negotiated_by_alpn(run):
    async def main():
        contexts = server_context(), client_context()
        contexts[0].set_alpn_protocols(["h2", "http/1.1"])
        contexts[1].set_alpn_protocols(["spdy", "http/1.1"])
        here, there, server = await connected(contexts=contexts)
        for end in (here, there):
            ssl_object = end.transport.get_extra_info("ssl_object")
            assert ssl_object.selected_alpn_protocol() == "http/1.1"
        await close_all(here, there, server)

    run(main())


def test_a_server_chooses_its_certificate_by_name(run):
    """One address serves many names: the SNI callback swaps the context."""
    seen = []
    other = server_context("other.example")

    def choose(ssl_object, name, context):
        seen.append((type(ssl_object), name))
        if name == "other.example":
            ssl_object.context = other
        elif name == "refused.example":
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    async def main():
        contexts = server_context(), client_context()
        contexts[0].sni_callback = choose
        here, there, server = await connected(
            contexts=contexts, server_hostname="other.example"
        )
        names = here.transport.get_extra_info("peercert")["subjectAltName"]
        assert names == (("DNS", "other.example"),)
        await close_all(here, there, server)
        server, address = await listen(Recorder, ssl=contexts[0])
        with pytest.raises(ssl.SSLError, match="unrecognized name"):
            await asyncio.get_running_loop().create_connection(
                Recorder, *address, ssl=contexts[1], server_hostname="refused.example"
            )
        await close_all(server)

    run(main())
    assert seen == [(ssl.SSLObject, "other.example"), (ssl.SSLObject, "refused.example")]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed(run, version):
    """A context's wrap_bio is what makes the connection, so that a subclass can hand in
    a session."""

    class Resuming(ssl.SSLContext):
        kept = None

        def wrap_bio(self, *args, **options):
            return super().wrap_bio(*args, **options, session=self.kept)

    async def once(client, server):
        here, there, listening = await connected(contexts=(server, client))
        there.transport.write(b"x")  # behind the tickets of TLS 1.3
        await here.until(lambda: here.data)
        ssl_object = here.transport.get_extra_info("ssl_object")
        reused, session = ssl_object.session_reused, ssl_object.session
        await close_all(here, there, listening)
        return reused, session

    async def main():
        client, server = Resuming(ssl.PROTOCOL_TLS_CLIENT), server_context(version=version)
        client.load_verify_locations(cadata=trust())
        reused, client.kept = await once(client, server)
        assert not reused and client.kept.has_ticket
        reused, _ = await once(client, server)
        assert reused

    run(main())


def test_an_ssl_object_of_the_users_own_is_asked(run):
    """A subclass set as sslobject_class sees every byte."""
    seen = {"read": 0, "written": 0}

    class Counting(ssl.SSLObject):
        def read(self, *args):
            data = super().read(*args)
            seen["read"] += len(data)
            return data

        def write(self, data):
            seen["written"] += len(data)
            return super().write(data)

    async def main():
        contexts = server_context(), client_context()
        contexts[1].sslobject_class = Counting
        here, there, server = await connected(server=Echoing, contexts=contexts)
        here.transport.write(noise(100_000))
        await here.until(lambda: len(here.data) == 100_000)
        assert here.data == noise(100_000)
        await close_all(here, there, server)

    class Echoing(Recorder):
        def data_received(self, data):
            self.transport.write(data)

    run(main())
    assert seen == {"read": 100_000, "written": 100_000}


def test_unix_sockets_and_accepted_ones_carry_tls(run, loop, tmp_path):
    path = str(tmp_path / "s")

    async def unix():
        server = await loop.create_unix_server(Echo, path, ssl=server_context())
        reader, writer = await asyncio.open_unix_connection(
            path, ssl=client_context(), server_hostname="localhost"
        )
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()
        await writer.wait_closed()
        await close_all(server)

    async def accepted():
        left, right = socket.socketpair()
        serving = asyncio.create_task(
            loop.connect_accepted_socket(Recorder, left, ssl=server_context())
        )
        _, here = await loop.create_connection(
            Recorder, sock=right, ssl=client_context(), server_hostname="localhost"
        )
        _, there = await serving
        here.transport.write(b"ping")
        await there.until(lambda: there.data == b"ping")
        await close_all(here, there)

    run(unix())
    run(accepted())


def test_wrong_arguments_say_what_is_wrong(run, loop):
    async def main():
        connect, create = loop.create_connection, loop.create_server
        context = server_context()
        with pytest.raises(ValueError, match="must set server_hostname when using ssl"):
            await connect(Recorder, port=1, ssl=True)
        with pytest.raises(ValueError, match="ssl_handshake_timeout is only meaningful"):
            await connect(Recorder, "127.0.0.1", 1, ssl_handshake_timeout=1)
        with pytest.raises(ValueError, match="ssl_shutdown_timeout is only meaningful"):
            await connect(Recorder, "127.0.0.1", 1, ssl_shutdown_timeout=1)
        with pytest.raises(
            ValueError, match="ssl_handshake_timeout should be a positive number, got 0"
        ):
            await create(Recorder, "127.0.0.1", 0, ssl=context, ssl_handshake_timeout=0)
        with pytest.raises(
            ValueError, match="ssl_shutdown_timeout should be a positive number, got -1"
        ):
            await create(Recorder, "127.0.0.1", 0, ssl=context, ssl_shutdown_timeout=-1)
        with pytest.raises(TypeError, match="ssl argument must be an SSLContext or None"):
            await create(Recorder, "127.0.0.1", 0, ssl=True)
        with socket.socket() as sock:
            with pytest.raises(ValueError, match="Server side SSL needs a valid SSLContext"):
                await loop.connect_accepted_socket(Recorder, sock, ssl=True)
        here, there, server = await connected()
        with pytest.raises(TypeError, match="data: expecting a bytes-like instance, got str"):
            here.transport.write("text")
        with pytest.raises(TypeError, match="bytes-like instance, got Future$"):
            here.transport.write(loop.create_future())
        with pytest.raises(TypeError, match="data: expecting a bytes-like instance, got int"):
            here.transport.writelines([b"x", 1])
        await close_all(here, there, server)
        assert there.data == b""

    run(main())
