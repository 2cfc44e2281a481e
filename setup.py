"""Builds bide._bide: the core as one unit and the CPython glue around it."""

import glob
import re
import sys

from setuptools import Extension, setup

if not sys.platform.startswith("linux"):
    sys.exit(f"bide is for Linux: its loop waits on io_uring or epoll, and {sys.platform} has neither")


def version() -> str:
    """The core's header is the one place that holds the version."""
    with open("core/include/bide/base.h", encoding="utf-8") as header:
        match = re.search(r'BIDE_VERSION_STRING "([^"]+)"', header.read())
    assert match is not None, "core/include/bide/base.h defines no BIDE_VERSION_STRING"
    return match[1]


setup(
    version=version(),
    ext_modules=[
        Extension(
            "bide._bide",
            sources=["core/src/lib.c", *sorted(glob.glob("bindings/python/*.c"))],
            include_dirs=["core/include"],
            depends=[
                *glob.glob("core/**/*.[ch]", recursive=True),
                *glob.glob("bindings/python/*.h"),
            ],
            define_macros=[("BIDE_EMBEDDED", None), ("_GNU_SOURCE", None)],
            extra_compile_args=["-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra"],
        )
    ],
)
