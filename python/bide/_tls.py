"""TLS: the policy around the transports in C. The contexts are Python's own."""

import asyncio
import functools
import ssl as ssl_module
from asyncio import constants
from collections.abc import Callable
from typing import Any, NamedTuple

from . import _bide
from ._sockets import SocketLoop

# asyncio has had a timeout for the shutdown since 3.11.
_SHUTDOWN_TIMEOUT = getattr(constants, "SSL_SHUTDOWN_TIMEOUT", 30.0)

# How long a peer may take to answer our close_notify when the user has set no timeout:
# a living one does at once, since the stream ends with it; another is not waited for.
_LINGER = 1.0


class TLS(NamedTuple):
    """What makes a TLS connection of a stream."""

    context: Any
    server_side: bool
    server_hostname: str | None
    handshake_timeout: float
    shutdown_timeout: float
    linger: float | None


# Checks what the user gave as it makes the TLS: asyncio does so when the connection is made
# and has its protocol.
MakeTLS = Callable[[], TLS]


def _positive(name: str, value: Any, default: Any) -> Any:
    if value is None:
        return default
    if value <= 0:
        raise ValueError(f"{name} should be a positive number, got {value}")
    return value


def _make(
    context: Any,
    server_side: bool,
    server_hostname: str | None,
    handshake_timeout: float | None,
    shutdown_timeout: float | None,
) -> TLS:
    handshake = _positive(
        "ssl_handshake_timeout", handshake_timeout, constants.SSL_HANDSHAKE_TIMEOUT
    )
    shutdown = _positive("ssl_shutdown_timeout", shutdown_timeout, _SHUTDOWN_TIMEOUT)
    if context is None:
        if server_side:
            raise ValueError("Server side SSL needs a valid SSLContext")
        context = ssl_module.create_default_context()
        if not server_hostname:
            context.check_hostname = False
    return TLS(
        context,
        server_side,
        server_hostname if server_hostname and not server_side else None,
        handshake,
        shutdown,
        _LINGER if shutdown_timeout is None else None,
    )


def _maker(context: Any, *arguments: Any) -> MakeTLS:
    # True stands for a default context.
    return functools.partial(
        _make, None if isinstance(context, bool) else context, *arguments
    )


def _check_timeouts(
    wanted: bool, handshake_timeout: float | None, shutdown_timeout: float | None
) -> None:
    if handshake_timeout is not None and not wanted:
        raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
    if shutdown_timeout is not None and not wanted:
        raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")


def client_tls(
    ssl: Any,
    server_hostname: str | None,
    handshake_timeout: float | None,
    shutdown_timeout: float | None,
) -> MakeTLS | None:
    """A client's, with a default context for True; None without ssl."""
    if server_hostname is not None and not ssl:
        raise ValueError("server_hostname is only meaningful with ssl")
    _check_timeouts(bool(ssl), handshake_timeout, shutdown_timeout)
    if not ssl:
        return None
    return _maker(ssl, False, server_hostname, handshake_timeout, shutdown_timeout)


def server_tls(
    ssl: Any, wanted: bool, handshake_timeout: float | None, shutdown_timeout: float | None
) -> TLS | None:
    """A listening server's; None without ssl. What could serve no connection is refused
    before there is one."""
    if isinstance(ssl, bool):
        raise TypeError("ssl argument must be an SSLContext or None")
    _check_timeouts(wanted, handshake_timeout, shutdown_timeout)
    if not ssl:
        return None
    if not hasattr(ssl, "wrap_bio"):
        raise TypeError("ssl argument must be an SSLContext or None")
    return _make(ssl, True, None, handshake_timeout, shutdown_timeout)


def accepted_tls(
    ssl: Any, handshake_timeout: float | None, shutdown_timeout: float | None
) -> MakeTLS | None:
    """That of one accepted connection; None without ssl."""
    _check_timeouts(bool(ssl), handshake_timeout, shutdown_timeout)
    if not ssl:
        return None
    return _maker(ssl, True, None, handshake_timeout, shutdown_timeout)


def _take_read_ahead(protocol: asyncio.BaseProtocol) -> bytes:
    """What a stream's reader holds when its server goes over to TLS: the client may have
    sent its first record right behind the line that asked for it. asyncio hands it on
    since 3.13.12; before, the record stayed in the reader, and the handshake hung."""
    reader = getattr(protocol, "_stream_reader", None)
    if not isinstance(protocol, asyncio.StreamReaderProtocol) or reader is None:
        return b""
    data = bytes(reader._buffer)
    reader._buffer.clear()
    return data


class TLSLoop(SocketLoop):
    """start_tls, and the TLS transports of the other methods."""

    def _wrap_tls(
        self,
        protocol: asyncio.BaseProtocol,
        tls: TLS,
        waiter: "asyncio.Future[Any] | None",
        call_connection_made: bool = True,
    ) -> _bide.SSLTransport:
        return _bide.SSLTransport(
            self,
            protocol,
            tls.context,
            waiter,
            tls.server_side,
            tls.server_hostname,
            call_connection_made,
            tls.handshake_timeout,
            tls.shutdown_timeout,
            tls.linger,
        )

    def _tls_factory(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], tls: TLS | None
    ) -> Callable[[], asyncio.BaseProtocol]:
        """Makes the protocols of a server's connections."""
        if tls is None:
            return protocol_factory
        return lambda: self._wrap_tls(protocol_factory(), tls, None)._ssl_protocol

    async def start_tls(
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl_module.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.Transport | None:
        """Go over to TLS; return the transport to use from now on, or None on a
        connection that is closing or is closed meanwhile."""
        if not isinstance(sslcontext, ssl_module.SSLContext):
            raise TypeError(
                "sslcontext is expected to be an instance of ssl.SSLContext, "
                f"got {sslcontext!r}"
            )
        if not getattr(transport, "_start_tls_compatible", False):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")
        tls = _make(
            sslcontext,
            server_side,
            server_hostname,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
        )
        if transport.is_closing():
            # As in asyncio: aiohttp and others ask for it.
            return None
        waiter: asyncio.Future[_bide.SSLTransport | None] = self.create_future()
        below = self._wrap_tls(protocol, tls, waiter, False)._ssl_protocol
        transport.pause_reading()
        read_ahead = _take_read_ahead(protocol) if server_side else b""
        transport.set_protocol(below)
        below.connection_made(transport)
        if read_ahead:
            below.data_received(read_ahead)
        transport.resume_reading()
        try:
            return await waiter
        except BaseException:
            transport.close()
            # The future holds the error, whose traceback holds this frame.
            del waiter
            raise
