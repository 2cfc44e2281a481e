"""The benchmarks' own arithmetic, and one quick slice of the cheapest of them.

What a user loses if these fail: figures to believe. A row that loses must say so, every
contender must have run in every round, and the JSON must hold what was printed.
"""

import json
import os
import subprocess
import sys

import pytest

from conftest import BUILD, PROGRAM_LIMIT_S, ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from lib import python_report, python_rows, report, rounds  # noqa: E402


def test_rounds_run_every_contender_in_turning_order(capsys):
    ran = []

    def contender(name, value):
        return lambda: ran.append(name) or {"row": value}

    samples = rounds.interleave(
        {"a": contender("a", 1), "b": contender("b", 2), "c": contender("c", 3)}, 3, "stage"
    )
    assert ran == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert samples == {"row": {"a": [1, 1, 1], "b": [2, 2, 2], "c": [3, 3, 3]}}
    assert list(samples["row"]) == ["a", "b", "c"]
    assert capsys.readouterr().out.count("stage: round") == 3


@pytest.mark.parametrize(
    ("ours", "more", "met"),
    [(90, True, False), (97, True, True), (120, True, True),
     (90, False, True), (103, False, True), (110, False, False)],
)
def test_row_is_met_when_no_worse_than_its_rival(ours, more, met):
    row = report.Row("r", "us", {"bide": [ours], "rival": [100]}, rival="rival", more=more)
    assert row.met is met
    assert row.as_json()["met"] is met
    assert ("behind" in row.cells(["bide", "rival"])[-1]) is not met


def test_row_takes_the_median_and_keeps_the_samples():
    row = report.Row("r", "us", {"bide": [1, 100, 2]})
    assert row.values == {"bide": 2}
    assert row.as_json()["samples"] == {"bide": [1, 100, 2]}
    assert (row.mark, row.met) == (None, None)


def python_result(ours, floor, mark):
    row = python_rows.Row("key", "row", python_rows.Case("case"), mark)
    taken = {"bide epoll": ours, "uvloop": 1.0, "floor": floor}
    samples = {name: [{"cpu": value}] for name, value in taken.items()}
    return python_report.Result(row, samples, {}, {})


@pytest.mark.parametrize(
    ("ours", "floor", "listed"),
    [(0.90, 0.75, "Behind a mark that is below the floor: row"),
     (0.90, 0.65, "Behind: row"), (1.10, 0.75, "Behind: row"), (0.70, 0.75, "")],
)
def test_mark_below_the_floor_is_named_and_excuses_no_lost_race(ours, floor, listed):
    result = python_result(ours, floor, mark=0.70)
    table = {"rows": [result.as_json()], "contenders": ["bide epoll", "uvloop"]}
    assert result.mark_below_floor() is (floor > 0.70)
    assert ("below the floor" in result.cells(["bide epoll"])[-1]) is (floor > 0.70)
    assert ("0.70, below the floor |" in python_report.markdown(table)) is (floor > 0.70)
    assert listed in python_report.shortfalls(table)
    assert bool(python_report.shortfalls(table)) is bool(listed)


def test_quick_benchmark_writes_what_it_prints():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "tasks.py"],
        env={**os.environ, "QUICK": "1"}, capture_output=True, text=True,
        timeout=PROGRAM_LIMIT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads((BUILD / "bench" / "tasks.json").read_text())
    assert {"machine", "versions", "rows"} <= written.keys()
    for row in written["rows"]:
        assert {"row", "unit", "values", "mark", "met"} <= row.keys()
        assert f"{row['values']['bide']:,.1f}" in done.stdout


def test_load_generator_counts_what_the_server_echoes(server_of_echoes):
    done = subprocess.run(
        [BUILD / "programs" / "load", "--echo", "4096", str(server_of_echoes), "8", "0.2"],
        capture_output=True, text=True, timeout=PROGRAM_LIMIT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    seen = json.loads(done.stdout)
    assert seen["requests"] >= 8
    assert 0.2 <= seen["seconds"] < PROGRAM_LIMIT_S
    assert 0 < seen["p50_us"] <= seen["p99_us"] <= seen["seconds"] * 1.04e6


@pytest.fixture
def server_of_echoes():
    """The port of the plain epoll server, which the benchmark compares with."""
    from lib.servers import Server

    program = BUILD / "programs" / "echo_epoll"
    with Server(lambda fds: [program, "--fd", str(fds["tcp"])]) as server:
        yield server.where["tcp"]
