"""Which look-ups need no thread: those in which every name is a number."""

import socket
from typing import Any

_resolve = socket.getaddrinfo
_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


def _is_address(text: str) -> bool:
    address, zone, _ = text.partition("%")
    for family in (socket.AF_INET6,) if zone else (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
            return True
        except (OSError, ValueError):
            continue
    return False


def is_literal(host: Any, port: Any) -> bool:
    """True when the C library resolves host and port without asking anybody. False when
    in doubt (127.1, " 80"), and for whoever has replaced socket.getaddrinfo."""
    if socket.getaddrinfo is not _resolve:
        return False
    if type(port) in (str, bytes):
        if not (port.isascii() and port.isdigit()):
            return False
    elif port is not None and type(port) is not int:
        return False
    if type(host) is bytes and host.isascii():
        host = host.decode()
    return type(host) is str and _is_address(host)


def literal(host: Any, port: Any, family: int, type: int, proto: int, flags: int) -> Any:
    """The entries of a literal host and port, from the C library itself: it knows best
    what all the flags and hints mean, and AI_NUMERICHOST keeps it from asking anybody."""
    return _resolve(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)


def is_numeric(flags: Any) -> bool:
    """True when getnameinfo with these flags asks nobody."""
    return type(flags) is int and flags & _NUMERIC == _NUMERIC


def describe(host: Any, port: Any, family: int, type: int, proto: int, flags: int) -> str:
    """A look-up for debug mode's log."""
    hints = {"family": family, "type": type, "proto": proto, "flags": flags}
    given = [f"{name}={value!r}" for name, value in hints.items() if value]
    return ", ".join([f"{host}:{port!r}", *given])
