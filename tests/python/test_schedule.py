"""call_soon, call_later and their handles: users lose order, contexts or time."""

import asyncio
import contextvars
import gc
import sys
import time
import weakref

import pytest


def test_call_soon_keeps_order(loop):
    seen = []
    for number in range(1000):
        loop.call_soon(seen.append, number)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == list(range(1000))


def test_call_soon_from_a_callback_waits_for_the_next_turn(loop):
    seen = []

    def first():
        loop.call_soon(seen.append, "later")
        loop.stop()

    loop.call_soon(first)
    loop.run_forever()
    assert seen == []
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == ["later"]


def test_stop_before_the_run_runs_one_turn(loop):
    seen = []
    loop.call_soon(seen.append, 1)
    loop.stop()
    loop.run_forever()
    assert seen == [1]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 40])
def test_call_soon_passes_any_number_of_arguments(loop, count):
    seen = []
    loop.call_soon(lambda *args: seen.append(args), *range(count))
    handle = loop.call_later(0, lambda *args: seen.append(args), *range(count))
    assert handle._args == tuple(range(count))
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert seen == [tuple(range(count))] * 2


def test_arguments_are_let_go_after_the_call(loop):
    class Thing:
        pass

    for count in (1, 10):
        things = [Thing() for _ in range(count)]
        watch = weakref.ref(things[-1])
        loop.call_soon(lambda *args: None, *things)
        del things
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert watch() is None


def test_contexts_are_entered_and_left(loop):
    var = contextvars.ContextVar("var", default="none")
    given = contextvars.copy_context()
    given.run(var.set, "given")
    seen = []

    def note(name):
        seen.append((name, var.get()))
        var.set("changed")

    var.set("current")
    loop.call_soon(note, "copied")
    loop.call_soon(note, "given", context=given)
    loop.call_later(0, note, "timer", context=given)
    loop.call_soon_threadsafe(note, "threadsafe", context=given)
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert seen == [
        ("copied", "current"),
        ("given", "given"),
        ("threadsafe", "changed"),
        ("timer", "changed"),
    ]
    assert var.get() == "current"
    assert given[var] == "changed"


def test_sleepers_share_a_context_where_none_can_see(loop):
    """A context for each would be a tenth of what a sleeping task takes."""
    var = contextvars.ContextVar("var", default="none")
    seen = []

    def sleeper(future=None):
        handle = loop.call_later(
            0, asyncio.futures._set_result_unless_cancelled, future or loop.create_future(), 1)
        return handle._context

    class Future(asyncio.Future):
        """One that could ask for a variable, as its loop could."""

        def set_result(self, result):
            seen.append(var.get())
            super().set_result(result)

    async def main():
        var.set("main's")
        assert sleeper() is sleeper()
        future = Future(loop=loop)
        assert sleeper(future)[var] == "main's"
        await future
        assert var.get() == "main's"
        assert seen == ["main's"]
        loop.call_soon = lambda *args, **options: type(loop).call_soon(loop, *args, **options)
        assert sleeper()[var] == "main's"
        del loop.call_soon

    loop.run_until_complete(main())


def test_wrong_arguments_are_named(loop):
    with pytest.raises(TypeError, match="call_soon"):
        loop.call_soon()
    with pytest.raises(TypeError, match="unexpected keyword argument 'contxt'"):
        loop.call_soon(print, contxt=None)


def test_handles_are_asyncios(loop):
    handle = loop.call_soon(print, 1)
    timer = loop.call_later(5, print)
    assert isinstance(handle, asyncio.Handle)
    assert not isinstance(handle, asyncio.TimerHandle)
    assert isinstance(timer, asyncio.TimerHandle)
    assert repr(handle).startswith("<Handle ")
    assert f"when={timer.when()}" in repr(timer)
    assert handle._callback is print and handle._args == (1,) and handle._loop is loop
    assert isinstance(handle._context, contextvars.Context)
    assert weakref.ref(handle)() is handle
    handle.cancel()
    timer.cancel()
    assert handle.cancelled() and timer.cancelled()
    assert "cancelled" in repr(handle)
    assert not timer._scheduled


def test_timers_compare_by_their_time(loop):
    early, late = loop.call_at(10, print), loop.call_at(20, print)
    assert early < late and late > early and early <= early and late >= early
    assert early != late and hash(early) == hash(10.0)
    early.cancel()
    late.cancel()


def test_a_timer_says_the_time_that_it_was_given(loop):
    timer = loop.call_at(10, print)
    assert type(timer.when()) is int and repr(timer) == "<TimerHandle when=10 print()>"
    timer.cancel()


def test_a_timer_handle_of_ones_own_may_be_cancelled(loop):
    class Own(asyncio.TimerHandle):
        pass

    own = Own(10.0, print, (), loop)
    theirs = loop.call_at(10.0, print)
    assert own == theirs and theirs == own and own <= theirs
    own.cancel()
    assert own.cancelled() and own != theirs
    theirs.cancel()


def test_delays_beyond_all_measure_are_taken(loop):
    for delay in (float("inf"), 1e300, 2**63, -1e300, float("-inf")):
        handle = loop.call_later(delay, print)
        assert handle.when() == pytest.approx(delay, abs=1e9)
        handle.cancel()
    with pytest.raises(OverflowError):
        loop.call_later(10**400, print)
    with pytest.raises(TypeError, match="for \\+: 'float' and 'str'"):
        loop.call_later("1", print)
    seen = []
    loop.call_later(float("inf"), seen.append, "inf")
    loop.call_later(float("-inf"), seen.append, "-inf")
    loop.run_until_complete(asyncio.sleep(0.005))
    assert seen == ["-inf"]


def test_a_cancelled_handle_does_not_run(loop):
    seen = []
    handle = loop.call_soon(seen.append, "handle")
    timer = loop.call_later(0.001, seen.append, "timer")
    loop.call_soon(handle.cancel)  # too late for nothing: it is queued behind it
    handle.cancel()
    timer.cancel()
    timer.cancel()
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert seen == []


def test_a_handle_may_cancel_itself_while_it_runs(loop):
    seen = []

    def callback(*args):
        handle.cancel()
        timer.cancel()
        gc.collect()
        seen.append(args)

    arguments = [object() for _ in range(5)]
    handle = loop.call_soon(callback, *arguments)
    timer = loop.call_later(60, callback)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [tuple(arguments)]


def test_a_handle_that_cancels_itself_lets_go_of_its_callback(loop):
    seen = []

    def callback(*args):
        handle.cancel()
        seen.append((args, handle._callback, handle._args))

    kept = weakref.ref(callback)
    handle = loop.call_soon(callback, 1)
    del callback
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [((1,), None, None)] and kept() is None


@pytest.mark.parametrize("method", ["call_soon", "call_later"])
def test_a_long_chain_of_handles_ends_without_a_deep_stack(loop, method):
    # Each is the argument of the next, so that the last one's end is that of all.
    handle = None
    for _ in range(100_000):
        if method == "call_soon":
            handle = loop.call_soon(id, handle)
        else:
            handle = loop.call_later(0, id, handle)
    first = weakref.ref(handle)
    loop.call_later(0, loop.stop)
    loop.run_forever()
    del handle
    assert first() is None


def test_timers_are_never_early_and_in_order(loop):
    seen = []

    def note(when):
        now = loop.time()
        seen.append((when, now))

    start = loop.time()
    delays = [0.0103, 0.0001, 0.02, 0.005, 0.004998, 0.0, -1, 0.0150001]
    for delay in delays:
        when = start + delay
        loop.call_at(when, note, when)
    loop.call_at(start + 0.03, loop.stop)
    loop.run_forever()
    assert [when for when, _ in seen] == sorted(start + delay for delay in delays)
    assert all(now >= when for when, now in seen)
    assert loop.time() >= start + 0.03


def test_ready_calls_run_before_timers_that_are_due(loop):
    seen = []
    loop.call_later(0, seen.append, "timer")
    loop.call_soon(seen.append, "soon")
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert seen == ["soon", "timer"]


def test_time_is_the_monotonic_clock(loop):
    before = time.monotonic()
    now = loop.time()
    assert before <= now <= time.monotonic()


def test_many_timers_fire_once_each(loop):
    fired = []
    start = loop.time()
    for number in range(20000):
        handle = loop.call_at(start + (number * 7919 % 20000) / 1e6, fired.append, number)
        if number % 2:
            handle.cancel()
    loop.call_at(start + 0.2, loop.stop)
    loop.run_forever()
    assert sorted(fired) == list(range(0, 20000, 2))
    assert fired == sorted(fired, key=lambda number: number * 7919 % 20000)


def test_ready_work_does_not_starve_timers(loop):
    spins = 0

    def spin():
        nonlocal spins
        spins += 1
        loop.call_soon(spin)

    loop.call_soon(spin)
    start = loop.time()
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    assert loop.time() - start < 1
    assert spins > 100


@pytest.mark.parametrize("schedule", ["call_soon", "call_later"])
def test_a_handle_is_small(loop, schedule):
    """A server has one for each connection that may time out."""
    arguments = (60,) if schedule == "call_later" else ()
    handle = getattr(loop, schedule)(*arguments, print, 1, 2, 3)
    assert sys.getsizeof(handle) <= 216
    handle.cancel()


@pytest.mark.parametrize("count", [0, 2, 3, 4, 9])
def test_a_timer_keeps_its_arguments_while_the_clock_changes_hands(loop, count):
    """From the wheel to the heap of a clock that is somebody else's, and back."""
    seen, given = [], tuple(str(number) for number in range(count))
    handles = [loop.call_later(delay, lambda *args: seen.append(args), *given)
               for delay in (0.002, 0.001, 60)]
    loop.time = lambda: 0.0
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [] and all(handle._args == given for handle in handles)
    handles[2].cancel()
    del loop.time
    loop.call_later(0.003, loop.stop)
    loop.run_forever()
    assert seen == [given] * 2 and handles[2].cancelled()


def test_a_time_that_is_no_float_is_given_back_as_it_was(loop):
    when = int(loop.time()) + 60
    handle = loop.call_at(when, print)
    assert handle.when() is when and asyncio.TimerHandle._when.__get__(handle) is when
    handle.cancel()


def test_a_timeout_that_is_over_is_not_lost_to_work_of_many_turns(loop):
    """Else a result that comes after its time is taken for one in time, whenever the loop has
    something to do in each turn."""

    def hop(result, left):
        if left:
            loop.call_soon(hop, result, left - 1)
        elif not result.done():
            result.set_result(None)

    async def limited(result):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(result), 0.000_001)

    for _ in range(100):
        result = loop.create_future()
        task = loop.create_task(limited(result))
        loop.call_soon(hop, result, 30)
        loop.run_until_complete(task)
        loop.run_until_complete(result)


def test_a_timer_fires_in_the_turn_at_whose_beginning_it_is_due(loop):
    """A turn later a timeout loses to a result that comes in the turn behind it."""
    order = []

    def hop(number):
        order.append(number)
        if number < 4:
            loop.call_soon(hop, number + 1)
        else:
            loop.stop()

    def first():
        begin = time.perf_counter()
        loop.call_later(0.000_001, order.append, "timer")
        while time.perf_counter() - begin < 0.000_1:
            pass
        hop(1)

    for _ in range(3):
        order.clear()
        loop.call_soon(first)
        loop.run_forever()
        assert order == [1, 2, "timer", 3, 4]
