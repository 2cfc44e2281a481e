"""The part of CPython's own tests of asyncio that does I/O, on bide.

If these fail, a program that is right on asyncio goes wrong on bide.
"""

import concurrent.futures
import fnmatch
import json
import os

import classes
import pytest
import run as runner

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "expected.json"), encoding="utf-8") as file:
    EXPECTED = json.load(file)
MODULES = [(name, short) for name, short in classes.modules() if short in classes.CORE]
LONGEST = "test_ssl"
AT_ONCE = 2  # modules; most tests wait for something


def is_expected(test):
    return any(fnmatch.fnmatchcase(test, pattern) for pattern in EXPECTED)


def failures(name, loop, directory, wants):
    journal = runner.Quiet()
    runner.Module(name, loop, journal, wants, str(directory)).run()
    assert journal.outcomes, f"no test of {name} ran"
    return journal.reasons


@pytest.fixture(scope="module")
def running(request, tmp_path_factory):
    """{name: future of its failures} of the modules that were asked for."""
    asked = {item.callspec.params["name"] for item in request.session.items
             if item.module is request.module}
    pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
    yield {
        name: pool.submit(
            failures, name, "bide", tmp_path_factory.mktemp(short),
            lambda test: not is_expected(test),
        )
        for name, short in sorted(MODULES, key=lambda module: module[1] != LONGEST)
        if name in asked
    }
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name, short", MODULES, ids=[short for _, short in MODULES])
def test_no_failure_that_asyncio_does_not_have(name, short, running, tmp_path):
    failed = running[name].result()
    if failed:
        theirs = failures(name, "asyncio", tmp_path, failed.__contains__)
        failed = {test: why for test, why in failed.items() if test not in theirs}
    assert failed == {}
