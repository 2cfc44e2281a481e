"""bide.open: what the builtin open takes, and an asynchronous file."""

import asyncio
import codecs
import errno
import functools
import inspect
import io
import operator
import os
import stat
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, overload

from ._bide import Loop, open_file
from ._file_binary import BinaryFile
from ._file_raw import RawFile
from ._file_text import TextFile, check_newline, check_strings, text_encoding

if TYPE_CHECKING:
    from ._bide import _BinaryMode, _TextMode

_F = TypeVar("_F", TextFile, BinaryFile, RawFile, TextFile | BinaryFile | RawFile)
_Opener = Callable[[Any, int], Any]
_FIRST_RETRY_S = 0.001
_LAST_RETRY_S = 0.05


class _Mode(NamedTuple):
    raw: str
    flags: int
    text: bool


@functools.lru_cache(maxsize=64)
def _parse_mode(mode: str) -> _Mode:
    letters = set(mode)
    if letters - set("axrwb+t") or len(mode) > len(letters):
        raise ValueError(f"invalid mode: {mode!r}")
    if letters >= {"t", "b"}:
        raise ValueError("can't have text and binary mode at once")
    kinds = letters & set("axrw")
    if len(kinds) != 1:
        raise ValueError("must have exactly one of create/read/write/append mode")
    kind = kinds.pop()
    flags = {
        "r": 0,
        "w": os.O_CREAT | os.O_TRUNC,
        "x": os.O_CREAT | os.O_EXCL,
        "a": os.O_CREAT | os.O_APPEND,
    }[kind]
    if "+" in letters:
        flags |= os.O_RDWR
    else:
        flags |= os.O_RDONLY if kind == "r" else os.O_WRONLY
    # io names a file for reading and writing alike, whether it was emptied or not.
    kind = "r" if kind == "w" and "+" in letters else kind
    raw = f"{kind}b+" if "+" in letters else f"{kind}b"
    return _Mode(raw, flags, "b" not in letters)


def _check_options_of_binary(**options: str | None) -> None:
    for name, value in options.items():
        if value is not None:
            article = "an" if name[0] == "e" else "a"
            raise ValueError(f"binary mode doesn't take {article} {name} argument")


def _check_buffering(buffering: int, mode: _Mode) -> None:
    if buffering == 0 and mode.text:
        raise ValueError("can't have unbuffered text I/O")
    if buffering == 1 and not mode.text:
        warnings.warn(
            "line buffering (buffering=1) isn't supported in binary mode, the default "
            "buffer size will be used",
            RuntimeWarning,
            stacklevel=3,
        )


class _Descriptor(NamedTuple):
    fd: int
    mode: int
    size: int
    block_size: int


def _describe(fd: int) -> _Descriptor:
    status = os.fstat(fd)
    return _Descriptor(fd, status.st_mode, status.st_size, status.st_blksize)


async def _open_with(opener: _Opener, file: Any, flags: int) -> _Descriptor:
    fd = opener(file, flags)
    if inspect.isawaitable(fd):
        fd = await fd
    if not isinstance(fd, int):
        raise TypeError("expected integer from opener")
    if fd < 0:
        raise ValueError(f"opener returned {fd}")
    os.set_inheritable(fd, False)
    return _describe(fd)


def _lacks_reader(path: Any, flags: int) -> bool:
    return flags & os.O_ACCMODE == os.O_WRONLY and stat.S_ISFIFO(os.stat(path).st_mode)


async def _open_path(path: Any, flags: int) -> _Descriptor:
    """A FIFO is opened without waiting, which for a writer fails while nobody reads: then
    it is tried again, which a cancel ends everywhere."""
    delay_s = _FIRST_RETRY_S
    while True:
        try:
            return _Descriptor(*await open_file(path, flags, 0o666))
        except OSError as error:
            if error.errno != errno.ENXIO or not _lacks_reader(path, flags):
                raise
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LAST_RETRY_S)


async def _open_descriptor(
    file: Any, mode: _Mode, closefd: bool, opener: _Opener | None
) -> _Descriptor:
    if isinstance(file, int):
        if file < 0:
            raise ValueError("negative file descriptor")
        return _describe(file)
    path = os.fspath(file)
    if not closefd:
        raise ValueError("Cannot use closefd=False with file name")
    if opener is not None:
        return await _open_with(opener, file, mode.flags | os.O_CLOEXEC)
    return await _open_path(path, mode.flags)


def _raw_file(opened: _Descriptor, file: Any, mode: _Mode, closefd: bool) -> RawFile:
    try:
        if stat.S_ISDIR(opened.mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
        name, offset, size = file, None, 0
        if stat.S_ISREG(opened.mode) or stat.S_ISBLK(opened.mode):
            whence = os.SEEK_END if mode.raw[0] == "a" else os.SEEK_CUR
            offset, size = os.lseek(opened.fd, 0, whence), opened.size
        if not isinstance(file, int):
            name = os.fspath(file)
        return RawFile(opened.fd, name, mode.raw, closefd, offset, size)
    except BaseException:
        if not isinstance(file, int):
            os.close(opened.fd)
        raise


async def _open(
    file: Any,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    closefd: bool,
    opener: _Opener | None,
) -> TextFile | BinaryFile | RawFile:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, Loop):
        raise RuntimeError(
            f"bide.open() needs a bide event loop, but {loop!r} is running; start the "
            "program with bide.run(main())"
        )
    buffering = operator.index(buffering)
    check_strings("open", encoding=encoding, errors=errors, newline=newline)
    wanted = _parse_mode(mode)
    _check_buffering(buffering, wanted)
    codec = ""
    if wanted.text:
        check_newline(newline)
        codec = text_encoding(encoding)
        codecs.lookup_error(errors or "strict")
    else:
        _check_options_of_binary(encoding=encoding, errors=errors, newline=newline)
    opened = await _open_descriptor(file, wanted, closefd, opener)
    raw = _raw_file(opened, file, wanted, closefd)
    try:
        if buffering == 0:
            return raw
        size = max(opened.block_size, io.DEFAULT_BUFFER_SIZE)
        terminal = buffering < 0 and stat.S_ISCHR(opened.mode) and raw.isatty()
        binary = BinaryFile(raw, buffering if buffering > 1 else size)
        if not wanted.text:
            return binary
        text = TextFile(
            binary, codec, errors or "strict", newline, terminal or buffering == 1
        )
        text.mode = mode
        return text
    except BaseException:
        raw._close_now()
        raise


class Opening(Coroutine[Any, Any, _F], Generic[_F]):
    """What bide.open() returns: `await` it, or enter it with `async with`."""

    def __init__(self, opening: Coroutine[Any, Any, Any]) -> None:
        self._opening = opening
        self._file: Any = None

    def __await__(self) -> Generator[Any, Any, _F]:
        return self._opening.__await__()

    def send(self, value: Any) -> Any:
        return self._opening.send(value)

    def throw(self, *error: Any) -> Any:
        return self._opening.throw(*error)

    def close(self) -> None:
        self._opening.close()

    async def __aenter__(self) -> _F:
        self._file = await self._opening
        return self._file  # type: ignore[no-any-return]

    async def __aexit__(self, *exception: object) -> None:
        await self._file.close()


@overload
def open(
    file: Any,
    mode: "_TextMode" = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
) -> Opening[TextFile]: ...
@overload
def open(
    file: Any,
    mode: "_BinaryMode",
    buffering: Literal[0],
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
) -> Opening[RawFile]: ...
@overload
def open(
    file: Any,
    mode: "_BinaryMode",
    buffering: int = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
) -> Opening[BinaryFile]: ...
@overload
def open(
    file: Any,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
) -> Opening[TextFile | BinaryFile | RawFile]: ...


def open(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
) -> Any:
    """Open a file as the builtin open does, on the running bide loop:

        async with bide.open("notes.txt") as file:
            async for line in file: ...

        file = await bide.open("data.bin", "rb")
    """
    if not isinstance(mode, str):
        raise TypeError(f"open() argument 'mode' must be str, not {type(mode).__name__}")
    if encoding is None and "b" not in mode:
        encoding = io.text_encoding(encoding)  # type: ignore[attr-defined,unused-ignore]
    return Opening(
        _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    )
