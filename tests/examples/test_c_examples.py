"""The examples that are for C alone, each run as its reader would run it.

What a user loses if one fails: a guide whose programs do not do what it says.
"""

import os
import re
import subprocess

import pytest
from conftest import PROGRAM_LIMIT_S, c_program


@pytest.fixture
def run(backend):
    def run(name):
        done = subprocess.run(
            c_program(name), env={**os.environ, "BIDE_BACKEND": backend},
            capture_output=True, text=True, timeout=PROGRAM_LIMIT_S,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def test_scopes_end_what_they_began(run):
    lines = run("scopes").splitlines()
    assert lines[:4] == [
        "  request 1, users: answered",
        "  request 1, orders: answered",
        "  request 1, prices: answered",
        "request 1: complete",
    ]
    assert lines[4:7] == [
        "  request 2, users: answered",
        "  request 2, orders: gave its connection back",
        "request 2: connection reset by peer",
    ]
    assert lines[7:] == [
        "  request 3, users: gave its connection back",
        "  request 3, orders: gave its connection back",
        "  request 3, prices: gave its connection back",
        "request 3: too late",
    ]


def test_threads_wake_and_feed_a_task(run):
    assert run("threads").splitlines() == [
        "the device: 3 readings taken",
        "the other loop: 5 items, their sum 15",
        "the metronome: 3 beats",
    ]


def test_many_loops_share_a_port_and_are_shut_down(run):
    assert run("many_loops").splitlines() == [
        "2 loops, one port: 32 of 32 clients served",
        "shut down: the servers were cancelled at the deadline",
    ]


def test_channels_hand_over_and_are_selected_from(run):
    assert run("channels").splitlines() == [
        "6 orders done, never more than 2 waiting",
        "the slow reader has missed 2, reads 3, reads 4, reads 5",
        "the thermometer shows 21",
        "the pipe was first: x",
        "then the channel: 42",
        "the timer was taken back",
    ]


def test_locks_serve_in_order(run):
    assert run("locks").splitlines() == [
        "the writer is alone with 0 readers",
        "0 cups are left, up to 4 read together",
        "2 seated at most, guest 5 was the last at the table",
    ]


def test_timers_pass_an_hour_at_once(run):
    assert run("timers").splitlines() == [
        "burst: 4.5 4.5 4.5 4.5 s, 0 left out",
        "delay: 4.5 5.5 6.5 7.5 s, 3 left out",
        "skip: 4.5 5.0 6.0 7.0 s, 3 left out",
        "the deadline ended it 0 us late",
        "what was stopped did not fire",
    ]


def test_latency_is_measured_both_ways(run):
    form = (
        r"asleep between two messages: [\d.]+ us a round trip; the kernel was asked [\d.]+ "
        r"times for each\n"
        r"  a turn took up to \d+ us, half of the receives up to \d+ us\n"
        r"spinning for up to 200 us: [\d.]+ us a round trip; the kernel was asked [\d.]+ "
        r"times for each\n"
        r"  a turn took up to \d+ us, half of the receives up to \d+ us\n"
    )
    output = run("latency")
    assert re.fullmatch(form, output), output


def test_debugging_names_file_and_line(run):
    form = (
        r"the loop was held by the task of debugging\.c:\d+\n"
        r"a cancel was swallowed by debugging\.c:\d+\n"
        r'task "hangs" of .*debugging\.c:\d+, at line \d+: sleeps for \d+ us more\n'
        r"loop on (io_uring|epoll): 1 tasks, 0 operations and holds in flight\n"
        r"resumed four tasks or more\n"
        r"nobody awaits the task of debugging\.c:\d+\n"
    )
    output = run("debugging")
    assert re.fullmatch(form, output), output
