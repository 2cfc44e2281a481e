"""add_reader and add_writer by asyncio's rules: libraries with their own sockets (asyncpg,
pyzmq, gRPC's pollers) hang, spin or hear of somebody else's file."""

import asyncio
import gc
import os
import socket
import weakref

import pytest


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)
    with here, there:
        yield here, there


def turn(loop, count=3):
    """Several turns, each with a look at the kernel."""
    for _ in range(count):
        loop.run_until_complete(asyncio.sleep(0.002))


def test_keywords_are_taken_as_asyncio_takes_them(loop, pair):
    seen = []
    here, there = pair
    loop.add_reader(fd=here, callback=lambda: seen.append(here.recv(10)))
    there.send(b"x")
    turn(loop)
    assert seen == [b"x"]
    assert loop.remove_reader(fd=here) and not loop.remove_reader(here)
    loop.call_later(delay=0, callback=lambda: seen.append("later"))
    loop.call_at(when=0, callback=lambda: seen.append("at"))
    loop.call_soon(callback=lambda: seen.append("soon"))
    turn(loop)
    assert sorted(seen[1:]) == ["at", "later", "soon"]


def test_wrong_arguments_have_pythons_words(loop, pair):
    for call, words in (
        (lambda: loop.add_reader(), "missing 2 required positional arguments: 'fd' and"),
        (lambda: loop.add_reader(pair[0]), "missing 1 required positional argument: 'call"),
        (lambda: loop.add_reader(pair[0], print, fd=1), "got multiple values for argument"),
        (lambda: loop.add_reader(pair[0], print, x=1), "unexpected keyword argument 'x'"),
        (lambda: loop.remove_reader(1, 2), "takes 2 positional arguments but 3 were given"),
        (lambda: loop.call_later(1), "missing 1 required positional argument: 'callback'"),
    ):
        with pytest.raises(TypeError, match=words):
            call()


@pytest.mark.parametrize("bad", ["x", None, 1.5, object(), -1])
def test_what_has_no_fd_is_refused(loop, bad):
    methods = (loop.remove_reader, loop.remove_writer)
    for method in (*methods, lambda fd: loop.add_reader(fd, print)):
        with pytest.raises(ValueError, match="^Invalid file (object|descriptor): "):
            method(bad)


def test_closed_files_and_numbers_that_name_none_are_refused(loop, tmp_path):
    file = open(tmp_path / "file", "w")
    with pytest.raises(PermissionError):
        loop.add_reader(file, print)
    file.close()
    with pytest.raises(ValueError, match="^Invalid file object: "):
        loop.add_reader(file, print)
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.add_reader(99_999, print)
    assert not loop.remove_reader(99_999)


def test_it_is_level_triggered_and_stops_when_told(loop, pair):
    here, there = pair
    seen = []

    def half():
        seen.append(here.recv(1))
        if len(seen) == 3:
            assert loop.remove_reader(here)

    there.send(b"abcdef")
    loop.add_reader(here, half)
    turn(loop, 5)
    assert seen == [b"a", b"b", b"c"] and here.recv(10) == b"def"


def test_a_new_callback_takes_the_olds_place(loop, pair):
    here, there = pair
    seen = []

    def second():
        seen.append(("second", here.recv(10)))

    def first():
        seen.append(("first", here.recv(1)))
        loop.add_reader(here, second)

    loop.add_reader(here, print, "never called")
    loop.add_reader(here, first)
    there.send(b"abc")
    turn(loop)
    assert seen == [("first", b"a"), ("second", b"bc")]
    loop.remove_reader(here)


def test_both_directions_are_watched_apart(loop, pair):
    here, there = pair
    seen = []
    loop.add_reader(here, lambda: seen.append(here.recv(10)))
    loop.add_writer(here, lambda: (seen.append("writable"), loop.remove_writer(here)))
    turn(loop)
    assert seen == ["writable"]
    there.send(b"x")
    turn(loop)
    assert seen == ["writable", b"x"]
    assert loop.remove_reader(here) and not loop.remove_writer(here)


def test_an_earlier_callback_may_end_a_later_ones_watch(loop, pair):
    seen = []

    def only_one(mine, other):
        seen.append(mine)
        loop.remove_reader(other)
        loop.remove_reader(mine)

    here, there = pair
    loop.add_reader(here, only_one, here, there)
    loop.add_reader(there, only_one, there, here)
    here.send(b"x")
    there.send(b"x")
    turn(loop)
    assert len(seen) == 1


def test_a_callback_that_raises_is_reported_and_stays(loop, pair):
    here, there = pair
    contexts = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))

    def fail():
        here.recv(1)
        raise LookupError("mine")

    loop.add_reader(here, fail)
    there.send(b"ab")
    turn(loop)
    assert [str(context["exception"]) for context in contexts] == ["mine", "mine"]
    assert contexts[0]["message"].startswith("Exception in callback ")
    assert contexts[0]["handle"] is contexts[1]["handle"]
    loop.remove_reader(here)


def test_what_is_watched_is_held_until_it_is_not(loop):
    """asyncio's selector holds the object: one without another owner stays open."""

    class Owner:
        def __init__(self, sock):
            self.sock = sock

        def fileno(self):
            return self.sock.fileno()

        def __del__(self):
            self.sock.close()

    here, there = socket.socketpair()
    seen = []
    owner = Owner(here)
    watch = weakref.ref(owner)
    loop.add_reader(owner, lambda: seen.append(here.recv(10)))
    del owner
    gc.collect()
    there.send(b"held")
    turn(loop)
    assert seen == [b"held"] and watch() is not None
    assert loop.remove_reader(here)
    assert watch() is None and there.recv(1) == b""
    there.close()


def test_an_object_closed_under_its_watch_can_still_be_removed(loop):
    here, there = socket.socketpair()
    loop.add_reader(here, print)
    loop.add_writer(there, print)
    here.close()
    there.close()
    assert loop.remove_reader(here) and loop.remove_writer(there)
    with pytest.raises(ValueError, match="^Invalid file descriptor: -1$"):
        loop.remove_reader(here)


def test_a_reused_number_hears_nothing_of_the_old(loop, pair):
    seen = []
    old, peer = socket.socketpair()
    number = old.fileno()
    loop.add_reader(old, seen.append, "the old callback")
    peer.send(b"for the old one")
    old.close()
    new = socket.socket(fileno=os.dup2(pair[0].fileno(), number))
    pair[1].send(b"for the new one")
    turn(loop)
    assert seen == []
    new.setblocking(False)
    loop.add_reader(new, lambda: seen.append(new.recv(100)))
    turn(loop)
    assert seen == [b"for the new one"]
    loop.remove_reader(new)
    new.close()
    peer.close()


def test_a_duplicate_is_a_watch_of_its_own(loop, pair):
    here, there = pair
    seen = []
    double = here.dup()
    loop.add_reader(here, lambda: seen.append(("here", here.recv(1))))
    loop.add_reader(double, lambda: seen.append(("double", double.recv(1))))
    there.send(b"ab")
    turn(loop)
    assert sorted(data for _, data in seen) == [b"a", b"b"]
    loop.remove_reader(double)
    double.close()
    there.send(b"c")
    turn(loop)
    assert seen[-1] == ("here", b"c")
    loop.remove_reader(here)


def test_a_transports_fd_is_refused(loop, pair):
    async def main():
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, pair[0])
        fd = transport.get_extra_info("socket").fileno()
        words = f"^File descriptor {fd} is used by transport <"
        for method in (loop.remove_reader, loop.remove_writer):
            with pytest.raises(RuntimeError, match=words):
                method(fd)
        for method in (loop.add_reader, loop.add_writer):
            with pytest.raises(RuntimeError, match=words):
                method(fd, print)
        transport.close()
        await asyncio.sleep(0)

    loop.run_until_complete(main())
