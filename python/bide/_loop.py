"""The loop, put together."""

from ._datagrams import DatagramLoop
from ._sendfile import SendfileLoop
from ._signals import SignalLoop
from ._subprocess import SubprocessLoop
from ._unix import UnixLoop


class EventLoop(UnixLoop, DatagramLoop, SendfileLoop, SubprocessLoop, SignalLoop):
    """An asyncio event loop on epoll and io_uring.

    The environment's BIDE_BACKEND chooses: auto (the default), io_uring or epoll.
    `backend` says which it is and `backend_reason` why. With owns_thread=True the thread that
    makes the loop is the one that runs and closes it, and on io_uring its work costs less: the
    kernel does it in the loop's waits alone. Such a ring cannot be a guest's.
    """

    def __init__(self, *, owns_thread: bool = False) -> None:
        super().__init__()  # the rest of it is __new__()'s


# Only now is it known which methods in C no class in between replaces.
EventLoop._own_methods()
