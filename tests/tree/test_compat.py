"""The runner of `make compat`: what fails on bide alone must be told, and must fail it.

If these fail, docs/results may promise more than the suites of real programs have shown.
"""

import json
import os
import sys
import tempfile

import pytest
from sources import ROOT

sys.path.insert(0, os.path.join(ROOT, "scripts"))
import compat
import compat_report

SUITE = '''
"""Tests, by how they fare on bide."""
import os

RUNS = ["asyncio", "epoll"]


def outcome(context, test):
    if test == "broken":
        return "failed", "as ever"
    if context.loop == "asyncio":
        late = test == "late" and context.wants("good")
        return ("failed", "with the others") if late else ("passed", "")
    if test == "absent":
        return "skipped", "no such loop"
    if test == "crashes":
        os.abort()
    return ("failed", "boom") if test in ("worse", "late", "known[1]") else ("passed", "")


def run(context):
    for test in ("good", "broken", "crashes", "absent", "worse", "late", "known[1]"):
        if context.wants(test):
            context.journal.started(test)
            context.journal.ended(test, *outcome(context, test))
    context.journal.complete()
'''


class Environment:
    """This interpreter in the place of a suite's own."""

    def __init__(self, suite, version, interpreter):
        self.version, self.python = version, interpreter

    def make(self):
        pass

    def packages(self):
        return {"pkg": "1.2"}

    def python_version(self):
        return self.version


@pytest.fixture
def run_suite(tmp_path, monkeypatch):
    """Runs the suite above; returns how many new failures there were and the page."""
    directory = tmp_path / "suite"
    directory.mkdir()
    (directory / "suite.py").write_text(SUITE)
    monkeypatch.setattr(compat, "BUILD", str(tmp_path))
    monkeypatch.setattr(compat, "Environment", Environment)
    monkeypatch.setattr(compat.Run, "_key", lambda self: "key")
    monkeypatch.setattr(compat, "hosts_wrapper", list)
    monkeypatch.setattr(compat_report, "DIRECTORY", str(tmp_path))

    def run(expected):
        (directory / "expected.json").write_text(json.dumps(expected))
        suite = compat.Suite(str(directory))
        suite.name = "suite"
        new = compat.run_suite(
            suite, [("3.13", sys.executable)], ["asyncio", "epoll"], again=True
        )
        return new, (tmp_path / "suite.md").read_text()

    return run


def test_a_failure_that_asyncio_has_not_counts_until_it_is_explained(run_suite):
    new, page = run_suite({"known[1]": "of asyncio's own parts", "crash*": "aborts"})
    assert new == 2
    assert "| asyncio | 5 | 2 | 0 |  |  |  |" in page
    assert "| bide, epoll | 1 | 5 | 1 | 2 | 2 | 0 |" in page
    assert "- `worse` (epoll): boom" in page
    assert "- `known[1]` (epoll): of asyncio's own parts" in page
    assert "- `crashes` (epoll): aborts" in page
    assert "- `late` (epoll): boom" in page
    assert "Failed on asyncio itself:\n\n- `broken` (asyncio): as ever" in page
    assert "Flaky:\n\n- `late` (asyncio): passed when run alone" in page
    assert "- 1 (epoll): no such loop" in page
    assert "Passed on asyncio, not run on bide:\n\n- `absent` (epoll): no such loop" in page
    assert "Packages: pkg 1.2." in page
    assert run_suite({"*": "all of it"})[0] == 0


def test_a_reason_that_explains_nothing_is_told(run_suite, capsys):
    run_suite({"worse": "fails", "gone*": "failed once"})
    told = capsys.readouterr().out
    assert "expected.json has a reason for gone*" in told
    assert "reason for worse" not in told


def test_a_failure_that_passes_alone_is_flaky():
    result = compat_report.RunResult("epoll", {"test_a": ("failed", "boom")})
    result.judge(["test_a"], {"test_b": "once failed"})
    result.retried(1, {"test_a": "failed"})
    assert result.new == {"test_a": "boom"}
    result.retried(2, {"test_a": "passed"})
    assert (result.new, list(result.flaky)) == ({}, ["test_a"])


@pytest.mark.parametrize("new, code", [(0, 0), (2, 1)])
def test_the_exit_code_tells_of_new_failures(monkeypatch, new, code):
    monkeypatch.setattr(compat, "run_suite", lambda *_: new)
    monkeypatch.setattr(compat.pythons, "find", lambda: [("3.13", sys.executable)])
    monkeypatch.setattr(compat_report, "write_index", lambda: None)
    monkeypatch.setattr(compat.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["compat.py", "smoke"])
    with pytest.raises(SystemExit) as ended:
        compat.main()
    assert ended.value.code == code


def test_a_skip_without_a_reason_is_named():
    outcomes = {"test_a": ("skipped", "Skipped"), "test_b": ("skipped", "Skipped: no IPv6")}
    assert compat_report.skip_reasons(outcomes) == {
        "`test_a` gives no reason": 1, "no IPv6": 1,
    }


def test_messages_do_not_tell_where_they_come_from():
    told = compat_report.without_places
    assert told(f"cannot run {ROOT}/.deps/bin/python") == "cannot run .deps/bin/python"
    assert told(f"['{ROOT[:9]}...packages']") == "['...packages']"
    assert told(f"in {tempfile.gettempdir()}/bcx12_ab/t/file") == "in WORK/t/file"
