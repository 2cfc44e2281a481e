"""The loop inside another one's: Tk's, Qt's, or any that can watch a file descriptor.

    async def main():
        label["text"] = await fetch()      # the window stays alive meanwhile

    bide.guest.tk(root, main())            # in place of root.mainloop()
    bide.guest.qt(app, main())             # in place of app.exec()

Another outer loop watches `Guest(loop).fileno()` for reading and calls `step()` then.
"""

import asyncio
import contextlib
import importlib
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from ._bide import Guest
from ._run import _refuse_inside_a_loop, close_with_all_it_runs, new_event_loop

__all__ = ["Guest", "qt", "tk"]

_T = TypeVar("_T")


class _Visit(Generic[_T]):
    """A main coroutine on a loop of its own, from the outer loop's start to its end.

    `watch` and `ignore` begin and end the outer loop's care for the fd, `leave` ends the
    outer loop.
    """

    watch: Callable[[], object]
    ignore: Callable[[], object]
    leave: Callable[[], object]

    def __init__(self, main: Coroutine[Any, Any, _T], debug: bool | None) -> None:
        self._error: BaseException | None = None
        self.is_closing = False
        self._interrupted = False
        self._overtaken = False
        self._loop = new_event_loop()
        try:
            if debug is not None:
                self._loop.set_debug(debug)
            self._guest = Guest(self._loop)
            self._main: asyncio.Task[_T] = self._loop.create_task(main)
        except BaseException:
            self._loop.close()
            raise
        self._main.add_done_callback(lambda _: self.leave())

    def fileno(self) -> int:
        return self._guest.fileno()

    def step(self, *unused: object) -> None:
        """Run what is ready. Nothing is raised: some outer loops abort on an exception."""
        if self._loop.is_running():
            # A coroutine runs the outer loop, for a dialogue. Until its step has ended
            # there can be no other, and the fd stays readable.
            self._overtaken = True
            self.ignore()
            return
        try:
            self._guest.step()
        except BaseException as error:
            self._error = error
            self.leave()
        if self._overtaken:
            self._overtaken = False
            self.watch()

    def close(self, *unused: object) -> None:
        """The window is closed: main is cancelled, and may still clean up."""
        self.is_closing = True
        self._main.cancel()

    def _interrupt(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        self._main.cancel()

    @contextlib.contextmanager
    def heeding_interrupts(self) -> Iterator[None]:
        """No handler of Python's runs while the outer loop waits in C: Ctrl-C comes
        through bide's loop, and cancels main as it does in asyncio.run()."""
        heeds = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if heeds:
            self._loop.add_signal_handler(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            if heeds:
                self._loop.remove_signal_handler(signal.SIGINT)

    def finish(self) -> _T | None:
        """After the outer loop's end: end main if it goes on, and all that it left."""
        self._guest.close()
        try:
            if not self._main.done():
                self.close()
                with contextlib.suppress(Exception, asyncio.CancelledError):
                    self._loop.run_until_complete(self._main)
        finally:
            close_with_all_it_runs(self._loop)
        if self._error is not None:
            raise self._error
        if self._main.cancelled():
            if self._interrupted:
                raise KeyboardInterrupt
            if self.is_closing:
                return None
        return self._main.result()


def tk(root: Any, main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T | None:
    """Run Tk's main loop until the coroutine main is done; return its result.

    Closing the window cancels main; the window goes when main has ended, and None is
    returned. A WM_DELETE_WINDOW handler of the application's own is left alone.
    """
    _refuse_inside_a_loop()
    import tkinter

    visit = _Visit(main, debug)
    fd = visit.fileno()

    def step(*unused: object) -> None:
        visit.step()
        # Tk draws when it has nothing else to do, which a busy loop would not let be.
        with contextlib.suppress(tkinter.TclError):
            root.update_idletasks()

    def destroyed(event: Any) -> None:
        if event.widget is root:
            visit.close()

    visit.watch = lambda: root.tk.createfilehandler(fd, tkinter.READABLE, step)
    visit.ignore = lambda: root.tk.deletefilehandler(fd)
    visit.leave = root.quit
    handles_closing = not root.protocol("WM_DELETE_WINDOW")
    if handles_closing:
        root.protocol("WM_DELETE_WINDOW", visit.close)
    binding = root.bind("<Destroy>", destroyed, add="+")
    visit.watch()
    try:
        with visit.heeding_interrupts():
            root.mainloop()
    finally:
        visit.ignore()
        try:
            result = visit.finish()
        finally:
            with contextlib.suppress(tkinter.TclError):
                root.unbind("<Destroy>", binding)
                if handles_closing:
                    root.protocol("WM_DELETE_WINDOW", "")
                if visit.is_closing:
                    root.destroy()
    return result


def _qt_core(app: Any) -> Any:
    """QtCore of the binding that made the application."""
    for cls in type(app).__mro__:
        package = cls.__module__.partition(".")[0]
        if package in ("PySide6", "PyQt6", "PyQt5", "PySide2"):
            return importlib.import_module(f"{package}.QtCore")
    raise TypeError(f"app must be a QCoreApplication of PySide or PyQt, not {app!r}")


def qt(app: Any, main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T | None:
    """Run Qt's event loop until the coroutine main is done; return its result.

    Closing the last window cancels main, and None is returned. app is the QApplication of
    PySide6, PyQt6 or PyQt5.
    """
    _refuse_inside_a_loop()
    notifier_type = _qt_core(app).QSocketNotifier
    visit = _Visit(main, debug)
    notifier = notifier_type(visit.fileno(), notifier_type.Type.Read)
    notifier.activated.connect(visit.step)
    visit.watch = lambda: notifier.setEnabled(True)
    visit.ignore = lambda: notifier.setEnabled(False)
    visit.leave = app.quit
    # A QCoreApplication has no windows.
    has_windows = hasattr(app, "lastWindowClosed")
    if has_windows:
        quits = app.quitOnLastWindowClosed()
        app.setQuitOnLastWindowClosed(False)
        app.lastWindowClosed.connect(visit.close)
    try:
        with visit.heeding_interrupts():
            (app.exec if hasattr(app, "exec") else app.exec_)()
    finally:
        visit.ignore()
        if has_windows:
            app.lastWindowClosed.disconnect(visit.close)
            app.setQuitOnLastWindowClosed(quits)
        result = visit.finish()
    return result
