"""anyio's own tests, from its sdist: those of its asyncio backend, whose loop factory
is the loop under test, as `anyio.run(..., backend_options={"loop_factory": ...})` has it.
blockbuster, which they run under, lets bide make the calls that it lets asyncio make."""

import asyncio
import importlib
import sys

import blocking
import loops
import pytest
import with_pytest

SOURCES = [
    {
        "name": "anyio",
        "version": "4.16.0",
        "sha256": "59bb03251907983d1603d27c3087ddb1e93299ea2163adcdba37899a4fb12ffb",
        "without": ("src",),
    }
]
LIMIT_S = 900
PYTHONS = ["3.13", "3.11"]


class LoopFactory:
    """Puts the loop's factory into the parameters of anyio's fixture."""

    def __init__(self, context):
        self._make = loops.factory(context.loop)

    def _make_eager(self):
        loop = self._make()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc):
        conftest = importlib.import_module("tests.conftest")
        factories = {"asyncio": self._make, "asyncio+eager": self._make_eager}
        for parameter in conftest.asyncio_params:
            if parameter.id in factories:
                (_, options), = parameter.values
                options["loop_factory"] = factories[parameter.id]


def run(context):
    directory = context.sources["anyio"]
    sys.path.insert(0, directory)
    blocking.let_bide_do_as_asyncio()
    with_pytest.run(context, directory, "tests", plugins=[LoopFactory(context)])
