"""Datagram endpoints: the policy around the transports in C."""

import asyncio
import functools
import socket
import sys
import warnings
from asyncio.log import logger
from collections.abc import Callable
from typing import Any, TypeVar

from ._addresses import ensure_resolved
from ._sockets import SocketLoop
from ._unix import is_abstract, remove_stale_socket

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
_Family = tuple[int, int]
_Pair = tuple[Any, Any]

_UNSET = object()

_EXPECTED = "datagram socket" if sys.version_info >= (3, 12) else "UDP Socket"


def _check_reuse_address(reuse_address: Any) -> None:
    """3.11 took the argument away, which had become an error years before; programs that
    still give it are told the same on every version."""
    if reuse_address is _UNSET:
        return
    if reuse_address:
        raise ValueError(
            "Passing `reuse_address=True` is no longer supported, as the usage of "
            "SO_REUSEPORT in UDP poses a significant security concern."
        )
    warnings.warn(
        "The *reuse_address* parameter has been deprecated as of 3.5.10 and is scheduled "
        "for removal in 3.11.",
        DeprecationWarning,
        stacklevel=3,
    )


def _check_given_socket(sock: socket.socket, options: dict[str, Any]) -> None:
    if sock.type == socket.SOCK_STREAM:
        raise ValueError(f"A {_EXPECTED} was expected, got {sock!r}")
    if any(options.values()):
        problems = ", ".join(f"{name}={value}" for name, value in options.items() if value)
        raise ValueError(
            "socket modifier keyword arguments can not be used when sock is specified. "
            f"({problems})"
        )


def _unix_pair(local: Any, remote: Any) -> _Pair:
    for path in (local, remote):
        if path is not None and not isinstance(path, str):
            raise TypeError("string is expected")
    if local and not is_abstract(local):
        remove_stale_socket(local)
    return local, remote


class DatagramLoop(SocketLoop):
    """create_datagram_endpoint."""

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], _P],
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_address: Any = _UNSET,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: socket.socket | None = None,
    ) -> tuple[asyncio.DatagramTransport, _P]:
        """Make a datagram socket, bound, connected, both or neither; return its transport
        and the protocol."""
        _check_reuse_address(reuse_address)
        remote = None
        given = sock is not None
        if sock is not None:
            options = {
                "local_addr": local_addr,
                "remote_addr": remote_addr,
                "family": family,
                "proto": proto,
                "flags": flags,
                "reuse_port": reuse_port,
                "allow_broadcast": allow_broadcast,
            }
            _check_given_socket(sock, options)
        else:
            candidates = await self._datagram_candidates(
                local_addr, remote_addr, family, proto, flags
            )
            sock, remote = await self._open_first_datagram(
                candidates, reuse_port, allow_broadcast
            )
        try:
            return await self._make_datagram(protocol_factory, sock, remote)
        except BaseException:
            if not given:
                sock.close()
            raise

    async def _datagram_candidates(
        self, local_addr: Any, remote_addr: Any, family: int, proto: int, flags: int
    ) -> list[tuple[_Family, _Pair]]:
        """The families to try, each with its local and its remote address."""
        if not (local_addr or remote_addr):
            if family == 0:
                raise ValueError("unexpected address family")
            return [((family, proto), (None, None))]
        if family == socket.AF_UNIX:
            return [((family, proto), _unix_pair(local_addr, remote_addr))]
        resolve = functools.partial(
            ensure_resolved,
            self,
            family=family,
            type=socket.SOCK_DGRAM,
            proto=proto,
            flags=flags,
        )
        found: list[dict[_Family, Any]] = [{}, {}]
        for addresses, address in zip(found, (local_addr, remote_addr)):
            if address is None:
                continue
            if not (isinstance(address, tuple) and len(address) == 2):
                raise TypeError("2-tuple is expected")
            for info in await resolve(address):
                addresses[info[0], info[2]] = info[4]
        local, remote = found
        candidates = [
            (key, (local.get(key), remote.get(key)))
            for key in {**local, **remote}
            if (key in local or not local_addr) and (key in remote or not remote_addr)
        ]
        if not candidates:
            raise ValueError("can not get address information")
        return candidates

    async def _open_first_datagram(
        self,
        candidates: list[tuple[_Family, _Pair]],
        reuse_port: bool | None,
        allow_broadcast: bool | None,
    ) -> tuple[socket.socket, Any]:
        first_error: OSError | None = None
        for (family, proto), (local, remote) in candidates:
            sock = None
            try:
                sock = socket.socket(family, socket.SOCK_DGRAM, proto)
                if reuse_port:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if allow_broadcast:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                sock.setblocking(False)
                if local:
                    sock.bind(local)
                if remote and not allow_broadcast:
                    await self._connector()(sock, remote)
                return sock, remote or None
            except BaseException as error:
                if sock is not None:
                    sock.close()
                if not isinstance(error, OSError):
                    raise
                first_error = first_error or error
        assert first_error is not None
        try:
            raise first_error
        finally:
            # The error's traceback holds this frame, and the frame the error.
            del first_error

    async def _make_datagram(
        self, protocol_factory: Callable[[], _P], sock: socket.socket, remote: Any
    ) -> tuple[asyncio.DatagramTransport, _P]:
        sock.setblocking(False)
        protocol = protocol_factory()
        waiter: asyncio.Future[None] = self.create_future()
        transport = self._connect_datagram(sock, protocol, remote, waiter)
        # The user's sock.close() must not take the fd from under the transport.
        sock._io_refs += 1  # type: ignore[attr-defined]
        if self.get_debug():
            logger.info("Datagram endpoint remote_addr=%r created: %r", remote, transport)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol
