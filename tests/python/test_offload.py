"""bide.Pool and bide.offload: users lose bounds, order, results, or a whole process to
one slow kind of work."""

import asyncio
import concurrent.futures
import contextvars
import gc
import queue
import threading

import bide
import pytest

variable = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def pool():
    with bide.Pool("tested", 1, queue_max=2) as made:
        yield made


@pytest.fixture
def blocked(pool):
    """Blocks the pool's only thread; returns the event that lets it go."""
    entered, opened = threading.Event(), threading.Event()

    def block():
        entered.set()
        assert opened.wait(30)

    pool.submit(block)
    assert entered.wait(30)
    yield opened
    opened.set()


# ---- offload ----


def test_offload_passes_arguments_and_context(loop, run, pool):
    def job(*args, **kwargs):
        return args, kwargs, variable.get(), threading.current_thread().name

    async def main():
        variable.set("caller's")
        assert await bide.offload(job, 1, b=2, pool=pool) == (
            (1,), {"b": 2}, "caller's", "tested_0"
        )  # fmt: skip
        assert await bide.offload(job) == ((), {}, "caller's", "asyncio_0")

    run(main())


def test_offload_changes_nothing_in_the_callers_context(run, pool):
    async def main():
        await bide.offload(variable.set, "job's", pool=pool)
        assert variable.get() == "unset"

    run(main())


def test_offload_raises_what_the_job_raises(run, pool):
    with pytest.raises(ZeroDivisionError):
        run(bide.offload(divmod, 1, 0, pool=pool))


def test_offload_works_on_any_loop(pool):
    async def main():
        variable.set("caller's")
        assert await bide.offload(variable.get, pool=pool) == "caller's"
        assert await bide.offload(variable.get) == "caller's"
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, int, "5") == 5

    loop = asyncio.new_event_loop()
    loop.set_default_executor(pool)
    loop.run_until_complete(asyncio.wait_for(main(), 10))
    loop.close()


def test_offload_needs_a_running_loop(pool):
    with pytest.raises(RuntimeError, match="no running event loop"):
        bide.offload(int, pool=pool).send(None)


def test_offload_takes_the_standard_librarys_pools(run):
    async def main():
        variable.set("caller's")
        with concurrent.futures.ThreadPoolExecutor(1) as theirs:
            assert await bide.offload(variable.get, pool=theirs) == "caller's"

    run(main())


# ---- the bound ----


def test_a_full_queue_refuses_those_who_cannot_wait(loop, run, pool, blocked):
    queued = [pool.submit(int), loop.run_in_executor(pool, int)]
    assert pool.queued == 2
    for refused in (
        lambda: pool.submit(int),
        lambda: loop.run_in_executor(pool, int),
        lambda: list(pool.map(int, "1")),
    ):
        with pytest.raises(queue.Full, match="2 jobs wait, the pool's queue_max"):
            refused()
    blocked.set()
    assert queued[0].result(10) == run(queued[1]) == 0
    assert pool.submit(int, "4").result(10) == 4


def test_a_full_queue_is_awaited_by_offload_in_order(loop, run, pool, blocked):
    seen = []

    async def main():
        jobs = [
            asyncio.ensure_future(bide.offload(seen.append, number, pool=pool))
            for number in range(20)
        ]
        await asyncio.sleep(0)
        with pytest.raises(queue.Full):
            pool.submit(int)
        assert not any(job.done() for job in jobs)
        blocked.set()
        await asyncio.gather(*jobs)

    run(main())
    assert seen == list(range(20))


def test_cancelled_jobs_take_no_room(loop, run, pool, blocked):
    seen = []

    async def main():
        for _ in range(100):
            future = pool.submit(seen.append, "concurrent")
            assert future.cancel()
            job = loop.run_in_executor(pool, seen.append, "asyncio")
            assert job.cancel()
            assert pool.queued == 0
            assert future in concurrent.futures.wait([future], 10).done
        kept = loop.run_in_executor(pool, seen.append, "kept")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(bide.offload(seen.append, "late", pool=pool), 0.01)
        assert pool.queued == 1
        blocked.set()
        await kept

    run(main())
    pool.shutdown()
    assert seen == ["kept"]


def test_a_shutdown_beside_a_look_at_the_queue_loses_no_job():
    pool = bide.Pool("tested", 1)
    entered, opened = threading.Event(), threading.Event()
    pool.submit(lambda: (entered.set(), opened.wait(30)))
    assert entered.wait(30)
    waiting = pool.submit(int)
    (worker,) = pool._threads

    def shut_down_and_let_go():
        pool.shutdown(wait=False)
        opened.set()
        worker.join(0.2)
        return False

    # Counting those that wait asks each whether it was cancelled.
    waiting.cancelled = shut_down_and_let_go
    assert pool.queued == 1
    del waiting.cancelled
    assert waiting.result(10) == 0
    worker.join(10)
    assert not worker.is_alive()


def test_idle_threads_count_as_room():
    """A bound of one must not refuse two jobs that two threads can take at once."""
    barrier = threading.Barrier(3)
    with bide.Pool("pair", 2, queue_max=1) as pair:
        jobs = [pair.submit(barrier.wait, 30) for _ in range(2)]
        waiting = pair.submit(int)
        with pytest.raises(queue.Full):
            pair.submit(int)
        barrier.wait(30)
        for job in [*jobs, waiting]:
            job.result(10)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        bide.Pool("none", 0)
    with pytest.raises(ValueError, match="queue_max must be greater than 0"):
        bide.Pool("none", 1, queue_max=0)
    with pytest.raises(TypeError, match="name must be str, not int"):
        bide.Pool(4)


def test_a_pool_says_what_it_is(pool, blocked):
    pool.submit(int)
    assert (pool.name, pool.size, pool.queue_max, pool.queued) == ("tested", 1, 2, 1)
    assert repr(pool) == "<Pool 'tested' size=1 queue_max=2 queued=1>"
    blocked.set()


# ---- as an executor ----


def test_a_pool_is_an_executor(pool):
    assert isinstance(pool, concurrent.futures.ThreadPoolExecutor)
    assert list(pool.map(divmod, (7, 9), (2, 4))) == [(3, 1), (2, 1)]
    assert pool.submit(int, "ff", base=16).result(10) == 255
    error = pool.submit(divmod, 1, 0).exception(10)
    assert type(error) is ZeroDivisionError


def test_a_subclass_sees_what_is_submitted(loop, run):
    class Counting(bide.Pool):
        count = 0

        def submit(self, fn, /, *args, **kwargs):
            self.count += 1
            return super().submit(fn, *args, **kwargs)

    with Counting("counting", 1) as counting:
        assert run(loop.run_in_executor(counting, int, "7")) == 7
        assert counting.count == 1


def test_futures_of_a_pool_tell_their_state(pool, blocked):
    waiting, cancelled = pool.submit(int), pool.submit(int)
    assert not waiting.running() and cancelled.cancel()
    blocked.set()
    assert waiting.result(10) == 0
    assert not waiting.cancel()
    done = concurrent.futures.wait([waiting, cancelled], 10)
    assert done.not_done == set() and cancelled.cancelled()


def test_shutdown_may_cancel_what_waits(loop, run, pool, blocked):
    ours, theirs = loop.run_in_executor(pool, int), pool.submit(int)
    pool.shutdown(wait=False, cancel_futures=True)
    assert theirs.cancelled()
    assert concurrent.futures.wait([theirs], 10).not_done == set()
    with pytest.raises(asyncio.CancelledError):
        run(asyncio.wait_for(ours, 10))
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(int)
    blocked.set()


def test_leaving_an_async_pool_waits_without_blocking_the_loop(loop, run):
    entered, opened = threading.Event(), threading.Event()

    def block():
        entered.set()
        assert opened.wait(30)
        return "done"

    async def main():
        async with bide.Pool("async", 1) as made:
            job = loop.run_in_executor(made, block)
            while not entered.is_set():
                await asyncio.sleep(0.001)
            # Only a loop that runs while the pool is left can open it.
            loop.call_later(0.02, opened.set)
        assert job.done() and await job == "done"
        assert not any(thread.is_alive() for thread in made._threads)

    run(main())


def test_a_dropped_pool_ends_its_threads():
    made = bide.Pool("dropped", 2)
    done = [made.submit(int) for _ in range(5)]
    threads = list(made._threads)
    del made
    gc.collect()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert [future.result(0) for future in done] == [0] * 5


def test_a_pool_goes_on_when_no_more_threads_can_be_made(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    gate = threading.Event()
    with bide.Pool("short", 4) as made:
        first = made.submit(gate.wait, 30)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        second = made.submit(int)
        gate.set()
        assert first.result(10) and second.result(10) == 0
        assert len(made._threads) == 1
        other = bide.Pool("none", 4)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            other.submit(int)
        monkeypatch.undo()
        assert other.submit(int).result(10) == 0
        other.shutdown()


# ---- many loops, many jobs ----


def run_loops(count, make):
    """Runs make(number) on a loop of its own in each of count threads; gives results."""
    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        runs = [threads.submit(lambda n=n: bide.run(make(n))) for n in range(count)]
        return [each.result(100) for each in runs]


def test_a_hundred_thousand_jobs_from_loops_in_threads():
    loops, rounds, batch = 4, 250, 100

    async def make(number):
        home = threading.get_ident()
        loop = asyncio.get_running_loop()
        total = 0
        for turn in range(rounds):
            jobs = [loop.run_in_executor(shared, divmod, turn, 7) for _ in range(batch)]
            for job in jobs:
                job.add_done_callback(lambda _: homes.add((home, threading.get_ident())))
            for result in await asyncio.gather(*jobs):
                total += result == divmod(turn, 7)
        return total

    homes = set()
    with bide.Pool("shared", 4) as shared:
        assert run_loops(loops, make) == [rounds * batch] * loops
        assert len(shared._threads) <= 4
    assert all(home == seen for home, seen in homes), "results arrive on their own loop"


def test_cancels_and_closes_race_with_workers():
    async def make(number):
        loop = asyncio.get_running_loop()
        for turn in range(150):
            jobs = [loop.run_in_executor(shared, int) for _ in range(20)]
            await asyncio.sleep(0)
            for job in jobs[turn % 3 :: 2]:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        for _ in range(50):
            loop.run_in_executor(shared, int)

    with bide.Pool("racing", 4) as shared:
        for _ in range(5):
            run_loops(3, make)
        assert shared.submit(int, "1").result(10) == 1


def test_jobs_leave_no_memory_behind(loop, run, traced_bytes):
    def fail():
        raise ValueError

    async def rounds(count):
        for _ in range(count):
            jobs = [loop.run_in_executor(pool, int) for _ in range(20)]
            jobs += [loop.run_in_executor(pool, fail) for _ in range(5)]
            jobs[-1].cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await bide.offload(str, 5, pool=pool)
            await asyncio.wrap_future(pool.submit(int))

    pool = bide.Pool("leaks", 2)
    run(rounds(50), 30)
    gc.collect()
    objects = len(gc.get_objects())
    before = traced_bytes()
    run(rounds(200), 30)
    gc.collect()
    grown = traced_bytes() - before
    pool.shutdown()
    assert grown < 50_000
    assert len(gc.get_objects()) - objects < 100
