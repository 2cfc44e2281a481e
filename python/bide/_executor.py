"""Blocking work: threads, and the resolver that needs them."""

import asyncio
import concurrent.futures
import socket
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ._base import BaseLoop

if TYPE_CHECKING:
    from typing import TypeVarTuple, Unpack

    _Ts = TypeVarTuple("_Ts")

_T = TypeVar("_T")


def _settle(future: "asyncio.Future[None]", error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


class ExecutorLoop(BaseLoop):
    """run_in_executor, getaddrinfo and getnameinfo."""

    def __init__(self) -> None:
        super().__init__()
        self._default_executor: Any = None
        self._executor_shutdown_called = False

    def run_in_executor(
        self, executor: Any, func: "Callable[[Unpack[_Ts]], _T]", *args: "Unpack[_Ts]"
    ) -> "asyncio.Future[_T]":
        """Run func(*args) in an executor, None for the loop's own threads."""
        self._check_closed()
        if self.get_debug():
            self._check_callback(func, "run_in_executor")
        if executor is None:
            executor = self._get_default_executor()
        return asyncio.wrap_future(executor.submit(func, *args), loop=self)

    def _get_default_executor(self) -> Any:
        if self._executor_shutdown_called:
            raise RuntimeError("Executor shutdown has been called")
        if self._default_executor is None:
            self._default_executor = concurrent.futures.ThreadPoolExecutor(
                thread_name_prefix="asyncio"
            )
        return self._default_executor

    def set_default_executor(self, executor: Any) -> None:
        """Set the executor that run_in_executor(None, ...) uses."""
        if not isinstance(executor, concurrent.futures.ThreadPoolExecutor):
            raise TypeError("executor must be ThreadPoolExecutor instance")
        self._default_executor = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the loop's threads to end, at most timeout seconds."""
        self._executor_shutdown_called = True
        if self._default_executor is None:
            return
        future: asyncio.Future[None] = self.create_future()
        thread = threading.Thread(target=self._join_executor, args=(future,))
        thread.start()
        try:
            await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            warnings.warn(
                "The executor did not finishing joining "
                f"its threads within {timeout} seconds.",
                RuntimeWarning,
                stacklevel=2,
            )
            self._default_executor.shutdown(wait=False)
        else:
            thread.join()

    def _join_executor(self, future: "asyncio.Future[None]") -> None:
        error = None
        try:
            self._default_executor.shutdown(wait=True)
        except Exception as raised:
            error = raised
        if not self.is_closed():
            self.call_soon_threadsafe(_settle, future, error)

    def close(self) -> None:
        """Cancel what is in flight and free the loop. Nothing runs any more."""
        if self.is_closed():
            return
        super().close()
        self._executor_shutdown_called = True
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Resolve as socket.getaddrinfo does, in a thread."""
        return await self.run_in_executor(
            None, socket.getaddrinfo, host, port, family, type, proto, flags
        )

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Resolve as socket.getnameinfo does, in a thread."""
        return await self.run_in_executor(None, socket.getnameinfo, sockaddr, flags)
