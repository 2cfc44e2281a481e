"""The event loop policy, for programs that set one. Python 3.14 deprecates policies:
bide.run() or loop_factory=bide.new_event_loop come first."""

import asyncio
from typing import Any

from ._loop import EventLoop

# 3.14 has the name with an underscore alone, and warns of the other.
_Base: Any = getattr(asyncio.events, "_BaseDefaultEventLoopPolicy", None)
if _Base is None:
    _Base = getattr(asyncio.events, "BaseDefaultEventLoopPolicy")


class EventLoopPolicy(_Base):  # type: ignore[misc]
    """Makes asyncio.new_event_loop() and asyncio.run() use bide."""

    def _loop_factory(self) -> EventLoop:
        return EventLoop()


def install() -> None:
    """Set the policy for this process."""
    asyncio.set_event_loop_policy(EventLoopPolicy())
