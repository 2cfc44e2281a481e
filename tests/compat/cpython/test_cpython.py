"""The part of CPython's own tests of asyncio that does I/O, on bide.

If these fail, a program that is right on asyncio goes wrong on bide.
"""

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


def failures(name, loop, directory, wants):
    journal = runner.Quiet()
    runner.Module(name, loop, journal, wants, str(directory)).run()
    assert journal.outcomes, f"no test of {name} ran"
    return journal.reasons


@pytest.mark.parametrize("name, short", MODULES, ids=[short for _, short in MODULES])
def test_no_failure_that_asyncio_does_not_have(name, short, tmp_path):
    def is_expected(test):
        return any(fnmatch.fnmatchcase(test, pattern) for pattern in EXPECTED)

    failed = failures(name, "bide", tmp_path, lambda test: not is_expected(test))
    if failed:
        theirs = failures(name, "asyncio", tmp_path, failed.__contains__)
        failed = {test: why for test, why in failed.items() if test not in theirs}
    assert failed == {}
