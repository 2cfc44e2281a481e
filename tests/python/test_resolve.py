"""getaddrinfo and getnameinfo: users lose connections to answers that differ from the
standard library's, and time to threads that numbers do not need."""

import asyncio
import itertools
import logging
import socket
import threading

import bide
import pytest

LITERALS = (
    "127.0.0.1", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::ff00:42:8329",
    "::ffff:1.2.3.4", "fe80::1%lo", "fe80::1%1", "ff02::1%lo", "fe80::1%nosuch",
    b"127.0.0.1", b"::1",
)  # fmt: skip
PORTS = (None, 0, 80, 65535, 70000, "80", "0080", b"443")
DOUBTFUL = (
    ("127.1", 80), ("0x7f.1", 80), ("1.2.3.4%lo", 80), ("127.0.0.1 ", 80), ("::1%", 80),
    ("::1%lo%lo", 80), ("127.0.0.1\0", 80), ("[::1]", 80), ("", 80), (None, 80),
    ("127.0.0.1", " 80"), ("127.0.0.1", "+80"), ("127.0.0.1", "http"), ("127.0.0.1", -1),
    ("127.0.0.1", "no-such-service"), ("127.0.0.1", True), ("127.0.0.1", 10**30),
    ("127.0.0.1", "\u0661"), ("127.0.0.1", "80\0"), (7, 80), ("127.0.0.1", 1.5),
    (b"\xff\xff", 80), ("::1", object), ("::1", bytearray(b"80")), ("\ud800", 80),
)  # fmt: skip
HINTS = list(
    itertools.product(
        (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX),
        (0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, 99),
        (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP),
        (
            0, socket.AI_PASSIVE, socket.AI_CANONNAME, socket.AI_NUMERICHOST,
            socket.AI_NUMERICSERV, socket.AI_V4MAPPED, socket.AI_V4MAPPED | socket.AI_ALL,
            socket.AI_ADDRCONFIG, 1 << 30,
        ),
    )
)  # fmt: skip


def answer(function):
    try:
        return function()
    except Exception as error:
        return type(error), error.args


@pytest.fixture
def threadless(loop):
    """The loop, without threads: what wants one fails."""

    class Refusing(bide.Pool):
        def _put(self, *args):
            raise AssertionError("wants a thread")

    pool = Refusing("none", 1)
    loop.set_default_executor(pool)
    return loop


def test_literals_are_answered_as_by_the_standard_library_and_without_threads(
    threadless, run
):
    cases = [((host, port), HINTS[0]) for host in LITERALS for port in PORTS]
    cases += [((host, 80), hints) for host in LITERALS for hints in HINTS]

    async def main():
        for (host, port), (family, type_, proto, flags) in cases:
            hints = {"family": family, "type": type_, "proto": proto, "flags": flags}
            try:
                ours = await threadless.getaddrinfo(host, port, **hints)
            except OSError as error:
                ours = type(error), error.args
            theirs = answer(lambda: socket.getaddrinfo(host, port, **hints))
            assert ours == theirs, (host, port, hints)

    run(main(), 50)


def test_what_is_in_doubt_is_answered_as_by_the_standard_library(loop, run):
    async def main():
        for host, port in DOUBTFUL:
            try:
                ours = await loop.getaddrinfo(host, port)
            except Exception as error:
                ours = type(error), error.args
            theirs = answer(lambda: socket.getaddrinfo(host, port))
            assert ours == theirs, (host, port)

    run(main(), 50)


def test_what_is_in_doubt_goes_to_a_thread(threadless, run):
    async def main():
        for host, port in (("localhost", 80), ("127.1", 80), ("::1", "http"), (None, 80)):
            with pytest.raises(AssertionError, match="wants a thread"):
                await threadless.getaddrinfo(host, port)

    run(main())


def test_a_replaced_resolver_is_asked_in_a_thread(loop, run, monkeypatch):
    seen = []

    def replaced(*args):
        seen.append((args, threading.current_thread()))
        return []

    monkeypatch.setattr(socket, "getaddrinfo", replaced)
    assert run(loop.getaddrinfo("127.0.0.1", 80, flags=socket.AI_PASSIVE)) == []
    ((args, thread),) = seen
    assert args == ("127.0.0.1", 80, 0, 0, 0, socket.AI_PASSIVE)
    assert thread is not threading.main_thread()


def test_names_come_from_the_resolver(loop, run):
    async def main():
        ours = await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        assert ours == socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        assert await loop.getaddrinfo(b"localhost", b"80", type=socket.SOCK_STREAM) == ours

    run(main())


def test_host_names_are_encoded_as_idna(loop, run, monkeypatch):
    """A name that IDNA refuses, and one that it takes."""
    asked = []

    async def main():
        with pytest.raises(UnicodeError):
            await loop.getaddrinfo("\u00fc" * 64 + ".invalid", 80)
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("b\u00fccher.invalid", 80, flags=socket.AI_NUMERICHOST)

    run(main())
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: asked.append(args[0]) or [])
    run(loop.getaddrinfo("b\u00fccher.invalid", 80))
    assert asked == ["b\u00fccher.invalid"]


def test_a_failed_look_up_is_a_gaierror(loop, run):
    with pytest.raises(socket.gaierror) as caught:
        run(loop.getaddrinfo("name.invalid", 80, flags=socket.AI_NUMERICHOST))
    assert caught.value.errno == socket.EAI_NONAME


def test_a_look_up_may_be_cancelled(loop, run, monkeypatch):
    entered, opened = threading.Event(), threading.Event()

    def slow(*args):
        entered.set()
        assert opened.wait(30)

    async def main():
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        look_up = asyncio.ensure_future(loop.getaddrinfo("name.invalid", 80))
        while not entered.is_set():
            await asyncio.sleep(0.001)
        look_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await look_up
        opened.set()
        await loop.shutdown_default_executor()

    run(main())


@pytest.mark.parametrize(
    "address", [("127.0.0.1", 80), ("::1", 443), ("::1", 443, 0, 0), ("127.0.0.1", 70000),
                ("name", 1), ("127.0.0.1",), (b"127.0.0.1", 1), ("fe80::1", 1, 0, 1)]
)  # fmt: skip
def test_numeric_names_need_no_thread(threadless, run, address):
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    theirs = answer(lambda: socket.getnameinfo(address, flags))

    async def main():
        return await threadless.getnameinfo(address, flags)

    assert answer(lambda: run(main())) == theirs
    for fewer in (0, socket.NI_NUMERICHOST, socket.NI_NUMERICSERV):
        with pytest.raises(AssertionError, match="wants a thread"):
            run(threadless.getnameinfo(address, flags=fewer))


def test_names_of_addresses_come_from_the_resolver(loop, run):
    assert run(loop.getnameinfo(("127.0.0.1", 80))) == socket.getnameinfo(
        ("127.0.0.1", 80), 0
    )


def test_debug_mode_logs_look_ups(loop, run, caplog):
    loop.set_debug(True)
    loop.slow_callback_duration = 100
    with caplog.at_level(logging.DEBUG, "asyncio"):
        run(loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM))
    messages = [record.getMessage() for record in caplog.records]
    wanted = f"Get address info 127.0.0.1:80, type={socket.SOCK_STREAM!r}"
    assert wanted in messages
    assert any(m.startswith("Getting address info 127.0.0.1:80, type=") for m in messages)


def test_connections_to_numbers_need_no_thread(threadless, run):
    async def main():
        ends = [threadless.create_future(), threadless.create_future()]

        class End(asyncio.Protocol):
            def __init__(self, number):
                self.lost = ends[number]

            def connection_lost(self, error):
                self.lost.set_result(error)

        server = await threadless.create_server(lambda: End(0), "127.0.0.1", "0")
        host, port = server.sockets[0].getsockname()
        transport, _ = await threadless.create_connection(lambda: End(1), host, str(port))
        transport.close()
        assert await asyncio.gather(*ends) == [None, None]
        server.close()
        await server.wait_closed()

    run(main())
