"""run_in_executor and to_thread: users lose results, jobs that ran although they were
cancelled, or their threads."""

import asyncio
import concurrent.futures
import contextvars
import functools
import gc
import math
import os
import sys
import threading
import time
import traceback
import weakref

import bide
import pytest

variable = contextvars.ContextVar("variable", default="unset")


async def in_own_thread(function, *args):
    """As to_thread, where the loop's own threads are all busy."""
    with concurrent.futures.ThreadPoolExecutor(1) as own:
        return await asyncio.get_running_loop().run_in_executor(own, function, *args)


def outcome(new_event_loop, job):
    """What awaiting the job gives on such a loop."""
    loop = new_event_loop()

    async def main():
        return await loop.run_in_executor(None, job)

    try:
        return loop.run_until_complete(main())
    except BaseException as error:
        return type(error), error.args
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def raising(error):
    """A job that raises its like: the one error would keep the traceback of every raise."""

    def job():
        raise type(error)(*error.args)

    return job


# ---- threads ----


def test_workers_are_threads_like_any_other(loop, run):
    def look():
        thread = threading.current_thread()
        return thread, thread in threading.enumerate()

    thread, listed = run(asyncio.wait_for(asyncio.to_thread(look), 10))
    assert type(thread) is threading.Thread and listed
    assert thread.name == "asyncio_0" and not thread.daemon
    run(loop.shutdown_default_executor())
    assert not thread.is_alive()


def test_idle_threads_are_used_before_new_ones_are_made(loop, run):
    local = threading.local()

    def count():
        local.count = getattr(local, "count", 0) + 1
        return local.count, threading.get_ident()

    async def main():
        return [await loop.run_in_executor(None, count) for _ in range(20)]

    seen = run(main())
    assert [count for count, _ in seen] == list(range(1, 21))
    assert len({ident for _, ident in seen}) == 1


def test_there_are_as_many_threads_as_the_standard_librarys_pool_has(loop, run, gate):
    async def main():
        size = concurrent.futures.ThreadPoolExecutor()._max_workers
        jobs = [loop.run_in_executor(None, gate.wait) for _ in range(size + 3)]
        await in_own_thread(gate.await_entered, size)
        assert not gate.entered.acquire(blocking=False)
        gate.opened.set()
        await asyncio.gather(*jobs)
        assert len(loop._default_executor._threads) == size

    run(main())


def test_batches_never_serialise_what_blocks(loop, run):
    size = 16
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
    pool = bide.Pool("sleepers", size)
    expected = math.ceil(64 / size) * 0.1

    async def main():
        begin = time.monotonic()
        await asyncio.gather(
            *(loop.run_in_executor(pool, time.sleep, 0.1) for _ in range(64))
        )
        return time.monotonic() - begin

    took = [run(main()) for _ in ("threads are made", "threads are woken")]
    pool.shutdown()
    assert all(expected <= each < expected + 0.3 for each in took), took


def test_a_job_starts_although_its_loop_blocks(loop, run):
    async def main():
        started = threading.Event()
        job = loop.run_in_executor(None, started.set)
        assert started.wait(10)
        await job

    run(main())


def test_only_to_thread_carries_the_context(loop, run):
    async def main():
        variable.set("caller's")
        assert await asyncio.to_thread(variable.get) == "caller's"
        if not getattr(sys.flags, "thread_inherit_context", 0):
            assert await loop.run_in_executor(None, variable.get) == "unset"

    run(main())


def test_jobs_may_submit_jobs(loop, run):
    pool = bide.Pool("nested", 2)

    def outer():
        return pool.submit(sum, [1, 2]).result(10)

    assert run(asyncio.wait_for(bide.offload(outer, pool=pool), 10)) == 3
    pool.shutdown()


def test_short_jobs_leave_the_interpreter_to_others(loop, gate):
    """A long row of jobs in C never looks whether another thread wants the GIL."""
    pool = bide.Pool("busy", 1)
    pool.submit(gate.wait)
    gate.await_entered()
    for _ in range(5000):
        loop.run_in_executor(pool, int, "7" * 4000)
    gate.opened.set()
    time.sleep(0.001)
    left = pool.queued
    pool.shutdown()
    assert left > 0


# ---- results ----


def test_arguments_and_results(loop, run):
    async def main():
        assert await loop.run_in_executor(None, lambda *args: args, 1, 2) == (1, 2)
        assert await loop.run_in_executor(None, int) == 0
        assert await asyncio.to_thread(int, "ff", base=16) == 255

    run(main())


def test_partial_objects_and_methods_are_callables_like_any(loop, run):
    text = "a,b"
    assert run(loop.run_in_executor(None, functools.partial(text.split, ","))) == ["a", "b"]


def test_an_exception_keeps_the_traceback_of_its_thread(loop, run):
    def fail():
        raise LookupError("in the thread")

    async def main():
        await loop.run_in_executor(None, fail)

    with pytest.raises(LookupError, match="in the thread") as caught:
        run(main())
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["main", "fail"]


@pytest.mark.parametrize("how", ["run_in_executor", "to_thread", "offload"])
def test_an_exception_makes_no_reference_cycle(loop, run, how):
    class Failure(Exception):
        pass

    def fail():
        raise Failure

    async def main():
        pool = bide.Pool("cycle", 1) if how == "offload" else None

        async def call(function):
            if how == "run_in_executor":
                await loop.run_in_executor(None, function)
            elif how == "to_thread":
                await asyncio.to_thread(function)
            else:
                await bide.offload(function, pool=pool)

        try:
            await call(fail)
        except Failure as error:
            reference = weakref.ref(error)
        # Without a GIL a thread settles its counts when it next runs Python code.
        await call(lambda: None)
        return reference

    gc.collect()
    gc.disable()
    try:
        reference = run(main())
        assert reference() is None
    finally:
        gc.enable()


def test_a_stop_iteration_is_told_and_does_not_hang(loop, run):
    async def main():
        await loop.run_in_executor(None, next, iter(()))

    with pytest.raises((RuntimeError, TypeError), match="interacts badly") as caught:
        run(main())
    assert type(caught.value.__cause__) is StopIteration


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt("worker"),
        asyncio.CancelledError("worker"),
        concurrent.futures.CancelledError("worker"),
        concurrent.futures.TimeoutError("worker"),
        concurrent.futures.InvalidStateError("worker"),
        GeneratorExit("worker"),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_a_workers_exception_is_what_it_is_on_asyncio(error):
    ours = outcome(bide.new_event_loop, raising(error))
    theirs = outcome(asyncio.new_event_loop, raising(error))
    assert ours == theirs


def test_results_are_dropped_on_the_worker_and_on_the_loop(loop, run):
    class Big:
        pass

    argument = Big()
    result = Big()
    watched = weakref.ref(argument), weakref.ref(result)

    async def main(argument, result):
        held = [result]
        job = loop.run_in_executor(None, lambda _: held.pop(), argument)
        del argument, result
        await job
        await loop.run_in_executor(None, int)

    coroutine = main(argument, result)
    del argument, result
    gc.disable()
    try:
        run(coroutine)
        assert [reference() for reference in watched] == [None, None]
    finally:
        gc.enable()


# ---- cancelling ----


def test_cancelling_before_the_start_drops_the_job(loop, run, gate):
    pool = bide.Pool("one", 1)
    started = []

    async def main():
        blocker = loop.run_in_executor(pool, gate.wait)
        await in_own_thread(gate.await_entered)
        job = loop.run_in_executor(pool, started.append, "cancelled")
        assert job.cancel()
        gate.opened.set()
        await blocker
        await loop.run_in_executor(pool, started.append, "next")
        with pytest.raises(asyncio.CancelledError):
            await job

    run(main())
    pool.shutdown()
    assert started == ["next"]


def test_cancelling_after_the_start_drops_the_result(loop, run, gate):
    async def main():
        job = loop.run_in_executor(None, gate.wait, "late")
        await in_own_thread(gate.await_entered)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(job, 0.01)
        gate.opened.set()
        await loop.shutdown_default_executor()
        assert job.cancelled()

    run(main())


# ---- closing ----


def test_a_loop_may_close_while_its_jobs_run(gate, open_fds):
    class Result:
        pass

    def job():
        gate.wait()
        made = Result()
        results.append(weakref.ref(made))
        return made

    results = []
    before = open_fds()
    loop = bide.new_event_loop()
    future = loop.run_in_executor(None, job)
    queued = [loop.run_in_executor(None, results.append, None) for _ in range(50)]
    threads = list(loop._default_executor._threads)
    gate.await_entered()
    loop.close()
    gate.opened.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(results) == 51, "what was queued runs, as on asyncio"
    assert [made() for made in results if made is not None] == [None]
    assert not future.done() and not any(job.done() for job in queued)
    watched = weakref.ref(loop)
    del loop, future, queued
    gc.collect()
    assert watched() is None and open_fds() == before


def test_loops_that_close_under_results_are_not_woken():
    """Each round, results race with the close: a wake of a freed loop is a crash."""
    pool = bide.Pool("racing", 4)

    async def start(loop):
        for _ in range(20):
            loop.run_in_executor(pool, int)

    for _ in range(300):
        loop = bide.new_event_loop()
        loop.run_until_complete(start(loop))
        loop.close()
    pool.shutdown()


def test_a_loop_that_is_dropped_with_finished_jobs_is_collected():
    loop = bide.new_event_loop()
    job = loop.run_in_executor(None, int)
    loop._default_executor.shutdown()
    watched = weakref.ref(loop), weakref.ref(job)
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        del loop, job
        gc.collect()
    assert [reference() for reference in watched] == [None, None]


def test_after_closing_and_shutting_down(loop, run):
    async def main():
        await loop.run_in_executor(None, int)
        await loop.shutdown_default_executor()
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="^Executor shutdown has been called$"):
            loop.run_in_executor(None, int)

    run(main())
    other = bide.new_event_loop()
    other.close()
    with pytest.raises(RuntimeError, match="^Event loop is closed$"):
        other.run_in_executor(None, int)
    pool = bide.Pool("ended", 1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="^cannot schedule new futures after shutdown$"):
        loop.run_in_executor(pool, int)


def test_shutdown_keeps_its_time_limit(loop, run, gate):
    async def main():
        job = loop.run_in_executor(None, gate.wait, "done")
        with pytest.warns(RuntimeWarning, match=r"within 0\.01 seconds"):
            await loop.shutdown_default_executor(0.01)
        gate.opened.set()
        assert await job == "done"

    run(main())


def test_shutdown_waits_for_what_is_queued(loop, run):
    done = []

    async def main():
        for number in range(100):
            loop.run_in_executor(None, done.append, number)
        await loop.shutdown_default_executor()

    run(main())
    assert sorted(done) == list(range(100))


# ---- which executor ----


def test_the_default_executor_looks_like_the_standard_librarys(loop, run):
    assert loop._default_executor is None
    run(loop.run_in_executor(None, int))
    assert isinstance(loop._default_executor, concurrent.futures.ThreadPoolExecutor)
    assert loop._default_executor._work_queue.qsize() == 0
    assert loop._default_executor.submit(int, "3").result(10) == 3


def test_a_default_executor_is_used(loop, run):
    for made in (concurrent.futures.ThreadPoolExecutor(1, "own"), bide.Pool("own", 1)):
        loop.set_default_executor(made)
        assert loop._default_executor is made
        thread = run(loop.run_in_executor(None, threading.current_thread))
        assert thread.name == "own_0"
        made.shutdown()


def test_default_executors_are_checked(loop):
    if sys.version_info < (3, 11):
        with pytest.warns(DeprecationWarning, match="not an instance of ThreadPoolExecutor"):
            loop.set_default_executor(None)
        return
    with pytest.raises(TypeError, match="^executor must be ThreadPoolExecutor instance$"):
        loop.set_default_executor(object())
    assert loop._default_executor is None


def test_debug_mode_refuses_coroutines(loop):
    async def coroutine():
        pass

    loop.set_debug(True)
    with pytest.raises(TypeError, match="coroutines cannot be used with run_in_executor"):
        loop.run_in_executor(None, coroutine)


def test_threads_of_the_standard_library(loop, run):
    with concurrent.futures.ThreadPoolExecutor(1, "theirs") as pool:
        thread = run(loop.run_in_executor(pool, threading.current_thread))
    assert thread.name == "theirs_0"


def test_processes(loop, run):
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        child = run(loop.run_in_executor(pool, os.getpid), 50)
        assert run(bide.offload(divmod, 7, 2, pool=pool)) == (3, 1)
    assert child != os.getpid()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="came with Python 3.14")
def test_interpreters(loop, run):
    with concurrent.futures.InterpreterPoolExecutor(1) as pool:
        assert run(loop.run_in_executor(pool, divmod, 7, 2)) == (3, 1)
