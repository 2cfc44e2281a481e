"""The event loop policy, for programs that set one. Python 3.14 deprecates policies:
bide.run() or loop_factory=bide.new_event_loop come first."""

import asyncio
from typing import TYPE_CHECKING, Any

from ._loop import EventLoop

if TYPE_CHECKING:
    _Base = asyncio.events.BaseDefaultEventLoopPolicy
else:
    _Base = getattr(asyncio.events, "_BaseDefaultEventLoopPolicy", None) or (
        asyncio.events.BaseDefaultEventLoopPolicy
    )


class EventLoopPolicy(_Base):
    """Makes asyncio.new_event_loop() and asyncio.run() use bide."""

    def _loop_factory(self) -> EventLoop:
        return EventLoop()

    if TYPE_CHECKING:
        # asyncio raises NotImplementedError for these where no watcher is needed.
        def get_child_watcher(self) -> Any: ...
        def set_child_watcher(self, watcher: Any) -> None: ...


def install() -> None:
    """Set the policy for this process."""
    asyncio.set_event_loop_policy(EventLoopPolicy())
