"""Runs the tests of a file again and again in one process, and looks whether anything stays.

    repeats.py FILE

After each round, once the garbage is collected, it counts the objects by their types, the
bytes that tracemalloc traces and the open file descriptors. Caches fill in the first
rounds; a leak grows in each of those that follow. Exits with 1 if something does, or if a
test fails, and says what and where it was allocated.
"""

import collections
import functools
import gc
import itertools
import linecache
import os
import re
import sys
import tracemalloc
import warnings

import pytest

ROUNDS = 5
ROUNDS_WARM = 2
BYTES_MIN = 2048  # a round; less comes and goes with the tables of names and numbers
LINES_SHOWN = 8


class Repeats:
    """A pytest plugin, in the place of the reports that pytest itself would keep."""

    def __init__(self):
        self.passed = 0
        self.failures = []
        self.bytes = []
        self.fds = []
        self.snapshots = []
        self.objects = {}  # the counts of each type that grew in each measured round
        self.counted = None  # all types' of the round before; what is kept is traced too

    @pytest.hookimpl
    def pytest_collectreport(self, report):
        if report.failed:
            self.failures.append(f"{report.nodeid}: {report.longreprtext}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        for _ in range(ROUNDS):
            for item, following in itertools.zip_longest(session.items, session.items[1:]):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
                item._report_sections.clear()
            self.measure()
        return True

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report):
        self.passed += report.when == "call" and report.passed
        if report.failed:
            self.failures.append(f"{report.nodeid}: {report.longreprtext}")

    def measure(self):
        gc.unfreeze()  # what the tests' conftest has left out of theirs
        empty_caches()
        for _ in range(3):
            gc.collect()
        self.fds.append(len(os.listdir("/proc/self/fd")))
        self.bytes.append(tracemalloc.get_traced_memory()[0])
        if len(self.bytes) in (ROUNDS_WARM, ROUNDS):
            self.snapshots.append(tracemalloc.take_snapshot())
        counted = collections.Counter(map(type_name, gc.get_objects()))
        if len(self.bytes) == ROUNDS_WARM + 1:
            self.objects = {name: [self.counted[name]] for name in counted}
        self.objects = {
            name: [*counts, counted[name]] for name, counts in self.objects.items()
            if counted[name] > counts[-1]
        }
        self.counted = counted

    def growth(self):
        """What grew in each round after those that warm up."""
        for name, counts in self.objects.items():
            yield f"objects of {name}: {counts}"
        if grows(self.fds):
            yield f"file descriptors: {self.fds}"
        if grows(self.bytes, BYTES_MIN):
            yield f"bytes: {self.bytes}"
            before, after = (
                snapshot.filter_traces([tracemalloc.Filter(False, tracemalloc.__file__)])
                for snapshot in self.snapshots
            )
            lines = after.compare_to(before, "lineno")
            yield from (f"    {line}" for line in lines[:LINES_SHOWN])


def empty_caches():
    """The interpreter's and its libraries', which fill for longer than five rounds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        sys._clear_type_cache()
    linecache.clearcache()
    re.purge()
    for thing in gc.get_objects():
        if isinstance(thing, functools._lru_cache_wrapper):
            thing.cache_clear()


def type_name(thing):
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"


def grows(counts, least=1):
    steps = itertools.pairwise(counts[ROUNDS_WARM - 1:])
    return all(later - sooner >= least for sooner, later in steps)


def main():
    repeats = Repeats()
    tracemalloc.start()
    code = pytest.main(
        ["-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:junitxml", sys.argv[1]],
        plugins=[repeats],
    )
    wrong = list(repeats.failures)
    if repeats.passed:
        wrong += repeats.growth()
    else:
        wrong.append(f"no test passed; pytest ended with {code}")
    print("\n".join(wrong) or f"{repeats.passed} passed, nothing grew")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
