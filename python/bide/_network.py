"""TCP connections and servers: the policy around the transports in C."""

import asyncio
import errno
import functools
import itertools
import socket
import ssl as ssl_module
import sys
from asyncio import staggered
from asyncio.log import logger
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from . import _bide
from ._addresses import AddressInfo, ensure_resolved, interleave_families
from ._server import Server
from ._tls import MakeTLS, TLSLoop, accepted_tls, client_tls, server_tls

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
_P = TypeVar("_P", bound=asyncio.BaseProtocol)

# asyncio's own code tells what its late releases do: say the number of a bind's error too, and
# have a server do without the addresses that its host lacks, as long as there is one left.
_CONNECT_SOCK: Any = asyncio.BaseEventLoop._connect_sock  # type: ignore[attr-defined]
_CREATE_SERVER: Any = asyncio.BaseEventLoop.create_server
_CLIENT_NAMES_STRERROR = "strerror" in _CONNECT_SOCK.__code__.co_names
_SERVER_NAMES_STRERROR = "strerror" in _CREATE_SERVER.__code__.co_names
_LEAVES_ADDRESSES_OUT = "EADDRNOTAVAIL" in _CREATE_SERVER.__code__.co_names


def _check_stream(sock: socket.socket) -> None:
    if isinstance(sock, ssl_module.SSLSocket):
        raise TypeError("Socket cannot be of type SSLSocket")
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")


def _bind_error(error: OSError, address: Any, names_strerror: bool) -> OSError:
    text = error.strerror if names_strerror and error.strerror else str(error)
    return OSError(
        error.errno, f"error while attempting to bind on address {address!r}: {text.lower()}"
    )


def _bind_first(
    sock: socket.socket, local_infos: list[AddressInfo], errors: list[OSError]
) -> None:
    """Binds to the first local address of the socket's family that will do."""
    for family, _, _, _, address in local_infos:
        if family != sock.family:
            continue
        try:
            sock.bind(address)
            return
        except OSError as error:
            errors.append(_bind_error(error, address, _CLIENT_NAMES_STRERROR))
    if errors:
        raise errors.pop()
    raise OSError(f"no matching local address with family={sock.family!r} found")


def _close_unused(connected: socket.socket | _bide.Transport) -> None:
    """Closes what has not become a connection. A socket that a transport has taken over is
    not closed by this, and a transport that has its protocol closes by itself."""
    if isinstance(connected, socket.socket) or connected.get_protocol() is None:
        connected.close()


def _raise_connect_errors(errors: list[OSError], all_errors: bool) -> NoReturn:
    try:
        if all_errors and sys.version_info >= (3, 11):
            raise ExceptionGroup("create_connection failed", list(errors))
        if len({str(error) for error in errors}) == 1:
            raise errors[0]
        texts = ", ".join(str(error) for error in errors)
        raise OSError(f"Multiple exceptions: {texts}")
    finally:
        # The traceback of what is raised holds this frame, and the frame the error.
        del errors


def _bind_server_socket(
    info: AddressInfo, reuse_address: bool, reuse_port: bool | None, keep_alive: bool | None
) -> socket.socket | None:
    """A socket bound to the address; None when the host lacks its family."""
    family, type_, proto, _, address = info
    try:
        sock = socket.socket(family, type_, proto)
    except OSError:
        return None
    try:
        if reuse_address:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, True)
        if keep_alive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
        if family == socket.AF_INET6:
            # The IPv4 address has a socket of its own.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, True)
        sock.bind(address)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRNOTAVAIL and _LEAVES_ADDRESSES_OUT:
            return None
        raise _bind_error(error, address, _SERVER_NAMES_STRERROR) from None
    except BaseException:
        sock.close()
        raise
    return sock


class NetworkLoop(TLSLoop):
    """create_connection, create_server and connect_accepted_socket."""

    async def create_connection(
        self,
        protocol_factory: Callable[[], _P],
        host: Any = None,
        port: Any = None,
        *,
        ssl: Any = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: Any = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[asyncio.Transport, _P]:
        """Connect to a TCP server; return the transport and the protocol."""
        connected: socket.socket | _bide.Transport
        if server_hostname is None and ssl:
            if not host:
                raise ValueError("You must set server_hostname when using ssl without a host")
            server_hostname = host
        tls = client_tls(ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
        if host is None and port is None:
            if sock is None:
                raise ValueError("host and port was not specified and no sock specified")
            _check_stream(sock)
            sock.setblocking(False)
            if sock.family == socket.AF_UNIX:
                self._paired()
            connected = sock
        elif sock is not None:
            raise ValueError("host/port and sock can not be specified at the same time")
        else:
            dialled = None
            plain = local_addr is None and happy_eyeballs_delay is None
            if plain and self._connects_itself() and not self.get_debug():
                dialled = self._dial(host, port, family, proto)
            if isinstance(dialled, _bide.Transport):
                connected = dialled
            else:
                infos = await ensure_resolved(
                    self, (host, port), family=family, proto=proto, flags=flags
                )
                local_infos = None
                if local_addr is not None:
                    local_infos = await ensure_resolved(
                        self, local_addr, family=family, proto=proto, flags=flags
                    )
                if happy_eyeballs_delay is not None and interleave is None:
                    interleave = 1
                if interleave:
                    infos = interleave_families(infos, interleave)
                connected = await self._connect_first(
                    infos, local_infos, happy_eyeballs_delay, all_errors, dialled
                )
        try:
            result = await self._make_connection(connected, protocol_factory, tls)
        except BaseException:
            if host is not None or port is not None:
                _close_unused(connected)
            raise
        if self.get_debug():
            logger.debug("%r connected to %s:%r: %r", connected, host, port, result)
        return result

    async def _connect_first(
        self,
        infos: list[AddressInfo],
        local_infos: list[AddressInfo] | None,
        delay: float | None,
        all_errors: bool,
        begun: socket.socket | None,
    ) -> socket.socket:
        """A socket that has connected; one that has begun to is the first address's."""
        errors: list[OSError] = []
        sock: socket.socket | None = None
        if delay is None:
            for info in infos:
                try:
                    sock = await self._connect_one(info, local_infos, errors, begun)
                    break
                except OSError:
                    begun = None
        else:
            attempts = [
                functools.partial(self._connect_one, info, local_infos, errors)
                for info in infos
            ]
            sock = await self._race(attempts, delay)
        try:
            if sock is None:
                _raise_connect_errors(errors, all_errors)
            return sock
        finally:
            # An error's traceback leads back to this list.
            errors.clear()

    async def _race(
        self, attempts: Sequence[Callable[[], Awaitable[socket.socket]]], delay: float
    ) -> socket.socket | None:
        """The first attempt that connects. The race forgets what else has connected, by
        then or when it is cancelled: that is closed here."""
        connected: list[socket.socket] = []

        async def run(attempt: Callable[[], Awaitable[socket.socket]]) -> socket.socket:
            connected.append(await attempt())
            return connected[-1]

        winner: socket.socket | None = None
        try:
            winner, _, _ = await staggered.staggered_race(
                [functools.partial(run, attempt) for attempt in attempts], delay, loop=self
            )
        finally:
            for sock in connected:
                if sock is not winner:
                    sock.close()
        return winner

    async def _connect_one(
        self,
        info: AddressInfo,
        local_infos: list[AddressInfo] | None,
        errors: list[OSError],
        begun: socket.socket | None = None,
    ) -> socket.socket:
        family, type_, proto, _, address = info
        mine: list[OSError] = []
        sock = begun
        try:
            if sock is not None:
                await self._await_connected(sock, address)
                return sock
            sock = socket.socket(family, type_ | socket.SOCK_NONBLOCK, proto)
            if local_infos is not None:
                _bind_first(sock, local_infos, mine)
            await self._connector()(sock, address)
            return sock
        except BaseException as error:
            if sock is not None:
                sock.close()
            if isinstance(error, OSError):
                errors.extend([*mine, error])
            raise

    async def _make_connection(
        self,
        connected: socket.socket | _bide.Transport,
        protocol_factory: Callable[[], _P],
        make_tls: MakeTLS | None = None,
    ) -> tuple[asyncio.Transport, _P]:
        protocol = protocol_factory()
        waiter: asyncio.Future[None] = self.create_future()
        transport: asyncio.Transport
        if make_tls is None:
            transport = self._connect(connected, protocol, waiter)
        else:
            transport = wrapped = self._wrap_tls(protocol, make_tls(), waiter)
            self._connect(connected, wrapped._ssl_protocol, None)
        if not isinstance(connected, _bide.Transport):
            # The user's sock.close() must not take the fd from under the transport, which
            # detaches it when it closes.
            connected._io_refs += 1  # type: ignore[attr-defined]
        try:
            await waiter
        except BaseException:
            transport.close()
            # The future holds the error, whose traceback holds this frame.
            del waiter
            raise
        return transport, protocol

    async def connect_accepted_socket(
        self,
        protocol_factory: Callable[[], _P],
        sock: socket.socket,
        *,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _P]:
        """Make a transport of a connection that was accepted elsewhere; return it and
        its protocol."""
        _check_stream(sock)
        tls = accepted_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        sock.setblocking(False)
        return await self._make_connection(sock, protocol_factory, tls)

    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: Any = None,
        port: Any = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: Any = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> Any:
        """Listen on every address of host, or on sock; return the Server."""
        tls = server_tls(
            ssl, ssl is not None, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        if host is None and port is None:
            if sock is None:
                raise ValueError("Neither host/port nor sock were specified")
            _check_stream(sock)
            sockets = [sock]
        elif sock is not None:
            raise ValueError("host/port and sock can not be specified at the same time")
        else:
            infos = await self._resolve_hosts(host, port, family, flags)
            sockets = self._bind_all(
                infos, reuse_address is not False, reuse_port, keep_alive
            )
        for each in sockets:
            each.setblocking(False)
        factory = self._tls_factory(protocol_factory, tls)
        server = Server(self, sockets, factory, backlog, ssl_context=ssl)
        if start_serving:
            await server.start_serving()
        if self.get_debug():
            logger.info("%r is serving", server)
        return server

    async def _resolve_hosts(
        self, host: Any, port: Any, family: int, flags: int
    ) -> list[AddressInfo]:
        """The addresses of one host or of several, each once."""
        hosts: Iterable[Any]
        if host == "":
            hosts = [None]
        elif isinstance(host, str) or not isinstance(host, Iterable):
            hosts = [host]
        else:
            hosts = host
        found = await asyncio.gather(
            *(ensure_resolved(self, (one, port), family=family, flags=flags) for one in hosts)
        )
        return list(dict.fromkeys(itertools.chain.from_iterable(found)))

    def _bind_all(
        self,
        infos: list[AddressInfo],
        reuse_address: bool,
        reuse_port: bool | None,
        keep_alive: bool | None,
    ) -> list[socket.socket]:
        sockets: list[socket.socket] = []
        try:
            for info in infos:
                sock = _bind_server_socket(info, reuse_address, reuse_port, keep_alive)
                if sock is not None:
                    sockets.append(sock)
                elif self.get_debug():
                    logger.warning("create_server() left out the address %r", info[4])
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        if not sockets and _LEAVES_ADDRESSES_OUT:
            addresses = [info[4] for info in infos]
            raise OSError(f"could not bind on any address out of {addresses!r}")
        return sockets
