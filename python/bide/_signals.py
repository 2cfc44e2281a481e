"""Unix signals as callbacks of the loop."""

import contextvars
import errno
import inspect
import signal
import socket
from asyncio import coroutines
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._base import BaseLoop

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    _Ts = TypeVarTuple("_Ts")

_Callback = tuple[Callable[..., Any], tuple[Any, ...], contextvars.Context]


def _ignore(number: int, frame: object) -> None:
    """Python must hold a handler, or nothing is written to the wakeup fd."""


class SignalLoop(BaseLoop):
    """add_signal_handler and remove_signal_handler."""

    def __init__(self) -> None:
        super().__init__()
        self._signal_handlers: dict[int, _Callback] = {}
        self._signal_sockets: tuple[socket.socket, socket.socket] | None = None
        self._signal_outer_fd = -1

    def add_signal_handler(
        self, sig: int, callback: "Callable[[Unpack[_Ts]], object]", *args: "Unpack[_Ts]"
    ) -> None:
        """Call callback(*args) in the loop when the signal comes. Main thread only."""
        if coroutines.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_signal(sig)
        self._check_closed()
        self._start_listening()
        self._signal_handlers[sig] = (callback, args, contextvars.copy_context())
        try:
            signal.signal(sig, _ignore)
            # Other threads' system calls are not to fail with EINTR.
            signal.siginterrupt(sig, False)
        except OSError as error:
            del self._signal_handlers[sig]
            self._stop_listening()
            if error.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from error
            raise

    def remove_signal_handler(self, sig: int) -> bool:
        """Restore the signal's default; return whether there was a handler."""
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from error
            raise
        self._stop_listening()
        return True

    def close(self) -> None:
        """Cancel what is in flight and free the loop. Nothing runs any more."""
        if not self.is_closed() and not self.is_running():
            for sig in list(self._signal_handlers):
                self.remove_signal_handler(sig)
        super().close()

    def _check_signal(self, sig: int) -> None:
        if not isinstance(sig, int):
            raise TypeError(f"sig must be an int, not {sig!r}")
        if sig not in signal.valid_signals():
            raise ValueError(f"invalid signal number {sig}")

    def _start_listening(self) -> None:
        if self._signal_sockets is not None:
            return
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        try:
            # Raises ValueError outside the main thread.
            self._signal_outer_fd = signal.set_wakeup_fd(writer.fileno())
        except (ValueError, OSError) as error:
            reader.close()
            writer.close()
            raise RuntimeError(str(error)) from error
        self._signal_sockets = (reader, writer)
        self._add_reader(reader, self._read_signals)

    def _stop_listening(self) -> None:
        if self._signal_handlers or self._signal_sockets is None:
            return
        reader, writer = self._signal_sockets
        self._signal_sockets = None
        signal.set_wakeup_fd(self._signal_outer_fd)
        self.remove_reader(reader)
        reader.close()
        writer.close()

    def _read_signals(self) -> None:
        assert self._signal_sockets is not None
        try:
            numbers = self._signal_sockets[0].recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        for number in numbers:
            found = self._signal_handlers.get(number)
            if found is not None:
                callback, args, context = found
                self.call_soon(callback, *args, context=context)
