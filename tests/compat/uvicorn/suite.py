"""uvicorn's own tests, from its sdist, against the uvicorn that pip installs."""

import sys

import with_pytest

SOURCES = [
    {
        "name": "uvicorn",
        "version": "0.54.0",
        "sha256": "a2e33cbfaa0306f8e6b0c13e0cb89d7d7a2da3e62b90c66e18c33d9807b28620",
        "without": ("uvicorn",),
    }
]
LIMIT_S = 900
PYTHONS = ["3.13", "3.11"]


def run(context):
    directory = context.sources["uvicorn"]
    # The tests import each other, and the applications that they serve.
    sys.path.insert(0, directory)
    with_pytest.run(context, directory, "tests", "--ignore=tests/benchmarks")
