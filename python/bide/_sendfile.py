"""Files into sockets: by sendfile(2), and by reading and writing where that will not do."""

import asyncio
import contextlib
import errno
import io
import os
import socket
import sys
from asyncio import constants
from collections.abc import Awaitable, Callable
from typing import Any

from . import _bide
from ._sockets import SocketLoop

_Mode = constants._SendfileMode

_BLOCK_BYTES = 65536


def _check_file(file: Any, offset: Any, count: Any) -> None:
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if count is not None:
        if not isinstance(count, int):
            raise TypeError(f"count must be a positive integer (got {count!r})")
        if count <= 0:
            raise ValueError(f"count must be a positive integer (got {count!r})")
    if not isinstance(offset, int):
        raise TypeError(f"offset must be a non-negative integer (got {offset!r})")
    if offset < 0:
        raise ValueError(f"offset must be a non-negative integer (got {offset!r})")


def _descriptor_of(file: Any) -> tuple[int, int]:
    """The file's descriptor and its size."""
    try:
        fd: int = file.fileno()
        return fd, os.fstat(fd).st_size
    except (AttributeError, OSError, io.UnsupportedOperation):
        raise asyncio.SendfileNotAvailableError("not a regular file") from None


def _refusal(error: OSError, sent: int) -> OSError | RuntimeError:
    """What the program is told: the error, or that it may try something else."""
    if sent == 0:
        return asyncio.SendfileNotAvailableError("os.sendfile call failed")
    if error.errno == errno.ENOTCONN:
        return ConnectionError("socket is not connected", errno.ENOTCONN)
    return error


def _seek(fd: int, position: int) -> None:
    """Where sendfile(2) left off, which keeps to its own count. A pipe has no position."""
    with contextlib.suppress(OSError):
        os.lseek(fd, position, os.SEEK_SET)


def _mode_of(transport: Any) -> Any:
    if isinstance(transport, _bide.Transport):
        return _Mode.TRY_NATIVE
    if isinstance(transport, _bide.SSLTransport):
        return _Mode.FALLBACK
    return getattr(transport, "_sendfile_compatible", _Mode.UNSUPPORTED)


class _Feeder(asyncio.Protocol):
    """Stands in for a transport's protocol while a file is written, to hear when there is
    room. Reading is paused for that time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Any) -> None:
        self._loop = loop
        self._transport = transport
        self._protocol = transport.get_protocol()
        self._was_reading = transport.is_reading()
        self._was_paused = self._paused = transport._protocol_paused
        self._room: asyncio.Future[None] | None = None
        self._lost = False
        transport.pause_reading()
        transport.set_protocol(self)

    async def drain(self) -> None:
        """Wait until the transport has room."""
        if self._lost or self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        if self._paused:
            self._room = self._loop.create_future()
            await self._room

    def restore(self) -> None:
        """Give the transport back to its protocol, and tell that what it missed."""
        if self._lost:
            return
        self._transport.set_protocol(self._protocol)
        if self._was_reading:
            self._transport.resume_reading()
        if self._was_paused and not self._paused:
            self._protocol.resume_writing()
        elif self._paused and not self._was_paused:
            self._protocol.pause_writing()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._room is not None and not self._room.done():
            # A peer that had all it wanted would have let the file end first.
            error = exc or ConnectionError("Connection is closed by peer")
            self._room.set_exception(error)
        self._protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        raise RuntimeError("Invalid state: reading should be paused")

    def eof_received(self) -> None:
        raise RuntimeError("Invalid state: reading should be paused")


class SendfileLoop(SocketLoop):
    """sendfile and sock_sendfile. Afterwards the file's position is behind the last byte
    that was sent, also when that was not all."""

    async def sendfile(
        self,
        transport: Any,
        file: Any,
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool = True,
    ) -> int:
        """Send a file, or count bytes of it, over a transport; return how many were sent."""
        if transport.is_closing():
            raise RuntimeError("Transport is closing")
        mode = _mode_of(transport)
        if mode is _Mode.UNSUPPORTED:
            raise RuntimeError(f"sendfile is not supported for transport {transport!r}")
        if mode is _Mode.TRY_NATIVE:
            try:
                return await self._sendfile_native(transport, file, offset, count)
            except asyncio.SendfileNotAvailableError:
                if not fallback:
                    raise
        if not fallback:
            raise RuntimeError(
                "fallback is disabled and native sendfile is not supported for transport "
                f"{transport!r}"
            )
        return await self._sendfile_by_writing(transport, file, offset, count)

    async def _sendfile_native(
        self, transport: _bide.Transport, file: Any, offset: int, count: int | None
    ) -> int:
        _check_file(file, offset, count)
        fd, size = _descriptor_of(file)
        if not (count or size):
            return 0
        was_reading = transport.is_reading()
        transport.pause_reading()
        sent = 0
        try:
            waiter: asyncio.Future[None] = self.create_future()
            transport._start_file(fd, offset, count or sys.maxsize, waiter)
            try:
                await waiter
            finally:
                sent = transport._end_file()
        except OSError as error:
            raise _refusal(error, sent) from error
        finally:
            _seek(fd, offset + sent)
            if was_reading:
                transport.resume_reading()
        return sent

    async def _sendfile_by_writing(
        self, transport: Any, file: Any, offset: int, count: int | None
    ) -> int:
        if hasattr(file, "seek"):
            file.seek(offset)
        feeder = _Feeder(self, transport)

        async def write(data: memoryview) -> None:
            await feeder.drain()
            transport.write(bytes(data))

        try:
            return await self._feed(file, offset, count, write)
        finally:
            feeder.restore()

    async def sock_sendfile(
        self,
        sock: socket.socket,
        file: Any,
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool | None = True,
    ) -> int:
        """Send a file, or count bytes of it, over a socket; return how many were sent."""
        self._check_socket(sock)
        if sock.type != socket.SOCK_STREAM:
            raise ValueError("only SOCK_STREAM type sockets are supported")
        _check_file(file, offset, count)
        try:
            return await self._sock_sendfile_native(sock, file, offset, count)
        except asyncio.SendfileNotAvailableError:
            if not fallback:
                raise

        async def write(data: memoryview) -> None:
            await self.sock_sendall(sock, data)

        if hasattr(file, "seek"):
            file.seek(offset)
        return await self._feed(file, offset, count, write)

    async def _sock_sendfile_native(
        self, sock: socket.socket, file: Any, offset: int, count: int | None
    ) -> int:
        fd, size = _descriptor_of(file)
        if not (count or size):
            return 0
        left = count or sys.maxsize
        sent = 0
        try:
            while left > 0:
                # 2 GiB less a page is the most that one call sends.
                block = min(left, 0x7FFFF000)
                try:
                    step = os.sendfile(sock.fileno(), fd, offset + sent, block)
                except (BlockingIOError, InterruptedError):
                    await self._socket_wait(sock, True)
                    continue
                if step == 0:
                    break
                sent += step
                left -= step
                # A fast reader must not keep the loop from the rest.
                await asyncio.sleep(0)
        except OSError as error:
            raise _refusal(error, sent) from error
        finally:
            _seek(fd, offset + sent)
        return sent

    async def _feed(
        self,
        file: Any,
        offset: int,
        count: int | None,
        write: Callable[[memoryview], Awaitable[None]],
    ) -> int:
        """Reads in a worker thread and writes, block by block."""
        block = memoryview(bytearray(min(count or _BLOCK_BYTES, _BLOCK_BYTES)))
        sent = 0
        try:
            while count is None or sent < count:
                wanted = len(block) if count is None else min(len(block), count - sent)
                read = await self.run_in_executor(None, file.readinto, block[:wanted])
                if not read:
                    break
                await write(block[:read])
                sent += read
            return sent
        finally:
            if sent > 0 and hasattr(file, "seek"):
                file.seek(offset + sent)
