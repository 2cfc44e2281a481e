"""bide.open: users lose bytes to a cancel, a fault or another task."""

import asyncio
import errno
import gc
import io
import os
import pty
import random
import tty
import warnings

import bide
import pytest
from bide import fs

NEVER = -1


async def give_way(turns=3):
    for _ in range(turns):
        await asyncio.sleep(0)


async def cancelled(coroutine, turns=1):
    """Starts it, lets it run a little and cancels it; its result if that came too late, or
    never was."""
    task = asyncio.ensure_future(coroutine)
    if turns != NEVER:
        await give_way(turns)
        task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


# ---- the object ----


def test_open_is_awaited_or_entered(run, folder):
    async def main():
        async with bide.open(folder / "text") as file:
            assert isinstance(file, bide.TextFile)
            assert await file.read() == "hello world"
        assert file.closed
        file = await bide.open(folder / "text", "rb")
        assert isinstance(file, bide.BinaryFile)
        assert await file.read() == b"hello world"
        await file.close()
        await file.close()
        file = await asyncio.create_task(bide.open(folder / "text", "rb", 0))
        assert isinstance(file, bide.RawFile)
        async with file:
            assert await file.read(5) == b"hello"
        with pytest.raises(ValueError, match="closed file"):
            await file.read()
        with pytest.raises(ValueError, match="closed file"):
            async with file:
                pass

    run(main())


def test_attributes_are_those_of_io(run, folder):
    async def main():
        for mode in ("r", "rb", "w+", "a", "w+b", "r+b", "a+b"):
            with open(folder / "text", mode) as theirs:
                async with bide.open(folder / "text", mode) as ours:
                    assert (ours.name, ours.mode) == (theirs.name, theirs.mode)
                    assert getattr(ours, "encoding", 0) == getattr(theirs, "encoding", 0)
                    assert getattr(ours, "errors", 0) == getattr(theirs, "errors", 0)
                    assert os.path.sameopenfile(ours.fileno(), theirs.fileno())
                    assert "text" in repr(ours)

    run(main())


def test_descriptors_and_openers_are_taken(run, folder, open_fds):
    async def main():
        fd = os.open(folder / "text", os.O_RDONLY)
        os.lseek(fd, 6, os.SEEK_SET)
        async with bide.open(fd, closefd=False) as file:
            assert await file.read() == "world"
            # The kernel's position is brought up to date for those who use the number.
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 11
        async with bide.open(fd, "rb") as file:
            assert await file.tell() == 11
        with pytest.raises(OSError):
            os.fstat(fd)
        async with bide.open(folder / "text", opener=os.open) as file:
            assert await file.read() == "hello world"
        async with bide.open(folder / "text", opener=fs.open) as file:
            assert await file.read() == "hello world"

    before = open_fds()
    run(main())
    assert open_fds() <= before


def test_outside_of_a_bide_loop_the_error_says_what_to_do(folder):
    async def main():
        with pytest.raises(RuntimeError, match=r"is running; start.*bide\.run\(main\(\)\)"):
            await bide.open(folder / "text")

    loop = asyncio.SelectorEventLoop()
    loop.run_until_complete(main())
    loop.close()


def test_lines_are_iterated_over(run, tmp_path):
    lines = [f"line {number}\n" for number in range(5000)] + ["the last"]
    (tmp_path / "lines").write_text("".join(lines))

    async def main():
        async with bide.open(tmp_path / "lines") as file:
            assert [line async for line in file] == lines
        async with bide.open(tmp_path / "lines", "rb") as file:
            assert [line.decode() async for line in file] == lines
        async with bide.open(tmp_path / "lines", "rb", 0) as file:
            assert await file.readline() == b"line 0\n"
            assert await file.tell() == 7

    run(main())


def test_detach_hands_out_the_layer_below(run, folder):
    async def main():
        text = await bide.open(folder / "text", "r+")
        await text.write("HELLO")
        binary = await text.detach()
        assert (folder / "text").read_text() == "HELLO world"
        raw = await binary.detach()
        assert await raw.read() == b" world"
        await raw.close()
        for file in (text, binary):
            with pytest.raises(ValueError, match="has been detached"):
                await file.read()
            assert "detached" in repr(file)

    run(main())


def test_a_closed_loop_leaves_the_file_to_the_next(loop, tmp_path):
    async def read():
        return await file.read(5)

    os.mkfifo(tmp_path / "pipe")
    file = loop.run_until_complete(bide.open(tmp_path / "pipe", "rb"))
    tasks = [loop.create_task(read()) for _ in range(3)]
    loop.run_until_complete(give_way())
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False
        task.get_coro().close()
    with open(tmp_path / "pipe", "wb", buffering=0) as writer:
        writer.write(b"bytes")
        assert bide.run(asyncio.wait_for(read(), 10)) == b"bytes"
    bide.run(file.close())


@pytest.mark.parametrize("buffering", [0, -1])
@pytest.mark.parametrize("mode", ["rb", "wb"])
def test_a_coroutine_closed_by_hand_gives_the_buffer_back(run, mode, buffering):
    """Once the kernel is through with it: a generator's end may not wait for that."""

    async def main():
        read_fd, write_fd = os.pipe()
        ours, theirs = (read_fd, write_fd) if mode == "rb" else (write_fd, read_fd)
        if mode == "wb":
            os.set_blocking(write_fd, False)
            while True:  # until it is full
                try:
                    os.write(write_fd, bytes(65536))
                except BlockingIOError:
                    break
            os.set_blocking(write_fd, True)
        async with await bide.open(ours, mode, buffering=buffering) as file:
            buffer = bytearray(1_000_000)  # more than any version keeps
            step = file.readinto(buffer) if mode == "rb" else file.write(buffer)
            step.send(None)
            step.close()
            os.close(theirs)
            while True:
                try:
                    buffer.append(1)
                    break
                except BufferError:
                    await asyncio.sleep(0)

    run(main())


# ---- ends ----


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_file_collected_unclosed_warns_and_is_written(run, tmp_path, open_fds, mode):
    async def main():
        file = await bide.open(tmp_path / "file", mode)
        await file.write("kept" if mode == "w" else b"kept")
        with pytest.warns(ResourceWarning, match="unclosed file <bide"):
            del file
            gc.collect()

    before = open_fds()
    run(main())
    assert (tmp_path / "file").read_bytes() == b"kept"
    assert open_fds() <= before


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_file_in_a_cycle_is_written_when_it_is_collected(run, tmp_path, mode):
    async def main():
        file = await bide.open(tmp_path / "file", mode)
        await file.write("kept" if mode == "w" else b"kept")
        file.itself = file
        with pytest.warns(ResourceWarning, match="unclosed file <bide") as warned:
            del file
            gc.collect()
        assert len(warned) == 1

    run(main())
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_full_disk_is_reported_at_flush_and_at_close(run, open_fds):
    async def main():
        file = await bide.open("/dev/full", "w")
        await file.write("x")
        for call in (file.flush, file.close):
            with pytest.raises(OSError) as raised:
                await call()
            assert raised.value.errno == errno.ENOSPC
        assert file.closed
        with pytest.raises(OSError):
            async with bide.open("/dev/full", "wb") as file:
                await file.write(b"x" * 10_000_000)
        assert file.closed

    before = open_fds()
    run(main())
    assert open_fds() <= before


def test_a_cancelled_close_still_writes_and_closes(run, tmp_path, open_fds):
    async def main():
        for turns in range(6):
            file = await bide.open(tmp_path / "file", "wb")
            await file.write(b"written" * 100)
            await cancelled(file.close(), turns)
            if turns:
                assert file.closed
                assert (tmp_path / "file").read_bytes() == b"written" * 100
            else:
                await file.close()

    before = open_fds()
    run(main())
    gc.collect()
    assert open_fds() <= before


# ---- cancelling ----


@pytest.mark.parametrize("buffering", [-1, 0, 16, 1000])
def test_cancelled_reads_lose_and_repeat_nothing(run, tmp_path, buffering):
    chance = random.Random(buffering)
    data = b"".join(b"%d\n" % number for number in range(4000))
    (tmp_path / "file").write_bytes(data)

    async def main():
        file = await bide.open(tmp_path / "file", "rb", buffering)
        got, lost = b"", 0
        while True:
            call = chance.choice(
                [lambda: file.read(300), file.readline, lambda: file.read(5), file.tell]
            )
            if call == file.tell:
                assert await file.tell() == len(got)
                continue
            piece = await cancelled(call(), chance.choice([NEVER, NEVER, 0, 1, 2, 4, 8]))
            if piece is None:
                lost += 1
            elif piece == b"":
                break
            else:
                got += piece
        assert got == data and lost > 10
        await file.seek(0)
        assert await cancelled(file.read()) in (None, data)
        await file.seek(0)
        assert await file.read() == data
        await file.close()

    run(main(), 30)


def test_cancelled_reads_of_text_lose_no_character(run, tmp_path):
    chance = random.Random(5)
    text = "".join(f"zeile {number} ä€\U0001f40d\n" for number in range(9000))
    (tmp_path / "file").write_text(text, encoding="utf-8")

    async def main():
        file = await bide.open(tmp_path / "file", encoding="utf-8")
        got = ""
        while True:
            size = chance.choice([1, 100, 20000])
            call = chance.choice([lambda: file.read(size), file.readline])
            piece = await cancelled(call(), chance.choice([NEVER, NEVER, 0, 1, 2, 4, 8]))
            got += piece or ""
            if piece == "":
                break
            if chance.random() < 0.02:
                await file.seek(await file.tell())
        assert got == text
        await file.close()

    run(main(), 30)


@pytest.mark.parametrize("mode", ["wb", "ab"])
@pytest.mark.parametrize("buffering", [0, 64, -1])
def test_cancelled_writes_have_written_what_tell_says(run, tmp_path, mode, buffering):
    chance = random.Random(buffering)

    async def main():
        file = await bide.open(tmp_path / "file", mode, buffering)
        expected = b""
        for number in range(300):
            data = bytes([number % 251]) * chance.choice([1, 30, 100, 20000])
            await cancelled(file.write(data), chance.choice([NEVER, 0, 1, 2, 4, 8]))
            if chance.random() < 0.2:
                await cancelled(file.flush(), chance.choice([NEVER, 0, 1, 2, 4]))
            expected += data[: await file.tell() - len(expected)]
            assert await file.tell() == len(expected)
        await file.close()
        assert (tmp_path / "file").read_bytes() == expected

    run(main(), 30)


# ---- several tasks ----


def test_tasks_take_turns_in_the_order_of_their_calls(run, tmp_path):
    (tmp_path / "file").write_text("".join(f"{number}\n" for number in range(500)))

    async def main():
        async with bide.open(tmp_path / "file", buffering=16) as file:
            lines = await asyncio.gather(*(file.readline() for _ in range(500)))
            assert [int(line) for line in lines] == list(range(500))
        async with bide.open(tmp_path / "file", "wb", buffering=16) as file:
            await asyncio.gather(*(file.write(b"%04d" % n * 8) for n in range(500)))
        written = (tmp_path / "file").read_bytes()
        assert written == b"".join(b"%04d" % number * 8 for number in range(500))

    run(main())


def test_a_cancelled_task_gives_its_turn_to_the_next(run, tmp_path):
    os.mkfifo(tmp_path / "fifo")

    async def main():
        file = await bide.open(tmp_path / "fifo", "rb")
        writer = os.open(tmp_path / "fifo", os.O_WRONLY)
        readers = [asyncio.ensure_future(file.readline()) for _ in range(4)]
        await give_way()
        for number in (0, 2):
            readers[number].cancel()
        os.write(writer, b"one\ntwo\n")
        assert await readers[1] == b"one\n"
        assert await readers[3] == b"two\n"
        os.close(writer)
        await file.close()

    run(main())


# ---- pipes, terminals and other files that are none ----


@pytest.mark.parametrize("mode", ["r", "rb"])
@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_cancelled_readline_of_a_fifo_keeps_its_beginning(run, tmp_path, mode, buffering):
    if mode == "r" and buffering == 0:
        return
    os.mkfifo(tmp_path / "fifo")

    async def main():
        file = await bide.open(tmp_path / "fifo", mode, buffering)
        writer = os.open(tmp_path / "fifo", os.O_WRONLY)
        for call in (file.readline, file.readlines, file.read):
            os.write(writer, b"par")
            assert await cancelled(call(), 20) is None
            os.write(writer, b"tial\n")
            expected = "partial\n"
            assert await file.readline() == (expected if mode == "r" else expected.encode())
        assert not file.seekable()
        with pytest.raises(OSError):
            await file.seek(0)
        os.close(writer)
        assert not await file.read()
        await file.close()

    run(main())


def test_a_fifo_opened_to_write_waits_for_its_reader(run, tmp_path):
    os.mkfifo(tmp_path / "fifo")

    async def main():
        assert await cancelled(bide.open(tmp_path / "fifo", "w"), 50) is None
        opening = asyncio.ensure_future(bide.open(tmp_path / "fifo", "w"))
        await give_way()
        assert not opening.done()
        reader = await bide.open(tmp_path / "fifo")
        writer = await opening
        sending = asyncio.ensure_future(writer.write("x" * 1_000_000 + "\n"))
        assert len(await reader.readline()) == 1_000_001
        await sending
        await writer.close()
        assert await reader.read() == ""
        await reader.close()

    run(main())


def test_a_reader_that_has_gone_is_a_broken_pipe(run):
    async def main():
        reader, writer = os.pipe()
        file = await bide.open(writer, "wb", 0)
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            await file.write(b"x")
        await file.close()

    run(main())


def not_as_our_terminal(path, flags):
    """A session's leader without a terminal would get this one, and its hang-up."""
    return os.open(path, flags | os.O_NOCTTY)


def test_a_terminal_is_read_and_written_by_line(run):
    async def main():
        master, slave = pty.openpty()
        tty.setraw(slave)
        async with bide.open(os.ttyname(slave), opener=not_as_our_terminal) as reader:
            assert reader.isatty() and reader.line_buffering
            reading = asyncio.ensure_future(reader.readline())
            await give_way()
            assert not reading.done()
            os.write(master, b"typed\n")
            assert await reading == "typed\n"
            async with bide.open(
                os.ttyname(slave), "w", opener=not_as_our_terminal
            ) as writer:
                await writer.write("shown\n")
                assert os.read(master, 100) == b"shown\n"
            with pytest.raises(io.UnsupportedOperation):
                await bide.open(os.ttyname(slave), "r+b", opener=not_as_our_terminal)
        os.close(master)
        os.close(slave)

    run(main())


def test_files_of_proc_and_sys_are_read_whole(run):
    async def main():
        async with bide.open("/proc/self/status") as file:
            assert (await file.readline()).startswith("Name:")
            assert "VmRSS" in await file.read()
        for buffering in (-1, 0):
            async with bide.open("/proc/self/maps", "rb", buffering) as file:
                content = await file.read()
                assert content.endswith(b"\n") and len(content) > 8192
        async with bide.open("/sys/kernel/mm/transparent_hugepage/enabled") as file:
            assert (await file.read()).endswith("\n")
        async with bide.open("/dev/zero", "rb") as file:
            assert await file.read(100_000) == bytes(100_000)

    run(main())


# ---- regular files under stress ----


def test_positions_beyond_four_gigabytes(run, tmp_path):
    far = (5 << 30) + 3

    async def main():
        async with bide.open(tmp_path / "sparse", "w+b") as file:
            assert await file.seek(far) == far
            await file.write(b"far\nend")
            assert await file.tell() == far + 7
            assert await file.seek(-7, os.SEEK_END) == far
            assert await file.readline() == b"far\n"
        async with bide.open(tmp_path / "sparse") as file:
            await file.seek(far)
            assert await file.read(2) == "fa"
            place = await file.tell()
            assert place == far + 2
            await file.seek(place)
            assert await file.read() == "r\nend"

    run(main())


def test_a_file_cut_short_or_grown_under_its_reader(run, tmp_path):
    async def main():
        (tmp_path / "file").write_bytes(b"x" * 100_000)
        async with bide.open(tmp_path / "file", "rb") as file:
            assert len(await file.read(50_000)) == 50_000
            os.truncate(tmp_path / "file", 60_000)
            there = await file.read()
            assert 10_000 <= len(there) <= 50_000
            assert await file.read() == b""
            position = await file.tell()
            os.truncate(tmp_path / "file", position + 5)
            assert await file.read() == b"\0" * 5

    run(main())


def test_a_refused_direct_read_is_an_error_and_no_more(run, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    flags = os.O_RDONLY | os.O_DIRECT
    try:
        fd = os.open(tmp_path / "file", flags)
    except OSError as error:
        pytest.skip(f"this file system opens nothing with O_DIRECT: {error}")
    try:
        expected = os.pread(fd, 3, 1)
    except OSError as error:
        expected = error.errno
    os.close(fd)

    async def main():
        fd = os.open(tmp_path / "file", flags)
        async with bide.open(fd, "rb", 0) as file:
            await file.seek(1)
            try:
                got = await file.read(3)
            except OSError as error:
                got = error.errno
            assert got == expected
            assert await file.tell() == (1 if isinstance(got, int) else 4)

    run(main())


def test_no_descriptor_left_is_an_error(run, folder):
    import resource

    async def main():
        await (await bide.open(folder / "text")).close()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        spare = os.dup(0)
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
        try:
            with pytest.raises(OSError) as raised:
                await bide.open(folder / "text")
            assert raised.value.errno == errno.EMFILE
            assert raised.value.filename == str(folder / "text")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    run(main())


def test_files_leave_no_object_behind(run, folder):
    async def use():
        for _ in range(20):
            async with bide.open(folder / "text") as file:
                await file.readline()
            async with bide.open(folder / "new", "wb") as file:
                await file.write(b"x")
            await cancelled(bide.open(folder / "text"))
            gc.collect()

    async def main():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            await use()
            gc.collect()
            before = len(gc.get_objects())
            await use()
            gc.collect()
        assert len(gc.get_objects()) <= before + 5

    run(main())
