"""Unbuffered files, and what all file objects share."""

import asyncio
import errno
import io
import operator
import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ._bide import close, pread, preadinto, pwrite, read, readinto, write
from ._file_turns import Turns, in_turn

if TYPE_CHECKING:
    from ._bide import _Buffer as Buffer

_S = TypeVar("_S", str, bytes)
_Self = TypeVar("_Self", bound="File[Any]")

CHUNK = 8192
_READ_ALL_FIRST = 1 << 16
_READ_ALL_MAX = 1 << 30


def as_size(size: Any) -> int:
    """A size as io's methods take it: None means all."""
    if size is None:
        return -1
    try:
        return operator.index(size)
    except TypeError:
        kind = type(size).__name__
        raise TypeError(f"argument should be integer or None, not {kind!r}") from None


class lent:
    """A view that `with` releases, unless the kernel has it: when a coroutine is closed by
    hand, that ends with the operation."""

    __slots__ = ("_view",)

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def __enter__(self) -> memoryview:
        return self._view

    def __exit__(self, *unused: object) -> None:
        try:
            self._view.release()
        except BufferError:
            pass


def as_bytes(buffer: "Buffer") -> lent:
    """The bytes of a buffer."""
    try:
        given = memoryview(buffer)
    except TypeError:
        kind = type(buffer).__name__
        raise TypeError(f"a bytes-like object is required, not {kind!r}") from None
    if not given.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    # A view of several dimensions that holds nothing cannot be cast.
    return lent(given.cast("B") if given.nbytes else memoryview(bytearray()))


def as_writable_bytes(buffer: "Buffer", method: str) -> lent:
    """As as_bytes, of a buffer to read into."""
    try:
        if not memoryview(buffer).readonly:
            return as_bytes(buffer)
    except (TypeError, BufferError):
        pass
    raise TypeError(
        f"{method}() argument must be read-write bytes-like object, "
        f"not {type(buffer).__name__}"
    )


class File(Generic[_S]):
    """What raw, buffered and text files have in common.

    Their methods take turns: `in_turn` those for users, while those that begin with an
    underscore are for the layer above, which has the turn already.
    """

    _turns: Turns
    # Whether another layer lies on this one and finishes it: in a cycle the collector
    # would finish the lowest first, with what the upper still hold unwritten.
    _lies_below = False

    # ---- what each layer has ----

    @property
    def closed(self) -> bool:
        """True once the file is closed."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Return True if the file may be read."""
        raise NotImplementedError

    def writable(self) -> bool:
        """Return True if the file may be written."""
        raise NotImplementedError

    def seekable(self) -> bool:
        """Return True if the file has a position that may be set."""
        raise NotImplementedError

    def fileno(self) -> int:
        """Return the descriptor; the kernel's position of it is brought up to date."""
        raise NotImplementedError

    def isatty(self) -> bool:
        """Return True for a terminal."""
        return os.isatty(self.fileno())

    async def _readline(self, size: int) -> _S:
        raise NotImplementedError

    async def _write(self, data: Any) -> int:
        raise NotImplementedError

    async def _flush(self) -> None:
        raise NotImplementedError

    async def _close(self) -> None:
        raise NotImplementedError

    def _close_now(self) -> None:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def _check_readable(self) -> None:
        self._check_open()
        if not self.readable():
            raise io.UnsupportedOperation("not readable")

    def _check_writable(self) -> None:
        self._check_open()
        if not self.writable():
            raise io.UnsupportedOperation("not writable")

    def _check_seekable(self) -> None:
        self._check_open()
        if not self.seekable():
            raise io.UnsupportedOperation("File or stream is not seekable.")

    # ---- lines ----

    @in_turn
    async def readline(self, size: int | None = -1) -> _S:
        """Read a line, or at most size of it; empty at the end of the file."""
        self._check_readable()
        return await self._readline(as_size(size))

    @in_turn
    async def readlines(self, hint: int | None = -1) -> list[_S]:
        """Read the lines, until hint bytes or characters are reached."""
        self._check_readable()
        limit = as_size(hint)
        lines: list[_S] = []
        total = 0
        while line := await self._readline(-1):
            lines.append(line)
            total += len(line)
            if 0 < limit <= total:
                break
        return lines

    @in_turn
    async def writelines(self, lines: Iterable[Any]) -> None:
        """Write each of the lines, which bring their own ends."""
        self._check_open()
        for line in lines:
            self._check_writable()
            await self._write(line)

    def __aiter__(self: _Self) -> _Self:
        self._check_open()
        return self

    async def __anext__(self) -> _S:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    # ---- the end ----

    @in_turn
    async def flush(self) -> None:
        """Write what is buffered."""
        self._check_open()
        await self._flush()

    @in_turn
    async def close(self) -> None:
        """Write what is buffered and close the file, whatever comes between: an error, or
        a cancel, is raised once it is closed."""
        if not self.closed:
            await self._close()

    async def __aenter__(self: _Self) -> _Self:
        self._check_open()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """As io's files: a copy would close the original's descriptor."""
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __del__(self) -> None:
        try:
            if self.closed or self._lies_below:
                return
        except (AttributeError, ValueError):
            # It was never opened, or has been detached.
            return
        warnings.warn(f"unclosed file {self!r}", ResourceWarning, source=self)
        self._close_now()


class RawFile(File[bytes]):
    """A file without a buffer: each call is an operation.

    The position of a regular file is kept here and given with each operation, so that a
    cancelled one has not moved it. `_offset` is None for pipes, terminals and the like,
    which are read where the kernel is; what a cancelled call had taken from one of those
    is `_kept` for the next. `_size` is that of the file as it was opened, a guess for the
    first read of all of it. `_written` counts what the kernel took, also when
    a write was cancelled.
    """

    def __init__(
        self,
        fd: int,
        name: Any,
        mode: str,
        closefd: bool,
        offset: int | None,
        size: int = 0,
    ) -> None:
        self._turns = Turns()
        self._fd = fd
        self.name = name
        self.mode = mode
        self._closefd = closefd
        self._appends = mode[0] == "a"
        self._readable = mode[0] == "r" or "+" in mode
        self._writable = mode[0] != "r" or "+" in mode
        self._seekable: bool | None = None if offset is None else True
        self._kept = b""
        self._written = 0
        self._offset = offset
        self._size = size

    def __repr__(self) -> str:
        if self.closed:
            return "<bide.RawFile [closed]>"
        return (
            f"<bide.RawFile name={self.name!r} mode={self.mode!r} closefd={self._closefd}>"
        )

    @property
    def closed(self) -> bool:
        return self._fd < 0

    @property
    def closefd(self) -> bool:
        """Whether the descriptor is closed with the file."""
        return self._closefd

    def readable(self) -> bool:
        self._check_open()
        return self._readable

    def writable(self) -> bool:
        self._check_open()
        return self._writable

    def seekable(self) -> bool:
        self._check_open()
        if self._seekable is None:
            try:
                os.lseek(self._fd, 0, os.SEEK_CUR)
                self._seekable = True
            except OSError:
                self._seekable = False
        return self._seekable

    def fileno(self) -> int:
        self._check_open()
        if self._offset is not None:
            os.lseek(self._fd, self._offset, os.SEEK_SET)
        return self._fd

    # ---- for the layers above ----

    async def _read(self, size: int) -> bytes:
        if self._offset is None:
            return self._take_kept(size) or await read(self._fd, size)
        data = await pread(self._fd, size, self._offset)
        self._offset += len(data)
        return data

    async def _readinto(self, view: memoryview) -> int:
        if self._kept:
            data = self._take_kept(len(view))
            view[: len(data)] = data
            return len(data)
        if self._offset is None:
            return await readinto(self._fd, view)
        count = await preadinto(self._fd, view, self._offset)
        self._offset += count
        return count

    def _take_kept(self, size: int) -> bytes:
        data, self._kept = self._kept[:size], self._kept[size:]
        return data

    def _put_back(self, start: int | None, parts: list[bytes]) -> None:
        """The call that read these parts from start on has been cancelled."""
        self._offset = start
        if start is None:
            self._kept = b"".join(parts) + self._kept

    def _left(self) -> int:
        """How much a regular file may still hold; wrong for those of /proc, and for those
        that somebody changes."""
        if self._offset is None:
            return 0
        size, self._size = self._size, 0
        return max(0, (size or os.fstat(self._fd).st_size) - self._offset)

    async def _readall(self, parts: list[bytes]) -> None:
        """Appends to parts, which a cancelled reader keeps."""
        left = self._left()
        step = left + 1 if left else _READ_ALL_FIRST
        while True:
            data = await self._read(min(step, _READ_ALL_MAX))
            if not data:
                return
            parts.append(data)
            if left and len(data) == left == step - 1:
                # One byte more was asked for and not there: the end.
                return
            step = min(2 * step, _READ_ALL_MAX)

    async def _write(self, data: "Buffer") -> int:
        at_offset = self._offset is not None and not self._appends
        operation = (
            pwrite(self._fd, data, self._offset or 0) if at_offset else write(self._fd, data)
        )
        try:
            return await operation
        finally:
            self._moved(operation.moved)

    def _moved(self, count: int) -> None:
        self._written += count
        if self._offset is None:
            return
        if self._appends:
            self._offset = os.lseek(self._fd, 0, os.SEEK_CUR)
        else:
            self._offset += count

    def _seek(self, offset: int, whence: int) -> int:
        if self._offset is not None and whence == os.SEEK_CUR:
            offset, whence = self._offset + offset, os.SEEK_SET
        # The position is kept here, and every file system has so much room for one.
        kept = self._offset is not None and whence == os.SEEK_SET
        if kept and type(offset) is int and 0 <= offset < 1 << 31:
            self._offset = offset
            return offset
        position = os.lseek(self._fd, offset, whence)
        if self._offset is not None:
            self._offset = position
        return position

    def _tell(self) -> int:
        if self._offset is not None:
            return self._offset
        return os.lseek(self._fd, 0, os.SEEK_CUR)

    async def _truncate(self, size: int) -> int:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, os.ftruncate, self._fd, size)
        return size

    async def _flush(self) -> None:
        pass

    async def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if self._closefd:
            await close(fd)

    def _close_now(self) -> None:
        fd, self._fd = self._fd, -1
        if self._closefd:
            os.close(fd)

    async def _readline_of_stream(self, size: int) -> bytes:
        """Byte by byte: what is behind the line is not ours to take."""
        line: list[bytes] = []
        try:
            while (not line or line[-1] != b"\n") and (size < 0 or len(line) < size):
                byte = await self._read(1)
                if not byte:
                    break
                line.append(byte)
        except BaseException:
            self._put_back(None, line)
            raise
        return b"".join(line)

    async def _readline(self, size: int) -> bytes:
        if self._offset is None:
            return await self._readline_of_stream(size)
        start = self._offset
        found = b""
        while b"\n" not in found and (size < 0 or len(found) < size):
            try:
                data = await self._read(CHUNK + len(found))
            except BaseException:
                self._offset = start
                raise
            if not data:
                break
            found += data
        end = found.find(b"\n") + 1 or len(found)
        line = found[: end if size < 0 else min(end, size)]
        self._offset = start + len(line)
        return line

    # ---- for users ----

    @in_turn
    async def read(self, size: int | None = -1) -> bytes:
        """Read up to size bytes with one operation; without a size, to the end."""
        self._check_readable()
        count = as_size(size)
        if count >= 0:
            return await self._read(count)
        return await self._read_to_end()

    async def _read_to_end(self) -> bytes:
        start = self._offset
        parts: list[bytes] = []
        try:
            await self._readall(parts)
        except BaseException:
            self._put_back(start, parts)
            raise
        return b"".join(parts)

    @in_turn
    async def readall(self) -> bytes:
        """Read to the end of the file."""
        self._check_readable()
        return await self._read_to_end()

    @in_turn
    async def readinto(self, buffer: "Buffer", /) -> int:
        """Read into a buffer with one operation; return the number of bytes."""
        self._check_readable()
        with as_writable_bytes(buffer, "readinto") as view:
            return await self._readinto(view)

    @in_turn
    async def write(self, data: "Buffer", /) -> int:
        """Write with one operation; return the number of bytes, which may be fewer."""
        self._check_writable()
        return await self._write(data)

    @in_turn
    async def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position; return it."""
        self._check_open()
        return self._seek(offset, whence)

    @in_turn
    async def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return self._tell()

    @in_turn
    async def truncate(self, size: int | None = None, /) -> int:
        """Make the file just so long, by default up to the position."""
        self._check_writable()
        return await self._truncate(self._tell() if size is None else size)


def write_now(raw: RawFile, data: "Buffer") -> None:
    """Writes as far as it goes without waiting: the last bytes of an unclosed file."""
    view = memoryview(data)
    try:
        fd = raw.fileno()
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise
    finally:
        view.release()
