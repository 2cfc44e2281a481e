"""Buffered binary files."""

import asyncio
import io
import operator
import os
from typing import TYPE_CHECKING, Any

from ._file_raw import (
    File,
    RawFile,
    as_bytes,
    as_size,
    as_writable_bytes,
    lent,
    write_now,
)
from ._file_turns import in_turn

if TYPE_CHECKING:
    from ._bide import _Buffer as Buffer


WHENCES = (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE)


class BinaryFile(File[bytes]):
    """Bytes with a buffer, for reading, writing or both.

    `_ahead` is what has been read ahead, used up to `_used`; `_pending` what waits to be
    written. One of the two is empty at any time, and the raw file's position is behind
    the one and before the other. What is taken from `_ahead` by a call that is cancelled
    is put back.
    """

    def __init__(self, raw: RawFile, buffer_size: int) -> None:
        if raw._readable and raw._writable and not raw.seekable():
            raise io.UnsupportedOperation("File or stream is not seekable.")
        self._turns = raw._turns
        self._raw: RawFile | None = raw
        raw._lies_below = True
        self._buffer_size = buffer_size
        self._ahead = b""
        self._used = 0
        self._pending = bytearray()

    def __repr__(self) -> str:
        if self._raw is None:
            return "<bide.BinaryFile [detached]>"
        return f"<bide.BinaryFile name={self.name!r} mode={self.mode!r}>"

    @property
    def raw(self) -> RawFile:
        """The file below, without the buffer."""
        if self._raw is None:
            raise ValueError("raw stream has been detached")
        return self._raw

    @property
    def name(self) -> Any:
        """The path or descriptor that the file was opened with."""
        return self.raw.name

    @property
    def mode(self) -> str:
        """The mode as the raw file has it."""
        return self.raw.mode

    @property
    def closed(self) -> bool:
        return self.raw._fd < 0

    def _check_readable(self) -> None:
        raw = self._raw
        if raw is None or raw._fd < 0 or not raw._readable:
            super()._check_readable()

    def _check_seekable(self) -> None:
        raw = self._raw
        if raw is None or raw._fd < 0 or not raw._seekable:
            super()._check_seekable()

    def readable(self) -> bool:
        return self.raw.readable()

    def writable(self) -> bool:
        return self.raw.writable()

    def seekable(self) -> bool:
        return self.raw.seekable()

    def fileno(self) -> int:
        return self.raw.fileno()

    # ---- the buffer ----

    def _take(self, size: int) -> bytes:
        data = self._ahead[self._used : self._used + size]
        self._used += len(data)
        return data

    def _put_back(self, parts: list[bytes]) -> None:
        """The next reader gets what this one had taken."""
        if parts:
            self._ahead = b"".join(parts) + self._ahead[self._used :]
            self._used = 0

    def _unread(self) -> int:
        return len(self._ahead) - self._used

    async def _fill(self) -> bool:
        """Reads ahead, once everything has been used; False at the end of the file."""
        if self._pending:
            await self._write_pending()
        self._ahead = await self.raw._read(self._buffer_size)
        self._used = 0
        return bool(self._ahead)

    def _drop_ahead(self) -> None:
        unread = self._unread()
        self._ahead = b""
        self._used = 0
        if unread and self.raw.seekable():
            self.raw._seek(-unread, os.SEEK_CUR)

    async def _write_pending(self) -> None:
        raw = self.raw
        while self._pending:
            before = raw._written
            try:
                # A copy: others may look at the buffer's length while the kernel has it.
                await raw._write(bytes(self._pending))
            finally:
                del self._pending[: raw._written - before]

    # ---- for the layer above ----

    async def _read(self, size: int) -> bytes:
        if size <= self._unread():
            return self._take(size)
        parts = [self._take(size)] if self._unread() else []
        left = size - (len(parts[0]) if parts else 0)
        try:
            if self._pending:
                await self._write_pending()
            while left > 0:
                if left >= self._buffer_size:
                    data = await self.raw._read(left)
                else:
                    data = self._take(left) if await self._fill() else b""
                if not data:
                    break
                parts.append(data)
                left -= len(data)
        except BaseException:
            self._put_back(parts)
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _readall(self) -> bytes:
        parts = [self._take(self._unread())] if self._unread() else []
        try:
            if self._pending:
                await self._write_pending()
            await self.raw._readall(parts)
        except BaseException:
            self._put_back(parts)
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _read1(self, size: int) -> bytes:
        if self._unread():
            return self._take(size)
        await self._write_pending()
        return await self.raw._read(size)

    async def _readline(self, size: int) -> bytes:
        parts: list[bytes] = []
        left = size
        try:
            while left != 0 and (self._unread() or await self._fill()):
                end = self._ahead.find(b"\n", self._used) + 1 or len(self._ahead)
                if size >= 0:
                    end = min(end, self._used + left)
                data = self._take(end - self._used)
                parts.append(data)
                left -= len(data) if size >= 0 else 0
                if data.endswith(b"\n"):
                    break
        except BaseException:
            self._put_back(parts)
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _write(self, data: "Buffer") -> int:
        with as_bytes(data) as view:
            size = len(view)
            self._drop_ahead()
            if len(self._pending) + size > self._buffer_size:
                await self._write_pending()
            if size <= self._buffer_size:
                self._pending += view
                return size
            done = 0
            while done < size:
                with lent(view[done:]) as rest:
                    done += await self.raw._write(rest)
            return size

    async def _flush(self) -> None:
        await self._write_pending()
        if self.raw.writable() and self.raw.readable():
            self._drop_ahead()

    def _tell(self) -> int:
        return self.raw._tell() - self._unread() + len(self._pending)

    async def _seek(self, offset: int, whence: int) -> int:
        if self._pending:
            await self._write_pending()
        if whence == os.SEEK_CUR:
            offset -= self._unread()
        position = self.raw._seek(offset, whence)
        self._ahead = b""
        self._used = 0
        return position

    async def _close(self) -> None:
        """What a regular file is still to get is written even if the caller is cancelled;
        a pipe might keep it waiting for ever."""
        cancelled: asyncio.CancelledError | None = None
        try:
            while self._pending:
                try:
                    await self._write_pending()
                except asyncio.CancelledError as error:
                    if self.raw._offset is None:
                        raise
                    cancelled = error
        finally:
            self._pending.clear()
            await self.raw._close()
        if cancelled is not None:
            raise cancelled

    def _close_now(self) -> None:
        try:
            if self._pending:
                write_now(self.raw, self._pending)
        finally:
            self._pending.clear()
            self.raw._close_now()

    # ---- for users ----

    @in_turn
    async def read(self, size: int | None = -1, /) -> bytes:
        """Read size bytes, fewer at the end of the file alone; without a size, to the
        end."""
        self._check_readable()
        count = as_size(size)
        if count == -1:
            return await self._readall()
        if count < 0:
            raise ValueError("read length must be non-negative or -1")
        return await self._read(count)

    @in_turn
    async def read1(self, size: int = -1, /) -> bytes:
        """Read up to size bytes with one operation at most."""
        self._check_readable()
        count = operator.index(size)
        return await self._read1(self._buffer_size if count < 0 else count)

    async def _into(self, buffer: "Buffer", once: bool) -> int:
        self._check_readable()
        with as_writable_bytes(buffer, "readinto1" if once else "readinto") as view:
            if once or len(view) < self._buffer_size:
                data = await (self._read1 if once else self._read)(len(view))
                view[: len(data)] = data
                return len(data)
            return await self._read_straight(view)

    async def _read_straight(self, view: memoryview) -> int:
        """Into the user's own memory, without a copy but for what was read ahead."""
        first = self._take(self._unread())
        done = len(first)
        view[:done] = first
        try:
            await self._write_pending()
            while done < len(view):
                with lent(view[done:]) as rest:
                    count = await self.raw._readinto(rest)
                if count == 0:
                    break
                done += count
        except BaseException:
            self._put_back([bytes(view[:done])])
            raise
        return done

    @in_turn
    async def readinto(self, buffer: "Buffer", /) -> int:
        """Fill a buffer; return the number of bytes."""
        return await self._into(buffer, once=False)

    @in_turn
    async def readinto1(self, buffer: "Buffer", /) -> int:
        """Read into a buffer with one operation at most; return the number of bytes."""
        return await self._into(buffer, once=True)

    @in_turn
    async def peek(self, size: int = 0, /) -> bytes:
        """Return what is read next, without moving the position; how much is up to what is
        there."""
        self._check_readable()
        operator.index(size)
        if not self._unread():
            await self._fill()
        return self._ahead[self._used :]

    @in_turn
    async def write(self, data: "Buffer", /) -> int:
        """Write all of data, into the buffer if it fits."""
        self._check_writable()
        return await self._write(data)

    @in_turn
    async def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position; return it."""
        if whence not in WHENCES:
            raise ValueError(f"whence value {whence} unsupported")
        self._check_seekable()
        return await self._seek(offset, whence)

    @in_turn
    async def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return self._tell()

    @in_turn
    async def truncate(self, size: int | None = None, /) -> int:
        """Make the file just so long, by default up to the position."""
        self._check_writable()
        await self._flush()
        return await self.raw._truncate(self._tell() if size is None else size)

    @in_turn
    async def detach(self) -> RawFile:
        """Write what is buffered and return the raw file; this object is of no more use."""
        raw = self.raw
        await self._flush()
        self._raw = None
        raw._lies_below = False
        return raw
