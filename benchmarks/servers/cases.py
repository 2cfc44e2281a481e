"""What an event loop's own steps cost, one case at a time.

    python benchmarks/servers/cases.py LOOP PEER_PORT FOLDER

Reads the name of a case a line and answers each with a JSON line: the CPU of all threads
and the wall time of one unit, in ns, and how many units that was taken from; or why the
loop cannot do it. PEER_PORT is where a server of the benchmark answers HTTP requests,
FOLDER holds the files to read. At the end of its input it ends.
"""

import asyncio
import collections
import contextvars
import itertools
import json
import os
import socket
import sys
import time
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import least  # noqa: E402
from applications import aiohttp_runner  # noqa: E402
from echoes import echo_read  # noqa: E402
from lib import loops  # noqa: E402

SLICE_S = float(os.environ.get("BENCH_SLICE_S", "0.03"))
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"  # as load.c's
CASES = {}
FLOORS = {}


class Setting:
    """What the cases find around them."""

    def __init__(self, peer_port, folder):
        self.peer_port = int(peer_port)
        self.folder = Path(folder)


def case(units):
    """Registers a coroutine function that does so many units a call."""

    def register(function):
        CASES[function.__name__] = (units, function)
        return function

    return register


async def nothing():
    pass


async def chain(loop, *arguments):
    """Each call schedules the next: one a turn."""
    done = loop.create_future()
    left = 1000

    def callback(*_):
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(callback, *arguments)
        else:
            done.set_result(None)

    loop.call_soon(callback, *arguments)
    await done


@case(1000)
async def call_soon(loop, _):
    await chain(loop)


@case(1000)
async def call_soon_3_arguments(loop, _):
    await chain(loop, 1, None, "three")


@case(1000)
async def call_soon_1000(loop, _):
    """A thousand a turn."""
    done = loop.create_future()

    def callback():
        pass

    for _ in range(999):
        loop.call_soon(callback)
    loop.call_soon(done.set_result, None)
    await done


@case(1000)
async def call_soon_threadsafe(loop, _):
    done = loop.create_future()

    def callback():
        pass

    for _ in range(999):
        loop.call_soon_threadsafe(callback)
    loop.call_soon_threadsafe(done.set_result, None)
    await done


def set_and_cancel_timers(loop):
    for _ in range(1000):
        loop.call_later(60, nothing).cancel()


class Timers:
    """A timer set and cancelled among so many others, which stay from the first call on."""

    def __init__(self, live):
        self.live = live
        self.handles = None

    async def __call__(self, loop, _):
        if self.handles is None:
            self.handles = [loop.call_later(3600 + i % 1000, nothing) for i in range(self.live)]
        for _ in range(1000):
            loop.call_later(60, nothing).cancel()
        await asyncio.sleep(0)


CASES["timer_among_1000"] = (1000, Timers(1000))
CASES["timer_among_1000000"] = (1000, Timers(1_000_000))


@case(1000)
async def sleep_zero(loop, _):
    for _ in range(1000):
        await asyncio.sleep(0)


@case(1000)
async def future_wake(loop, _):
    for _ in range(1000):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


@case(1000)
async def create_task_and_await(loop, _):
    for _ in range(1000):
        await asyncio.create_task(nothing())


@case(10_000)
async def gather_10000(loop, _):
    await asyncio.gather(*(nothing() for _ in range(10_000)))


@case(1000)
async def queue(loop, _):
    """A put and a get, the reader waiting each time."""
    channel = asyncio.Queue(1)

    async def consume():
        for _ in range(1000):
            await channel.get()

    consumer = asyncio.create_task(consume())
    for i in range(1000):
        await channel.put(i)
    await consumer


@case(1000)
async def event(loop, _):
    """A set and a wait that it ends."""
    asked, told = asyncio.Event(), asyncio.Event()

    async def answer():
        for _ in range(500):
            await asked.wait()
            asked.clear()
            told.set()

    other = asyncio.create_task(answer())
    for _ in range(500):
        asked.set()
        await told.wait()
        told.clear()
    await other


@case(1000)
async def wait_for(loop, _):
    for _ in range(1000):
        await asyncio.wait_for(asyncio.sleep(0), 60)


@case(1000)
async def timeout(loop, _):
    for _ in range(1000):
        async with asyncio.timeout(60):
            await asyncio.sleep(0)


@case(200)
async def executor_1(loop, _):
    for _ in range(200):
        await loop.run_in_executor(None, int)


@case(1280)
async def executor_64(loop, _):
    for _ in range(20):
        await asyncio.gather(*(loop.run_in_executor(None, int) for _ in range(64)))


@case(100)
async def getaddrinfo_literal(loop, _):
    for _ in range(100):
        await loop.getaddrinfo("127.0.0.1", 80)


class Closing(asyncio.Protocol):
    def __init__(self, closed):
        self.closed = closed

    def connection_lost(self, exc):
        self.closed.set_result(exc)


@case(50)
async def connect_and_close(loop, setting):
    for _ in range(50):
        closed = loop.create_future()
        transport, _ = await loop.create_connection(
            lambda: Closing(closed), "127.0.0.1", setting.peer_port
        )
        transport.close()
        await closed


@case(4)
async def subprocess(loop, _):
    for _ in range(4):
        child = await asyncio.create_subprocess_exec("/bin/true")
        await child.wait()


def opener(loop):
    """bide's files on bide's loop, aiofiles on the others."""
    if type(loop).__module__.partition(".")[0] == "bide":
        import bide

        return bide.open
    import aiofiles

    return aiofiles.open


async def read_64_in_flight(loop, setting, name, size, count):
    opened = opener(loop)

    async def read():
        async with opened(setting.folder / name, "rb") as file:
            for _ in range(count):
                await file.seek(0)
                if len(await file.read(size)) != size:
                    raise EOFError(name)

    await asyncio.gather(*(read() for _ in range(64)))


@case(64 * 8)
async def file_read_4k(loop, setting):
    await read_64_in_flight(loop, setting, "4k", 4096, 8)


@case(64)
async def file_read_1m(loop, setting):
    await read_64_in_flight(loop, setting, "1m", 1 << 20, 1)


@case(640)
async def aiohttp_client(loop, setting):
    import aiohttp

    url = f"http://127.0.0.1:{setting.peer_port}/"

    async def fetch(session):
        for _ in range(10):
            async with session.get(url) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        await asyncio.gather(*(fetch(session) for _ in range(64)))


@case(80)
async def httpx_client(loop, setting):
    import httpx

    url = f"http://127.0.0.1:{setting.peer_port}/"

    async def fetch(client):
        for _ in range(5):
            await client.get(url)

    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        await asyncio.gather(*(fetch(client) for _ in range(16)))


# ---- floors: the same without a loop ----


def floor(units):
    """Registers a function that does so many units a call."""

    def register(function):
        FLOORS[function.__name__] = (units, function)
        return function

    return register


def exhaust(iterator):
    """Runs it to its end with no bytecode between."""
    collections.deque(iterator, maxlen=0)


async def naps():
    while True:
        await asyncio.sleep(0)


@floor(10_000)
def bare_send(_):
    """A coroutine resumed from C, its context entered."""
    send = naps().send
    run = contextvars.copy_context().run
    exhaust(map(run, itertools.repeat(send), itertools.repeat(None, 10_000)))


@floor(10_000)
def bare_call(_):
    def callback():
        pass

    run = contextvars.copy_context().run
    exhaust(map(run, itertools.repeat(callback, 10_000)))


def on_the_least_loop(name):
    """A case on a loop that does no more than asyncio's own tasks need."""
    units, function = CASES[name]

    def run(setting):
        loop = least.least_loop()
        loop.run(function(loop, setting))

    FLOORS[f"least_{name}"] = (units, run)


for case_name in (
    "call_soon_1000", "call_soon_threadsafe", "sleep_zero", "future_wake",
    "create_task_and_await", "gather_10000", "queue", "event",
):
    on_the_least_loop(case_name)


class StreamEcho:
    """The code that asyncio's streams run for an echo of so many bytes, over a transport that
    does nothing. Neither a task nor a loop wakes the coroutine: it is resumed at once."""

    def __init__(self, size):
        self.message = b"x" * size

    def __call__(self, _):
        loop = least.least_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport = types.SimpleNamespace(
            write=collections.deque(maxlen=0).append, is_closing=bool)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        message, buffer, resume = self.message, reader._buffer, echo_read(reader, writer).send
        resume(None)
        for _ in range(1000):
            buffer.extend(message)
            waiter, reader._waiter = reader._waiter, None
            waiter.set_result(None)
            resume(None)
        transport.is_closing = lambda: True  # or the writer would warn that it is not closed


FLOORS.update((f"bare_streams_{kib}", (1000, StreamEcho(1024 * kib))) for kib in (1, 10, 100))


class Unconnected:
    """A transport that does nothing but say, by a future, that something was written to it."""

    def write(self, _):
        if not self.written.done():
            self.written.set_result(None)

    writelines = write

    def get_extra_info(self, _, default=None):
        return default

    def is_closing(self):
        return False

    def close(self):
        pass


async def serve_by_aiohttp(loop, connections, requests):
    """So many requests of each, all of which come at once."""
    runner = await aiohttp_runner()
    served = [(runner.server(), Unconnected()) for _ in range(connections)]
    for protocol, transport in served:
        protocol.connection_made(transport)
    for _ in range(requests):
        for protocol, transport in served:
            transport.written = loop.create_future()
            protocol.data_received(REQUEST)
        for _, transport in served:
            await transport.written
    for protocol, _ in served:
        protocol.connection_lost(None)
    await runner.cleanup()


@floor(64 * 20)
def bare_aiohttp(_):
    """What aiohttp's server does for a request, over transports that do nothing. No timer of
    its connections is ever due."""
    loop = least.least_loop()
    loop.time, loop.is_running = time.monotonic, lambda: True
    loop.call_at = loop.call_later = lambda *_, **__: types.SimpleNamespace(cancel=bool)
    loop.run(serve_by_aiohttp(loop, 64, 20))


@floor(100)
def bare_getaddrinfo(_):
    exhaust(map(socket.getaddrinfo, itertools.repeat("127.0.0.1"), itertools.repeat(80, 100)))


@floor(50)
def bare_connect(setting):
    for _ in range(50):
        socket.create_connection(("127.0.0.1", setting.peer_port)).close()


@floor(4)
def bare_spawn(_):
    for _ in range(4):
        os.waitpid(os.posix_spawn("/bin/true", ["/bin/true"], {}), 0)


def bare_read(setting, name, size, count):
    with open(setting.folder / name, "rb", buffering=0) as file:
        for _ in range(count):
            file.seek(0)
            file.read(size)


@floor(64 * 8)
def bare_read_4k(setting):
    bare_read(setting, "4k", 4096, 64 * 8)


@floor(64)
def bare_read_1m(setting):
    bare_read(setting, "1m", 1 << 20, 64)


# ---- measuring ----


class Slice:
    """Begins when it is made; what comes before is warming up."""

    def __init__(self):
        self.times = 0
        self.cpu, self.wall = time.process_time_ns(), time.perf_counter_ns()

    def goes_on(self):
        self.times += 1
        return self.times == 1 or time.perf_counter_ns() - self.wall < SLICE_S * 1e9

    def found(self, units):
        """Of one unit. goes_on() has counted the time that was not run, too."""
        count = units * (self.times - 1)
        return {
            "cpu": (time.process_time_ns() - self.cpu) / count,
            "wall": (time.perf_counter_ns() - self.wall) / count,
            "count": count,
        }


async def measure(name, setting):
    units, function = CASES[name]
    loop = asyncio.get_running_loop()
    await function(loop, setting)
    timed = Slice()
    while timed.goes_on():
        await function(loop, setting)
    return timed.found(units)


def measure_floor(name, setting):
    units, function = FLOORS[name]
    function(setting)
    timed = Slice()
    while timed.goes_on():
        function(setting)
    return timed.found(units)


def main(loop, peer_port, folder):
    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        setting = Setting(peer_port, folder)
        for line in sys.stdin:
            name = line.strip()
            try:
                if name in FLOORS:
                    found = measure_floor(name, setting)
                else:
                    found = runner.run(measure(name, setting))
            except Exception as error:
                found = {"reason": f"{type(error).__name__}: {error}"}
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
