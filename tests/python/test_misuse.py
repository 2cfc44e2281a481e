"""What is done wrongly is answered as asyncio answers it: a program that catches its errors,
or counts on what it lets pass, runs on bide unchanged."""

import asyncio
import gc
import os
import re
import socket
import sys
import warnings

import bide
import pytest

LOOPS = (asyncio.new_event_loop, bide.new_event_loop)


def answer(make_loop, act):
    """What act(loop) gives, or the type and the words of what it raises."""
    loop = make_loop()
    loop.set_exception_handler(lambda *_: None)
    try:
        result = act(loop)
        if asyncio.iscoroutine(result):
            result = loop.run_until_complete(asyncio.wait_for(result, 10))
        return result
    except Exception as error:
        return type(error), re.sub("0x[0-9a-f]+", "", str(error))
    finally:
        loop.close()
        with warnings.catch_warnings():
            # asyncio's half-made transports
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def answers(act):
    return [answer(make_loop, act) for make_loop in LOOPS]


async def run_program(loop, factory):
    await loop.subprocess_exec(factory, sys.executable, "-c", "")


async def connect(loop, method, factory):
    here, there = socket.socketpair()
    with here, there:
        await getattr(loop, method)(factory, sock=here)


async def connect_datagram(loop, factory):
    here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with here:
        await loop.create_datagram_endpoint(factory, sock=here)


async def connect_pipe(loop, factory):
    reader, writer = os.pipe()
    with open(reader, "rb", 0) as file, open(writer, "wb", 0):
        await loop.connect_read_pipe(factory, file)


@pytest.mark.parametrize("factory", [lambda: None, object], ids=["None", "object"])
@pytest.mark.parametrize(
    "act",
    [
        lambda loop, factory: connect(loop, "create_connection", factory),
        lambda loop, factory: connect(loop, "create_unix_connection", factory),
        lambda loop, factory: connect(loop, "connect_accepted_socket", factory),
        connect_datagram,
        connect_pipe,
    ],
    ids=["tcp", "unix", "accepted", "datagram", "pipe"],
)
def test_a_factory_that_makes_no_protocol_is_its_callers_error(act, factory):
    stock, ours = answers(lambda loop: act(loop, factory))
    assert ours == stock == (AttributeError, stock[1])
    assert "no attribute 'connection_made'" in ours[1]


@pytest.mark.parametrize("factory", [lambda: None, object], ids=["None", "object"])
def test_a_program_for_no_protocol_is_reaped_and_its_caller_told(factory):
    kind, words = answer(bide.new_event_loop, lambda loop: run_program(loop, factory))
    assert kind is AttributeError and "no attribute" in words


@pytest.mark.parametrize("method", ["add_reader", "add_writer"])
def test_what_cannot_be_waited_for_is_refused(method):
    """Else a program whose input is /dev/null burns a core in its callback."""

    def act(loop):
        with open(os.devnull, "r+b", 0) as file:
            getattr(loop, method)(file, lambda: None)

    stock, ours = answers(act)
    assert ours == stock == (PermissionError, stock[1])


def test_a_terminal_can_be_waited_for():
    master, slave = os.openpty()
    with open(master, "r+b", 0), open(slave, "r+b", 0) as terminal:
        assert answers(lambda loop: loop.add_reader(terminal, lambda: None)) == [None] * 2


def test_to_receive_nothing_needs_no_data():
    async def receive(loop):
        here, there = socket.socketpair()
        here.setblocking(False)
        with here, there:
            return await loop.sock_recv(here, 0), await loop.sock_recv_into(here, bytearray())

    assert answers(receive) == [(b"", 0)] * 2


@pytest.mark.parametrize("address", [None, 1, "x", (), ("127.0.0.1",), {}])
def test_an_address_that_is_none_has_asyncios_error(address):
    async def connect_to(loop):
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)

    stock, ours = answers(connect_to)
    assert ours == stock


@pytest.mark.parametrize(
    "limits",
    [{"high": 1e6}, {"low": 2.0}, {"high": -1}, {"low": -1}, {"high": 1, "low": 2}, {"high": 0}],
    ids=repr,
)
def test_write_limits_are_taken_as_asyncio_takes_them(limits):
    async def limit(loop):
        here, there = socket.socketpair()
        with here, there:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
            try:
                transport.set_write_buffer_limits(**limits)
                return [int(mark) for mark in transport.get_write_buffer_limits()]
            finally:
                transport.abort()

    stock, ours = answers(limit)
    assert ours == stock


def test_a_name_of_no_extra_info_gives_the_default():
    async def ask(loop):
        here, there = socket.socketpair()
        with here, there:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
            found = [transport.get_extra_info(name, 7) for name in (5, None, "nothing", b"")]
            transport.abort()
            return found

    assert answers(ask) == [[7] * 4] * 2
