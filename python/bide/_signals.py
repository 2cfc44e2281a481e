"""Unix signals as callbacks of the loop."""

import contextvars
import errno
import inspect
import os
import signal
import sys
import warnings
import weakref
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


class _OuterWakeup:
    """The wakeup fd that was set before the loop's: it is told of signals too, and comes
    back when the loop has gone. Its number may have become another file's by then."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._identity = self._identify()

    def _identify(self) -> tuple[int, int] | None:
        try:
            status = os.fstat(self._fd)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _is_there(self) -> bool:
        return self._identity is not None and self._identify() == self._identity

    def tell(self, numbers: bytes) -> None:
        """Pass on what came. A full one is readable, which is all that it is for."""
        if self._is_there():
            try:
                os.write(self._fd, numbers)
            except OSError:
                pass

    def restore(self) -> int:
        """Make it the wakeup fd again; return what was."""
        return signal.set_wakeup_fd(self._fd if self._is_there() else -1)


class _SignalPipe:
    """What Python's signal handler writes to: the number of each signal, a byte. A pipe
    holds 65536 of them, until a loop that is busy or does not run reads them."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._outer = _OuterWakeup(-1)

    def install(self) -> None:
        """Become the wakeup fd, also when somebody else has since."""
        outer = signal.set_wakeup_fd(self.writer)
        if outer != self.writer:
            self._outer = _OuterWakeup(outer)

    def uninstall(self) -> None:
        """Leave the wakeup fd as it was, or as somebody else has set it since."""
        current = self._outer.restore()
        if current != self.writer:
            signal.set_wakeup_fd(current)

    def read(self) -> bytes:
        """The signals that came."""
        try:
            numbers = os.read(self.reader, 65536)
        except (BlockingIOError, InterruptedError):
            return b""
        self._outer.tell(numbers)
        return numbers

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


class SignalLoop(BaseLoop):
    """add_signal_handler and remove_signal_handler."""

    def __init__(self) -> None:
        super().__init__()
        self._signal_handlers: dict[int, _Callback] = {}
        self._signal_pipe: _SignalPipe | None = None

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
        if self._signal_handlers and not self.is_closed() and not self.is_running():
            if sys.is_finalizing():
                warnings.warn(
                    f"Closing the loop {self!r} on interpreter shutdown stage, "
                    "skipping signal handlers removal",
                    ResourceWarning,
                    source=self,
                )
                self._signal_handlers.clear()
            for sig in list(self._signal_handlers):
                self.remove_signal_handler(sig)
        super().close()

    def _check_signal(self, sig: int) -> None:
        if not isinstance(sig, int):
            raise TypeError(f"sig must be an int, not {sig!r}")
        if sig not in signal.valid_signals():
            raise ValueError(f"invalid signal number {sig}")

    def _start_listening(self) -> None:
        pipe = self._signal_pipe or _SignalPipe()
        try:
            # Raises ValueError outside the main thread.
            pipe.install()
        except (ValueError, OSError) as error:
            if self._signal_pipe is None:
                pipe.close()
            raise RuntimeError(str(error)) from error
        if self._signal_pipe is None:
            self._signal_pipe = pipe
            self._add_reader(pipe.reader, self._read_signals)
            _listening.add(self)

    def _stop_listening(self) -> None:
        pipe = self._signal_pipe
        if self._signal_handlers or pipe is None:
            return
        self._signal_pipe = None
        _listening.discard(self)
        pipe.uninstall()
        self.remove_reader(pipe.reader)
        pipe.close()

    def _read_signals(self) -> None:
        assert self._signal_pipe is not None
        for number in self._signal_pipe.read():
            found = self._signal_handlers.get(number)
            if found is not None:
                callback, args, context = found
                self.call_soon(callback, *args, context=context)

    def _forget_signals(self) -> None:
        self._signal_handlers.clear()
        pipe, self._signal_pipe = self._signal_pipe, None
        if pipe is not None:
            pipe.close()


_listening: "weakref.WeakSet[SignalLoop]" = weakref.WeakSet()


def _leave_signals_to_the_parent() -> None:
    """In a forked child: its signals are not written to the parent's pipe, and closing
    its copy of the parent's loop does not reset the handlers that it has set since."""
    if _listening:
        signal.set_wakeup_fd(-1)
    for loop in list(_listening):
        loop._forget_signals()
    _listening.clear()


os.register_at_fork(after_in_child=_leave_signals_to_the_parent)
