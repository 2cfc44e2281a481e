"""What an asyncio loop has and bide's does not have yet. Each says so by its name."""

from typing import Any, NoReturn

from ._base import BaseLoop


def _missing(name: str) -> Any:
    async def method(self: Any, *args: Any, **options: Any) -> NoReturn:
        raise NotImplementedError(f"bide's loop has no {name}() yet")

    method.__name__ = name
    method.__qualname__ = f"MissingLoop.{name}"
    method.__doc__ = "Raise NotImplementedError."
    return method


class MissingLoop(BaseLoop):
    """The methods that raise NotImplementedError."""

    start_tls = _missing("start_tls")
