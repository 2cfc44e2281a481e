"""Signals as callbacks, beside everything else that wants them.

What a user loses if these fail: a SIGTERM that nobody hears, a wakeup fd that another
library had set, or the loop after a Ctrl-C.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading

import bide
import pytest
from processes import run_program


@pytest.fixture(autouse=True)
def dispositions_come_back():
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in wanted]
    yield
    assert [signal.getsignal(number) for number in wanted] == before
    assert signal.set_wakeup_fd(-1) == -1


class Heard:
    """A handler that counts, and an awaitable for a count."""

    def __init__(self):
        self.calls = []
        self.changed = asyncio.Event()

    def __call__(self, *args):
        self.calls.append(args)
        self.changed.set()

    async def until(self, count):
        while len(self.calls) < count:
            self.changed.clear()
            await self.changed.wait()


def test_a_signal_runs_its_callback_with_its_arguments(run, loop):
    async def main():
        heard = Heard()
        loop.add_signal_handler(signal.SIGUSR1, heard, 1, "two")
        signal.raise_signal(signal.SIGUSR1)
        assert heard.calls == []
        await heard.until(1)
        loop.add_signal_handler(signal.SIGUSR1, heard, "replaced")
        os.kill(os.getpid(), signal.SIGUSR1)
        await heard.until(2)
        assert heard.calls == [(1, "two"), ("replaced",)]
        assert loop.remove_signal_handler(signal.SIGUSR1)
        assert not loop.remove_signal_handler(signal.SIGUSR1)

    run(main())


def test_signals_of_other_threads_and_processes_wake_the_loop(run, loop):
    async def main():
        heard = Heard()
        loop.add_signal_handler(signal.SIGUSR1, heard)
        done = threading.Event()
        other = threading.Thread(target=done.wait)
        other.start()
        # The kernel runs the C handler in the other thread: only the wakeup fd wakes us.
        signal.pthread_kill(other.ident, signal.SIGUSR1)
        await heard.until(1)
        done.set()
        other.join()
        raising = threading.Thread(target=signal.raise_signal, args=[signal.SIGUSR1])
        raising.start()
        await heard.until(2)
        raising.join()
        subprocess.Popen(["kill", "-USR1", str(os.getpid())]).wait()
        await heard.until(3)
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main())


def test_many_signals_are_all_heard(run, loop):
    """More than a socket's buffer has room for, while the loop does not run."""

    async def main():
        await many.until(3000)
        await other.until(1)

    many, other = Heard(), Heard()
    loop.add_signal_handler(signal.SIGUSR1, many)
    loop.add_signal_handler(signal.SIGUSR2, other)
    for _ in range(3000):
        signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR2)
    run(main())
    loop.remove_signal_handler(signal.SIGUSR1)
    loop.remove_signal_handler(signal.SIGUSR2)
    assert len(many.calls) == 3000 and len(other.calls) == 1


def test_a_callback_may_stop_the_loop_or_remove_itself(loop):
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    signal.raise_signal(signal.SIGTERM)
    loop.run_forever()
    loop.add_signal_handler(signal.SIGTERM, lambda: loop.remove_signal_handler(15))
    signal.raise_signal(signal.SIGTERM)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert not loop.remove_signal_handler(signal.SIGTERM)


def test_closing_the_loop_restores_the_defaults():
    loop = bide.new_event_loop()
    loop.add_signal_handler(signal.SIGINT, print)
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.add_signal_handler(signal.SIGUSR1, print)


def test_wrong_arguments(loop):
    async def coroutine_function():
        pass

    with pytest.raises(TypeError, match="coroutines cannot be used with add_signal_handler"):
        loop.add_signal_handler(signal.SIGUSR1, coroutine_function)
    with pytest.raises(TypeError, match="sig must be an int, not 'USR1'"):
        loop.add_signal_handler("USR1", print)
    for number in (0, -1, 1000):
        with pytest.raises(ValueError, match=f"invalid signal number {number}"):
            loop.add_signal_handler(number, print)
        with pytest.raises(ValueError, match=f"invalid signal number {number}"):
            loop.remove_signal_handler(number)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        with pytest.raises(RuntimeError, match=f"sig {number} cannot be caught"):
            loop.add_signal_handler(number, print)


def test_other_threads_may_not_add_handlers(loop):
    async def main():
        own = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="set_wakeup_fd only works in main thread"):
            own.add_signal_handler(signal.SIGUSR1, print)
        # Nor beside one that the main thread has added.
        with pytest.raises(RuntimeError, match="set_wakeup_fd only works in main thread"):
            loop.add_signal_handler(signal.SIGUSR2, print)
        raised.append(True)

    raised = []
    loop.add_signal_handler(signal.SIGUSR1, print)
    thread = threading.Thread(target=lambda: bide.run(main()))
    thread.start()
    thread.join()
    assert raised == [True]
    assert not loop.remove_signal_handler(signal.SIGUSR2)
    assert loop.remove_signal_handler(signal.SIGUSR1)


# ---- beside somebody's wakeup fd ----


@pytest.fixture
def wakeup():
    """A wakeup fd of the user's: the socket that one reads the signals from."""
    reader, writer = socket.socketpair()
    reader.settimeout(5)
    writer.setblocking(False)
    assert signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False) == -1
    yield reader, writer
    signal.set_wakeup_fd(-1)
    reader.close()
    writer.close()


def hear_one(run, loop, wakeup):
    async def main():
        heard = Heard()
        loop.add_signal_handler(signal.SIGUSR1, heard)
        signal.raise_signal(signal.SIGUSR1)
        await heard.until(1)
        if wakeup is not None:
            assert wakeup[0].recv(10) == bytes([signal.SIGUSR1])

    run(main())


def test_a_users_wakeup_fd_goes_on_hearing_and_comes_back(run, loop, wakeup):
    hear_one(run, loop, wakeup)
    hear_one(run, loop, wakeup)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.set_wakeup_fd(-1) == wakeup[1].fileno()


def test_a_full_wakeup_fd_of_the_users_stops_nothing(run, loop, wakeup, capfd):
    with pytest.raises(BlockingIOError):
        while True:
            wakeup[1].send(b"x")
    hear_one(run, loop, None)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert capfd.readouterr().err == ""


def test_a_wakeup_fd_that_was_set_later_stays(run, loop, wakeup):
    signal.set_wakeup_fd(-1)
    loop.add_signal_handler(signal.SIGUSR1, print)
    signal.set_wakeup_fd(wakeup[1].fileno())
    loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.set_wakeup_fd(-1) == wakeup[1].fileno()


def test_a_wakeup_fd_that_was_closed_meanwhile_does_not_come_back(run, loop, wakeup):
    """Its number may be a connection's by then, which must get no signal's bytes."""
    number = wakeup[1].fileno()
    loop.add_signal_handler(signal.SIGUSR1, print)
    ends = os.pipe()
    wakeup[1].close()
    os.dup2(ends[1], number)
    os.close(ends[1])
    hear_one(run, loop, None)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.set_wakeup_fd(-1) == -1
    os.close(number)
    assert os.read(ends[0], 10) == b""
    os.close(ends[0])


# ---- Ctrl-C ----


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner came with 3.11")
def test_the_runner_turns_an_interrupt_into_a_cancel():
    async def main():
        try:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    seen = []
    with pytest.raises(KeyboardInterrupt):
        bide.run(main())
    assert seen == ["cancelled"]


def test_an_interrupt_while_the_loop_sleeps_ends_the_run(loop):
    main = threading.get_ident()
    timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    timer.join()
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


FUZZ = """
    import asyncio, bide, os, random, signal, threading, weakref

    ROUNDS = 100
    interrupted = 0
    main_thread = threading.get_ident()

    async def echo(reader, writer):
        try:
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def client(address, number, rounds):
        reader, writer = await asyncio.open_connection(*address)
        try:
            text = b"%d " % number * 20
            for _ in range(rounds):
                writer.write(text)
                assert await reader.readexactly(len(text)) == text
                await asyncio.sleep(0)
        finally:
            writer.close()

    async def pipe(number):
        loop = asyncio.get_running_loop()
        ends = os.pipe()
        files = open(ends[0], "rb", 0), open(ends[1], "wb", 0)
        with files[0], files[1]:
            reader = asyncio.StreamReader()
            await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), files[0])
            transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, files[1])
            transport.write(b"%d" % number)
            transport.close()
            assert await reader.read() == b"%d" % number

    async def traffic(rounds):
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        try:
            while True:
                await asyncio.gather(*(client(address, number, 20) for number in range(5)),
                                     *(pipe(number) for number in range(3)),
                                     asyncio.to_thread(int))
                rounds -= 1
                if rounds == 0:
                    return "done"
        finally:
            server.close()

    # A done callback of asyncio's own that is interrupted leaves its task waiting.
    abandoned = weakref.WeakSet()

    def cancel_all(loop):
        while tasks := asyncio.all_tasks(loop) - set(abandoned):
            for task in tasks:
                task.cancel()
            try:
                abandoned.update(loop.run_until_complete(asyncio.wait(tasks, timeout=0.5))[1])
            except KeyboardInterrupt:
                # One that awaited the interrupted task was told.
                pass

    armed, over = False, threading.Event()

    def interrupt(number, frame):
        global armed
        if armed and not over.is_set():
            armed = False
            raise KeyboardInterrupt

    def send(pause):
        # What hits a __del__ is lost, as everywhere in Python: then another is sent.
        global armed
        while not over.wait(pause):
            armed, pause = True, 0.5
            signal.pthread_kill(main_thread, signal.SIGINT)

    signal.signal(signal.SIGINT, interrupt)
    loop = bide.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    pause = random.Random(int(os.environ["SEED"])).uniform
    for number in range(ROUNDS):
        over.clear()
        sender = threading.Thread(target=send, args=[pause(0, 0.01)])
        try:
            sender.start()
            loop.run_until_complete(traffic(0))
        except KeyboardInterrupt:
            interrupted += 1
        over.set()
        sender.join()
        assert not loop.is_running() and not loop.is_closed()
        cancel_all(loop)
        if number % 20 == 0:
            assert loop.run_until_complete(asyncio.wait_for(traffic(1), 20)) == "done"
    assert loop.run_until_complete(asyncio.wait_for(traffic(2), 20)) == "done"
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    print(interrupted, len(abandoned))
"""


def test_the_loop_survives_interrupts_at_hundreds_of_random_moments():
    interrupted, abandoned = run_program(FUZZ, SEED="1", PYTHONWARNINGS="ignore").split()
    assert int(interrupted) == 100 and int(abandoned) < 20
