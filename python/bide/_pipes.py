"""Pipes, FIFOs, terminals and other files that one can wait on."""

import asyncio
from asyncio.log import logger
from collections.abc import Callable
from typing import Any, TypeVar

from . import _bide
from ._base import BaseLoop

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
_PipeTransport = _bide.ReadPipeTransport | _bide.WritePipeTransport


class PipeLoop(BaseLoop):
    """connect_read_pipe and connect_write_pipe."""

    async def connect_read_pipe(
        self, protocol_factory: Callable[[], _P], pipe: Any
    ) -> tuple[asyncio.ReadTransport, _P]:
        """Read from a file object, which the transport closes; return the transport and
        its protocol."""
        protocol = protocol_factory()
        waiter = self.create_future()
        transport = self._read_pipe(pipe, protocol, waiter)
        await self._pipe_connected("Read", transport, protocol, waiter)
        return transport, protocol

    async def connect_write_pipe(
        self, protocol_factory: Callable[[], _P], pipe: Any
    ) -> tuple[asyncio.WriteTransport, _P]:
        """Write to a file object, which the transport closes; return the transport and
        its protocol."""
        protocol = protocol_factory()
        waiter = self.create_future()
        transport = self._write_pipe(pipe, protocol, waiter)
        await self._pipe_connected("Write", transport, protocol, waiter)
        return transport, protocol

    async def _pipe_connected(
        self, kind: str, transport: _PipeTransport, protocol: object, waiter: Any
    ) -> None:
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        if self.get_debug():
            logger.debug("%s pipe connected: (%r, %r)", kind, transport, protocol)
