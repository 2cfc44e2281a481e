"""Asks the kernel, without bide, whether it grants an io_uring.

The tests need an answer that does not come from the code under test: a bug in bide that
refused every ring must fail the io_uring runs and not cancel them.
"""

import ctypes
import errno
import os
import platform

SYS_IO_URING_SETUP = 425  # the same on every architecture but alpha
PARAMS_BYTES = 120  # sizeof(struct io_uring_params)
KERNEL_MIN = (6, 1)


def refusal():
    """None when a ring is granted, else why not, in one phrase."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    params = ctypes.create_string_buffer(PARAMS_BYTES)
    fd = libc.syscall(SYS_IO_URING_SETUP, 8, params)
    if fd < 0:
        number = ctypes.get_errno()
        name = errno.errorcode.get(number, str(number))
        return f"io_uring_setup was refused: {name} ({os.strerror(number)})"
    os.close(fd)
    release = platform.release()
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if version < KERNEL_MIN:
        return f"kernel {release} is older than {KERNEL_MIN[0]}.{KERNEL_MIN[1]}"
    return None
