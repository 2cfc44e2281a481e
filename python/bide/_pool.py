"""Pools of threads for blocking work, and bide.offload, which sends work to them."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from . import _bide

if TYPE_CHECKING:
    from types import TracebackType
    from typing import ParamSpec

    _P = ParamSpec("_P")

_T = TypeVar("_T")

_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()
_exiting = threading.Event()


def _settle(future: "asyncio.Future[None]", error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def shut_down(
    loop: asyncio.AbstractEventLoop, executor: concurrent.futures.Executor
) -> "tuple[asyncio.Future[None], threading.Thread]":
    """Shut an executor down from a thread of its own, since that waits for the jobs that
    run; return the future that tells, and the thread."""
    future: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        error = None
        try:
            executor.shutdown(wait=True)
        except Exception as raised:
            error = raised
        # Whoever closes the loop meanwhile does not want to know.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, future, error)

    thread = threading.Thread(target=run)
    thread.start()
    return future, thread


class Pool(concurrent.futures.ThreadPoolExecutor):
    """A pool of at most `size` threads, for one kind of blocking work.

    Pools keep kinds of work apart: a slow database cannot starve the resolver. Threads
    are made as jobs arrive, called `name` and a number, reused, and joined at exit. One
    pool serves any number of loops, in any threads:

        pictures = bide.Pool("pictures", 4, queue_max=100)
        small = await bide.offload(shrink, picture, pool=pictures)

    A pool is also an executor: run_in_executor, set_default_executor of any loop and all
    else that takes a ThreadPoolExecutor take it. `size` is what ThreadPoolExecutor takes
    by default.

    At most `queue_max` jobs wait for a thread, None for any number. submit(), map() and
    run_in_executor(), which cannot wait, then raise queue.Full; bide.offload, which
    can, waits its turn. Jobs that were cancelled take no room.

    Leaving `with pool` waits for the jobs; leaving `async with pool` does so without
    blocking the loop.
    """

    def __init__(
        self, name: str = "bide", size: int | None = None, *, queue_max: int | None = None
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be str, not {type(name).__name__}")
        if queue_max is not None and queue_max <= 0:
            raise ValueError("queue_max must be greater than 0")
        super().__init__(size, name)
        # Under the names that programs know which look into a ThreadPoolExecutor.
        self._work_queue: Any = self._make_queue(queue_max)
        self._threads: set[threading.Thread] = set()
        # Thread.start() waits, and while it does a signal handler may come back here.
        self._starting = threading.RLock()
        self._name = name
        self._queue_max = queue_max
        _pools.add(self)

    def _make_queue(self, queue_max: int | None) -> _bide.JobQueue:
        return _bide.JobQueue(self._max_workers, queue_max or 0)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self._name!r} size={self.size} "
            f"queue_max={self._queue_max} queued={self.queued}>"
        )

    def __del__(self) -> None:
        end = getattr(getattr(self, "_work_queue", None), "end", None)
        if end is not None:
            end(False)

    @property
    def name(self) -> str:
        """What its threads are called."""
        return self._name

    @property
    def size(self) -> int:
        """How many threads it has at most."""
        return self._max_workers

    @property
    def queue_max(self) -> int | None:
        """How many jobs may wait, None for any number."""
        return self._queue_max

    @property
    def queued(self) -> int:
        """How many jobs wait for a thread."""
        queued: int = self._work_queue.qsize()
        return queued

    # ---- starting jobs ----

    def _run(
        self, loop: Any, fn: Callable[..., _T], args: tuple[Any, ...], bounded: bool
    ) -> "asyncio.Future[_T]":
        """Queue fn(*args) for a bide loop; return its future."""
        future: asyncio.Future[_T] = loop.create_future()
        self._put(loop, future, fn, args, bounded)
        return future

    def _submit(
        self, fn: Callable[..., _T], args: tuple[Any, ...], bounded: bool
    ) -> "concurrent.futures.Future[_T]":
        """Queue fn(*args) for any thread; return its future."""
        future: concurrent.futures.Future[_T] = concurrent.futures.Future()
        self._put(None, future, fn, args, bounded)
        return future

    def _put(
        self,
        loop: Any,
        future: Any,
        fn: Callable[..., object],
        args: tuple[Any, ...],
        bounded: bool,
    ) -> None:
        grow = True
        while not self._work_queue.put(loop, future, fn, args, bounded, grow):
            grow = self._add_worker()

    def _add_worker(self) -> bool:
        """Start a thread. False when there can be no more, but there are some."""
        with self._starting:
            if _exiting.is_set():
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            queue = self._work_queue
            thread = threading.Thread(
                name=f"{self._name}_{len(self._threads)}", target=queue.work, daemon=False
            )
            if not queue.add_worker():
                # Another thread was faster.
                return True
            try:
                thread.start()
            except (RuntimeError, MemoryError):
                if queue.remove_worker() == 0:
                    raise
                return False
            self._threads.add(thread)
            return True

    def _all_threads(self) -> list[threading.Thread]:
        with self._starting:
            return list(self._threads)

    def submit(
        self, fn: "Callable[_P, _T]", /, *args: "_P.args", **kwargs: "_P.kwargs"
    ) -> "concurrent.futures.Future[_T]":
        """Run fn(*args, **kwargs) in the pool; return its concurrent future. queue.Full
        when queue_max jobs wait."""
        if kwargs:
            return self._submit(functools.partial(fn, *args, **kwargs), (), True)
        return self._submit(fn, args, True)

    # ---- ending ----

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs, and wait for those there are; with cancel_futures, cancel
        those that no thread has started."""
        self._shutdown = True
        self._work_queue.end(False)
        if cancel_futures:
            self._work_queue.cancel()
        if wait:
            for thread in self._all_threads():
                thread.join()

    async def aclose(self) -> None:
        """As shutdown(), without blocking the loop."""
        future, thread = shut_down(asyncio.get_running_loop(), self)
        await future
        thread.join()

    async def __aenter__(self) -> "Pool":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: "TracebackType | None",
    ) -> None:
        await self.aclose()

    def _exit(self) -> None:
        self._work_queue.end(True)

    def _renew(self) -> None:
        self._starting = threading.RLock()
        self._threads.clear()
        self._work_queue.renew()


def _join_all() -> None:
    """At exit, before Python joins the threads that are left: the jobs that were queued
    still run, and no new ones come."""
    _exiting.set()
    pools = list(_pools)
    for pool in pools:
        pool._exit()
    for pool in pools:
        for thread in pool._all_threads():
            thread.join()


def _renew_all() -> None:
    """In a forked child: it has none of the threads."""
    for pool in list(_pools):
        pool._renew()


# concurrent.futures does the same: atexit's own functions come after the joining.
threading._register_atexit(_join_all)  # type: ignore[attr-defined]
os.register_at_fork(after_in_child=_renew_all)


async def offload(
    fn: Callable[..., _T],
    /,
    *args: Any,
    pool: concurrent.futures.Executor | None = None,
    **kwargs: Any,
) -> _T:
    """Run fn(*args, **kwargs) in a pool and await what it returns.

    Without a pool it runs in the loop's own threads. As with asyncio.to_thread, fn sees
    the caller's context variables. Where the pool's queue is full the call waits its turn.
    Cancelling it before a thread has started drops the job; after that the job runs to its
    end, and its result is dropped.

    Any executor will do as a pool. One that is not of threads (processes, Dask) gets fn
    without the context, which cannot leave the process.
    """
    loop = asyncio.get_running_loop()
    if pool is not None and not isinstance(pool, concurrent.futures.ThreadPoolExecutor):
        return await loop.run_in_executor(pool, functools.partial(fn, *args, **kwargs))
    context = contextvars.copy_context()
    call = functools.partial(context.run, fn, *args, **kwargs)
    if not isinstance(pool, Pool):
        return await loop.run_in_executor(pool, call)
    # No name for the future here: an exception's traceback holds this frame, and the
    # future the exception.
    if isinstance(loop, _bide.Loop):
        return await pool._run(loop, call, (), False)
    return await asyncio.wrap_future(pool._submit(call, (), False), loop=loop)
