"""call_soon_threadsafe and signals: users lose wake-ups."""

import asyncio
import os
import signal
import threading
import time

import bide
import pytest


def test_threads_that_post_without_a_pause_do_not_outrun_the_loop(loop):
    """Else what is posted, and each task that is woken behind it, waits longer and longer."""
    threads_count, posts = 4, 50_000
    posted, ran, most = [0] * threads_count, 0, 0

    def take():
        nonlocal ran, most
        ran += 1
        most = max(most, sum(posted) - ran)
        if ran == threads_count * posts:
            loop.stop()

    def post(thread):
        for _ in range(posts):
            posted[thread] += 1
            loop.call_soon_threadsafe(take)

    threads = [threading.Thread(target=post, args=(n,)) for n in range(threads_count)]
    for thread in threads:
        loop.call_soon(thread.start)
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert most < threads_count * posts / 4


def test_posts_from_many_threads_all_arrive_in_each_ones_order(loop):
    threads_count, posts = 8, 2000
    seen = []

    def post(thread):
        for number in range(posts):
            loop.call_soon_threadsafe(seen.append, (thread, number))

    threads = [threading.Thread(target=post, args=(n,)) for n in range(threads_count)]

    async def main():
        for thread in threads:
            thread.start()
        while len(seen) < threads_count * posts:
            await asyncio.sleep(0.001)

    loop.run_until_complete(asyncio.wait_for(main(), 30))
    for thread in threads:
        thread.join()
    for thread in range(threads_count):
        mine = [number for owner, number in seen if owner == thread]
        assert mine == list(range(posts))


def test_a_post_wakes_a_loop_that_waits(loop):
    woken = threading.Event()

    def post():
        loop.call_soon_threadsafe(woken.set)
        assert woken.wait(10)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=post)
    loop.call_soon(thread.start)
    loop.call_later(20, loop.stop)
    start = loop.time()
    loop.run_forever()
    thread.join()
    assert woken.is_set() and loop.time() - start < 10


def test_a_post_may_be_cancelled(loop):
    seen = []

    def post():
        loop.call_soon_threadsafe(seen.append, 1).cancel()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=post)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert seen == []


needs_waiting_handles = pytest.mark.skipif(
    not hasattr(asyncio.events, "_ThreadSafeHandle"),
    reason="before CPython 3.14 a handle does not wait",
)


@needs_waiting_handles
@pytest.mark.parametrize("method", ["cancel", "cancelled"])
def test_a_post_that_runs_is_waited_for(loop, method):
    """Whoever frees what the callback uses once it is cancelled frees it too early."""
    started, threads_count = threading.Event(), 4
    asked = threading.Barrier(threads_count + 1)
    ended, seen = [], []

    def callback():
        started.set()
        asked.wait(10)
        time.sleep(0.05)  # the askers are inside by now; if not, they still see the end
        ended.append(True)

    def ask():
        started.wait(10)
        asked.wait(10)
        getattr(handle, method)()
        seen.append(list(ended))

    threads = [threading.Thread(target=ask) for _ in range(threads_count)]
    handles = []
    poster = threading.Thread(
        target=lambda: handles.append(loop.call_soon_threadsafe(callback))
    )
    poster.start()
    poster.join()
    (handle,) = handles
    assert isinstance(handle, asyncio.events._ThreadSafeHandle)
    for thread in threads:
        thread.start()
    loop.call_soon(loop.stop)
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert seen == [[True]] * threads_count
    assert handle.cancelled() == (method == "cancel")


@needs_waiting_handles
def test_a_post_may_cancel_itself_while_it_runs(loop):
    seen = []

    def callback(arg):
        handle.cancel()
        seen.append((arg, handle.cancelled()))
        loop.stop()

    handle = loop.call_soon_threadsafe(callback, "kept")
    loop.run_forever()
    assert seen == [("kept", True)]


@needs_waiting_handles
def test_ctrl_c_ends_the_wait_for_a_post(loop):
    """The loop runs in a thread and the main thread cancels: it must stay interruptible."""
    started, over = threading.Event(), threading.Event()

    def callback():
        started.set()
        over.wait(30)
        loop.stop()

    handle = loop.call_soon_threadsafe(callback)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    started.wait(10)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            handle.cancel()
        assert not over.is_set()
    finally:
        signal.signal(signal.SIGALRM, previous)
        over.set()
        thread.join()


@needs_waiting_handles
def test_a_post_may_be_run_by_hand(loop):
    """Test loops and debuggers call handle._run(), as asyncio does."""
    seen = []
    loop.call_soon_threadsafe(seen.append, 1)._run()
    assert seen == [1]


def test_the_interpreter_lock_is_free_while_the_loop_waits(loop):
    ticks = []

    def tick():
        while not done.is_set():
            ticks.append(1)
            done.wait(0.001)

    done = threading.Event()
    thread = threading.Thread(target=tick)
    thread.start()
    loop.run_until_complete(asyncio.sleep(0.1))
    done.set()
    thread.join()
    assert len(ticks) > 10


def test_signal_handlers_run_in_the_loop(loop, run):
    seen = []

    async def main():
        done = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, seen.append, "usr1")
        loop.add_signal_handler(signal.SIGUSR2, done.set_result, None)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        await done
        assert loop.remove_signal_handler(signal.SIGUSR1)
        assert not loop.remove_signal_handler(signal.SIGUSR1)

    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    run(main())
    assert seen == ["usr1"]
    assert loop.remove_signal_handler(signal.SIGUSR2)
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == before


def test_a_signal_wakes_a_loop_that_waits(loop):
    loop.add_signal_handler(signal.SIGALRM, loop.stop)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    loop.call_later(20, loop.stop)
    start = loop.time()
    loop.run_forever()
    assert loop.time() - start < 10


def test_wrong_signals_are_named(loop):
    with pytest.raises(TypeError, match="sig must be an int, not 'TERM'"):
        loop.add_signal_handler("TERM", print)
    with pytest.raises(ValueError, match="invalid signal number 1000"):
        loop.add_signal_handler(1000, print)
    with pytest.raises(RuntimeError, match="cannot be caught"):
        loop.add_signal_handler(signal.SIGKILL, print)

    async def coroutine():
        pass

    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.add_signal_handler(signal.SIGTERM, coroutine)


def test_signal_handlers_are_the_main_threads(loop):
    errors = []

    def add():
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    assert len(errors) == 1 and "main thread" in errors[0]


def test_closing_the_loop_restores_signals():
    loop = bide.new_event_loop()
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_ctrl_c_interrupts_a_loop_that_waits(loop):
    """No handler of asyncio's: the default one must still end the wait."""
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asyncio.sleep(30))
    assert time.monotonic() - start < 20
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


def test_ctrl_c_cancels_the_main_task_of_run():
    ended = []

    async def main():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        bide.run(main())
    assert ended == [True]
