"""One file object, several tasks: their calls take turns, in the order in which they were
begun."""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Turns:
    """Like a fair lock, but a turn is handed to the next in line: nobody slips in between."""

    __slots__ = ("taken", "line")

    def __init__(self) -> None:
        self.taken = False
        self.line: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Returns once the turn is the caller's."""
        ours: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line.append(ours)
        try:
            await ours
        except BaseException:
            if ours.done() and not ours.cancelled():
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """The caller's turn is over. Who waited on a loop that is closed never comes."""
        while self.line:
            following = self.line.popleft()
            if not (following.done() or following.get_loop().is_closed()):
                following.set_result(None)
                return
        self.taken = False


class _TakesTurns(Protocol):
    _turns: Turns


_S = TypeVar("_S", bound=_TakesTurns)


def in_turn(
    method: Callable[Concatenate[_S, _P], Awaitable[_T]],
) -> Callable[Concatenate[_S, _P], Coroutine[Any, Any, _T]]:
    """A method of a file object that waits for its turn."""

    @functools.wraps(method)
    async def call(self: _S, /, *args: _P.args, **options: _P.kwargs) -> _T:
        turns = self._turns
        if turns.taken:
            await turns.wait()
        else:
            turns.taken = True
        try:
            return await method(self, *args, **options)
        finally:
            if turns.line:
                turns.pass_on()
            else:
                turns.taken = False

    return call
