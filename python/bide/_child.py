"""The end of a child process, told to the loop that runs it: in any thread, without a
signal handler and without a child watcher."""

import os
import signal
import subprocess
import threading
from asyncio.log import logger
from collections.abc import Callable

from ._base import BaseLoop


def _exit_code(result: os.waitid_result) -> int:
    """The status as subprocess has it: negative for the signal that killed."""
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


class ChildWatch:
    """Reaps a process once it has ended and calls `exited` with its return code.

    A pidfd is readable when its process has ended, and stands for no other process ever.
    Where the kernel grants none, a thread waits for the end and leaves the reaping to the
    loop's thread: until then the pid is not given to another process, so that a signal
    cannot hit one.
    """

    def __init__(
        self,
        loop: BaseLoop,
        process: "subprocess.Popen[bytes]",
        exited: Callable[[int], object],
    ) -> None:
        self._loop = loop
        self._process = process
        self._exited: Callable[[int], object] | None = exited
        self._pidfd = -1
        try:
            self._watch_pidfd()
        except (AttributeError, OSError):
            # AttributeError: Python was built for a kernel that has none.
            self._close_pidfd()
            self._watch_thread()

    def _watch_pidfd(self) -> None:
        self._pidfd = os.pidfd_open(self._process.pid)
        # Linux 5.3 has pidfds that cannot be waited for.
        self._wait(os.WNOHANG | os.WNOWAIT)
        self._loop._add_reader(self._pidfd, self._on_exit)

    def _watch_thread(self) -> None:
        threading.Thread(
            target=self._wait_in_thread, name=f"waitpid-{self._process.pid}", daemon=True
        ).start()

    def _wait_in_thread(self) -> None:
        try:
            self._wait(os.WNOWAIT)
        except ChildProcessError:
            # Somebody else has reaped it.
            pass
        try:
            self._loop.call_soon_threadsafe(self._on_exit)
        except RuntimeError:
            logger.warning(
                "Loop %r that handles pid %r is closed", self._loop, self._process.pid
            )

    def _wait(self, options: int = 0) -> os.waitid_result | None:
        if self._pidfd >= 0:
            return os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | options)
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | options)

    def _reap(self) -> int:
        try:
            result = self._wait()
        except ChildProcessError:
            if self._process.returncode is not None:
                # The user asked the Popen object.
                return self._process.returncode
            logger.warning(
                "child process pid %d exit status already read:  will report returncode 255",
                self._process.pid,
            )
            return 255
        assert result is not None
        return _exit_code(result)

    def _on_exit(self) -> None:
        exited, self._exited = self._exited, None
        if exited is None:
            return
        returncode = self._reap()
        self._close_pidfd()
        exited(returncode)

    def _close_pidfd(self) -> None:
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            self._loop.remove_reader(pidfd)
            os.close(pidfd)

    def is_running(self) -> bool:
        """Whether the process has not ended yet, though nobody may have been told."""
        try:
            return self._exited is not None and self._wait(os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def send_signal(self, number: int) -> None:
        """Send a signal; a process that has ended gets none."""
        if self._exited is None:
            return
        try:
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            else:
                os.kill(self._process.pid, number)
        except ProcessLookupError:
            pass

    def abandon(self) -> None:
        """Watch no more: the loop is closed."""
        self._exited = None
        self._close_pidfd()
