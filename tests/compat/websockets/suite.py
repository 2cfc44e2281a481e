"""websockets' own tests. Its sdist leaves out those that open connections, and the
newest has none at all; Debian's source package of 15.0.1 has them."""

import os
import sys

import with_pytest

SOURCES = [
    {
        "name": "websockets",
        "version": "15.0.1",
        "sha256": "8451495265af3e368f794c4dc15c99ce90c771d95560f542bff8c64b5455af3b",
        "debian": ("python-websockets", "15.0.1-1"),
        "suite": "trixie",
        "without": ("src",),
    }
]
LIMIT_S = 900
PYTHONS = ["3.13", "3.11"]


def run(context):
    directory = context.sources["websockets"]
    sys.path.insert(0, directory)
    # Its tests are unittest's and have no settings for pytest: nor are bide's to count.
    # tests/sync has threads and no loop.
    settings = (f"--rootdir={directory}", f"--config-file={os.devnull}")
    with_pytest.run(context, directory, "tests", "--ignore=tests/sync", *settings)
