"""What create_server returns."""

import asyncio
import socket
import sys
from asyncio import trsock
from collections.abc import Callable
from typing import Any

from . import _bide

# Up to 3.11 wait_closed() of a closed server did not wait for its connections.
_WAITS_FOR_CLIENTS = sys.version_info >= (3, 12)

# A cancelled serve_forever() closes them too in the releases that were mended so.
_CANCEL_CLOSES_CLIENTS = (
    "close_clients" in asyncio.base_events.Server.serve_forever.__code__.co_names
)


class Server(asyncio.AbstractServer):
    """Listening sockets that share a protocol factory."""

    def __init__(
        self,
        loop: Any,
        sockets: list[socket.socket],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        backlog: int,
        cleanup: Callable[[], None] | None = None,
        ssl_context: Any = None,
    ) -> None:
        self._loop = loop
        self._sockets: list[socket.socket] | None = sockets
        self._listeners = [
            _bide.Listener(loop, self, sock, protocol_factory) for sock in sockets
        ]
        self._backlog = backlog
        self._cleanup = cleanup  # called once the sockets are closed
        # Web servers look here to tell https from http.
        self._ssl_context = ssl_context
        self._attached = 0
        self._serving = False
        self._waiters: list[asyncio.Future[None]] | None = []
        self._serving_forever: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} sockets={self.sockets!r}>"

    def get_loop(self) -> Any:
        """Return the loop."""
        return self._loop

    def is_serving(self) -> bool:
        """Return True while connections are accepted."""
        return self._serving

    @property
    def sockets(self) -> tuple[trsock.TransportSocket, ...]:
        """The listening sockets, empty once closed."""
        return tuple(trsock.TransportSocket(sock) for sock in self._sockets or ())

    def _start_serving(self) -> None:
        if self._serving:
            return
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        self._serving = True
        for sock, listener in zip(self._sockets, self._listeners):
            sock.listen(self._backlog)
            listener.start()

    async def start_serving(self) -> None:
        """Accept connections; harmless when it does already."""
        self._start_serving()
        # Lets what is waiting at the door in before the caller goes on.
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        """Accept connections until cancelled, which closes the server."""
        if self._serving_forever is not None:
            raise RuntimeError(
                f"server {self!r} is already being awaited on serve_forever()"
            )
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        self._start_serving()
        self._serving_forever = self._loop.create_future()
        try:
            await self._serving_forever
        except asyncio.CancelledError:
            try:
                self.close()
                if _CANCEL_CLOSES_CLIENTS:
                    self.close_clients()
                await self.wait_closed()
            finally:
                raise
        finally:
            self._serving_forever = None

    def close(self) -> None:
        """Accept no more. Connections stay open."""
        if self._sockets is None:
            return
        self._sockets = None
        self._serving = False
        for listener in self._listeners:
            listener.stop()
        if self._cleanup is not None:
            self._cleanup()
        if self._serving_forever is not None and not self._serving_forever.done():
            self._serving_forever.cancel()
            self._serving_forever = None
        self._server_idle()

    def close_clients(self) -> None:
        """Close every connection once what was written to it is sent."""
        for listener in self._listeners:
            for transport in listener.clients():
                transport.close()

    def abort_clients(self) -> None:
        """Close every connection at once."""
        for listener in self._listeners:
            for transport in listener.clients():
                transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the server is closed and, from 3.12 on, its connections are too."""
        if self._waiters is None or (self._sockets is None and not _WAITS_FOR_CLIENTS):
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _attach(self, transport: Any = None) -> None:
        """Wait for this connection too, which somebody else made for the server: so the
        transports of asyncio announce themselves."""
        self._attached += 1

    def _detach(self, transport: Any = None) -> None:
        """The connection has gone."""
        self._attached -= 1
        self._server_idle()

    def _server_idle(self) -> None:
        """A listener's last client has gone, or the server has closed."""
        if self._sockets is not None or self._waiters is None:
            return
        if self._attached or any(listener.client_count for listener in self._listeners):
            return
        waiters, self._waiters = self._waiters, None
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
