"""The loop, put together."""

from ._datagrams import DatagramLoop
from ._sendfile import SendfileLoop
from ._signals import SignalLoop
from ._subprocess import SubprocessLoop
from ._unix import UnixLoop


class EventLoop(UnixLoop, DatagramLoop, SendfileLoop, SubprocessLoop, SignalLoop):
    """An asyncio event loop that waits on io_uring, or on epoll where that is refused.

    The environment's BIDE_BACKEND chooses: auto (the default), io_uring or epoll.
    `backend` says which it is and `backend_reason` why.
    """
