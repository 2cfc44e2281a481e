"""bide: an asyncio event loop on io_uring, or on epoll where io_uring is refused.

    import bide

    bide.run(main())
"""

from . import fs, guest
from ._bide import __version__
from ._file_binary import BinaryFile
from ._file_raw import RawFile
from ._file_text import TextFile
from ._loop import EventLoop
from ._open import open
from ._policy import EventLoopPolicy, install
from ._pool import Pool, offload
from ._run import new_event_loop, run
from ._server import Server

__all__ = [
    "BinaryFile",
    "EventLoop",
    "EventLoopPolicy",
    "Pool",
    "RawFile",
    "Server",
    "TextFile",
    "__version__",
    "fs",
    "guest",
    "install",
    "new_event_loop",
    "open",
    "offload",
    "run",
]
