"""KeyboardInterrupt and SystemExit at any point: users press Ctrl-C and are left with a loop
that says it is running, has lost calls, or never ends."""

import asyncio
import os
import socket
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])


def raiser(error):
    def interrupt(*unused):
        raise error("now")

    return interrupt


def by_timer(loop, interrupt):
    loop.call_later(0.001, interrupt)


def by_thread(loop, interrupt):
    loop.run_in_executor(None, loop.call_soon_threadsafe, interrupt)


def by_reader(loop, interrupt):
    here, there = socket.socketpair()
    here.setblocking(False)
    there.send(b"x")

    def read():
        loop.remove_reader(here)
        here.close()
        there.close()
        interrupt()

    loop.add_reader(here, read)


def by_done_callback(loop, interrupt):
    future = loop.create_future()
    future.add_done_callback(interrupt)
    future.set_result(None)


def by_exception_handler(loop, interrupt):
    loop.set_exception_handler(interrupt)
    loop.call_soon(lambda: 1 / 0)


def by_default_exception_handler(loop, interrupt):
    loop.set_exception_handler(None)
    loop.default_exception_handler = interrupt
    loop.call_soon(lambda: 1 / 0)


def by_task(loop, interrupt):
    async def coroutine():
        await asyncio.sleep(0)
        interrupt()

    loop.interrupted_task = loop.create_task(coroutine())


def by_clock(loop, interrupt):
    def time():
        del loop.time
        interrupt()

    loop.call_later(0.001, print)
    loop.time = time


def by_protocol(method):
    def arrange(loop, interrupt):
        here, there = socket.socketpair()
        protocol = type("Raising", (asyncio.Protocol,), {method: interrupt})

        async def connect():
            await loop.connect_accepted_socket(protocol, here)
            there.send(b"data")
            there.shutdown(socket.SHUT_WR)

        loop.connecting = loop.create_task(connect())
        loop.call_later(1, there.close)

    arrange.__name__ = f"by_{method}"
    return arrange


POINTS = [
    by_timer, by_thread, by_reader, by_done_callback, by_exception_handler,
    by_default_exception_handler, by_task, by_clock,
    *(
        by_protocol(method)
        for method in ("connection_made", "data_received", "eof_received", "connection_lost")
    ),
]


@pytest.mark.parametrize("arrange", POINTS, ids=lambda point: point.__name__)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_it_ends_the_run_and_the_loop_goes_on(loop, arrange, error):
    arrange(loop, raiser(error))
    with pytest.raises(error, match="now"):
        loop.run_forever()
    assert not loop.is_running() and asyncio._get_running_loop() is None
    loop.set_exception_handler(None)
    vars(loop).pop("default_exception_handler", None)
    seen = []
    loop.call_soon(seen.append, "soon")
    loop.call_soon_threadsafe(seen.append, "threadsafe")
    assert loop.run_until_complete(asyncio.sleep(0.002, "slept")) == "slept"
    assert seen == ["soon", "threadsafe"]
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))


ANYWHERE = """
    import asyncio, random, signal, sys
    import bide

    ERROR = {"KeyboardInterrupt": KeyboardInterrupt, "SystemExit": SystemExit}[sys.argv[1]]

    def interrupt(*unused):
        raise ERROR

    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

    async def fetch(address):
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(3):
            writer.write(b"x" * 100)
            await reader.readexactly(100)
        writer.close()

    async def spin():
        for number in range(60):
            await asyncio.sleep(number % 6 / 20_000)

    async def work(loop):
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        executed = loop.run_in_executor(None, int)
        await asyncio.gather(fetch(address), spin(), executed)
        server.close()

    def usable(loop):
        # A task that had the exception raises it once more when it is awaited.
        for _ in range(100):
            for task in asyncio.all_tasks(loop):
                task.cancel()
            try:
                return loop.run_until_complete(asyncio.sleep(0.001, True))
            except ERROR:
                pass
        return False

    signal.signal(signal.SIGALRM, interrupt)
    rng = random.Random(4)
    loop = bide.new_event_loop()
    hits = 0
    for turn in range(250):
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.00005, 0.006))
            loop.run_until_complete(work(loop))
            signal.setitimer(signal.ITIMER_REAL, 0)
        except ERROR:
            hits += 1
        except RuntimeError as error:
            # A condition of threading's, as at the start of a thread, finds its lock released.
            if not isinstance(error.__context__, ERROR):
                raise
            hits += 1
        assert not loop.is_running(), turn
        assert asyncio._get_running_loop() is None, turn
        assert usable(loop), turn
    loop.set_exception_handler(lambda *unused: None)
    loop.close()
    print("hits", hits)
"""


def test_a_signal_at_any_instruction_leaves_the_loop_usable(error):
    """An alarm's handler raises at 250 moments that a seed has drawn."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(ANYWHERE), error.__name__],
        env=dict(os.environ), capture_output=True, text=True, timeout=50,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 50
