"""The event loop policy, for programs that set one. Python 3.14 deprecates policies:
bide.run() or loop_factory=bide.new_event_loop come first."""

import asyncio
from typing import Any

from ._loop import EventLoop

# That of Unix has the child watchers of 3.13 and before, for programs that ask for one;
# bide needs none. 3.14 has the name with an underscore alone, and warns of the other.
_Base: Any = getattr(asyncio.unix_events, "_DefaultEventLoopPolicy", None)
if _Base is None:
    _Base = getattr(asyncio.unix_events, "DefaultEventLoopPolicy")


class EventLoopPolicy(_Base):  # type: ignore[misc]
    """Makes asyncio.new_event_loop() and asyncio.run() use bide."""

    def _loop_factory(self) -> EventLoop:
        return EventLoop()


def install() -> None:
    """Set the policy for this process."""
    asyncio.set_event_loop_policy(EventLoopPolicy())
