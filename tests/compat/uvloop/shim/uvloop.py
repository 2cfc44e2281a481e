"""bide under uvloop's name, for uvloop's own tests."""

from bide import (
    EventLoop as Loop,
    EventLoopPolicy,
    __version__,
    install,
    new_event_loop,
    run,
)

__all__ = ["EventLoopPolicy", "Loop", "__version__", "install", "new_event_loop", "run"]
