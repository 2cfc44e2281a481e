"""What the tests of the Python door share: a loop that is checked when it goes."""

import asyncio
import gc
import os
import threading
import tracemalloc

import bide
import pytest


class Gate:
    """Jobs that block a pool's threads until the test lets them go."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()

    def wait(self, result=None):
        self.entered.release()
        assert self.opened.wait(30)
        return result

    def await_entered(self, count=1):
        for _ in range(count):
            assert self.entered.acquire(timeout=30)


@pytest.fixture(scope="module", autouse=True)
def frozen_imports():
    """Each test collects its garbage: that it need not go through what the imports have
    made, again and again, halves the time of a run."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def loop():
    """A fresh loop, closed afterwards. What reached its exception handler fails the
    test, unless the test has set a handler of its own."""
    made = bide.new_event_loop()
    reported = []
    made.set_exception_handler(lambda _, context: reported.append(context))
    yield made
    made.close()
    gc.collect()
    assert reported == []


@pytest.fixture
def run(loop):
    """Runs a coroutine on the loop, for at most ten seconds."""

    def run(coroutine, timeout=10):
        return loop.run_until_complete(asyncio.wait_for(coroutine, timeout))

    return run


@pytest.fixture
def open_fds():
    """Returns the fd numbers of the process that are open now."""

    def listed():
        return set(os.listdir("/proc/self/fd"))

    return listed


@pytest.fixture
def traced_bytes():
    """Returns how many bytes the interpreter has allocated since the test began and still
    holds."""
    outer = tracemalloc.is_tracing()
    if not outer:
        tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    if not outer:
        tracemalloc.stop()


@pytest.fixture
def folder(tmp_path):
    """A directory with a few files, a directory and links in it."""
    (tmp_path / "text").write_bytes(b"hello world")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "dir" / "below").mkdir(parents=True)
    (tmp_path / "dir" / "one").write_bytes(b"1")
    (tmp_path / "link").symlink_to("text")
    (tmp_path / "broken").symlink_to("nowhere")
    return tmp_path
