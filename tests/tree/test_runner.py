"""The test runner itself: what fails must be counted, and must fail `make test`.

If these fail, a broken bide may be released behind a green run.
"""

import argparse
import contextlib
import io
import os
import signal
import sys

import pytest
from sources import ROOT

sys.path.insert(0, os.path.join(ROOT, "scripts"))
import junit
import ring_probe
import suites as runner

CTEST = """<testsuite name="x" tests="3" failures="1">
<testcase name="a" classname="a" status="run"/>
<testcase name="b" classname="b" status="fail"><failure message=""/></testcase>
<testcase name="c" classname="c" status="notrun"><skipped message="SKIP"/></testcase>
</testsuite>"""
PYTEST = """<testsuites><testsuite name="pytest" errors="1">
<testcase classname="tests.test_a" name="test_x"/>
<testcase classname="tests.test_a" name="test_y"><error message="fixture"/></testcase>
</testsuite></testsuites>"""
NODE = """<testsuites><testsuite name="group"><testcase name="in"/></testsuite>
<testcase name="out"><failure type="testCodeFailure"/></testcase></testsuites>"""
PASSED = '<testsuite><testcase name="a"/></testsuite>'


@pytest.mark.parametrize(
    "report, passed, skipped, failures",
    [(CTEST, 1, 1, ["b"]), (PYTEST, 1, 0, ["tests.test_a::test_y"]), (NODE, 1, 0, ["out"])],
)
def test_reports_are_counted(tmp_path, report, passed, skipped, failures):
    path = tmp_path / "report.xml"
    path.write_text(report)
    counts = junit.read(path)
    assert (counts.passed, counts.skipped, counts.failures) == (passed, skipped, failures)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs one suite whose command is a shell line."""
    monkeypatch.setattr(runner, "LOGS", str(tmp_path))

    def run_suite(line, refusal=None, backend="auto", prepare=()):
        suite = runner.Suite("suite", ["sh", "-c", line], backend, prepare)
        return suite.run(refusal)

    return run_suite


def writes(report):
    return f"printf '%s' '{report}' > {{report}}"


def test_passing_suite_counts_its_tests(run):
    counts = run(writes(PASSED)).counts
    assert (counts.passed, counts.failures) == (1, [])


def test_command_that_fails_without_a_failed_test_is_a_failure(run):
    assert run(writes(PASSED) + "; exit 3").counts.failures == ["the run itself: sh exited with 3"]


def test_suite_without_tests_is_a_failure(run):
    assert run("true").counts.failures
    assert run(writes("<testsuite/>")).counts.failures
    assert run(writes("<testsuite><testcase name=")).counts.failures


def test_preparation_that_fails_is_a_failure(run):
    assert run(writes(PASSED), prepare=(["false"],)).counts.failures


def test_suite_that_hangs_is_a_failure(run, monkeypatch):
    monkeypatch.setattr(runner, "SUITE_LIMIT_S", 0.1)
    (failure,) = run("cat /dev/zero > /dev/null").counts.failures
    assert "did not end" in failure


def test_refused_ring_is_told_and_not_passed(run):
    result = run(writes(PASSED), refusal="EPERM", backend="io_uring")
    assert (result.counts.passed, result.counts.skipped) == (0, 1)
    assert "EPERM" in result.note
    assert run(writes(PASSED), refusal="EPERM", backend="epoll").counts.passed == 1


def test_sample_has_every_pair_of_the_newest_and_three_interpreters_on_each_backend():
    sampled = [runner.sampled_backends(index) for index in range(5)]
    assert set(sampled[0]) == set(runner.BACKENDS) and all(sampled)
    for backend in runner.BACKENDS:
        assert sum(backend in backends for backends in sampled) >= 3


def test_suite_that_is_not_sampled_runs_when_it_is_named(monkeypatch):
    suites = [runner.Suite("a", [], backend, sampled=backend == "auto") for backend in
              runner.BACKENDS]
    monkeypatch.setattr(runner, "all_suites", lambda: suites)

    def selected(*names, matrix=False):
        arguments = argparse.Namespace(suites=list(names), quick=False, matrix=matrix)
        return [suite.backend for suite in runner.select(arguments)]

    assert selected() == ["auto"]
    assert selected("a.epoll") == ["epoll"]
    assert selected("a") == selected(matrix=True) == list(runner.BACKENDS)


def test_suites_run_beside_each_other_but_what_they_share_is_built_by_one(run, tmp_path):
    """A second build in the same directory would see the first one's half of a file."""
    alone = f"mkdir {tmp_path}/building && sleep 0.05 && rmdir {tmp_path}/building"
    meeting = f"echo > {tmp_path}/$BIDE_BACKEND; while ! test -e {tmp_path}/auto -a -e " \
        f"{tmp_path}/epoll; do sleep 0.01; done"
    suites = [
        runner.Suite("suite", ["sh", "-c", f"{meeting}; {writes(PASSED)}"], backend,
                     prepare=(["sh", "-c", alone],), limit_s=30)
        for backend in ("auto", "epoll")
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        results = runner.run_all(suites, 2)
    assert [result.name for result in results] == ["suite.auto", "suite.epoll"]
    assert [result.counts.failures for result in results] == [[], []]


def test_matrix_is_written_with_its_failures(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "MATRIX", str(tmp_path / "matrix.md"))
    results = [runner.Result("a", seconds=1.2), runner.Result("b", note="not run: EPERM")]
    results[0].counts.failures = ["x::y"]
    runner.write_matrix(results)
    lines = (tmp_path / "matrix.md").read_text().splitlines()
    assert "| a | 0 | 1 | 0 | 1 | x::y |" in lines
    assert "| b | 0 | 0 | 0 | 0 | not run: EPERM |" in lines
    assert lines[-1] == "0 passed, 1 failed, 0 skipped"


def test_suite_sees_its_backend_and_no_other(run, monkeypatch):
    monkeypatch.setenv("BIDE_BACKEND", "epoll")
    assert run(f'test "$BIDE_BACKEND" = auto && {writes(PASSED)}').counts.passed == 1
    assert run(f'test -z "$BIDE_BACKEND" && {writes(PASSED)}', backend=None).counts.passed == 1


@pytest.mark.parametrize("name", ["INT", "HUP"])
def test_suite_heeds_signals_though_its_runner_ignores_them(run, name):
    number = getattr(signal, "SIG" + name)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        line = f"trap 'exit 0' {name}; kill -{name} $$; exit 1"
        assert run(f"{writes(PASSED)}; {line}").counts.failures == []
    finally:
        signal.signal(number, before)


def test_summary_ends_with_the_plain_line():
    results = [runner.Result("a"), runner.Result("b", note="not run: EPERM")]
    results[0].counts.passed = 2
    results[0].counts.failures = ["x"]
    results[1].counts.skipped = 1
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert runner.print_summary(results) == 1
    assert output.getvalue().splitlines()[-1] == "2 passed, 1 failed, 1 skipped"


def test_probe_gives_an_answer():
    refusal = ring_probe.refusal()
    assert refusal is None or refusal.startswith(("io_uring_setup was refused: E", "kernel "))
