"""A replaced loop.time(): users' tests, which move the clock themselves, hang or wait for
real."""

import asyncio
import contextlib
import time
from unittest import mock

import bide
import pytest


class Clock:
    """Stands still until it is told to move."""

    def __init__(self, now=100.0):
        self.now = now
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return self.now


async def turns(count=4):
    for _ in range(count):
        await asyncio.sleep(0)


@contextlib.contextmanager
def by_attribute(loop, clock):
    loop.time = clock
    yield
    del loop.time


@contextlib.contextmanager
def by_mock(loop, clock):
    with mock.patch.object(loop, "time", clock):
        yield


@contextlib.contextmanager
def by_class(loop, clock):
    with mock.patch.object(bide.EventLoop, "time", lambda self: clock()):
        yield


@contextlib.contextmanager
def by_subclass(loop, clock):
    class Patched(bide.EventLoop):
        def time(self):
            return clock()

    loop.__class__ = Patched
    yield
    loop.__class__ = bide.EventLoop


@contextlib.contextmanager
def by_module(loop, clock):
    with mock.patch("time.monotonic", clock):
        yield


every_way = pytest.mark.parametrize(
    "patch", [by_attribute, by_mock, by_class, by_subclass, by_module]
)


@every_way
def test_call_later_and_call_at_follow_the_patched_clock(loop, patch):
    clock = Clock()
    seen = []

    async def main():
        later = loop.call_later(1000, seen.append, "later")
        loop.call_at(500.0, seen.append, "at")
        assert loop.time() == 100.0 and later.when() == 1100.0
        await turns()
        assert seen == []
        clock.now = 499.0
        await turns()
        assert seen == []
        clock.now = 500.0
        await turns()
        assert seen == ["at"]
        clock.now = 1100.0
        await turns()
        assert seen == ["at", "later"]

    with patch(loop, clock):
        loop.run_until_complete(main())


@every_way
def test_sleep_and_wait_for_follow_the_patched_clock(loop, patch):
    clock = Clock()

    async def main():
        sleeper = asyncio.ensure_future(asyncio.sleep(3600, "slept"))
        waiter = asyncio.ensure_future(asyncio.wait_for(loop.create_future(), 60))
        await turns()
        clock.now += 61
        await turns(10)
        assert waiter.done() and not sleeper.done()
        with pytest.raises(asyncio.TimeoutError):
            await waiter
        clock.now += 3600
        assert await sleeper == "slept"

    with patch(loop, clock):
        loop.run_until_complete(main())


@pytest.mark.skipif(not hasattr(asyncio, "timeout"), reason="3.11 brought asyncio.timeout")
def test_timeout_follows_the_patched_clock(loop):
    clock = Clock()

    async def main():
        loop.call_soon(setattr, clock, "now", 200.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(99):
                await loop.create_future()

    with by_mock(loop, clock):
        loop.run_until_complete(main())


def test_timers_move_with_a_patch_that_comes_later_and_goes_again(loop):
    clock = Clock()
    seen = []

    async def main():
        now = time.monotonic()
        loop.call_at(now + 1000, seen.append, "far")
        near = loop.call_at(now + 0.05, seen.append, "near")
        gone = loop.call_at(now + 500, seen.append, "gone")
        clock.now = now
        with by_mock(loop, clock):
            await turns()
            gone.cancel()
            await asyncio.to_thread(time.sleep, 0.06)  # real time means nothing now
            await turns()
            assert seen == []
            clock.now = now + 1000
            await turns()
            assert seen == ["near", "far"] and not near._scheduled
            loop.call_at(time.monotonic() + 0.01, seen.append, "after")
            clock.now = 0.0
            await turns()
        while "after" not in seen:
            await asyncio.sleep(0.001)

    if not hasattr(asyncio, "to_thread"):
        pytest.skip("no to_thread")
    loop.run_until_complete(main())
    assert seen == ["near", "far", "after"]


def test_a_clock_that_jumps_while_the_loop_waits_is_seen_when_it_wakes(loop):
    """Nothing wakes the loop but a call from another thread, as a test's own driver."""
    clock = Clock()

    async def main():
        sleeper = asyncio.ensure_future(asyncio.sleep(3600))
        await turns()

        def move():
            clock.now += 3600

        await loop.run_in_executor(None, loop.call_soon_threadsafe, move)
        await sleeper

    with by_attribute(loop, clock):
        loop.run_until_complete(main())


def test_the_wait_lasts_as_long_as_the_patched_clock_says(loop):
    """A clock at half speed doubles each sleep, and costs no busy waiting."""
    asked = 0
    real = time.monotonic

    def slow():
        nonlocal asked
        asked += 1
        return real() / 2

    with by_attribute(loop, slow):
        start = real()
        cpu = time.process_time()
        loop.run_until_complete(asyncio.sleep(0.2))
        took = real() - start
    assert took >= 0.4
    assert asked < 100 and time.process_time() - cpu < 0.1


def test_what_time_raises_ends_the_run(loop):
    def broken():
        raise LookupError("no clock")

    loop.call_later(0.01, print)
    with by_attribute(loop, broken):
        with pytest.raises(LookupError, match="no clock"):
            loop.run_forever()
        with pytest.raises(LookupError, match="no clock"):
            loop.call_later(1, print)
    assert not loop.is_running()
    assert loop.run_until_complete(asyncio.sleep(0.01, "usable")) == "usable"


def test_equal_times_fire_in_order_and_thousands_are_sorted(loop):
    clock = Clock(0.0)
    seen = []

    async def main():
        handles = []
        for number in range(3000):
            when = (number * 7919) % 1000
            handles.append(loop.call_at(when, seen.append, (when, number)))
        for handle in handles[::3]:
            handle.cancel()
        clock.now = 1000
        await turns()

    with by_attribute(loop, clock):
        loop.run_until_complete(main())
    expected = [((n * 7919) % 1000, n) for n in range(3000) if n % 3]
    assert seen == sorted(expected)


def test_monotonic_as_an_attribute_is_the_loops_own_clock(loop):
    """Home Assistant binds it so, to save a call: timers stay in the wheel."""
    loop.time = time.monotonic
    assert loop.run_until_complete(asyncio.sleep(0.01, "slept")) == "slept"
    assert loop.time() - time.monotonic() < 1


def test_a_subclass_may_build_its_time_on_the_loops_own(loop):
    class Shifted(bide.EventLoop):
        shift = 0.0

        def time(self):
            return super().time() + self.shift

    shifted = Shifted()

    async def main():
        sleeper = asyncio.ensure_future(asyncio.sleep(3600, "slept"))
        await turns()
        shifted.shift = 3600.0
        return await sleeper

    assert shifted.run_until_complete(main()) == "slept"
    shifted.close()


def test_call_later_goes_through_a_subclasss_call_at():
    class Noting(bide.EventLoop):
        def __init__(self):
            self.noted = []
            super().__init__()

        def call_at(self, when, callback, *args, context=None):
            self.noted.append((when, args))
            return super().call_at(when, callback, *args, context=context)

    loop = Noting()
    handle = loop.call_later(5, print, "one", "two")
    assert isinstance(handle, asyncio.TimerHandle)
    ((when, args),) = loop.noted
    assert when == handle.when() and args == ("one", "two")
    loop.close()


def test_a_loop_closed_under_a_patched_clock_forgets_its_timers():
    loop = bide.new_event_loop()
    loop.time = Clock()
    handle = loop.call_later(10, print)
    other = loop.call_later(20, print)
    loop.close()
    assert not handle._scheduled
    handle.cancel()
    other.cancel()
    del loop.time
    assert loop.time() > 0
