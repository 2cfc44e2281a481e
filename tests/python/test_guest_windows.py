"""The loop inside Tk's and Qt's: users' windows freeze, never hear of their data, or leave
work behind when they close. Each scene of windows.py is played by a process of its own."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
WINDOWS = os.path.join(HERE, "windows.py")
EXAMPLES = os.path.join(HERE, "..", "..", "examples", "python")
NEEDED = {"tk": "_tkinter", "qt": "PySide6"}

# Two cores, shared with whatever else runs: a window that is held up for a whole scene
# would be late by a second.
LATE_MAX_S = 0.5


@pytest.fixture(scope="module")
def display():
    """The name of an X display that nobody sees."""
    assert shutil.which("Xvfb"), "Xvfb is missing: make deps"
    read_fd, write_fd = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_fd), "-screen", "0", "640x480x24"]
    server = subprocess.Popen(
        [*command, "-nolisten", "tcp"], pass_fds=[write_fd], stderr=subprocess.DEVNULL
    )
    os.close(write_fd)
    with os.fdopen(read_fd) as lines:
        number = lines.readline().strip()
    assert number, "Xvfb did not start"
    yield f":{number}"
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module", params=["tk", "qt"])
def show(request, display):
    """show(scene) runs it and returns what it saw."""
    if importlib.util.find_spec(NEEDED[request.param]) is None:
        pytest.skip(f"this Python has no {NEEDED[request.param]}")
    scenes = subprocess.Popen(
        [sys.executable, WINDOWS, request.param], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True,
        env={**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
    )

    def run(scene):
        scenes.stdin.write(scene + "\n")
        status, output, errors = json.loads(scenes.stdout.readline())
        assert status == 0, errors
        # Qt has its say about the machine; Python has none.
        assert "Traceback" not in errors, errors
        return json.loads(output)

    yield run
    with scenes:
        os.killpg(scenes.pid, signal.SIGKILL)


def test_the_window_is_alive_while_main_awaits(show):
    seen = show("Awaits")
    assert seen["result"] == "done"
    assert seen["fetched"] >= 200_000
    assert seen["ticks"] >= 3 and seen["latest_s"] < LATE_MAX_S


@pytest.mark.parametrize("scene", ["Close", "Leave"])
def test_closing_cancels_main_which_may_still_clean_up(show, scene):
    seen = show(scene)
    assert seen["reached"] == ["cleaned up"] and seen["result"] is None


def test_mains_exception_is_raised_to_the_caller(show):
    assert show("Raise")["raised"] == "LookupError(\"main's own\")"


def test_ctrl_c_reaches_a_window_that_waits(show):
    seen = show("Interrupt")
    assert seen["raised"] == "KeyboardInterrupt()" and seen["reached"] == ["cleaned up"]


def test_an_exit_from_a_callback_ends_the_window(show):
    assert show("Exit")["raised"] == "SystemExit('enough')"


def test_a_dialogue_opened_by_a_coroutine_keeps_the_window_alive(show):
    seen = show("Dialogue")
    assert seen["result"] == "after it" and seen["timer"] == "late"
    assert seen["ticks"] >= 5 and seen["cpu_s"] < 0.15, "the fd was readable all the time"


def test_the_windows_own_callbacks_reach_the_loop(show):
    seen = show("Command")
    assert seen["result"] == ["set", 200_000, "slept"]
    assert seen["outside"] == "no running event loop"


def test_what_main_leaves_is_ended(show):
    seen = show("Leftovers")
    assert sorted(seen["left"]) == ["generator", "task"] and seen["threads"] == 1


@pytest.mark.parametrize("toolkit", ["tk", "qt"])
def test_the_example_draws_while_it_fetches(display, toolkit):
    if importlib.util.find_spec(NEEDED[toolkit]) is None:
        pytest.skip(f"this Python has no {NEEDED[toolkit]}")
    done = subprocess.run(
        [sys.executable, os.path.join(EXAMPLES, f"guest_{toolkit}.py")],
        env={**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
        capture_output=True, text=True, timeout=50,
    )
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"5 pages fetched while (\d+) frames were drawn\n", done.stdout)
    assert found and int(found[1]) >= 10, done.stdout
