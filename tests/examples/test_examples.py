"""Runs the eight programs in each language on each backend.

Each prints the same lines in all three languages, but for the times; the tests check the
text, the class of the times (a sum, a maximum, frozen or not) and what the server saw.
What a user loses if one fails: a lesson about async/await that is not true here.

Times are compared with each other or with delays far longer than a busy machine's
jitter: a test must not fail because the machine was slow, and must fail because waits
that should overlap did not.
"""

import re
import time


def match(pattern, text):
    """The numbers of a whole output that has the form of the pattern; # is a number."""
    expected = re.escape(pattern).replace(r"\#", r"(\d+)")
    found = re.fullmatch(expected + "\n", text)
    assert found, f"expected the form\n{pattern}\nbut got\n{text}"
    return [int(number) for number in found.groups()]


def wait_until(condition, limit_s=10):
    """The server notices a closed connection in its own time, soon."""
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_then_b_loads_one_after_the_other(run_example, server, language):
    output = run_example("01_a_then_b")
    pattern = "with await: user 7 has 3 orders, after # ms"
    if language == "c":
        pattern += "\nby hand: user 7 has 3 orders, after # ms"
    for ms in match(pattern, output):
        assert ms >= 100, "B cannot have been asked for before A's reply"
    seen = server.stats()
    assert seen["paths"] == ["/user/ada", "/orders/7"] * (2 if language == "c" else 1)
    assert seen["peak"] == 1


def test_together_takes_the_longest_not_the_sum(run_example, server):
    output = run_example("02_one_by_one_or_together")
    one_by_one_ms, together_ms = match(
        "one after the other: # ms, the sum of 150 and 200\n"
        "together: # ms, the longer of 150 and 200",
        output,
    )
    assert one_by_one_ms >= 350
    assert 200 <= together_ms < 0.75 * one_by_one_ms
    assert server.stats()["peak"] == 2


def test_timeout_cancels_the_fetch_and_closes_its_connection(run_example, server):
    output = run_example("03_timeout")
    late_ms, quick_ms = match(
        "a reply of 5000 ms: timed out after # ms\n"
        "a reply of 20 ms: user 7 after # ms",
        output,
    )
    assert 100 <= late_ms < 2500
    assert 20 <= quick_ms < 2500
    abandoned = []
    wait_until(lambda: abandoned.extend(server.stats()["abandoned"]) or abandoned)
    assert abandoned == ["/user/ada"]


def test_forgotten_work_is_not_done_when_its_caller_returns(run_example, server):
    output = run_example("04_fire_and_forget")
    match(
        "forgotten: 0 of 3 saved when the handler returned\n"
        "awaited: 3 of 3 saved when the handler returned\n"
        "in the background: 0 of 3 saved when the handler returned, "
        "3 of 3 when the program ended",
        output,
    )
    saves = server.stats()["paths"]
    assert {path: saves.count(path) for path in saves} == {
        f"/save/{order}": 3 for order in (1, 2, 3)
    }


def test_hundred_fetches_share_one_thread(run_example, server):
    output = run_example("05_hundred_fetches")
    (together_ms,) = match(
        "100 fetches of 200 ms on one thread: 100 replies after # ms", output
    )
    assert 200 <= together_ms < 100 * 200 / 4
    assert server.stats()["peak"] == 100


def test_blocking_call_freezes_the_loop_and_an_executor_does_not(run_example):
    output = run_example("06_blocking_call")
    frozen_ms, result, silent_ms, offloaded = match(
        "called on the loop: silent for # ms, result #\n"
        "run in the executor: silent for # ms, result #",
        output,
    )
    assert result == offloaded == 42
    assert frozen_ms >= 300, "the blocking call must silence the heartbeat for its length"
    assert silent_ms < 0.75 * frozen_ms


def test_cancelled_pipeline_leaves_nothing_behind(run_example, server, tmp_path):
    output = run_example("07_cancelled_pipeline")
    match(
        "stored page 1\nstored page 2\n"
        "stopped at page 3: cancelled\n"
        "cleaned up: file removed, server told\n"
        "the pipeline ended: cancelled; its file: gone",
        output,
    )
    assert list(tmp_path.iterdir()) == []
    seen = server.stats()
    assert seen["paths"] == ["/page/1", "/page/2", "/page/3", "/undo"]
    assert seen["abandoned"] == ["/page/3"]


REFUSALS = {
    "c": "refused, the loop is already running",
    "python": "refused, bide.run() cannot be called from a running event loop",
    "node": "frozen, 0 ticks of a 5 ms timer meanwhile",
}


def test_synchronous_code_gets_the_result_of_asynchronous_code(run_example, language):
    output = run_example("08_sync_calls_async")
    (sync_ms,) = match(
        "from synchronous code: user 7 has 3 orders, after # ms\n"
        f"from inside the loop: {REFUSALS[language]}\n"
        "with await instead: user 7",
        output,
    )
    assert sync_ms >= 100
