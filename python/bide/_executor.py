"""Blocking work: threads, and the resolver that needs them."""

import asyncio
import concurrent.futures
import logging
import socket
import sys
import warnings
from asyncio.log import logger
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from . import _bide, _resolve
from ._base import BaseLoop, is_replaced
from ._pool import Pool, shut_down

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    _Ts = TypeVarTuple("_Ts")

_T = TypeVar("_T")

# What concurrent.futures and asyncio have one each of: in 3.10 the timeout too.
_ASYNCIO_ERRORS: dict[type[BaseException], type[BaseException]] = {
    concurrent.futures.CancelledError: asyncio.CancelledError,
    concurrent.futures.TimeoutError: asyncio.TimeoutError,
    concurrent.futures.InvalidStateError: asyncio.InvalidStateError,
}


class ExecutorLoop(BaseLoop):
    """run_in_executor, getaddrinfo and getnameinfo."""

    def __init__(self) -> None:
        super().__init__()
        # None until it is needed, as in asyncio; then a Pool, which is a
        # ThreadPoolExecutor, as programs that look at it expect.
        self._default_executor: concurrent.futures.ThreadPoolExecutor | None = None
        self._executor_shutdown_called = False

    # Whether a subclass has a call_soon_threadsafe() of its own: what ends in another thread
    # comes back through it, as in asyncio.
    _posts_by_method = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own: Any = _bide.Loop.call_soon_threadsafe
        cls._posts_by_method = cls.call_soon_threadsafe is not own

    def run_in_executor(
        self, executor: Any, func: "Callable[[Unpack[_Ts]], _T]", *args: "Unpack[_Ts]"
    ) -> "asyncio.Future[_T]":
        """Run func(*args) in an executor, None for the loop's own threads."""
        self._check_closed()
        if self.get_debug():
            self._check_callback(func, "run_in_executor")
        if executor is None:
            executor = self._get_default_executor()
        if isinstance(executor, Pool) and type(executor).submit is Pool.submit:
            if not self._posts_by_method:
                return executor._run(self, func, args, True)
        return asyncio.wrap_future(executor.submit(func, *args), loop=self)

    def _get_default_executor(self) -> concurrent.futures.ThreadPoolExecutor:
        if self._executor_shutdown_called:
            raise RuntimeError("Executor shutdown has been called")
        if self._default_executor is None:
            self._default_executor = Pool("asyncio")
        return self._default_executor

    def _job_raised(self, error: BaseException) -> BaseException:
        """What a job's exception is to whoever awaits it."""
        kind = _ASYNCIO_ERRORS.get(type(error))
        if kind is None:
            return error
        return kind(*error.args).with_traceback(error.__traceback__)

    def set_default_executor(self, executor: Any) -> None:
        """Set the executor that run_in_executor(None, ...) uses."""
        if not isinstance(executor, concurrent.futures.ThreadPoolExecutor):
            if sys.version_info >= (3, 11):
                raise TypeError("executor must be ThreadPoolExecutor instance")
            warnings.warn(
                "Using the default executor that is not an instance of ThreadPoolExecutor "
                "is deprecated and will be prohibited in Python 3.9",
                DeprecationWarning,
                stacklevel=2,
            )
        self._default_executor = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the loop's threads to end, at most timeout seconds."""
        self._executor_shutdown_called = True
        executor = self._default_executor
        if executor is None:
            return
        future, thread = shut_down(self, executor)
        try:
            await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            warnings.warn(
                "The executor did not finishing joining "
                f"its threads within {timeout} seconds.",
                RuntimeWarning,
                stacklevel=2,
            )
            executor.shutdown(wait=False)
        else:
            thread.join()

    def close(self) -> None:
        """Cancel what is in flight and free the loop. Nothing runs any more."""
        if self.is_closed():
            return
        super().close()
        self._executor_shutdown_called = True
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    # ---- the resolver ----

    def _sends_away(self) -> bool:
        """Whether somebody else's run_in_executor is to see each look-up, as in asyncio."""
        return is_replaced(self.run_in_executor, ExecutorLoop.run_in_executor)

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
        """Resolve as socket.getaddrinfo does, in a thread unless host and port are
        numbers."""
        args = (host, port, family, type, proto, flags)
        if self.get_debug():
            return await self.run_in_executor(None, self._resolve_timed, *args)
        if _resolve.is_literal(host, port) and not self._sends_away():
            return _resolve.literal(*args)
        return await self.run_in_executor(None, socket.getaddrinfo, *args)

    def _resolve_timed(self, *args: Any) -> Any:
        text = _resolve.describe(*args)
        logger.debug("Get address info %s", text)
        begin = self.time()
        infos = socket.getaddrinfo(*args)
        took = self.time() - begin
        logger.log(
            logging.INFO if took >= self.slow_callback_duration else logging.DEBUG,
            "Getting address info %s took %.3fms: %r",
            text,
            took * 1e3,
            infos,
        )
        return infos

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Resolve as socket.getnameinfo does, in a thread unless flags ask for
        numbers."""
        if _resolve.is_numeric(flags) and not self._sends_away():
            return socket.getnameinfo(sockaddr, flags)
        return await self.run_in_executor(None, socket.getnameinfo, sockaddr, flags)
