"""The steps of tasks and the callbacks of futures, for which the loop makes no handle: what a
program could see of one must be there all the same."""

import asyncio
import contextvars
import functools
import gc
import socket
import sys
import weakref

import bide
import pytest

pytestmark = pytest.mark.skipif(
    asyncio.Future.__module__ != "_asyncio", reason="handles are made for futures in Python"
)


def handles():
    return [found for found in gc.get_objects() if isinstance(found, asyncio.Handle)]


async def yields(times=3):
    for _ in range(times):
        await asyncio.sleep(0)


class Thing:
    pass


def test_steps_and_callbacks_make_no_handle(run, loop):
    before = len(handles())
    counted = []

    async def main():
        future = loop.create_future()
        future.add_done_callback(lambda _: counted.append(len(handles())))
        tasks = [asyncio.create_task(yields()) for _ in range(5)]
        future.set_result(None)
        counted.append(len(handles()))
        await asyncio.gather(*tasks)

    run(main())
    # That of the fixture's wait_for is one, if this version has a timer for it.
    assert len(counted) == 2 and max(counted) <= before + 1


def failed(loop):
    """What the exception handler is told of a future's callback that fails."""
    told = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    future = loop.create_future()
    error = ZeroDivisionError("in a callback")

    def fail(argument):
        raise error

    variable = contextvars.ContextVar("variable")
    context = contextvars.copy_context()
    context.run(variable.set, "seen")
    future.add_done_callback(fail, context=context)
    future.set_result(None)
    loop.call_soon(loop.stop)
    loop.run_forever()
    (found,) = told
    assert found["exception"] is error
    handle = found["handle"]
    assert isinstance(handle, asyncio.Handle) and not handle.cancelled()
    assert handle._callback is fail and handle._args == (future,)
    if sys.version_info >= (3, 12):
        assert handle.get_context()[variable] == "seen"
    return found


def test_a_callback_that_fails_is_reported_with_a_handle(loop):
    found = failed(loop)
    assert found["message"].startswith("Exception in callback failed.<locals>.fail(")
    assert "source_traceback" not in found


def test_so_it_is_in_debug_mode(loop):
    loop.set_debug(True)
    found = failed(loop)
    assert "test_bare_calls.py" in str(found["source_traceback"])


def test_debug_mode_that_comes_later_sees_who_is_slow(loop, caplog):
    loop.slow_callback_duration = 0
    future = loop.create_future()
    seen = []
    future.add_done_callback(lambda _: seen.append(loop._current_handle))
    future.set_result(None)
    loop.set_debug(True)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert isinstance(seen[0], asyncio.Handle)
    assert "<lambda>" in caplog.text and "took" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_must_end_the_run_does(loop, error):
    future = loop.create_future()

    def leave(_):
        raise error

    future.add_done_callback(leave)
    future.set_result(None)
    after = []
    loop.call_soon(after.append, 1)
    with pytest.raises(error):
        loop.run_forever()
    assert after == []
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert after == [1]


def test_a_context_that_is_entered_already_is_reported(loop, caplog):
    """From 3.12 on its handler is called in that context too: so it is logged, as by asyncio."""
    told = []
    loop.set_exception_handler(lambda _, context: told.append(repr(context["exception"])))
    context = contextvars.copy_context()
    future = loop.create_future()
    called = []
    future.add_done_callback(called.append, context=context)
    future.set_result(None)
    loop.call_soon(loop.stop)
    context.run(loop.run_forever)
    assert called == [] and "cannot enter context" in "".join(told) + caplog.text


def seen_by(loop, patched):
    """What call_soon returned for the steps of a task and the callback of a future."""

    async def main():
        await yields(2)
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        await future

    loop.run_until_complete(main())
    returned = [handle for callback, handle in patched if "Task" in repr(callback)]
    assert len(returned) >= 4
    assert all(isinstance(handle, asyncio.Handle) for handle in returned)


def test_a_subclass_that_passes_calls_on_gets_their_handles():
    patched = []

    class Loop(bide.EventLoop):
        def call_soon(self, callback, *args, context=None):
            handle = super().call_soon(callback, *args, context=context)
            patched.append((callback, handle))
            return handle

    loop = Loop()
    seen_by(loop, patched)
    loop.close()


def test_so_does_an_attribute_of_the_loop(loop):
    patched = []
    plain = loop.call_soon

    def call_soon(callback, *args, **options):
        handle = plain(callback, *args, **options)
        patched.append((callback, handle))
        return handle

    loop.call_soon = call_soon
    seen_by(loop, patched)
    del loop.call_soon


def test_a_partial_in_its_place_works(loop):
    loop.call_soon = functools.partial(loop.call_soon)
    loop.run_until_complete(yields())
    del loop.call_soon


def test_a_closed_loop_takes_no_more(loop):
    future = loop.create_future()
    future.add_done_callback(print)
    loop.close()
    with pytest.raises(RuntimeError, match="^Event loop is closed$"):
        future.set_result(None)


@pytest.mark.filterwarnings("ignore:unclosed event loop")
@pytest.mark.parametrize("closes", [True, False], ids=["closed", "dropped"])
@pytest.mark.parametrize("count", [1, 3000])
def test_what_was_queued_goes_with_the_loop(closes, count):
    loop = bide.new_event_loop()
    thing = Thing()
    kept = weakref.ref(thing)
    for _ in range(count):
        future = loop.create_future()
        future.add_done_callback(functools.partial(print, thing))
        future.set_result(None)
    if closes:
        loop.close()
    gone = weakref.ref(loop)
    del loop, future, thing
    if not closes:
        assert kept() is not None
    gc.collect()
    assert kept() is None and gone() is None


def test_arguments_are_let_go_after_the_call(loop):
    thing = Thing()
    kept = weakref.ref(thing)
    future = loop.create_future()
    future.add_done_callback(functools.partial(lambda *_: None, thing))
    future.set_result(None)
    del thing, future
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert kept() is None


def test_what_goes_with_a_call_may_schedule_more(loop):
    """Its finalizer runs in the turn's midst."""
    seen = []

    class Last:
        def __call__(self, _):
            pass

        def __del__(self):
            loop.call_soon(seen.append, "gone")
            future = loop.create_future()
            future.add_done_callback(lambda _: seen.append("done"))
            future.set_result(None)

    future = loop.create_future()
    future.add_done_callback(Last())
    future.set_result(None)
    loop.run_until_complete(yields(2))
    assert seen == ["gone", "done"]


def test_steps_and_calls_keep_their_order(loop):
    seen = []

    async def step(name):
        for turn in range(100):
            seen.append((turn, name))
            await asyncio.sleep(0)

    def called(turn):
        seen.append((turn, "call"))
        if turn < 99:
            loop.call_soon(called, turn + 1)

    async def main():
        first = asyncio.create_task(step("first"))
        loop.call_soon(called, 0)
        await asyncio.gather(first, asyncio.create_task(step("second")))

    loop.run_until_complete(main())
    names = ("first", "call", "second")
    assert seen == [(turn, name) for turn in range(100) for name in names]


def test_a_stop_ends_the_run_after_its_own_turn(loop):
    """However many turns of nothing but steps came before it."""
    seen = []

    def called(turn):
        seen.append(turn)
        loop.call_soon(called, turn + 1)
        if turn == 50:
            loop.stop()

    loop.call_soon(called, 0)
    loop.run_forever()
    assert seen == list(range(51))
    loop.stop()
    loop.run_forever()
    assert seen == list(range(52))


def test_a_clock_that_is_patched_counts_in_the_next_turn(loop):
    seen = []

    async def main():
        loop.call_later(1000, seen.append, "due")
        await asyncio.sleep(0)
        loop.time = lambda: 1e9
        await yields(3)

    loop.run_until_complete(main())
    del loop.time
    assert seen == ["due"]


def test_other_work_is_seen_between_turns_of_steps(loop):
    """A task that only yields keeps neither I/O nor timers nor other threads waiting."""
    seen = set()

    async def main():
        deadline = loop.time() + 30
        loop.call_later(0.001, seen.add, "timer")
        loop.run_in_executor(None, int).add_done_callback(lambda _: seen.add("executor"))
        reader, writer = await asyncio.open_connection(sock=ends[0])
        ends[1].send(b"x")
        asyncio.ensure_future(reader.read(1)).add_done_callback(lambda _: seen.add("read"))
        while len(seen) < 3 and loop.time() < deadline:
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    ends = socket.socketpair()
    with ends[1]:
        loop.run_until_complete(main())
    assert seen == {"timer", "executor", "read"}
