"""sock_recv and its kin, for programs that hold the socket themselves.

Each tries first, waits until the socket is ready, and tries again: what is cancelled
while it waits has taken nothing from the socket, so that no byte and no connection is
ever lost.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ._addresses import ensure_resolved
from ._base import is_replaced
from ._executor import ExecutorLoop

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _passed_on(function: _Function) -> _Function:
    """Names it as callers know it, of whom C passes it those that it does not serve itself."""
    function.__name__ = function.__name__.removeprefix("_")
    function.__qualname__ = f"EventLoop.{function.__name__}"
    return function


_CONNECT = socket.socket.connect


def _begin_connect(sock: Any, address: Any) -> int:
    """0 for a connection that is made, else why it is not yet."""
    stock = type(sock) is socket.socket and socket.socket.connect is _CONNECT
    if stock and sock.gettimeout() == 0:
        # The exception would cost more than the call, and is the rule.
        code: int = sock.connect_ex(address)
        if code in (0, errno.EINPROGRESS, errno.EAGAIN, errno.EINTR):
            return code
        raise OSError(code, os.strerror(code))
    try:
        sock.connect(address)
    except (BlockingIOError, InterruptedError) as refusal:
        return refusal.errno or errno.EINPROGRESS
    return 0


class SocketLoop(ExecutorLoop):
    """The sock_ methods."""

    def _check_socket(self, sock: Any) -> None:
        if isinstance(sock, ssl.SSLSocket):
            raise TypeError("Socket cannot be of type SSLSocket")
        if self.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    async def _try(self, sock: Any, writing: bool, name: str, *args: Any) -> Any:
        """Calls the method and waits until the call does not block any more."""
        self._check_socket(sock)
        return await self._socket_call(sock, writing, name, *args)

    # ---- the methods ----

    @_passed_on
    async def _sock_recv(
        self, sock: socket.socket, nbytes: int | None = None, n: int | None = None
    ) -> bytes:
        data: bytes = await self._try(sock, False, "recv", n if nbytes is None else nbytes)
        return data

    @_passed_on
    async def _sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        count: int = await self._try(sock, False, "recv_into", buf)
        return count

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        """Receive a datagram of up to bufsize bytes; return it and its sender."""
        received: tuple[bytes, Any] = await self._try(sock, False, "recvfrom", bufsize)
        return received

    async def sock_recvfrom_into(
        self, sock: socket.socket, buf: Any, nbytes: int = 0
    ) -> tuple[int, Any]:
        """Receive a datagram into a buffer; return its length and its sender."""
        received: tuple[int, Any] = await self._try(sock, False, "recvfrom_into", buf, nbytes)
        return received

    @_passed_on
    async def _sock_sendall(self, sock: socket.socket, data: Any) -> None:
        with memoryview(data).cast("B") as view:
            sent = await self._try(sock, True, "send", view)
            while sent < len(view):
                sent += await self._try(sock, True, "send", view[sent:])

    async def sock_sendto(self, sock: socket.socket, data: Any, address: Any) -> int:
        """Send a datagram; return the number of bytes."""
        count: int = await self._try(sock, True, "sendto", data, address)
        return count

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        """Accept a connection; return its non-blocking socket and its address."""
        connection, address = await self._try(sock, False, "accept")
        connection.setblocking(False)
        return connection, address

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to an address, resolving its host if need be."""
        self._check_socket(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            infos = await ensure_resolved(
                self, address, family=sock.family, type=sock.type, proto=sock.proto
            )
            address = infos[0][4]
        await self._connect_resolved(sock, address)

    def _connects_itself(self) -> bool:
        """asyncio's connections go through self.sock_connect(), which is not bypassed when it
        is somebody else's."""
        return not is_replaced(self.sock_connect, SocketLoop.sock_connect)

    def _connector(self) -> Callable[[socket.socket, Any], Awaitable[None]]:
        """What connects to an address that is resolved."""
        return self._connect_resolved if self._connects_itself() else self.sock_connect

    async def _connect_resolved(self, sock: socket.socket, address: Any) -> None:
        delay = 0.001
        while True:
            refusal = _begin_connect(sock, address)
            if refusal == 0:
                self._look()
                return
            if refusal != errno.EAGAIN or sock.family != socket.AF_UNIX:
                break
            # The listener's queue is full, and nothing will tell when it has room: a poll
            # calls the unconnected socket writable.
            await asyncio.sleep(delay)
            delay = min(2 * delay, 0.05)
        try:
            # On this host the handshake may have ended already: then there is nothing to
            # wait for. A peer that refuses has no name.
            sock.getpeername()
        except OSError:
            pass
        else:
            # As the wait would: a transport whose number this one has taken must hear of it,
            # and a server on this loop accept before the program goes on.
            self._ensure_fd_no_transport(sock)
            self._look()
            return
        await self._await_connected(sock, address)

    async def _await_connected(self, sock: socket.socket, address: Any) -> None:
        await self._socket_wait(sock, True)
        if sock.fileno() < 0:
            return
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error != 0:
            raise OSError(error, f"Connect call failed {address}")
