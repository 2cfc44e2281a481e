"""Hosts and ports on their way to socket addresses."""

import asyncio
import socket
from typing import Any

AddressInfo = tuple[int, int, int, str, Any]


def _port_number(port: Any) -> int | None:
    if port in (None, "", b""):
        return 0
    try:
        return int(port)
    except (TypeError, ValueError):
        return None


def literal_address(address: Any, family: int, type: int, proto: int) -> AddressInfo | None:
    """The one entry that getaddrinfo would give for a numeric host and port; None when
    the resolver has to be asked (names, services, IPv6 zones)."""
    (host, port), rest = address[:2], address[2:]
    number = _port_number(port)
    if number is None or not isinstance(host, str) or "%" in host:
        return None
    if type != socket.SOCK_STREAM and type != socket.SOCK_DGRAM:
        return None
    known = socket.IPPROTO_TCP if type == socket.SOCK_STREAM else socket.IPPROTO_UDP
    if proto not in (0, known):
        return None
    for candidate in (socket.AF_INET, socket.AF_INET6):
        if family not in (socket.AF_UNSPEC, candidate):
            continue
        try:
            socket.inet_pton(candidate, host)
        except OSError:
            continue
        if candidate == socket.AF_INET:
            return candidate, type, known, "", (host, number)
        flow, scope = (*rest, 0, 0)[:2]
        return candidate, type, known, "", (host, number, flow, scope)
    return None


async def ensure_resolved(
    loop: asyncio.AbstractEventLoop,
    address: Any,
    *,
    family: int = 0,
    type: int = socket.SOCK_STREAM,
    proto: int = 0,
    flags: int = 0,
) -> list[AddressInfo]:
    """The address's entries, from the resolver unless it is numeric already."""
    literal = literal_address(address, family, type, proto)
    if literal is not None:
        return [literal]
    host, port = address[:2]
    infos = await loop.getaddrinfo(
        host, port, family=family, type=type, proto=proto, flags=flags
    )
    if not infos:
        raise OSError(f"getaddrinfo({host!r}) returned empty list")
    return list(infos)


def interleave_families(infos: list[AddressInfo], first_count: int) -> list[AddressInfo]:
    """RFC 8305's order: first_count addresses of the first family, then one of each
    family in turn."""
    by_family: dict[int, list[AddressInfo]] = {}
    for info in infos:
        by_family.setdefault(info[0], []).append(info)
    queues = list(by_family.values())
    ordered = queues[0][: first_count - 1]
    del queues[0][: first_count - 1]
    while any(queues):
        ordered.extend(queue.pop(0) for queue in queues if queue)
    return ordered
