"""Copying files, on a thread of the executor."""

import errno
import fcntl
import os
import shutil
import stat
from types import TracebackType
from typing import Any

_FICLONE = 0x40049409
_AT_ONCE = 64 << 20
_BUFFER = 1 << 20

# The file systems cannot do it between these two files.
_UNABLE = {
    errno.EBADF,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTTY,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.ETXTBSY,
    errno.EXDEV,
}


class Stop:
    """Set when the coroutine that waits for the copy has been left."""

    def __init__(self) -> None:
        self.wanted = False

    def __enter__(self) -> "Stop":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wanted = True


def _clone(source: int, target: int) -> bool:
    """Let both files share their blocks; False where that cannot be."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        return False
    return True


def _copy_range(source: int, target: int, stop: Stop) -> int:
    """Let the kernel copy; return how much it did."""
    copied = 0
    while not stop.wanted:
        try:
            step = os.copy_file_range(source, target, _AT_ONCE)
        except OSError as error:
            if copied or error.errno not in _UNABLE:
                raise
            return 0
        if step == 0:
            break
        copied += step
    return copied


def _copy_bytes(source: int, target: int, stop: Stop) -> None:
    while not stop.wanted and (data := os.read(source, _BUFFER)):
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]


def _copy_content(source: int, target: int, stop: Stop) -> None:
    """Files of /proc seem empty to the kernel's copy: nothing copied means to read it."""
    if not _clone(source, target) and not _copy_range(source, target, stop):
        _copy_bytes(source, target, stop)


def _refuse_special(path: Any, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if stat.S_ISFIFO(mode):
        raise shutil.SpecialFileError(f"`{os.fsdecode(path)}` is a named pipe")


def _copy_file(src: Any, dst: Any, stop: Stop) -> None:
    status = os.stat(src)
    _refuse_special(src, status.st_mode)
    try:
        existing = os.stat(dst)
    except FileNotFoundError:
        pass
    else:
        _refuse_special(dst, existing.st_mode)
        if os.path.samestat(status, existing):
            raise shutil.SameFileError(f"{src!r} and {dst!r} are the same file")
    source = os.open(src, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        target = os.open(dst, flags, 0o666)
        try:
            _copy_content(source, target, stop)
        finally:
            os.close(target)
    finally:
        os.close(source)


def copy(src: Any, dst: Any, stop: Stop, follow_symlinks: bool = True) -> Any:
    """As shutil.copy."""
    if os.path.isdir(dst):
        dst = os.path.join(dst, os.path.basename(src))
    if not follow_symlinks and os.path.islink(src):
        os.symlink(os.readlink(src), dst)
    else:
        _copy_file(src, dst, stop)
        shutil.copymode(src, dst)
    return dst


def copytree(src: Any, dst: Any, stop: Stop, symlinks: bool, dirs_exist_ok: bool) -> Any:
    """As shutil.copytree; once stop is wanted, no further file is copied."""

    def copy_one(source: Any, target: Any) -> Any:
        return target if stop.wanted else copy(source, target, stop)

    return shutil.copytree(
        src, dst, symlinks=symlinks, copy_function=copy_one, dirs_exist_ok=dirs_exist_ok
    )
