"""The same mistakes on asyncio's own loop and on bide's.

A program that is tried on both must not see one loop refuse what the other takes, nor another
error: its except clauses, and those who read its log, would miss it.
"""

import asyncio
import contextvars
import decimal
import fractions
import inspect
import math
import os
import socket
import ssl
import sys
import threading

import bide
import pytest


class Counted:
    """Adds, subtracts and compares like a number, and is no float."""

    def __add__(self, other):
        return other

    __radd__ = __add__

    def __sub__(self, other):
        return -other

    def __ge__(self, other):
        return other <= 0


class Floated:
    def __float__(self):
        return 0.0


class Stringent(int):
    def __radd__(self, other):
        raise LookupError("no sums")


class Double(float):
    pass


class Runs:
    """For asyncio a context is what has a run()."""

    def run(self, callback, *args):
        return callback(*args)


class Fails:
    def run(self, callback, *args):
        raise LookupError("no run")


def told(error):
    return f"{type(error).__name__}: {error}"


def outcome(loop, call):
    """What the call makes of itself: its error, its handle's when() and what its callback is
    given, and what the exception handler is told."""
    seen = []
    loop.set_exception_handler(lambda _, context: seen.append(told(context["exception"])))
    try:
        seen.append(call(loop, seen))
    except Exception as error:
        seen.append(told(error))
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0))
    return seen


def both(loop, call):
    own = asyncio.new_event_loop()
    try:
        expected = outcome(own, call)
    finally:
        own.close()
    assert outcome(loop, call) == expected
    return expected


TIMES = [
    None, "1", b"1", [], decimal.Decimal(0), fractions.Fraction(-1), fractions.Fraction(10**9),
    True, -5, 10**12, -math.inf, math.nan, 1e308, 5e-324, Double(-1), Double("nan"),
    Counted(), Floated(), Stringent(0), object(), 10**400, -(10**400),
]  # fmt: skip


@pytest.mark.parametrize("delay", TIMES, ids=lambda delay: repr(delay)[:30])
def test_delays(loop, delay):
    def call(loop, seen):
        handle = loop.call_later(delay, seen.append, "ran")
        return type(handle.when()).__name__

    both(loop, call)


# What asyncio takes, or refuses at the call. What ends its loop is not here.
MOMENTS = [
    True, -5, -math.inf, math.nan, 5e-324, fractions.Fraction(-1), decimal.Decimal(0),
    Double(-1), Double("nan"), Counted(), -(10**400),
]  # fmt: skip


@pytest.mark.parametrize("when", MOMENTS, ids=lambda when: repr(when)[:30])
def test_moments(loop, when):
    def call(loop, seen):
        handle = loop.call_at(when, seen.append, "ran")
        return repr(handle.when())

    assert both(loop, call) == [repr(when), "ran"]


@pytest.mark.parametrize("when", ["1", [], 1j, Floated(), object()], ids=repr)
def test_a_moment_that_does_not_compare_with_the_clock_is_refused(loop, when):
    """asyncio takes it, and its loop ends at the first comparison."""
    with pytest.raises(TypeError, match="not supported between instances of .* and 'float'"):
        loop.call_at(when, print)
    loop.run_until_complete(asyncio.sleep(0))


def test_a_time_beyond_all_floats_does_not_come(loop):
    seen = []
    timer = loop.call_at(10**400, seen.append, "ran")
    loop.run_until_complete(asyncio.sleep(0.001))
    assert seen == [] and timer.when() == 10**400


def test_not_a_number_does_not_hold_up_the_other_timers(loop):
    seen = []
    loop.call_later(0, seen.append, "first")
    loop.call_later(math.nan, seen.append, "nan")
    loop.call_later(0, seen.append, "last")
    loop.run_until_complete(asyncio.sleep(0.001))
    assert sorted(seen) == ["first", "last", "nan"]


def test_no_time_at_all_is_refused(loop):
    for method in ("call_later", "call_at"):
        with pytest.raises(TypeError, match="None"):
            getattr(loop, method)(None, print)


CONTEXTS = ["x", 0, [], object(), Runs(), Fails(), contextvars.Context]
SCHEDULERS = {
    "call_soon": lambda loop, *args, **options: loop.call_soon(*args, **options),
    "call_soon_threadsafe": lambda loop, *args, **options: loop.call_soon_threadsafe(
        *args, **options
    ),
    "call_later": lambda loop, *args, **options: loop.call_later(0, *args, **options),
    "call_at": lambda loop, *args, **options: loop.call_at(0, *args, **options),
}


@pytest.mark.parametrize("debug", [False, True], ids=["quick", "debug"])
@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: type(context).__name__)
def test_what_is_no_context_is_found_out_when_the_callback_is_due(loop, context, name, debug):
    def call(loop, seen):
        loop.set_debug(debug)
        several = range(9)
        SCHEDULERS[name](loop, lambda *args: seen.append(args), *several, context=context)

    both(loop, call)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: type(context).__name__)
def test_what_is_no_context_of_a_future(loop, context):
    def call(loop, seen):
        future = loop.create_future()
        future.add_done_callback(lambda _: seen.append("ran"), context=context)
        future.set_result(None)

    both(loop, call)


class Refuses:
    def wrap_bio(self, *args, **options):
        raise LookupError("no bios")


TLS = [None, True, False, 0, 1, 1.5, "", "x", [], [1], Refuses(), ssl.SSLContext]
TLS_OPTIONS = [
    {},
    {"server_hostname": "h"},
    {"server_hostname": ""},
    {"server_hostname": 5},
    {"server_hostname": "h", "ssl_handshake_timeout": 0},
    {"ssl_handshake_timeout": "x"},
]


async def connecting(loop, seen, method, **options):
    """Over a socket whose peer is gone: a handshake ends at once."""
    if method == "create_unix_connection":
        here, there = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            there = socket.create_connection(listening.getsockname())
            here, _ = listening.accept()
    there.close()

    def factory():
        seen.append("protocol")
        return asyncio.Protocol()

    with here:
        if method == "connect_accepted_socket":
            options.pop("server_hostname", None)
            making = loop.connect_accepted_socket(factory, here, **options)
        else:
            making = getattr(loop, method)(factory, sock=here, **options)
        try:
            transport, _ = await making
        except (ConnectionError, ssl.SSLError):
            return "handshake"
        transport.abort()
        return "connected"


@pytest.mark.parametrize("options", TLS_OPTIONS, ids=str)
@pytest.mark.parametrize("context", TLS, ids=lambda context: repr(context)[:20])
@pytest.mark.parametrize(
    "method", ["create_connection", "create_unix_connection", "connect_accepted_socket"]
)
def test_what_is_no_tls_context(loop, method, context, options):
    def call(loop, seen):
        if sys.version_info < (3, 11):
            # Its connection_made() is a callback, of whose failure asyncio tells as well.
            loop.set_exception_handler(lambda *_: None)
        return loop.run_until_complete(
            connecting(loop, seen, method, ssl=context, **options)
        )

    both(loop, call)


class Ends:
    def __iter__(self):
        yield b"a"
        raise LookupError("no more lines")


# asyncio 3.12 and newer takes arrays and the like, and loses the connection over them. Late
# releases of 3.14 pass over all that is false, None too, and tell nobody.
LINES = [
    None, 1, "x", "", b"xy", b"", [], (), [b"a", 1], [b"a", "x"], ["x"], [[b"a"]],
    [object()], range(3), object(), Ends(), {b"a": 1}, [bytearray(b"q"), memoryview(b"d"), b""],
    [None], [b"a", None, 0, "", [], b"b"], [None, 1], [False],
]  # fmt: skip


async def opening(loop, kind):
    """A transport, and the end of its connection that the test holds."""
    if kind == "socket":
        here, there = socket.socketpair()
        transport, _ = await loop.create_unix_connection(asyncio.Protocol, sock=here)
    elif kind == "datagram":
        here, there = socket.socketpair(type=socket.SOCK_DGRAM)
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, sock=here
        )
    else:
        reading, here = os.pipe()
        there = open(reading, "rb", buffering=0)
        transport, _ = await loop.connect_write_pipe(asyncio.Protocol, open(here, "wb"))
    return transport, there


async def writing(loop, seen, kind, state, lines):
    transport, there = await opening(loop, kind)
    with there:
        if state == "ended":
            transport.write_eof()
        try:
            transport.writelines(lines)
        except Exception as error:
            seen.append(told(error))
        transport.close()
        await asyncio.sleep(0.001)
        return there.recv(100) if kind == "socket" else there.read(100)


@pytest.mark.parametrize("lines", LINES, ids=lambda lines: repr(lines)[:30])
@pytest.mark.parametrize("state", ["open", "ended"])
@pytest.mark.parametrize("kind", ["socket", "pipe"])
def test_what_is_no_line(loop, kind, state, lines):
    def call(loop, seen):
        return loop.run_until_complete(writing(loop, seen, kind, state, lines))

    both(loop, call)


class Named:
    def __repr__(self):
        return "<named>"


DATA = [None, 1, 0, "x", "", [], [b"x"], object, Named(), decimal.Decimal(1), range(2)]


@pytest.mark.parametrize("data", DATA, ids=lambda data: repr(data)[:30])
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("kind", ["socket", "datagram", "pipe"])
def test_what_is_no_data(loop, kind, closed, data):
    async def main(loop):
        transport, there = await opening(loop, kind)
        with there:
            if closed:
                transport.close()
            try:
                (transport.sendto if kind == "datagram" else transport.write)(data)
            finally:
                transport.close()

    def call(loop, seen):
        loop.run_until_complete(main(loop))

    (expected,) = both(loop, call)
    assert "Error: " in expected


async def binding(loop, method, *args, **options):
    made = await getattr(loop, method)(asyncio.Protocol, *args, **options)
    if isinstance(made, tuple):
        made[0].abort()
        return "made"
    count = len(made.sockets)
    made.close()
    return count


@pytest.fixture(scope="module")
def taken():
    """An address that is in use, for streams as for datagrams."""
    with socket.create_server(("127.0.0.1", 0)) as stream:
        address = stream.getsockname()
        with socket.socket(type=socket.SOCK_DGRAM) as datagram:
            datagram.bind(address)
            yield address


ABSTRACT = f"\0bide-{os.getpid()}"
FOREIGN = ("203.0.113.1", 0)
BINDS = {
    "server": lambda taken: ("create_server", *taken),
    "server, foreign": lambda taken: ("create_server", *FOREIGN),
    "server, one foreign": lambda taken: ("create_server", [FOREIGN[0], "127.0.0.1"], 0),
    "server, nowhere": lambda taken: ("create_server", [], 0),
    "server, port": lambda taken: ("create_server", "127.0.0.1", 1 << 16),
    "unix, no directory": lambda taken: ("create_unix_server", "/proc/no/such"),
    "unix, long": lambda taken: ("create_unix_server", "x" * 200),
    "unix, taken": lambda taken: ("create_unix_server", ABSTRACT),
    "datagram": lambda taken: ("create_datagram_endpoint", taken),
    "datagram, foreign": lambda taken: ("create_datagram_endpoint", FOREIGN),
}


@pytest.mark.parametrize("name", BINDS)
def test_what_cannot_be_bound(loop, taken, name):
    def call(loop, seen):
        try:
            return loop.run_until_complete(binding(loop, *BINDS[name](taken)))
        except OSError as error:
            return type(error), error.errno, str(error)

    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(ABSTRACT)
        both(loop, call)


@pytest.mark.parametrize("local", ["taken", "foreign"])
def test_what_a_client_cannot_be_bound_to(loop, taken, local):
    def call(loop, seen):
        try:
            return loop.run_until_complete(
                binding(
                    loop,
                    "create_connection",
                    *taken,
                    local_addr=taken if local == "taken" else FOREIGN,
                )
            )
        except OSError as error:
            return type(error), error.errno, str(error)

    both(loop, call)


@pytest.mark.parametrize("options", [{"n": 2}, {"nbytes": 2}], ids=str)
def test_both_names_of_the_number_that_sock_recv_takes(loop, options):
    """asyncio's loops know the one, its documentation and typeshed the other."""
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.send(b"abc")
        assert loop.run_until_complete(loop.sock_recv(here, **options)) == b"ab"


def test_a_sock_recv_without_a_number_is_refused(loop):
    here, there = socket.socketpair()
    with here, there, pytest.raises(TypeError, match="integer"):
        here.setblocking(False)
        loop.run_until_complete(loop.sock_recv(here))


OVERRIDABLE = ("call_at", "getaddrinfo", "getnameinfo", "run_in_executor", "sock_connect")
NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


def recording(base, names, seen):
    """A subclass of the loop whose methods tell that they are called."""

    def override(name):
        def method(self, *args, **options):
            seen.append(name)
            return getattr(super(made, self), name)(*args, **options)

        return method

    made = type("Recording", (base,), {name: override(name) for name in names})
    return made


async def connect(loop, address):
    transport, _ = await loop.create_connection(asyncio.Protocol, *address)
    transport.abort()


async def connect_by_name(loop, address):
    transport, _ = await loop.create_connection(
        asyncio.Protocol, "localhost", address[1], family=socket.AF_INET
    )
    transport.abort()


async def connect_unix(loop, address):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(ABSTRACT)
        listening.listen()
        transport, _ = await loop.create_unix_connection(asyncio.Protocol, ABSTRACT)
        transport.abort()


async def connect_datagram(loop, address):
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=address
    )
    transport.abort()


async def send_away(loop, address):
    """Ends in its thread for certain, not before the loop has heard of it."""
    event = threading.Event()
    job = loop.run_in_executor(None, event.wait, 10)
    loop.call_soon(event.set)
    assert await job


async def look_up(loop, address):
    assert (await loop.getaddrinfo(*address))[0][4] == address


async def look_up_name(loop, address):
    assert await loop.getnameinfo(address, NUMERIC) == (address[0], str(address[1]))


async def wait(loop, address):
    future = loop.create_future()
    loop.call_later(0, future.set_result, None)
    await future


USES = [
    connect, connect_by_name, connect_unix, connect_datagram, send_away, look_up, look_up_name,
    wait,
]  # fmt: skip


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_methods_that_a_subclass_overrides_are_called(taken, use):
    """A loop that counts connections, sends look-ups to a resolver of its own or watches its
    threads would be passed by."""
    found = []
    names = [*OVERRIDABLE, *(["call_soon_threadsafe"] if use is send_away else [])]
    for base in (asyncio.SelectorEventLoop, bide.EventLoop):
        seen = []
        loop = recording(base, names, seen)()
        loop.run_until_complete(use(loop, taken))
        found.append(list(seen))
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert found[1] == found[0] and found[0]


@pytest.mark.parametrize("name", ["sock_connect", "run_in_executor"])
@pytest.mark.parametrize("use", [connect, look_up, look_up_name])
def test_methods_that_are_patched_are_called(taken, use, name):
    found = []
    for loop in (asyncio.SelectorEventLoop(), bide.EventLoop()):
        seen = []
        own = getattr(loop, name)

        def patch(*args, own=own, seen=seen):
            seen.append(name)
            return own(*args)

        setattr(loop, name, patch)
        loop.run_until_complete(use(loop, taken))
        found.append(seen)
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert found[1] == found[0]


def parameters(method):
    """The names that may be given, each with its place if it has one; not self's."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(method).parameters.values()
    return {
        parameter.name: at if parameter.kind is kinds[0] else None
        for at, parameter in enumerate(found)
        if parameter.kind in kinds and parameter.name != "self"
    }


def loop_methods():
    for base in (asyncio.SelectorEventLoop, asyncio.AbstractEventLoop):
        for name, method in inspect.getmembers(base, inspect.isfunction):
            if not name.startswith("_"):
                yield pytest.param(name, method, id=f"{base.__name__}.{name}")


@pytest.mark.parametrize("name, method", list(loop_methods()))
def test_parameters_have_their_names_and_places(name, method):
    """A call by keyword, or by place, that asyncio or its documentation allows."""
    own = getattr(bide.EventLoop, name)
    expected = parameters(method)
    if not expected:
        return
    found = parameters(own)
    if name == "sock_recv":
        assert expected.keys() <= found.keys() and found["nbytes"] == 2
        return
    # Any keyword will do for create_task(**options), which has no place either.
    missing = None if inspect.getfullargspec(own).varkw else "missing"
    assert {known: found.get(known, missing) for known in expected} == expected
