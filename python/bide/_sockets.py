"""sock_recv and its kin, for programs that hold the socket themselves.

Each tries first, waits until the socket is ready, and tries again: what is cancelled
while it waits has taken nothing from the socket, so that no byte and no connection is
ever lost.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from ._addresses import ensure_resolved
from ._executor import ExecutorLoop

_T = TypeVar("_T")


def _set_ready(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class SocketLoop(ExecutorLoop):
    """The sock_ methods."""

    def __init__(self) -> None:
        super().__init__()
        self._held_sockets: dict[socket.socket, int] = {}

    def close(self) -> None:
        """Cancel what is in flight and free the loop. Nothing runs any more."""
        super().close()
        while self._held_sockets:
            sock, count = self._held_sockets.popitem()
            for _ in range(count):
                sock._decref_socketios()  # type: ignore[attr-defined]

    def _check_socket(self, sock: Any) -> None:
        if isinstance(sock, ssl.SSLSocket):
            raise TypeError("Socket cannot be of type SSLSocket")
        if self.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    # ---- waiting ----

    async def _wait(
        self,
        sock: socket.socket,
        add: Callable[..., asyncio.Handle],
        remove: Callable[[Any], bool],
    ) -> None:
        fd = sock.fileno()
        self._ensure_fd_no_transport(fd)
        future: asyncio.Future[None] = self.create_future()
        handle = add(fd, _set_ready, future)
        try:
            await future
        finally:
            # A cancelled handle has been replaced: the number may be another socket's.
            if not handle.cancelled():
                remove(fd)

    async def _readable(self, sock: socket.socket) -> None:
        await self._wait(sock, self._add_reader, self.remove_reader)

    async def _writable(self, sock: socket.socket) -> None:
        await self._wait(sock, self._add_writer, self.remove_writer)

    @contextlib.contextmanager
    def _holding(self, sock: socket.socket) -> Iterator[None]:
        """Puts off a close() by somebody else until the operation has ended, as a file
        object of the socket does: the number cannot become another's meanwhile."""
        if not issubclass(type(sock), socket.socket):
            # It only acts as one, and need not have a socket's books.
            yield
            return
        held = self._held_sockets
        sock._io_refs += 1  # type: ignore[attr-defined]
        held[sock] = held.get(sock, 0) + 1
        try:
            yield
        finally:
            # The loop lets go of all when it closes.
            if sock in held:
                held[sock] -= 1
                if held[sock] == 0:
                    del held[sock]
                sock._decref_socketios()  # type: ignore[attr-defined]

    async def _retry(
        self,
        sock: socket.socket,
        wait: Callable[[socket.socket], Awaitable[None]],
        call: Callable[[], _T],
    ) -> _T:
        """Waits and calls until the call does not block any more."""
        with self._holding(sock):
            while True:
                await wait(sock)
                with contextlib.suppress(BlockingIOError, InterruptedError):
                    return call()

    # ---- the methods ----

    async def sock_recv(self, sock: socket.socket, nbytes: int) -> bytes:
        """Receive up to nbytes."""
        self._check_socket(sock)
        try:
            return sock.recv(nbytes)
        except (BlockingIOError, InterruptedError):
            return await self._retry(sock, self._readable, lambda: sock.recv(nbytes))

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        """Receive into a buffer; return the number of bytes."""
        self._check_socket(sock)
        try:
            return sock.recv_into(buf)
        except (BlockingIOError, InterruptedError):
            return await self._retry(sock, self._readable, lambda: sock.recv_into(buf))

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        """Receive a datagram of up to bufsize bytes; return it and its sender."""
        self._check_socket(sock)
        try:
            return sock.recvfrom(bufsize)
        except (BlockingIOError, InterruptedError):
            return await self._retry(sock, self._readable, lambda: sock.recvfrom(bufsize))

    async def sock_recvfrom_into(
        self, sock: socket.socket, buf: Any, nbytes: int = 0
    ) -> tuple[int, Any]:
        """Receive a datagram into a buffer; return its length and its sender."""
        self._check_socket(sock)
        try:
            return sock.recvfrom_into(buf, nbytes)
        except (BlockingIOError, InterruptedError):
            return await self._retry(
                sock, self._readable, lambda: sock.recvfrom_into(buf, nbytes)
            )

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        """Send all of data. What a cancel leaves unsent is not known."""
        self._check_socket(sock)
        with memoryview(data).cast("B") as view:
            sent = 0
            while sent < len(view):
                try:
                    sent += sock.send(view[sent:])
                except (BlockingIOError, InterruptedError):
                    rest = view[sent:]
                    sent += await self._retry(sock, self._writable, partial(sock.send, rest))

    async def sock_sendto(self, sock: socket.socket, data: Any, address: Any) -> int:
        """Send a datagram; return the number of bytes."""
        self._check_socket(sock)
        try:
            return sock.sendto(data, address)
        except (BlockingIOError, InterruptedError):
            return await self._retry(
                sock, self._writable, lambda: sock.sendto(data, address)
            )

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        """Accept a connection; return its non-blocking socket and its address."""
        self._check_socket(sock)
        try:
            connection, address = sock.accept()
        except (BlockingIOError, InterruptedError):
            connection, address = await self._retry(sock, self._readable, lambda: sock.accept())
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

    async def _connect_resolved(self, sock: socket.socket, address: Any) -> None:
        delay = 0.001
        while True:
            try:
                sock.connect(address)
                return
            except (BlockingIOError, InterruptedError) as refusal:
                if refusal.errno != errno.EAGAIN or sock.family != socket.AF_UNIX:
                    break
            # The listener's queue is full, and nothing will tell when it has room: a poll
            # calls the unconnected socket writable.
            await asyncio.sleep(delay)
            delay = min(2 * delay, 0.05)
        with self._holding(sock):
            await self._writable(sock)
        if sock.fileno() < 0:
            return
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error != 0:
            raise OSError(error, f"Connect call failed {address}")
