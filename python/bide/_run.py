"""bide.run and what it runs on."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from ._loop import EventLoop

_T = TypeVar("_T")


def new_event_loop() -> EventLoop:
    """Return a new loop: what asyncio.Runner and uvicorn take as a loop factory."""
    return EventLoop()


def _own_event_loop() -> EventLoop:
    """A loop for who makes, runs and closes it in one thread."""
    return EventLoop(owns_thread=True)


def _refuse_inside_a_loop() -> None:
    """Before a loop is made, as asyncio.run() does: nothing is left to be cleaned up."""
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("bide.run() cannot be called from a running event loop")


def close_with_all_it_runs(loop: EventLoop) -> None:
    """Cancel the loop's tasks, end its generators and threads and close it, as
    asyncio.run() does at its end."""
    try:
        asyncio.runners._cancel_all_tasks(loop)  # type: ignore[attr-defined]
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


if sys.version_info >= (3, 11):

    def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
        """Run a coroutine on a new bide loop, as asyncio.run() does on its own."""
        _refuse_inside_a_loop()
        with asyncio.Runner(debug=debug, loop_factory=_own_event_loop) as runner:
            return runner.run(main)

else:

    def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
        """Run a coroutine on a new bide loop, as asyncio.run() does on its own."""
        _refuse_inside_a_loop()
        loop = _own_event_loop()
        try:
            asyncio.set_event_loop(loop)
            if debug is not None:
                loop.set_debug(debug)
            return loop.run_until_complete(main)
        finally:
            asyncio.set_event_loop(None)
            close_with_all_it_runs(loop)
