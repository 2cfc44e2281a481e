"""Files as awaitables: the functions of os, on the running bide loop.

What the core has an operation for goes through io_uring, or on epoll through the core's
file threads: open, close, read, write, stat, fsync and their kin, read_file and write_file.
The rest runs on the loop's executor. Errors are those of os, with their filenames.
"""

import asyncio
import itertools
import os
import stat as _stat
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from . import _copy
from ._bide import (
    Loop,
    close,
    fdatasync,
    fstat,
    fsync,
    lstat,
    open,
    pread,
    preadinto,
    pwrite,
    read,
    read_file,
    readinto,
    stat,
    write,
    write_file,
)

__all__ = [
    "chmod",
    "close",
    "copy",
    "copytree",
    "exists",
    "fdatasync",
    "fstat",
    "fsync",
    "isdir",
    "isfile",
    "link",
    "listdir",
    "lstat",
    "makedirs",
    "mkdir",
    "open",
    "pread",
    "preadinto",
    "pwrite",
    "read",
    "read_file",
    "readinto",
    "readlink",
    "remove",
    "rename",
    "replace",
    "rmdir",
    "scandir",
    "stat",
    "symlink",
    "truncate",
    "unlink",
    "walk",
    "write",
    "write_file",
]

_T = TypeVar("_T")
_Path = str | bytes | os.PathLike[Any]

_ENTRIES_AT_ONCE = 256


def _start(call: Callable[[], _T]) -> "asyncio.Future[_T]":
    loop = asyncio.get_running_loop()
    if not isinstance(loop, Loop):
        raise RuntimeError(
            f"bide.fs needs a bide event loop, but {loop!r} is running; start the program "
            "with bide.run(main())"
        )
    return loop.run_in_executor(None, call)


async def _in_pool(call: Callable[[], _T]) -> _T:
    return await _start(call)


# ---- names ----


async def mkdir(path: _Path, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    """Make a directory."""
    await _in_pool(lambda: os.mkdir(path, mode, dir_fd=dir_fd))


async def makedirs(name: _Path, mode: int = 0o777, exist_ok: bool = False) -> None:
    """Make a directory and those above it that are missing."""
    await _in_pool(lambda: os.makedirs(name, mode, exist_ok))


async def unlink(path: _Path, *, dir_fd: int | None = None) -> None:
    """Remove a file."""
    await _in_pool(lambda: os.unlink(path, dir_fd=dir_fd))


remove = unlink


async def rmdir(path: _Path, *, dir_fd: int | None = None) -> None:
    """Remove an empty directory."""
    await _in_pool(lambda: os.rmdir(path, dir_fd=dir_fd))


async def rename(
    src: _Path, dst: _Path, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """Rename a file or a directory."""
    await _in_pool(
        lambda: os.rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
    )


async def replace(
    src: _Path, dst: _Path, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """Rename, in the place of what dst names."""
    await _in_pool(
        lambda: os.replace(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
    )


async def symlink(
    src: _Path,
    dst: _Path,
    target_is_directory: bool = False,
    *,
    dir_fd: int | None = None,
) -> None:
    """Make dst a symbolic link to src."""
    await _in_pool(
        lambda: os.symlink(src, dst, target_is_directory, dir_fd=dir_fd)
    )


async def readlink(path: Any, *, dir_fd: int | None = None) -> Any:
    """Return what a symbolic link points to."""
    return await _in_pool(lambda: os.readlink(path, dir_fd=dir_fd))


async def link(
    src: _Path,
    dst: _Path,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
    follow_symlinks: bool = True,
) -> None:
    """Give the file src a second name."""
    await _in_pool(
        lambda: os.link(
            src,
            dst,
            src_dir_fd=src_dir_fd,
            dst_dir_fd=dst_dir_fd,
            follow_symlinks=follow_symlinks,
        )
    )


async def chmod(
    path: _Path | int, mode: int, *, dir_fd: int | None = None, follow_symlinks: bool = True
) -> None:
    """Change a file's mode."""
    await _in_pool(
        lambda: os.chmod(path, mode, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
    )


async def truncate(path: _Path | int, length: int) -> None:
    """Make a file, a path or a descriptor, just so long."""
    await _in_pool(lambda: os.truncate(path, length))


# ---- questions ----


async def _mode_of(path: _Path | int) -> int:
    """0 when there is no such file."""
    try:
        return (await stat(path)).st_mode
    except (OSError, ValueError):
        return 0


async def exists(path: _Path | int) -> bool:
    """Return whether there is such a file; False for a broken symbolic link."""
    return await _mode_of(path) != 0


async def isfile(path: _Path | int) -> bool:
    """Return whether it is a regular file."""
    return _stat.S_ISREG(await _mode_of(path))


async def isdir(path: _Path | int) -> bool:
    """Return whether it is a directory."""
    return _stat.S_ISDIR(await _mode_of(path))


# ---- directories ----


async def listdir(path: Any = ".") -> Any:
    """Return the names in a directory."""
    return await _in_pool(lambda: os.listdir(path))


class scandir:
    """The os.DirEntry objects of a directory, for `async for` and `async with`."""

    def __init__(self, path: Any = ".") -> None:
        self._path = path
        self._scan: Any = None
        self._ready: Any = iter(())
        self._reading: asyncio.Future[list[os.DirEntry[Any]]] | None = None
        self._closed = False

    def _read_on(self) -> list["os.DirEntry[Any]"]:
        if self._scan is None:
            self._scan = os.scandir(self._path)
        return list(itertools.islice(self._scan, _ENTRIES_AT_ONCE))

    def __aiter__(self) -> "scandir":
        return self

    async def __anext__(self) -> "os.DirEntry[Any]":
        while True:
            for entry in self._ready:
                return entry  # type: ignore[no-any-return]
            if self._closed:
                raise StopAsyncIteration
            await self._read_more()

    async def _read_more(self) -> None:
        """A cancelled reader leaves what the thread reads to the next one."""
        reading = self._reading
        if reading is None:
            reading = self._reading = _start(self._read_on)
        await asyncio.wait([reading])
        if self._reading is not reading:
            return
        self._reading = None
        entries = reading.result()
        self._ready = iter(entries)
        if not entries:
            await self.close()

    async def close(self) -> None:
        """Close the directory before its end is reached."""
        self._closed = True
        self._ready = iter(())
        reading, self._reading = self._reading, None
        if reading is None:
            self._close_scan()
        else:
            reading.add_done_callback(self._close_after)

    def _close_after(self, reading: "asyncio.Future[Any]") -> None:
        """The thread that reads the directory must not lose it under its hands."""
        reading.cancelled() or reading.exception()
        self._close_scan()

    def _close_scan(self) -> None:
        scan, self._scan = self._scan, None
        if scan is not None:
            scan.close()

    async def __aenter__(self) -> "scandir":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


async def walk(
    top: Any,
    topdown: bool = True,
    onerror: Callable[[OSError], object] | None = None,
    followlinks: bool = False,
) -> AsyncIterator[tuple[Any, list[Any], list[Any]]]:
    """Yield (directory, names of directories, names of files) as os.walk does; what is
    removed from the second is not walked into."""
    errors: list[OSError] = []
    steps = os.walk(top, topdown, errors.append, followlinks)
    while True:
        found = await _in_pool(lambda: next(steps, None))
        for error in errors:
            if onerror is not None:
                onerror(error)
        errors.clear()
        if found is None:
            return
        yield found


# ---- copies ----


async def copy(src: Any, dst: Any, *, follow_symlinks: bool = True) -> Any:
    """Copy a file's content and mode to a file or into a directory; return the copy's
    path. A file system that can shares the blocks. A cancelled copy stops where it is."""
    with _copy.Stop() as stop:
        return await _in_pool(lambda: _copy.copy(src, dst, stop, follow_symlinks))


async def copytree(
    src: Any, dst: Any, *, symlinks: bool = False, dirs_exist_ok: bool = False
) -> Any:
    """Copy a directory with all that is in it, as copy does each file; return dst."""
    with _copy.Stop() as stop:
        return await _in_pool(
            lambda: _copy.copytree(src, dst, stop, symlinks, dirs_exist_ok)
        )
