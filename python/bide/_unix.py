"""Unix stream connections and servers, and the files that their sockets leave behind."""

import asyncio
import errno
import os
import socket
import stat
import sys
from asyncio.log import logger
from collections.abc import Callable
from typing import Any, TypeVar

from ._network import NetworkLoop, ProtocolFactory
from ._server import Server
from ._tls import client_tls, server_tls

_P = TypeVar("_P", bound=asyncio.BaseProtocol)

# Up to 3.12 a server left its file behind.
_CLEANS_UP = sys.version_info >= (3, 13)


def is_abstract(path: str | bytes) -> bool:
    """Whether the name lives outside the file system."""
    return path[0] in (0, "\0")


def remove_stale_socket(path: str | bytes) -> None:
    """Makes way for bind(), which refuses a name that a dead server has left."""
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        # The directory may let nothing be done but make a socket.
        logger.error("Unable to check or remove stale UNIX socket %r: %r", path, error)


def _bind_path(path: str | bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not is_abstract(path):
            remove_stale_socket(path)
        sock.bind(path)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            message = f"Address {path!r} is already in use"
            raise OSError(errno.EADDRINUSE, message) from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock


def _cleanup_of(sock: socket.socket) -> Callable[[], None] | None:
    """Removes the socket's file, unless another server has put its own in its place."""
    path = sock.getsockname()
    if not path or is_abstract(path):
        return None
    try:
        inode = os.stat(path).st_ino
    except FileNotFoundError:
        return None

    def remove() -> None:
        try:
            if os.stat(path).st_ino == inode:
                os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.error("Unable to clean up listening UNIX socket %r: %r", path, error)

    return remove


def _check_unix_stream(sock: socket.socket) -> None:
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")


class UnixLoop(NetworkLoop):
    """create_unix_connection and create_unix_server."""

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], _P],
        path: Any = None,
        *,
        ssl: Any = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _P]:
        """Connect to a Unix socket; return the transport and the protocol."""
        assert server_hostname is None or isinstance(server_hostname, str)
        if ssl and server_hostname is None:
            raise ValueError("you have to pass server_hostname when using ssl")
        tls = client_tls(ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
        if path is None:
            if sock is None:
                raise ValueError("no path and sock were specified")
            _check_unix_stream(sock)
            sock.setblocking(False)
            return await self._make_connection(sock, protocol_factory, tls)
        if sock is not None:
            raise ValueError("path and sock can not be specified at the same time")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await self._connector()(sock, os.fspath(path))
            return await self._make_connection(sock, protocol_factory, tls)
        except BaseException:
            sock.close()
            raise

    async def create_unix_server(
        self,
        protocol_factory: ProtocolFactory,
        path: Any = None,
        *,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = _CLEANS_UP,
    ) -> Any:
        """Listen on a path, an abstract name or sock; return the Server."""
        tls = server_tls(ssl, bool(ssl), ssl_handshake_timeout, ssl_shutdown_timeout)
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            sock = _bind_path(os.fspath(path))
        elif sock is None:
            raise ValueError("path was not specified, and no sock specified")
        else:
            _check_unix_stream(sock)
        sock.setblocking(False)
        cleanup = _cleanup_of(sock) if cleanup_socket else None
        factory = self._tls_factory(protocol_factory, tls)
        server = Server(self, [sock], factory, backlog, cleanup, ssl)
        if start_serving:
            await server.start_serving()
        return server
