"""What every loop has before it can wait for anything: its life, its tasks, its
exception handler."""

import asyncio
import inspect
import os
import sys
import traceback
import types
import warnings
import weakref
from asyncio import coroutines, format_helpers, selector_events, tasks
from asyncio.log import logger
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, TypeVar

from . import _bide

_T = TypeVar("_T")
_ExceptionHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]

# What this version's create_task takes: none but these keywords or any; and whether it is
# the loop or, since 3.14, the factory that names the task.
_TASK_OPTIONS = inspect.signature(asyncio.BaseEventLoop.create_task).parameters
_TAKES_ANY_OPTION = any(
    option.kind is inspect.Parameter.VAR_KEYWORD for option in _TASK_OPTIONS.values()
)
_NAMES_TASKS = "name" in _TASK_OPTIONS

_SHOWS_DEBUG = "debug" in inspect.signature(format_helpers._format_callback_source).parameters


# Its words for a mistake change from release to release, late ones of one version too.
_SocketTransport: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]


def _passes_over_false_lines() -> bool:
    """Whether this asyncio's writelines() leaves out None and the like: late 3.14 does."""
    blank: Any = types.SimpleNamespace(
        _eof=False, _empty_waiter=None, _conn_lost=0, _buffer=[], _write_ready=bool
    )
    try:
        _SocketTransport.writelines(blank, [None])
    except (AttributeError, TypeError):
        return False
    return True


_PASSES_OVER_FALSE_LINES = _passes_over_false_lines()


def _debug_by_default() -> bool:
    if sys.flags.dev_mode:
        return True
    return not sys.flags.ignore_environment and bool(os.environ.get("PYTHONASYNCIODEBUG"))


def _name_task(task: Any, name: Any) -> None:
    task.set_name(name)


# Before 3.13 a task that takes no name is warned of, since then it is an error.
_set_task_name: Any = getattr(tasks, "_set_task_name", _name_task)


def _stop_when_done(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        error = future.exception()
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            # It has ended the run already.
            return
    loop: Any = future.get_loop()
    if loop._awaited is future:
        # If not, an interrupt kept that run from taking this callback away.
        loop.stop()


def is_replaced(method: Any, own: Any) -> bool:
    """Whether a loop's method is not bide's own any more, but a subclass's or a patch."""
    return getattr(method, "__func__", None) is not own


class BaseLoop(_bide.Loop, asyncio.AbstractEventLoop):
    """Running and closing, tasks, debug mode and the exception handler."""

    # All that a loop keeps in Python, its mixins' part too: while nothing is in its __dict__,
    # CPython finds methods without a look there, in each step of a task and at each call.
    __slots__ = (
        "_asyncgens",
        "_asyncgens_shutdown_called",
        "_default_executor",
        "_exception_handler",
        "_executor_shutdown_called",
        "_signal_handlers",
        "_signal_pipe",
    )

    def __init__(self) -> None:
        self._exception_handler: _ExceptionHandler | None = None
        self._asyncgens: "weakref.WeakSet[AsyncGenerator[Any, Any]]" = weakref.WeakSet()
        self._asyncgens_shutdown_called = False
        super().set_debug(_debug_by_default())

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} running={self.is_running()} "
            f"closed={self.is_closed()} debug={self.get_debug()}>"
        )

    @property
    def _closed(self) -> bool:
        """asyncio's loops have it as an attribute, and programs look at it."""
        return self.is_closed()

    def __del__(self) -> None:
        if self.is_closed():
            return
        warnings.warn(f"unclosed event loop {self!r}", ResourceWarning, source=self)
        if not self.is_running():
            self.close()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A TimerHandle that somebody made tells of its end; the loop's own do not ask."""

    # ---- running ----

    def run_until_complete(self, future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
        """Run until the future, or the task made of a coroutine, is done; return its
        result."""
        self._check_closed()
        self._check_running()
        is_new = not asyncio.isfuture(future)
        task: Any = tasks.ensure_future(future, loop=self)  # type: ignore[arg-type]
        if is_new:
            # If it does not complete the caller is told so by an exception.
            task._log_destroy_pending = False
        task.add_done_callback(_stop_when_done)
        self._awaited = task
        try:
            self.run_forever()
        except BaseException:
            if is_new and task.done() and not task.cancelled():
                # The caller cannot reach the task: mark its exception as seen.
                task.exception()
            raise
        finally:
            task.remove_done_callback(_stop_when_done)
        if not task.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        result: _T = task.result()
        return result

    def close(self) -> None:
        """Cancel what is in flight and free the loop. Nothing runs any more."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        self._close()

    # ---- asynchronous generators ----

    def _asyncgen_started(self, generator: AsyncGenerator[Any, Any]) -> None:
        if self._asyncgens_shutdown_called:
            warnings.warn(
                f"asynchronous generator {generator!r} was scheduled after "
                "loop.shutdown_asyncgens() call",
                ResourceWarning,
                source=self,
            )
        self._asyncgens.add(generator)

    def _asyncgen_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._asyncgens.discard(generator)
        if not self.is_closed():
            self.call_soon_threadsafe(self.create_task, generator.aclose())

    async def shutdown_asyncgens(self) -> None:
        """Close all asynchronous generators that have not run to their end."""
        self._asyncgens_shutdown_called = True
        generators = list(self._asyncgens)
        self._asyncgens.clear()
        if not generators:
            return
        results = await asyncio.gather(
            *(generator.aclose() for generator in generators), return_exceptions=True
        )
        for result, generator in zip(results, generators):
            if isinstance(result, Exception):
                self.call_exception_handler(
                    {
                        "message": "an error occurred during closing of "
                        f"asynchronous generator {generator!r}",
                        "exception": result,
                        "asyncgen": generator,
                    }
                )

    # ---- tasks ----

    def _create_task(self, coro: Any, **options: Any) -> Any:
        """What create_task does where there is more to it than asyncio.Task(coro)."""
        if options and not _TAKES_ANY_OPTION:
            for name in options:
                if name not in _TASK_OPTIONS:
                    raise TypeError(
                        f"EventLoop.create_task() got an unexpected keyword argument {name!r}"
                    )
        if self._task_factory is not None:
            return self._make_task(self._task_factory, coro, options)
        task: Any = tasks.Task(coro, loop=self, **options)
        if task._source_traceback:
            del task._source_traceback[-1]
        try:
            return task
        finally:
            # An eager task's exception holds this frame, which must not hold the task.
            del task

    def _make_task(self, factory: Any, coro: Any, options: dict[str, Any]) -> Any:
        if not _NAMES_TASKS:
            return factory(self, coro, **options)
        name = options.pop("name", None)
        if options.get("context") is None:
            # A factory of two arguments will do when no context is wanted.
            options.pop("context", None)
        task = factory(self, coro, **options)
        _set_task_name(task, name)
        return task

    def set_task_factory(self, factory: Any) -> None:
        """Set factory(loop, coro, **options), which makes tasks; None for asyncio.Task."""
        if factory is not None and not callable(factory):
            raise TypeError("task factory must be a callable or None")
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        """Return the task factory, None for asyncio.Task."""
        return self._task_factory

    # ---- exceptions ----

    def set_exception_handler(self, handler: _ExceptionHandler | None) -> None:
        """Set handler(loop, context) for exceptions that nobody awaits; None for the
        default, which logs them."""
        if handler is not None and not callable(handler):
            raise TypeError(f"A callable object or None is expected, got {handler!r}")
        self._exception_handler = handler

    def get_exception_handler(self) -> _ExceptionHandler | None:
        """Return the exception handler, None for the default."""
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log the exception with what is known of where it came from."""
        error = context.get("exception")
        handle: Any = self._current_handle
        if handle is not None and handle._source_traceback:
            if "source_traceback" not in context:
                context["handle_traceback"] = handle._source_traceback
        lines = [context.get("message") or "Unhandled exception in event loop"]
        for key in sorted(context):
            value = context[key]
            if key in ("message", "exception"):
                continue
            if key == "source_traceback":
                text = "".join(traceback.format_list(value)).rstrip()
                lines.append(f"{key}: Object created at (most recent call last):\n{text}")
            elif key == "handle_traceback":
                text = "".join(traceback.format_list(value)).rstrip()
                lines.append(f"{key}: Handle created at (most recent call last):\n{text}")
            else:
                lines.append(f"{key}: {value!r}")
        exc_info: Any = False
        if error is not None:
            exc_info = (type(error), error, error.__traceback__)
        logger.error("\n".join(lines), exc_info=exc_info)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Pass an exception that nobody awaits to the handler."""
        if self._exception_handler is None:
            self._log_exception(context)
            return
        try:
            self._call_in_context(self._exception_handler, context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._log_exception(
                {
                    "message": "Unhandled error in exception handler",
                    "exception": error,
                    "context": context,
                },
                " while handling an unexpected error in custom exception handler",
            )

    def _call_in_context(self, handler: _ExceptionHandler, context: dict[str, Any]) -> None:
        source: Any = None
        for key in ("task", "future", "handle"):
            source = source or context.get(key)
        get_context = getattr(source, "get_context", None)
        inside = get_context() if get_context is not None else None
        if inside is not None and hasattr(inside, "run"):
            inside.run(handler, self, context)
        else:
            handler(self, context)

    def _log_exception(self, context: dict[str, Any], when: str = "") -> None:
        try:
            self.default_exception_handler(context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            logger.error(f"Exception in default exception handler{when}", exc_info=True)

    # ---- what the loop in C calls ----

    def _callback_failed(self, handle: Any, error: BaseException) -> None:
        options = {"debug": self.get_debug()} if _SHOWS_DEBUG else {}
        callback = format_helpers._format_callback_source(
            handle._callback, handle._args, **options
        )
        context = {
            "message": f"Exception in callback {callback}",
            "exception": error,
            "handle": handle,
        }
        if handle._source_traceback:
            context["source_traceback"] = handle._source_traceback
        self.call_exception_handler(context)

    def _callback_slow(self, subject: Any, seconds: float) -> None:
        owner = getattr(getattr(subject, "_callback", None), "__self__", None)
        if isinstance(owner, asyncio.Task):
            subject = owner
        logger.warning("Executing %r took %.3f seconds", subject, seconds)

    def _check_callback(self, callback: Any, method: str) -> None:
        if coroutines.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError(f"coroutines cannot be used with {method}()")
        if not callable(callback):
            raise TypeError(f"a callable object was expected by {method}(), got {callback!r}")

    def _late_write(self, message: str = "socket.send() raised exception.") -> None:
        logger.warning(message)

    def _refuse_data(self, data: object) -> None:
        # asyncio's write() looks at the data before it looks at the transport.
        _SocketTransport.write(None, data)

    def _refuse_line(self, line: Any) -> None:
        if line or not _PASSES_OVER_FALSE_LINES:
            memoryview(line)

    # ---- debug mode ----

    def set_debug(self, enabled: bool) -> None:
        """Turn debug mode on or off."""
        super().set_debug(enabled)
        if self.is_running():
            self.call_soon_threadsafe(self._track_origins, enabled)
