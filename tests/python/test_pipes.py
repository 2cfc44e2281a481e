"""connect_read_pipe and connect_write_pipe over everything that they take.

What a user loses if these fail: bytes of a pipe, the news that the other end is gone, or
a file that is closed (or left open) behind his back.
"""

import asyncio
import gc
import logging
import errno
import os
import pty
import socket
import tty

import pytest
from protocols import Recorder, noise


async def read_end(fd, factory=Recorder):
    loop = asyncio.get_running_loop()
    return (await loop.connect_read_pipe(factory, open(fd, "rb", 0)))[1]


async def write_end(fd, factory=Recorder):
    loop = asyncio.get_running_loop()
    return (await loop.connect_write_pipe(factory, open(fd, "wb", 0)))[1]


async def pipe_pair():
    reader, writer = os.pipe()
    return await read_end(reader), await write_end(writer)


async def close_both(*protocols):
    for protocol in protocols:
        protocol.transport.close()
        await protocol.lost


def test_every_byte_comes_in_order_and_the_writer_is_told_to_wait(run):
    data = noise(3_000_000)

    async def main():
        here, there = await pipe_pair()
        there.transport.write(data[:10])
        there.transport.writelines([data[10:20], bytearray(data[20:100]), b""])
        there.transport.write(memoryview(data)[100:])
        assert there.paused and there.transport.get_write_buffer_size() > 2_000_000
        there.transport.close()
        assert there.transport.is_closing()
        assert await here.lost is None and await there.lost is None
        assert here.data == data
        assert there.events == ["made", "pause", "resume", "lost"]
        assert here.events[-2:] == ["eof", "lost"]

    run(main())


def test_the_files_are_closed_when_connection_lost_has_been_told(run):
    async def main():
        here, there = await pipe_pair()
        files = [each.transport.get_extra_info("pipe") for each in (here, there)]
        assert [file.closed for file in files] == [False, False]
        await close_both(here, there)
        assert [file.closed for file in files] == [True, True]
        assert here.transport.get_extra_info("pipe") is files[0]
        assert here.transport.get_extra_info("peername", 5) == 5

    run(main())


def test_types_and_reprs(run):
    async def main():
        here, there = await pipe_pair()
        assert isinstance(here.transport, asyncio.ReadTransport)
        assert isinstance(there.transport, asyncio.WriteTransport)
        with pytest.raises(NotImplementedError):
            there.transport.pause_reading()
        number = there.transport.get_extra_info("pipe").fileno()
        assert repr(there.transport) == f"<WritePipeTransport fd={number} idle bufsize=0>"
        there.transport.write(bytes(1_000_000))
        assert f"fd={number} polling bufsize=9" in repr(there.transport)
        there.transport.abort()
        await there.lost
        assert repr(there.transport) == f"<WritePipeTransport closed fd={number} closed>"
        here.transport.close()
        assert repr(here.transport).startswith("<ReadPipeTransport closing fd=")
        await here.lost
        assert here.transport.get_protocol() is None

    run(main())


@pytest.mark.parametrize("method, message", [
    ("connect_read_pipe", "Pipe transport is for pipes/sockets only."),
    ("connect_write_pipe", "Pipe transport is only for pipes, sockets and character devices"),
])
def test_a_regular_file_is_refused_and_stays_open(loop, run, tmp_path, method, message):
    with open(tmp_path / "file", "w+b", buffering=0) as file:
        with pytest.raises(ValueError, match=f"^{message}$"):
            run(getattr(loop, method)(Recorder, file))
        assert not file.closed
    with pytest.raises(AttributeError):
        run(getattr(loop, method)(Recorder, 0))


def test_the_files_do_not_block(run):
    async def main():
        reader, writer = os.pipe()
        assert os.get_blocking(reader) and os.get_blocking(writer)
        here, there = await read_end(reader), await write_end(writer)
        assert not os.get_blocking(reader) and not os.get_blocking(writer)
        await close_both(here, there)

    run(main())


def test_a_pause_leaves_the_bytes_in_the_pipe(run):
    class PausesAtOnce(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async def main():
        reader, writer = os.pipe()
        here = await read_end(reader, PausesAtOnce)
        os.write(writer, b"one")
        await here.until(lambda: here.data == b"one")
        assert not here.transport.is_reading()
        os.write(writer, b"two")
        # The pipe is looked at in the turn of this other one, and left alone.
        other = await read_end(os.dup(reader))
        await other.until(lambda: other.data == b"two")
        assert here.data == b"one"
        here.transport.resume_reading()
        here.transport.resume_reading()
        os.close(writer)
        assert await here.lost is None and await other.lost is None

    run(main())


def test_a_reader_that_goes_away_is_noticed_without_a_write(run):
    async def main():
        reader, writer = os.pipe()
        there = await write_end(writer)
        os.close(reader)
        assert await there.lost is None

    run(main())


def test_a_reader_that_goes_away_breaks_what_is_queued(run):
    async def main():
        reader, writer = os.pipe()
        there = await write_end(writer)
        there.transport.write(bytes(1_000_000))
        os.close(reader)
        assert isinstance(await there.lost, BrokenPipeError)

    run(main())


def test_a_write_to_a_broken_pipe_is_an_error_and_later_ones_are_logged(run, caplog):
    async def main():
        reader, writer = os.pipe()
        there = await write_end(writer)
        os.close(reader)
        for _ in range(8):
            there.transport.write(b"x")
        assert isinstance(await there.lost, BrokenPipeError)

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main())
    assert {record.getMessage() for record in caplog.records} == {
        "pipe closed by peer or os.write(pipe, data) raised exception."
    }


def test_close_writes_what_was_given_and_abort_drops_it(run):
    async def main():
        here, there = await pipe_pair()
        there.transport.write(bytes(500_000))
        there.transport.write_eof()
        there.transport.write(b"too late")
        assert await there.lost is None and await here.lost is None
        assert here.data == bytes(500_000)
        here, there = await pipe_pair()
        there.transport.write(bytes(500_000))
        there.transport.abort()
        assert await there.lost is None and await here.lost is None
        assert len(here.data) < 500_000

    run(main())


def test_wrong_arguments_of_a_write_pipe(run):
    async def main():
        here, there = await pipe_pair()
        for wrong in ("text", None, 5):
            with pytest.raises(AssertionError, match=f"^{wrong!r}$"):
                there.transport.write(wrong)
        with pytest.raises(TypeError):
            there.transport.writelines([b"x", "text"])
        with pytest.raises(ValueError, match="must be >="):
            there.transport.set_write_buffer_limits(high=1, low=2)
        assert there.transport.can_write_eof()
        await close_both(here, there)
        assert here.data == b""

    run(main())


def test_write_limits_are_heeded(run):
    async def main():
        here, there = await pipe_pair()
        here.transport.pause_reading()
        assert there.transport.get_write_buffer_limits() == (16384, 65536)
        there.transport.set_write_buffer_limits(high=1_000_000, low=10)
        there.transport.write(bytes(900_000))
        assert not there.paused
        there.transport.set_write_buffer_limits(high=100)
        assert there.paused and there.transport.get_write_buffer_limits() == (25, 100)
        here.transport.resume_reading()
        await there.until(lambda: not there.paused)
        await close_both(there, here)

    run(main())


def test_the_end_of_a_terminals_slave_is_told_as_asyncio_tells_it(run):
    """By the kernel's EIO; the loop fixture holds that it is not reported too."""

    async def main():
        master, slave = pty.openpty()
        tty.setraw(slave)
        here = await read_end(master)
        os.write(slave, b"said")
        os.close(slave)
        lost = await here.lost
        assert isinstance(lost, OSError) and lost.errno == errno.EIO
        assert here.data == b"said" and here.events == ["made", "data", "lost"]

    run(main())


def test_a_terminal_is_written_to(run):
    async def main():
        master, slave = pty.openpty()
        tty.setraw(slave)
        there = await write_end(slave)
        here = await read_end(master)
        there.transport.write(noise(20_000))
        await here.until(lambda: len(here.data) == 20_000)
        assert here.data == noise(20_000)
        await close_both(there, here)

    run(main())


def test_named_pipes_sockets_and_devices(run, loop, tmp_path):
    async def named():
        path = tmp_path / "fifo"
        os.mkfifo(path)
        here = await read_end(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        there = await write_end(os.open(path, os.O_WRONLY))
        await pass_bytes(here, there)

    async def sockets():
        left, right = socket.socketpair()
        _, here = await loop.connect_read_pipe(Recorder, left)
        _, there = await loop.connect_write_pipe(Recorder, right)
        assert here.transport.get_extra_info("pipe") is left
        await pass_bytes(here, there)
        left, right = socket.socketpair()
        _, there = await loop.connect_write_pipe(Recorder, right)
        left.close()
        assert await there.lost is None and right.fileno() == -1

    async def pass_bytes(here, there):
        there.transport.write(noise(300_000))
        there.transport.close()
        assert await here.lost is None and here.data == noise(300_000)

    async def devices():
        there = await write_end(os.open("/dev/null", os.O_WRONLY))
        there.transport.write(bytes(1_000_000))
        assert there.transport.get_write_buffer_size() == 0
        here = await read_end(os.open("/dev/zero", os.O_RDONLY))
        await here.until(lambda: len(here.data) > 300_000)
        await close_both(there, here)

    run(named())
    run(sockets())
    run(devices())


def test_a_number_that_became_another_file_is_left_alone(run, loop, open_fds):
    """The user closes a pipe under its transport, and another file gets its number."""

    async def main():
        reader, writer = os.pipe()
        here, there = await read_end(reader), await write_end(writer)
        here.transport.pause_reading()
        files = [each.transport.get_extra_info("pipe") for each in (here, there)]
        for file in files:
            file.close()
        others = os.pipe()
        assert set(others) == {reader, writer}
        reported = []
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        os.write(others[1], b"private")
        here.transport.resume_reading()
        there.transport.write(b"leaked")
        errors = [await here.lost, await there.lost]
        assert [error.errno for error in errors] == [9, 9] and reported == [errors[0]]
        assert os.read(others[0], 100) == b"private"
        for number in others:
            os.close(number)

    before = open_fds()
    run(main())
    assert open_fds() == before


def test_a_cancelled_connect_closes_the_file(run, loop):
    async def main():
        for method, mode, end in ((loop.connect_read_pipe, "rb", 0),
                                  (loop.connect_write_pipe, "wb", 1)):
            ends = os.pipe()
            file = open(ends[end], mode, 0)
            task = loop.create_task(method(Recorder, file))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while not file.closed:
                await asyncio.sleep(0)
            os.close(ends[1 - end])

    run(main())


def test_streams_over_pipes(run, loop):
    async def main():
        ends = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), open(ends[0], "rb", 0)
        )
        out, flow = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, open(ends[1], "wb", 0)
        )
        writer = asyncio.StreamWriter(out, flow, None, loop)

        async def write():
            for line in range(20_000):
                writer.write(b"%d\n" % line)
                await writer.drain()
            writer.close()

        task = loop.create_task(write())
        lines = [int(line) async for line in reader]
        await task
        assert lines == list(range(20_000))
        assert transport.is_closing()

    run(main())


def test_a_raising_protocol_is_reported_and_the_pipe_goes_on(run, loop):
    class Raises(Recorder):
        def data_received(self, data):
            super().data_received(data)
            raise ZeroDivisionError

    async def main():
        reported = []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        ends = os.pipe()
        here = await read_end(ends[0], Raises)
        os.write(ends[1], b"1")
        await here.until(lambda: here.data == b"1")
        os.write(ends[1], b"2")
        os.close(ends[1])
        assert await here.lost is None and here.data == b"12"
        assert [type(each["exception"]) for each in reported] == [ZeroDivisionError] * 2
        assert reported[0]["transport"] is here.transport

    run(main())


def test_a_dropped_transport_warns_and_closes_its_file(run, loop, open_fds):
    async def main():
        here, there = await pipe_pair()
        here.transport.pause_reading()
        while "polling" in repr(here.transport):
            await asyncio.sleep(0)
        return there

    before = open_fds()
    with pytest.warns(ResourceWarning, match="unclosed transport <ReadPipeTransport fd="):
        there = run(main())
        gc.collect()
    assert isinstance(run(there.lost), type(None))
    assert open_fds() == before


def test_closing_the_loop_leaves_pipes_to_be_closed(open_fds):
    import bide

    before = open_fds()
    loop = bide.new_event_loop()
    here, there = loop.run_until_complete(pipe_pair())
    there.transport.write(bytes(1_000_000))
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        there.transport.write(b"x")
    here.transport.close()
    there.transport.close()
    del loop
    gc.collect()
    assert open_fds() == before
    assert "lost" not in here.events + there.events


def test_pipes_leave_nothing_behind(run, open_fds):
    async def turn():
        here, there = await pipe_pair()
        there.transport.write(bytes(200_000))
        there.transport.close()
        await here.lost
        here, there = await pipe_pair()
        here.transport.close()
        await there.lost

    def count(rounds):
        for _ in range(rounds):
            run(turn())
        gc.collect()
        return len(gc.get_objects()), open_fds()

    count(3)
    before, after = count(3), count(30)
    assert after[0] - before[0] < 20 and after[1] == before[1]


def test_a_pipe_that_has_ended_is_closing_when_its_protocol_is_told(run):
    class Asks(Recorder):
        def eof_received(self):
            self.was_closing = self.transport.is_closing()
            super().eof_received()

    async def main():
        reader, writer = os.pipe()
        here = await read_end(reader, Asks)
        os.close(writer)
        await here.lost
        assert here.was_closing

    run(main())


def test_arguments_have_asyncios_names(run):
    async def main():
        reading, writing = await pipe_pair()
        reading.transport.set_protocol(protocol=reading)
        writing.transport.set_protocol(protocol=writing)
        writing.transport.write(data=b"1")
        writing.transport.writelines(list_of_data=[b"2", b"3"])
        await reading.until(lambda: reading.data == b"123")
        with pytest.raises(TypeError, match="takes one argument, 'protocol'"):
            reading.transport.set_protocol()
        await close_both(writing, reading)

    run(main())
