"""Loops in many threads at once, and what one thread leaves to another: users lose their
process. An interpreter without a GIL is what these are for; with one they hold too."""

import asyncio
import gc
import os
import queue
import socket
import sysconfig
import threading
import warnings
import weakref

import bide
import pytest
from bide import _bide

THREADS = 6
ROUNDS = 15
CALLS = 500  # that a loop hears before it is closed under the callers
LIMIT_S = 60

without_gil = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="a GIL admits one thread at a time"
)


@pytest.fixture
def in_threads():
    """in_threads(function, ...) calls each in a thread of its own, and raises what the first
    of them has raised."""

    def call(*functions):
        errors = []

        def guarded(function):
            try:
                function()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(each,)) for each in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive(), "a thread hangs"
        if errors:
            raise errors[0]

    return call


@pytest.fixture
def collections():
    """Somebody else's collections, which find everybody's garbage."""
    ended = threading.Event()

    def collect():
        while not ended.wait(0.002):
            gc.collect()

    thread = threading.Thread(target=collect)
    thread.start()
    yield
    ended.set()
    thread.join()


class Member:
    """A thread's loop, for the other threads to call."""

    def __init__(self):
        self.loop = None
        self.heard = 0

    def hear(self):
        self.heard += 1

    async def double(self, number):
        await asyncio.sleep(0)
        return 2 * number


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def talk(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for size in (1, 1000, 100_000):
        writer.write(b"x" * size)
        assert len(await reader.readexactly(size)) == size
    writer.close()
    await writer.wait_closed()


async def keep_time():
    """Timers that fire, and as many that are cancelled."""
    loop = asyncio.get_running_loop()
    fired = []
    handles = [loop.call_later(0.001, fired.append, number) for number in range(40)]
    for handle in handles[::2]:
        handle.cancel()
    behind = loop.create_future()
    loop.call_later(0.001, behind.set_result, None)
    await behind
    assert fired == list(range(1, 40, 2))


async def cancel_sleepers():
    sleepers = [asyncio.create_task(asyncio.sleep(100)) for _ in range(20)]
    await asyncio.sleep(0)
    for sleeper in sleepers:
        sleeper.cancel()
    outcomes = await asyncio.gather(*sleepers, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def compute():
    loop = asyncio.get_running_loop()
    jobs = [loop.run_in_executor(None, pow, 3, number) for number in range(20)]
    assert await asyncio.gather(*jobs) == [3**number for number in range(20)]


async def call_across(peer):
    """Both ways there are into another thread's loop."""
    calls = [
        asyncio.wrap_future(asyncio.run_coroutine_threadsafe(peer.double(number), peer.loop))
        for number in range(10)
    ]
    for _ in range(10):
        peer.loop.call_soon_threadsafe(peer.hear)
    assert await asyncio.gather(*calls) == [2 * number for number in range(10)]


def test_loops_of_many_threads_do_all_they_can_at_once(in_threads, collections):
    members = [Member() for _ in range(THREADS)]
    met, parted = (threading.Barrier(THREADS, timeout=LIMIT_S) for _ in range(2))

    async def live(member, peer):
        member.loop = asyncio.get_running_loop()
        await asyncio.to_thread(met.wait)
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        for _ in range(ROUNDS):
            await asyncio.gather(
                talk(port), talk(port), keep_time(), cancel_sleepers(), compute(),
                call_across(peer),
            )
        server.close()
        await server.wait_closed()
        # Nobody's loop ends while another calls it.
        await asyncio.to_thread(parted.wait)

    in_threads(*(
        lambda member=member, peer=peer: bide.run(live(member, peer))
        for member, peer in zip(members, members[1:] + members[:1])
    ))
    assert [member.heard for member in members] == [10 * ROUNDS] * THREADS


def test_what_another_thread_drops_is_closed(in_threads, open_fds):
    """Transports that their threads forget to close, in cycles, so that whoever collects them
    finds them, a server's and pipes' too; their loops run on meanwhile, and make and close
    others."""
    before = open_fds()
    dropped = queue.SimpleQueue()

    class Forgetful(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.pause_reading()

    async def forget():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Forgetful, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        for _ in range(ROUNDS):
            pair = socket.socketpair()
            made = [await loop.create_connection(Forgetful, sock=sock) for sock in pair]
            made.append(await loop.create_connection(Forgetful, *address))
            reader, writer = os.pipe()
            made.append(await loop.connect_read_pipe(Forgetful, open(reader, "rb")))
            os.close(writer)
            await asyncio.sleep(0)
            dropped.put(made)
            del made, pair
            await asyncio.sleep(0)
        server.close()

    def collect():
        for _ in range(THREADS * ROUNDS):
            dropped.get(timeout=LIMIT_S)
            gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        in_threads(collect, *[lambda: bide.run(forget())] * THREADS)
        gc.collect()
    assert open_fds() == before


def test_a_loop_is_closed_by_another_thread_with_all_it_has(in_threads, open_fds):
    before = open_fds()
    loops = []

    async def begin():
        loop = asyncio.get_running_loop()
        for sock in socket.socketpair():
            await loop.create_connection(asyncio.Protocol, sock=sock)
        loop.call_later(100, print)
        loop.call_soon_threadsafe(print)

    def make():
        loop = bide.new_event_loop()
        loop.run_until_complete(begin())
        loops.append(loop)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        in_threads(*[make] * THREADS)
        in_threads(*(loop.close for loop in loops))
        loops.clear()
        gc.collect()
    assert open_fds() == before


def test_a_call_that_comes_as_the_loop_closes_is_refused_or_dropped(in_threads):
    """Never anything else, and never a call that runs when the loop is closed."""
    for _ in range(ROUNDS):
        loop = bide.new_event_loop()
        closed = []
        begun = threading.Barrier(THREADS, timeout=LIMIT_S)

        def hear(loop=loop, closed=closed):
            closed.append(loop.is_closed())
            if len(closed) == CALLS:
                loop.stop()

        def post(loop=loop, begun=begun, hear=hear):
            begun.wait()
            with pytest.raises(RuntimeError, match="closed"):
                while True:
                    loop.call_soon_threadsafe(hear)

        def run_and_close(loop=loop, begun=begun):
            begun.wait()
            loop.run_forever()
            loop.close()

        in_threads(run_and_close, *[post] * (THREADS - 1))
        assert len(closed) >= CALLS and not any(closed)


class Argument:
    """What a weak reference may lead to."""


def test_a_handle_is_cancelled_by_another_thread_as_its_turn_comes(in_threads, collections):
    """Its callback hears all of its arguments or is not called, and they are dropped."""
    loop = bide.new_event_loop()
    posters = THREADS - 1
    posted = threading.Barrier(posters, timeout=LIMIT_S)
    heard, arguments = [], []

    def post():
        handles = []
        for number in range(CALLS):
            given = Argument()
            arguments.append(weakref.ref(given))
            handles.append(loop.call_soon_threadsafe(hear, given, number))
            if number % 3 == 2:
                handle = handles[number - number % 5]
                handle.cancel()
                assert handle.cancelled() and handle._args is None
        if posted.wait() == 0:
            loop.call_soon_threadsafe(loop.stop)

    def hear(given, number):
        heard.append((type(given), type(number)))

    in_threads(loop.run_forever, *[post] * posters)
    loop.close()
    assert set(heard) == {(Argument, int)} and len(heard) <= posters * CALLS
    gc.collect()
    assert not any(argument() for argument in arguments)


def test_timers_are_cancelled_by_other_threads(in_threads, collections):
    """They do not fire, what they held is dropped, and the others fire."""
    loop = bide.new_event_loop()
    handles, arguments, fired = queue.SimpleQueue(), [], []
    cancelled = threading.Barrier(THREADS - 1, timeout=LIMIT_S)

    def set_timers(number=0):
        given = Argument()
        arguments.append(weakref.ref(given))
        handles.put(loop.call_later(1000 if number % 2 else 0.0005, fired.append, given))
        if number < CALLS:
            loop.call_soon(set_timers, number + 1)
        else:
            for _ in range(THREADS - 1):
                handles.put(None)

    def cancel():
        while (handle := handles.get(timeout=LIMIT_S)) is not None:
            handle.cancel()
            assert handle.cancelled() and handle._args is None
        if cancelled.wait() == 0:
            loop.call_soon_threadsafe(loop.stop)

    loop.call_soon(set_timers)
    in_threads(loop.run_forever, *[cancel] * (THREADS - 1))
    loop.run_until_complete(asyncio.sleep(0.001))
    assert len(fired) <= CALLS
    fired.clear()
    gc.collect()
    assert not any(argument() for argument in arguments)
    loop.close()


def test_a_loop_is_run_and_closed_by_several_threads_at_once(in_threads):
    """One has it, and the others are told so."""
    for _ in range(ROUNDS):
        loop = bide.new_event_loop()
        begun = threading.Barrier(THREADS, timeout=LIMIT_S)
        outcomes = []

        def run(loop=loop, begun=begun, outcomes=outcomes):
            begun.wait()
            for _ in range(CALLS):
                try:
                    loop.call_soon_threadsafe(loop.stop)
                    loop.run_forever()
                    outcomes.append(None)
                except RuntimeError as error:
                    outcomes.append(str(error))

        def close(loop=loop, begun=begun, outcomes=outcomes):
            begun.wait()
            while not loop.is_closed():
                try:
                    _bide.Loop._close(loop)
                except RuntimeError as error:
                    outcomes.append(str(error))

        in_threads(*[run] * (THREADS - 1), close)
        assert set(outcomes) <= {
            None,
            "This event loop is already running",
            "Event loop is closed",
            "Cannot close a running event loop",
        }
        loop.close()


@without_gil
def test_transports_are_closed_by_another_thread(in_threads):
    """Which asyncio does not promise, and programs do on their way out: the peer sees the
    end, and the protocol hears of it in the loop's thread."""
    opened, lost = queue.SimpleQueue(), []

    class Told(asyncio.Protocol):
        def connection_lost(self, error):
            lost.append((threading.get_ident(), error))
            if len(lost) == 2 * ROUNDS:
                asyncio.get_running_loop().stop()

    async def open_all(loop):
        for number in range(2 * ROUNDS):
            ours, theirs = socket.socketpair()
            transport, _ = await loop.create_connection(Told, sock=ours)
            opened.put((transport, theirs, number % 2))
        opened.put(None)

    def close():
        while (item := opened.get(timeout=LIMIT_S)) is not None:
            transport, theirs, aborted = item
            transport.abort() if aborted else transport.close()
            assert theirs.recv(1) == b""
            theirs.close()

    def live():
        loop = bide.new_event_loop()
        opening = loop.create_task(open_all(loop))
        loop.run_forever()
        assert opening.done()
        loop.close()
        assert lost == [(threading.get_ident(), None)] * (2 * ROUNDS)

    in_threads(live, close)


@without_gil
def test_what_is_not_for_other_threads_is_refused():
    """Not in debug mode alone, since two threads in a loop at once would corrupt it."""

    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        transport, protocol = await loop.create_connection(asyncio.Protocol, sock=ours)

        def call(function, *args):
            with pytest.raises(RuntimeError, match="Non-thread-safe"):
                function(*args)

        for refused in (
            (loop.call_soon, print),
            (loop.call_later, 1, print),
            (loop.call_at, 1, print),
            (loop.add_reader, theirs, print),
            (loop.remove_reader, theirs),
            (transport.write, b"x"),
            (transport.writelines, [b"x"]),
            (transport.write_eof,),
            (transport.pause_reading,),
            (transport.resume_reading,),
            (transport.set_protocol, protocol),
            (transport.set_write_buffer_limits,),
        ):
            await asyncio.to_thread(call, *refused)
        transport.close()
        theirs.close()

    bide.run(main())
