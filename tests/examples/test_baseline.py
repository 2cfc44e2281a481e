"""A step of the loop costs no more than it did: instructions and system calls, counted.

What a user loses if these fail: speed, by a change that no benchmark would tell from the
noise of the machine. benchmarks/baseline.json keeps the counts of one interpreter and
compiler; with others, the loop is held to asyncio's.
"""

import json
import os
import shutil
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import baseline  # noqa: E402

# callgrind itself: no other program is to be measured at such length.
pytestmark = pytest.mark.timeout(120)


def names():
    """The backend that the environment names, as the test runner does; else all."""
    named = os.environ.get("BIDE_BACKEND")
    if named == "auto":
        pytest.skip("auto is one of the other two, which are counted")
    return [name for name in baseline.backends() if named is None or name.endswith(named)]


def require_tools():
    for tool in ("valgrind", "strace", "setarch"):
        assert shutil.which(tool) is not None, f"{tool} is missing; run: make deps"


def test_step_takes_no_more_than_its_baseline():
    require_tools()
    before = baseline.kept().get(baseline.key())
    if before is None:
        pytest.skip(f"baseline.json has no counts for {baseline.key()}")
    found = baseline.measure(names())
    assert baseline.grown(found, before) == [], (
        "if it must be so: python benchmarks/baseline.py --write"
    )


def test_step_takes_less_than_asyncio_where_no_baseline_is_kept():
    require_tools()
    if baseline.key() in baseline.kept():
        pytest.skip("its baseline is kept and says more")
    ours = names()
    found = baseline.measure([*ours, baseline.RIVAL])["instructions"]
    for name in ours:
        for kind in baseline.KINDS:
            assert found[name][kind] < found[baseline.RIVAL][kind], (name, kind)


def test_growth_is_told_beyond_three_per_cent():
    before = {"instructions": {"bide epoll": {"call_soon": 1000}}}

    def found(count):
        return {"instructions": {"bide epoll": {"call_soon": count}}}

    assert baseline.grown(found(1030), before) == []
    assert baseline.grown(found(1031), before) == [
        "bide epoll, call_soon: 1,031.00 instructions a step, 1,000.00 before"
    ]


def test_baseline_is_whole():
    kept = json.loads(baseline.FILE.read_text())
    assert kept
    for counts in kept.values():
        for what in ("instructions", "system calls"):
            assert set(counts[what]) == {"bide io_uring", "bide epoll"}
            assert all(set(kinds) == set(baseline.KINDS) for kinds in counts[what].values())
