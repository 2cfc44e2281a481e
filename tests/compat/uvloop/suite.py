"""uvloop's own tests, from its sdist, with bide in uvloop's place. What they try on
asyncio's loop for comparison, and how uvloop's own sources are written, is left out."""

import os
import shutil
import sys

import with_pytest

SOURCES = [
    {
        "name": "uvloop",
        "version": "0.23.0",
        "sha256": "28d160f51ab4da3b187063652e643dea6831072add4adc1e6d62afbe73b6be27",
    }
]
RUNS = ["uvloop", "io_uring", "epoll", "auto"]
REFERENCE = "uvloop"
LIMIT_S = 1200
PYTHONS = ["3.13", "3.11"]

HERE = os.path.dirname(os.path.abspath(__file__))


def put_shim_on_path(directory, sdist):
    """A package `uvloop` of the shim and uvloop's helpers for tests, which the programs
    that the tests start find too."""
    package = os.path.join(directory, "shim", "uvloop")
    os.makedirs(package)
    shutil.copy(os.path.join(HERE, "shim", "uvloop.py"), os.path.join(package, "__init__.py"))
    shutil.copy(os.path.join(sdist, "uvloop", "_testbase.py"), package)
    path = os.path.dirname(package)
    os.environ["PYTHONPATH"] = path
    sys.path.insert(0, path)


def run(context):
    sdist = context.sources["uvloop"]
    shutil.copytree(os.path.join(sdist, "tests"), os.path.join(context.work, "tests"))
    if context.loop == "bide":
        put_shim_on_path(context.work, sdist)
    # One test has a child write to the file descriptors that pytest would capture.
    with_pytest.run(
        context, context.work, "tests", "--capture=no", "--import-mode=append",
        "-k", "not _AIO_ and not TestBaseAIO", "--ignore=tests/test_sourcecode.py",
        "--continue-on-collection-errors",
    )
