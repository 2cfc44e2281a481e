"""A loop inside any outer loop: what the fd does not tell of never happens."""

import asyncio
import gc
import os
import select
import socket
import threading
import time
import weakref

import bide
import pytest
from bide.guest import Guest


class Outer:
    """An outer loop in ten lines: it waits for the fd alone."""

    def __init__(self, loop):
        self.guest = Guest(loop)
        self.poll = select.poll()
        self.poll.register(self.guest, select.POLLIN)

    def is_awake(self, timeout_ms=0):
        return bool(self.poll.poll(timeout_ms))

    def run(self, until):
        """Steps until the condition holds; returns how many it took."""
        steps = 0
        while not until():
            assert self.is_awake(10_000), "nothing woke the outer loop"
            self.guest.step()
            steps += 1
        return steps

    def settle(self):
        for _ in range(20):
            if not self.is_awake():
                return
            self.guest.step()
        raise AssertionError("the fd stays readable though nothing is left to do")

    def finish(self, coro):
        task = self.guest.loop.create_task(coro)
        self.run(task.done)
        return task.result()


@pytest.fixture
def outer(loop):
    outer = Outer(loop)
    yield outer
    outer.guest.close()


def test_a_coroutine_runs_to_its_end_by_steps_alone(outer):
    async def main():
        await asyncio.sleep(0.01)
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            there.setblocking(False)
            loop = asyncio.get_running_loop()
            received = loop.create_task(loop.sock_recv(here, 100))
            await asyncio.sleep(0)
            await loop.sock_sendall(there, b"bytes")
            return await received, await loop.run_in_executor(None, threading.get_ident)

    data, thread = outer.finish(main())
    assert data == b"bytes" and thread != threading.get_ident()


def test_the_loop_runs_inside_a_step_and_not_outside(outer, loop):
    seen = []
    loop.call_soon(lambda: seen.append((asyncio.get_running_loop(), loop.is_running())))
    outer.run(lambda: seen)
    assert seen == [(loop, True)]
    assert asyncio._get_running_loop() is None and not loop.is_running()


@pytest.mark.parametrize("give", ["soon", "later", "threadsafe", "future", "task"])
def test_what_is_given_between_steps_wakes_the_outer_loop(outer, loop, give):
    future = loop.create_future()
    done = loop.create_future()
    future.add_done_callback(lambda _: done.done() or done.set_result(None))

    async def finish():
        done.set_result(None)

    for _ in range(3):
        outer.settle()
        if give == "soon":
            loop.call_soon(done.set_result, None)
        elif give == "later":
            loop.call_later(0.01, done.set_result, None)
        elif give == "threadsafe":
            arguments = (done.set_result, None)
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=arguments)
            thread.start()
            thread.join()
        elif give == "future":
            future.set_result(None)
        else:
            loop.create_task(finish())
        outer.run(done.done)
        future, done = loop.create_future(), loop.create_future()
        future.add_done_callback(lambda _, done=done: done.set_result(None))


def test_a_write_and_a_watch_between_steps_are_seen_to(outer, loop):
    here, there = socket.socketpair()
    received = []

    class Note(asyncio.Protocol):
        def data_received(self, data):
            received.append(data)

    async def connect():
        return await loop.connect_accepted_socket(Note, here)

    transport, _ = outer.finish(connect())
    outer.settle()
    transport.write(b"from between")
    outer.settle()
    assert there.recv(100) == b"from between"
    there.sendall(b"back")
    outer.run(lambda: received)
    outer.settle()
    transport.close()
    outer.settle()
    assert there.recv(100) == b""
    with there, there.dup() as watched:
        loop.add_writer(watched, received.append, "writable")
        outer.run(lambda: "writable" in received)
        loop.remove_writer(watched)


def test_timers_wake_it_when_they_are_due_and_not_before(outer, loop):
    fired = []
    when = loop.time() + 0.05
    loop.call_at(when, lambda: fired.append(loop.time()))
    steps = outer.run(lambda: fired)
    assert fired[0] >= when and steps < 10
    outer.settle()
    loop.call_later(3600, fired.append, None).cancel()
    outer.settle()


def test_a_timer_wakes_each_of_two_guests(loop):
    """Whichever outer loop has stepped last, the other must not wait for its step."""
    first, second = Outer(loop), Outer(loop)
    fired = []
    first.settle()
    loop.call_later(0.01, fired.append, "due")
    first.guest.step()
    second.run(lambda: fired)
    first.guest.close()
    loop.call_later(0.01, fired.append, "again")
    second.run(lambda: len(fired) == 2)
    second.guest.close()


def test_a_patched_clock_moves_a_guests_timers(outer, loop):
    now = 10.0
    loop.time = lambda: now
    fired = []
    loop.call_later(100, fired.append, "fired")
    outer.settle()
    now += 100
    loop.call_soon(fired.append, "step")
    outer.run(lambda: "fired" in fired)
    del loop.time


def test_a_busy_loop_leaves_the_outer_one_its_turns(outer, loop):
    async def busy():
        while True:
            await asyncio.sleep(0)

    task = loop.create_task(busy())
    for _ in range(5):
        assert outer.is_awake(1000)
        start = time.thread_time()
        outer.guest.step()
        assert time.thread_time() - start < 0.1
    task.cancel()
    outer.run(task.done)


def test_an_interrupt_leaves_the_step_and_the_guest_goes_on(outer, loop):
    def interrupt():
        raise KeyboardInterrupt("now")

    seen = []
    loop.call_soon(interrupt)
    loop.call_soon(seen.append, "after")
    with pytest.raises(KeyboardInterrupt, match="now"):
        outer.run(lambda: False)
    assert not loop.is_running() and asyncio._get_running_loop() is None
    outer.run(lambda: seen == ["after"])


def test_a_step_inside_a_run_is_refused(outer, loop):
    async def main():
        with pytest.raises(RuntimeError, match="^This event loop is already running$"):
            outer.guest.step()
        other = bide.new_event_loop()
        with pytest.raises(RuntimeError, match="while another loop is running"):
            Guest(other).step()
        other.close()

    outer.finish(main())


def test_a_guest_may_be_run_by_itself_in_between(outer, loop):
    assert outer.finish(asyncio.sleep(0.01, 1)) == 1
    assert loop.run_until_complete(asyncio.sleep(0.01, 2)) == 2
    outer.settle()
    assert outer.finish(asyncio.sleep(0.01, 3)) == 3


def test_closed_guests_and_loops_say_so():
    loop = bide.new_event_loop()
    guest = Guest(loop)
    loop.close()
    with pytest.raises(RuntimeError, match="^Event loop is closed$"):
        guest.step()
    with pytest.raises(RuntimeError, match="^Event loop is closed$"):
        Guest(loop)
    guest.close()
    guest.close()
    for method in (guest.fileno, guest.step):
        with pytest.raises(ValueError, match="^the guest is closed$"):
            method()
    with pytest.raises(TypeError, match="Loop"):
        Guest(asyncio.AbstractEventLoop())


def test_a_guest_may_be_referenced_weakly(loop):
    """As a window's toolkit does with what it is to call, not to keep it alive."""
    guest = Guest(loop)
    reference = weakref.ref(guest)
    assert reference() is guest
    del guest
    assert reference() is None


def test_a_step_may_close_its_own_guest(loop):
    guest = Guest(loop)
    loop.call_soon(guest.close)
    guest.step()
    with pytest.raises(ValueError, match="^the guest is closed$"):
        guest.step()


def test_guests_leave_no_fds_and_no_cycles():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        loop = bide.new_event_loop()
        loop.guest = Guest(loop)
        watch = weakref.ref(loop)
        loop.close()
        del loop
        gc.collect()
        assert watch() is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_helpers_refuse_what_they_cannot_run(loop):
    coro = asyncio.sleep(0)

    async def main():
        for helper in (bide.guest.tk, bide.guest.qt):
            with pytest.raises(RuntimeError, match="from a running event loop"):
                helper(None, coro)

    loop.run_until_complete(main())
    with pytest.raises(TypeError, match="app must be a QCoreApplication"):
        bide.guest.qt(object(), coro)
    coro.close()
