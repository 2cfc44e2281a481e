"""Certificates made for the run, and TLS peers that are not bide's."""

import asyncio
import contextlib
import functools
import socket
import ssl
import threading

import pytest


@functools.cache
def authority():
    """It needs a part in C that there is not for every interpreter: there its tests are skipped."""
    return pytest.importorskip("trustme").CA()


@functools.cache
def certificate(*names):
    return authority().issue_cert(*(names or ("localhost", "127.0.0.1", "::1")))


def server_context(*names, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate(*names).configure_cert(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def client_context(version=None):
    # As create_default_context(), but for the machine's own authorities: hundreds to read.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Pipe:
    """A TLS end on memory alone: what it has to send is taken by hand, so that a test
    decides when and in which pieces it arrives."""

    def __init__(self, context, **options):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, **options)
        self.ended = False

    def shake(self):
        """Goes on with the handshake; True once it is complete."""
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def take(self):
        return self.outgoing.read()

    def give(self, data):
        self.incoming.write(data)

    def end(self):
        """Makes a close_notify."""
        try:
            self.ssl.unwrap()
        except ssl.SSLWantReadError:
            pass

    def read_all(self):
        """What can be read now; `ended` is set by a close_notify."""
        data = bytearray()
        while True:
            try:
                piece = self.ssl.read(65536)
            except ssl.SSLWantReadError:
                return bytes(data)
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.ended = True
                return bytes(data)
            data += piece


async def shake_with(pipe, sock):
    """The handshake of a pipe over a non-blocking socket."""
    loop = asyncio.get_running_loop()
    while not pipe.shake():
        await flush(pipe, sock)
        data = await loop.sock_recv(sock, 65536)
        assert data, "the peer closed during the handshake"
        pipe.give(data)
    await flush(pipe, sock)


async def flush(pipe, sock):
    data = pipe.take()
    if data:
        await asyncio.get_running_loop().sock_sendall(sock, data)


async def read_exactly(pipe, sock, size):
    data = bytearray(pipe.read_all())
    while len(data) < size:
        piece = await asyncio.get_running_loop().sock_recv(sock, 65536)
        assert piece, "the peer closed early"
        pipe.give(piece)
        data += pipe.read_all()
    return bytes(data)


@contextlib.contextmanager
def blocking_server(serve, context=None):
    """A thread that runs serve(sock) for one connection, wrapped if there is a context;
    yields its address and, after the block, raises what serve has raised."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(10)
    errors = []

    def work():
        try:
            sock, _ = listening.accept()
            sock.settimeout(10)
            with sock:
                if context is None:
                    serve(sock)
                else:
                    with context.wrap_socket(sock, server_side=True) as wrapped:
                        serve(wrapped)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        thread.join()
        listening.close()
    if errors:
        raise errors[0]
