"""Work on a cluster: users lose results, errors, or the loop while it waits for them."""

import asyncio
import os
import time

import bide
import distributed
import pytest

WORKERS = 2


@pytest.fixture(scope="module")
def client():
    """Of a cluster of processes on this machine. Dask's own loop in this process is of
    the policy that the suite has set, and so its scheduler runs on that too."""
    with distributed.LocalCluster(
        n_workers=WORKERS,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
    ) as cluster, distributed.Client(cluster) as made:
        yield made


@pytest.fixture
def executor(client):
    with client.get_executor(pure=False) as made:
        yield made


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 40))


def test_a_call_runs_in_another_process(executor):
    async def main():
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, os.getpid)

    assert run(main()) != os.getpid()


def test_many_calls_use_all_workers(executor):
    def work(number):
        time.sleep(0.05)
        return number * number, os.getpid()

    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(executor, work, number) for number in range(20))
        )

    results = run(main())
    assert [square for square, _ in results] == [number * number for number in range(20)]
    assert len({process for _, process in results}) == WORKERS


def test_the_loop_runs_on_meanwhile(executor):
    async def main():
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(executor, time.sleep, 0.3)
        turns = 0
        while not job.done():
            await asyncio.sleep(0.01)
            turns += 1
        await job
        return turns

    assert run(main()) >= 5


def test_a_workers_exception_arrives(executor):
    def fail():
        raise LookupError("on the worker")

    async def main():
        await asyncio.get_running_loop().run_in_executor(executor, fail)

    with pytest.raises(LookupError, match="on the worker"):
        run(main())


def test_cancelling_what_has_not_started_frees_the_cluster(executor):
    """Twenty seconds of work would wait before the last call."""

    async def main():
        loop = asyncio.get_running_loop()
        queued = [loop.run_in_executor(executor, time.sleep, 2) for _ in range(10 * WORKERS)]
        await asyncio.sleep(0.1)
        for job in queued:
            job.cancel()
        await asyncio.gather(*queued, return_exceptions=True)
        assert all(job.cancelled() for job in queued)
        begin = time.monotonic()
        await loop.run_in_executor(executor, os.getpid)
        return time.monotonic() - begin

    assert run(main()) < 10


def test_offload_runs_the_same_call_on_threads_and_on_the_cluster(executor):
    async def main():
        with bide.Pool("near", 1) as near:
            here = await bide.offload(os.getpid, pool=near)
        there = await bide.offload(os.getpid, pool=executor)
        assert await bide.offload(int, "ff", base=16, pool=executor) == 255
        return here, there

    here, there = run(main())
    assert here == os.getpid() and there != here
