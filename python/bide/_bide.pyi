import asyncio
import socket
from collections.abc import Callable
from contextvars import Context
from typing import Any, final

from typing_extensions import TypeVarTuple, Unpack, disjoint_base

_Ts = TypeVarTuple("_Ts")

__version__: str

@disjoint_base
class Loop:
    slow_callback_duration: float
    @property
    def backend(self) -> str: ...
    @property
    def backend_reason(self) -> str: ...
    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...
    def time(self) -> float: ...
    def stop(self) -> None: ...
    def is_running(self) -> bool: ...
    def is_closed(self) -> bool: ...
    def get_debug(self) -> bool: ...
    def set_debug(self, enabled: bool, /) -> None: ...
    def create_future(self) -> asyncio.Future[Any]: ...
    def add_reader(
        self, fd: Any, callback: Callable[[Unpack[_Ts]], Any], *args: Unpack[_Ts]
    ) -> None: ...
    def add_writer(
        self, fd: Any, callback: Callable[[Unpack[_Ts]], Any], *args: Unpack[_Ts]
    ) -> None: ...
    def remove_reader(self, fd: Any, /) -> bool: ...
    def remove_writer(self, fd: Any, /) -> bool: ...
    def _add_reader(
        self, fd: Any, callback: Callable[[Unpack[_Ts]], Any], *args: Unpack[_Ts]
    ) -> asyncio.Handle: ...
    def _add_writer(
        self, fd: Any, callback: Callable[[Unpack[_Ts]], Any], *args: Unpack[_Ts]
    ) -> asyncio.Handle: ...
    def _ensure_fd_no_transport(self, fd: Any, /) -> None: ...
    def _check_closed(self) -> None: ...
    def _connect(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None,
        /,
    ) -> Transport: ...
    @property
    def _current_handle(self) -> asyncio.Handle | None: ...
    def _check_running(self) -> None: ...
    def _track_origins(self, enabled: bool, /) -> None: ...
    def run_forever(self) -> None: ...
    def _close(self) -> None: ...

@final
class Handle(asyncio.Handle):
    pass

@final
class TimerHandle(asyncio.TimerHandle):
    pass

@final
class Transport(asyncio.Transport):
    pass

@final
class Listener:
    def __new__(
        cls,
        loop: Loop,
        server: asyncio.AbstractServer,
        sock: socket.socket,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
    ) -> Listener: ...
    @property
    def client_count(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def clients(self) -> list[Transport]: ...
