"""Child processes: subprocess.Popen starts them, the loop reads, writes and reaps."""

import asyncio
import signal
import subprocess
import warnings
from asyncio.log import logger
from collections.abc import Callable
from typing import Any, TypeVar

from ._child import ChildWatch
from ._pipes import PipeLoop

_P = TypeVar("_P", bound=asyncio.BaseProtocol)


def _check_bytes_only(
    universal_newlines: object,
    shell: object,
    shell_wanted: bool,
    bufsize: int,
    text: object,
    encoding: object,
    errors: object,
) -> None:
    if universal_newlines:
        raise ValueError("universal_newlines must be False")
    if bool(shell) is not shell_wanted:
        raise ValueError(f"shell must be {shell_wanted}")
    if bufsize != 0:
        raise ValueError("bufsize must be 0")
    if text:
        raise ValueError("text must be False")
    if encoding is not None:
        raise ValueError("encoding must be None")
    if errors is not None:
        raise ValueError("errors must be None")


def _stream_text(stream: Any) -> str:
    return {subprocess.PIPE: "<pipe>", subprocess.STDOUT: "<stdout>"}.get(stream, repr(stream))


def _log_start(what: str, stdin: Any, stdout: Any, stderr: Any) -> None:
    streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    if stdout is not None and stderr == subprocess.STDOUT:
        streams = {"stdin": stdin, "stdout=stderr": stdout}
    told = [f"{name}={_stream_text(each)}" for name, each in streams.items() if each is not None]
    logger.debug(" ".join([what, *told]))


class ChildPipe(asyncio.Protocol):
    """Our end of one of the child's standard streams."""

    def __init__(self, process: "SubprocessTransport", fd: int) -> None:
        self._process: SubprocessTransport | None = process
        self._fd = fd
        self.pipe: Any = None
        self.disconnected = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self._fd} pipe={self.pipe!r}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.pipe = transport

    def data_received(self, data: bytes) -> None:
        if self._process is not None:
            self._process._pipe_data(self._fd, data)

    def connection_lost(self, exc: Exception | None) -> None:
        process, self._process = self._process, None
        self.disconnected = True
        if process is not None:
            process._pipe_lost(self._fd, exc)

    def pause_writing(self) -> None:
        if self._process is not None:
            self._process._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._process is not None:
            self._process._protocol.resume_writing()


class SubprocessTransport(asyncio.SubprocessTransport):
    """A child process and its pipes.

    It is held by the loop until the process has been reaped. connection_lost() comes
    when that has happened and all pipes have ended; then it lets go of everything.
    """

    _proc: "subprocess.Popen[bytes] | None"

    def __init__(
        self, loop: PipeLoop, process: "subprocess.Popen[bytes]", protocol: Any
    ) -> None:
        super().__init__({"subprocess": process})
        self._loop: PipeLoop | None = loop
        self._proc = process
        self._protocol = protocol
        self._pid = process.pid
        self._returncode: int | None = None
        self._exit_waiters: "set[asyncio.Future[int]]" = set()
        self._files = {
            fd: file
            for fd, file in enumerate((process.stdin, process.stdout, process.stderr))
            if file is not None
        }
        self._pipes = {fd: ChildPipe(self, fd) for fd in self._files}
        # What must wait for the protocol's connection_made(); None once that was called.
        self._postponed: list[tuple[Any, ...]] | None = []
        # While there is nothing to be closed yet.
        self._closed = True
        self._watch = ChildWatch(loop, process, self._process_exited)
        self._closed = False

    async def _connect_pipes(self) -> None:
        """Connect the pipes and call the protocol's connection_made()."""
        loop = self._loop
        assert loop is not None
        for fd, pipe in self._pipes.items():
            connect: Any = loop.connect_read_pipe if fd > 0 else loop.connect_write_pipe
            await connect(lambda: pipe, self._files[fd])
        loop.call_soon(self._protocol.connection_made, self)
        postponed, self._postponed = self._postponed, None
        for call in postponed or ():
            loop.call_soon(*call)
        # The protocol is told before whoever awaits this goes on.
        await asyncio.sleep(0)

    def __repr__(self) -> str:
        ended = self._returncode is not None
        told = [type(self).__name__, *(["closed"] if self._closed else [])]
        told += [f"pid={self._pid}", f"returncode={self._returncode}" if ended else "running"]
        for fd, pipe in self._pipes.items():
            told.append(f"{('stdin', 'stdout', 'stderr')[fd]}={pipe.pipe!r}")
        return f"<{' '.join(told)}>"

    def __del__(self) -> None:
        if not self._closed:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self.close()

    # ---- what the protocol's side asks for ----

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Set the protocol."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """Return the protocol."""
        return self._protocol

    def is_closing(self) -> bool:
        """Return True once close() has been called."""
        return self._closed

    def get_pid(self) -> int:
        """Return the process id."""
        return self._pid

    def get_returncode(self) -> int | None:
        """Return the process's return code, None while it runs."""
        return self._returncode

    def get_pipe_transport(self, fd: int) -> Any:
        """Return the transport of the child's stdin (0), stdout (1) or stderr (2); None
        if that is no pipe."""
        pipe = self._pipes.get(fd)
        return None if pipe is None else pipe.pipe

    def send_signal(self, signal: int) -> None:
        """Send a signal; ProcessLookupError once connection_lost() has been called."""
        if self._proc is None:
            raise ProcessLookupError()
        self._watch.send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes and kill the process if it still runs."""
        if self._closed:
            return
        self._closed = True
        for fd, pipe in self._pipes.items():
            (pipe.pipe or self._files[fd]).close()
        if self._proc is None or self._loop is None:
            return
        if self._watch.is_running():
            self._kill_running(self._proc, self._loop)
        if self._loop.is_closed():
            self._watch.abandon()

    def _kill_running(self, process: "subprocess.Popen[bytes]", loop: PipeLoop) -> None:
        if loop.get_debug():
            logger.warning("Close running child process: kill %r", self)
        try:
            process.kill()
        except (ProcessLookupError, PermissionError):
            # It has just ended, or has become another user's.
            return
        if loop.is_closed():
            # Nobody else would reap it, and SIGKILL lets it last no longer.
            process.wait()

    async def _wait(self) -> int:
        """Wait for the end of the process, as asyncio.subprocess.Process.wait() does."""
        if self._returncode is not None:
            return self._returncode
        assert self._loop is not None
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._exit_waiters.add(waiter)
        try:
            return await waiter
        finally:
            self._exit_waiters.discard(waiter)

    # ---- what happens to the process ----

    def _call(self, callback: Callable[..., object], *args: object) -> None:
        if self._postponed is not None:
            self._postponed.append((callback, *args))
        elif self._loop is not None:
            self._loop.call_soon(callback, *args)

    def _pipe_data(self, fd: int, data: bytes) -> None:
        self._call(self._protocol.pipe_data_received, fd, data)

    def _pipe_lost(self, fd: int, exc: Exception | None) -> None:
        self._call(self._protocol.pipe_connection_lost, fd, exc)
        self._finish_if_over()

    def _process_exited(self, returncode: int) -> None:
        assert self._loop is not None and self._proc is not None
        if self._loop.get_debug():
            logger.info("%r exited with return code %r", self, returncode)
        self._returncode = returncode
        if self._proc.returncode is None:
            # Else it would warn of a process that still runs.
            self._proc.returncode = returncode
        try:
            self._call(self._protocol.process_exited)
            self._finish_if_over()
        finally:
            # Also where what the factory made is no protocol.
            for waiter in self._exit_waiters:
                if not waiter.done():
                    waiter.set_result(returncode)

    def _finish_if_over(self) -> None:
        if self._returncode is not None and all(pipe.disconnected for pipe in self._pipes.values()):
            self._call(self._lose)

    def _lose(self) -> None:
        try:
            self._protocol.connection_lost(None)
        finally:
            self._loop = self._proc = self._protocol = None


class SubprocessLoop(PipeLoop):
    """subprocess_exec and subprocess_shell."""

    async def subprocess_exec(
        self,
        protocol_factory: Callable[[], _P],
        program: Any,
        *args: Any,
        stdin: Any = subprocess.PIPE,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        universal_newlines: bool = False,
        shell: bool = False,
        bufsize: int = 0,
        encoding: str | None = None,
        errors: str | None = None,
        text: bool | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.SubprocessTransport, _P]:
        """Start a program; return its transport and its protocol. The other keywords are
        those of subprocess.Popen."""
        _check_bytes_only(universal_newlines, shell, False, bufsize, text, encoding, errors)
        options = dict(kwargs, shell=False, stdin=stdin, stdout=stdout, stderr=stderr)
        what = f"execute program {program!r}"
        return await self._start_process(protocol_factory(), what, (program, *args), options)

    async def subprocess_shell(
        self,
        protocol_factory: Callable[[], _P],
        cmd: bytes | str,
        *,
        stdin: Any = subprocess.PIPE,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        universal_newlines: bool = False,
        shell: bool = True,
        bufsize: int = 0,
        encoding: str | None = None,
        errors: str | None = None,
        text: bool | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.SubprocessTransport, _P]:
        """Run a command in the shell; return its transport and its protocol. The other
        keywords are those of subprocess.Popen."""
        if not isinstance(cmd, (bytes, str)):
            raise ValueError("cmd must be a string")
        _check_bytes_only(universal_newlines, shell, True, bufsize, text, encoding, errors)
        options = dict(kwargs, shell=True, stdin=stdin, stdout=stdout, stderr=stderr)
        what = f"run shell command {cmd!r}"
        return await self._start_process(protocol_factory(), what, cmd, options)

    async def _start_process(
        self, protocol: _P, what: str, args: Any, options: dict[str, Any]
    ) -> tuple[SubprocessTransport, _P]:
        debug = self.get_debug()
        if debug:
            _log_start(what, options["stdin"], options["stdout"], options["stderr"])
        process = subprocess.Popen(args, bufsize=0, **options)
        try:
            transport = SubprocessTransport(self, process, protocol)
        except BaseException:
            with process:
                process.kill()
            raise
        try:
            await transport._connect_pipes()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        if debug:
            logger.info("%s: %r", what, transport)
        return transport, protocol
