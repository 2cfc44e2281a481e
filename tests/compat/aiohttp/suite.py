"""aiohttp's own tests, from its sdist, against the aiohttp that pip installs.
blockbuster, which they run under, lets bide make the calls that it lets asyncio make."""

import blocking
import with_pytest

SOURCES = [
    {
        "name": "aiohttp",
        "version": "3.14.5",
        "sha256": "5558a7f5a05af9ecf744af91e5baefc436f93c9333e656c27ec253f9a6bbe178",
        "without": ("aiohttp",),
    }
]
LIMIT_S = 1800
PYTHONS = ["3.13", "3.11"]


# A collection after every test takes most of the time, and reports nothing on its own.
FAST = "--aiohttp-fast"


def run(context):
    blocking.let_bide_do_as_asyncio()
    with_pytest.run(
        context, context.sources["aiohttp"], "tests", FAST,
        "--ignore=tests/autobahn", "--ignore-glob=tests/test_benchmarks*",
    )
