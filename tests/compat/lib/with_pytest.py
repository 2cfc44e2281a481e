"""Runs a suite's tests with pytest, on the loop that the context names."""

import os

import loops
import pytest

TEST_LIMIT_S = 60


class Recorder:
    """A pytest plugin: the journal's outcomes, one for each test."""

    def __init__(self, context):
        self._context = context
        self._journal = context.journal
        self._outcome = None

    def pytest_collection_modifyitems(self, config, items):
        chosen = [item for item in items if self._context.wants(item.nodeid)]
        left = [item for item in items if not self._context.wants(item.nodeid)]
        config.hook.pytest_deselected(items=left)
        items[:] = chosen

    def pytest_collectreport(self, report):
        if report.failed:
            self._journal.ended(report.nodeid, "failed", last_line(report.longreprtext))
        elif report.skipped and self._context.wants(report.nodeid):
            self._journal.ended(report.nodeid, "skipped", skip_reason(report))

    def pytest_runtest_logstart(self, nodeid, location):
        self._outcome = ("passed", "")
        self._journal.started(nodeid)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self._outcome = ("failed", f"{report.when}: {last_line(report.longreprtext)}")
        elif report.skipped and self._outcome[0] == "passed":
            self._outcome = ("skipped", skip_reason(report))

    def pytest_runtest_logfinish(self, nodeid, location):
        self._journal.ended(nodeid, *self._outcome)


def last_line(text):
    """The line that says what went wrong: pytest marks it with an E."""
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    if marked and marked[0].startswith("+ Exception Group"):
        marked = [line.strip("|+- ") for line in marked if "Error" in line][-1:] or marked
    lines = marked or [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:300] if lines else ""


def skip_reason(report):
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}"[:300]
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])[:300]
    return last_line(report.longreprtext)


def run(context, directory, *arguments, plugins=()):
    """Runs the tests of a directory with the loop installed."""
    loops.install(context.loop)
    run_here(context, directory, *arguments, plugins=plugins)


def run_here(context, directory, *arguments, plugins=()):
    """Runs the tests of a directory. The suite's own settings count but for its addopts:
    those ask for coverage and many processes."""
    os.chdir(directory)
    code = pytest.main(
        [
            "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--tb=short",
            f"--timeout={TEST_LIMIT_S}", f"--basetemp={context.work}/t", *arguments,
        ],
        plugins=[Recorder(context), *plugins],
    )
    finished = (
        pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED
    )
    if code in finished:
        context.journal.complete()
