"""bide.fs: users read the wrong bytes, lose an fd, or get another error than os's."""

import asyncio
import errno
import gc
import os
import sys

import bide
import pytest
from bide import fs


def error_of(call):
    with pytest.raises(Exception) as raised:
        call()
    return raised.value


async def error_in(call):
    try:
        await call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def alike(ours, theirs):
    assert type(ours) is type(theirs)
    assert str(ours) == str(theirs)
    for name in ("errno", "filename", "filename2"):
        assert getattr(ours, name, None) == getattr(theirs, name, None)


# ---- one file ----


def test_open_read_write_and_close_one_file(run, folder, open_fds):
    async def main():
        path = folder / "new"
        fd = await fs.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        assert path.stat().st_mode & 0o777 == 0o600
        assert not os.get_inheritable(fd)
        assert await fs.write(fd, b"one two") == 7
        assert await fs.pwrite(fd, memoryview(b"ONE"), 0) == 3
        assert await fs.pread(fd, 100, 4) == b"two"
        assert await fs.read(fd, 100) == b""
        os.lseek(fd, 0, os.SEEK_SET)
        assert await fs.read(fd, 4) == b"ONE "
        assert await fs.read(fd, 4) == b"two"
        buffer = bytearray(b"......")
        assert await fs.preadinto(fd, memoryview(buffer)[1:4], 0) == 3
        assert buffer == b".ONE.."
        os.lseek(fd, 5, os.SEEK_SET)
        assert await fs.readinto(fd, buffer) == 2
        assert buffer == b"woNE.."
        assert await fs.fsync(fd) is None
        assert await fs.fdatasync(fd) is None
        assert await fs.close(fd) is None
        with pytest.raises(OSError):
            os.fstat(fd)

    before = open_fds()
    run(main())
    assert open_fds() <= before


def test_flags_are_those_asked_for(run, folder):
    import fcntl

    async def main():
        for flags in (os.O_RDONLY, os.O_RDWR | os.O_APPEND, os.O_RDONLY | os.O_NONBLOCK):
            ours = await fs.open(folder / "text", flags)
            theirs = os.open(folder / "text", flags)
            assert fcntl.fcntl(ours, fcntl.F_GETFL) == fcntl.fcntl(theirs, fcntl.F_GETFL)
            os.close(ours)
            os.close(theirs)

    run(main())


@pytest.mark.parametrize("kind", [str, os.fsencode, lambda path: path])
def test_paths_are_str_bytes_or_pathlike(run, folder, kind):
    async def main():
        path = kind(folder / "text")
        assert await fs.read_file(path) == b"hello world"
        assert (await fs.stat(path)).st_size == 11

    run(main())


def test_dir_fd_is_where_a_path_begins(run, folder):
    async def main():
        dir_fd = os.open(folder, os.O_RDONLY)
        try:
            fd = await fs.open("text", os.O_RDONLY, dir_fd=dir_fd)
            os.close(fd)
            assert await fs.stat("link", dir_fd=dir_fd) == os.stat(folder / "text")
            assert await fs.lstat("link", dir_fd=dir_fd) == os.lstat(folder / "link")
            await fs.mkdir("made", dir_fd=dir_fd)
            await fs.rename("made", "moved", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            await fs.rmdir("moved", dir_fd=dir_fd)
        finally:
            os.close(dir_fd)

    run(main())


def test_stat_is_os_stat_to_the_last_field(run, folder):
    async def main():
        for path in (folder / "text", folder / "dir", "/dev/null", "/proc/self/status", "/"):
            ours, theirs = await fs.stat(path), os.stat(path)
            names = [name for name in dir(theirs) if name.startswith("st_")]
            assert tuple(ours) == tuple(theirs)
            for name in names:
                # Files of /proc have the time at which they are looked at.
                if path != "/proc/self/status" or "time" not in name:
                    assert getattr(ours, name) == getattr(theirs, name), name
        fd = os.open(folder / "text", os.O_RDONLY)
        assert await fs.fstat(fd) == await fs.stat(fd) == os.fstat(fd)
        os.close(fd)
        assert await fs.lstat(folder / "link") == os.lstat(folder / "link")
        no_follow = await fs.stat(folder / "link", follow_symlinks=False)
        assert no_follow == os.lstat(folder / "link")

    run(main())


def test_offsets_beyond_four_gigabytes(run, folder):
    async def main():
        fd = await fs.open(folder / "sparse", os.O_RDWR | os.O_CREAT)
        far = (5 << 30) + 7
        assert await fs.pwrite(fd, b"far", far) == 3
        assert await fs.pread(fd, 10, far) == b"far"
        assert await fs.pread(fd, 4, far - 4) == b"\0" * 4
        assert (await fs.fstat(fd)).st_size == far + 3
        os.lseek(fd, far + 1, os.SEEK_SET)
        assert await fs.read(fd, 10) == b"ar"
        await fs.close(fd)

    run(main())


# ---- errors ----

REFUSED = [
    ("open", ("missing", os.O_RDONLY)),
    ("open", ("text/below", os.O_RDONLY)),
    ("open", ("dir", os.O_WRONLY)),
    ("open", ("text", os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
    ("open", ("null\0byte", os.O_RDONLY)),
    ("open", (3, os.O_RDONLY)),
    ("open", (None, os.O_RDONLY)),
    ("stat", ("missing",)),
    ("stat", ("broken",)),
    ("stat", (3.5,)),
    ("stat", (9999,)),
    ("stat", ("null\0byte",)),
    ("lstat", ("missing",)),
    ("lstat", (3,)),
    ("fstat", (9999,)),
    ("read", (9999, 1)),
    ("read", (-1, 1)),
    ("read", ("0", 1)),
    ("read", (0, -1)),
    ("pread", (0, 1, -1)),
    ("write", (9999, b"x")),
    ("close", (9999,)),
    ("fsync", (9999,)),
    ("mkdir", ("dir",)),
    ("rmdir", ("dir",)),
    ("unlink", ("missing",)),
    ("rename", ("missing", "other")),
    ("replace", ("text", "dir")),
    ("link", ("missing", "other")),
    ("symlink", ("text", "link")),
    ("readlink", ("text",)),
    ("listdir", ("text",)),
    ("truncate", ("missing", 3)),
    ("makedirs", ("dir/below",)),
]


@pytest.mark.parametrize("name, args", REFUSED, ids=lambda value: str(value)[:40])
def test_errors_are_those_of_os(run, folder, monkeypatch, name, args):
    monkeypatch.chdir(folder)
    theirs = error_of(lambda: getattr(os, name)(*args))
    ours = run(error_in(lambda: getattr(fs, name)(*args)))
    if name == "read" or "null\0byte" in args:
        # The words for these differ from one version of Python to the next.
        assert type(ours) is type(theirs)
    else:
        alike(ours, theirs)


def test_a_full_disk_says_so(run):
    async def main():
        fd = await fs.open("/dev/full", os.O_WRONLY)
        error = await error_in(lambda: fs.write(fd, b"x"))
        assert error.errno == errno.ENOSPC
        await fs.close(fd)
        error = await error_in(lambda: fs.write_file("/dev/full", b"x"))
        assert (error.errno, error.filename) == (errno.ENOSPC, "/dev/full")

    run(main())


def test_no_descriptor_left_is_an_error_and_no_leak(run, folder):
    import resource

    async def main():
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        await fs.read_file(folder / "text")
        spare = os.dup(0)
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
        try:
            for call in (
                lambda: fs.open(folder / "text", os.O_RDONLY),
                lambda: fs.read_file(folder / "text"),
                lambda: fs.write_file(folder / "text", b""),
            ):
                error = await error_in(call)
                assert error.errno == errno.EMFILE
                assert error.filename == str(folder / "text")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await fs.read_file(folder / "text") == b"hello world"

    run(main())


def test_permission_denied_is_os_error(run, folder):
    (folder / "text").chmod(0)
    if os.access(folder / "text", os.R_OK):
        pytest.skip("this user may read everything")
    error = run(error_in(lambda: fs.read_file(folder / "text")))
    assert type(error) is PermissionError


def test_outside_of_a_bide_loop_the_error_says_what_to_do(folder):
    with pytest.raises(RuntimeError, match=r"none runs in this thread.*bide\.run\(main\(\)\)"):
        fs.stat(folder).send(None)

    async def main(call):
        with pytest.raises(RuntimeError, match=r"is running; start.*bide\.run\(main\(\)\)"):
            await call

    loop = asyncio.SelectorEventLoop()
    loop.run_until_complete(main(fs.stat(folder)))
    loop.run_until_complete(main(fs.mkdir(folder / "new")))
    loop.close()


# ---- whole files ----


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 1_000_000])
def test_whole_files_of_any_size(run, folder, size):
    async def main():
        data = os.urandom(size)
        assert await fs.write_file(folder / "new", data) == size
        assert await fs.read_file(folder / "new") == data
        assert await fs.write_file(folder / "new", b"more", append=True) == 4
        assert await fs.read_file(folder / "new") == data + b"more"
        assert await fs.write_file(folder / "new", b"less") == 4
        assert await fs.read_file(folder / "new") == b"less"

    run(main())


def test_files_whose_size_is_unknown_are_read_to_their_end(run):
    async def main():
        assert b"Pid:" in await fs.read_file("/proc/self/status")
        maps = await fs.read_file("/proc/self/maps")
        assert maps.endswith(b"\n") and len(maps) > 8192
        assert (await fs.read_file("/sys/kernel/mm/transparent_hugepage/enabled"))[-1:] == b"\n"

    run(main())


def test_many_at_once_each_get_their_own_bytes(run, tmp_path, open_fds):
    async def one(number):
        data = number.to_bytes(4, "little") * 500
        await fs.write_file(tmp_path / str(number), data)
        assert await fs.read_file(tmp_path / str(number)) == data

    async def main():
        await asyncio.gather(*(one(number) for number in range(300)))

    before = open_fds()
    run(main())
    assert open_fds() <= before


# ---- streams ----


def test_a_cancelled_read_of_a_pipe_takes_nothing(run):
    async def main():
        reader, writer = os.pipe()
        for number in range(50):
            reading = asyncio.ensure_future(fs.read(reader, 10))
            await asyncio.sleep(0)
            if number % 3 == 0:
                os.write(writer, b"x")
            for _ in range(number % 4):
                await asyncio.sleep(0)
            reading.cancel()
            try:
                taken = await reading
            except asyncio.CancelledError:
                taken = b""
            if number % 3 == 0 and not taken:
                taken = await fs.read(reader, 10)
            assert taken == (b"x" if number % 3 == 0 else b"")
        os.close(writer)
        assert await fs.read(reader, 10) == b""
        os.close(reader)

    run(main())


def test_a_write_to_a_full_pipe_waits_and_moves_all(run):
    async def main():
        reader, writer = os.pipe()
        data = os.urandom(300_000)

        async def write():
            view = memoryview(data)
            while view:
                view = view[await fs.write(writer, view) :]
            await fs.close(writer)

        writing = asyncio.ensure_future(write())
        received = b""
        while piece := await fs.read(reader, 4096):
            received += piece
        await writing
        assert received == data
        await fs.close(reader)

    run(main())


def test_a_fifo_opens_at_once_and_is_read_when_somebody_writes(run, tmp_path):
    async def main():
        os.mkfifo(tmp_path / "fifo")
        reader = await fs.open(tmp_path / "fifo", os.O_RDONLY)
        reading = asyncio.ensure_future(fs.read(reader, 100))
        await asyncio.sleep(0)
        assert not reading.done()
        writer = await fs.open(tmp_path / "fifo", os.O_WRONLY)
        await fs.write(writer, b"through")
        assert await reading == b"through"
        await fs.close(writer)
        assert await fs.read(reader, 100) == b""
        await fs.close(reader)

    run(main())


# ---- cancelling ----


def test_a_cancelled_open_leaves_no_fd(run, folder, open_fds):
    async def main():
        for turns in range(60):
            opening = asyncio.ensure_future(fs.open(folder / "text", os.O_RDONLY))
            for _ in range(turns % 5):
                await asyncio.sleep(0)
            opening.cancel()
            try:
                os.close(await opening)
            except asyncio.CancelledError:
                pass

    before = open_fds()
    run(main())
    asyncio.run(asyncio.sleep(0))
    assert before >= open_fds()


def test_a_cancelled_operation_still_moves_its_bytes_or_none(run, tmp_path):
    async def main():
        fd = await fs.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        for turns in range(40):
            os.ftruncate(fd, 0)
            operation = fs.pwrite(fd, b"x" * 1000, 0)
            writing = asyncio.ensure_future(operation)
            for _ in range(turns % 4):
                await asyncio.sleep(0)
            writing.cancel()
            try:
                await writing
            except asyncio.CancelledError:
                pass
            # The await ends when the kernel has: nothing is written behind our back.
            assert os.fstat(fd).st_size == operation.moved
        os.close(fd)

    run(main())


def test_the_buffer_of_a_cancelled_read_stays_pinned_until_its_end(run, folder):
    async def main():
        fd = await fs.open(folder / "text", os.O_RDONLY)
        for turns in range(30):
            buffer = bytearray(b"." * 11)
            operation = fs.preadinto(fd, buffer, 0)
            reading = asyncio.ensure_future(operation)
            for _ in range(turns % 3):
                await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            buffer.extend(b"!")
            assert buffer in (b"." * 11 + b"!", b"hello world!")
        os.close(fd)

    run(main())


def test_an_operation_is_awaited_once_and_warns_when_it_never_is(run, folder):
    async def main():
        operation = fs.stat(folder)
        await operation
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await operation
        closed = fs.stat(folder)
        closed.close()
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await closed
        with pytest.warns(RuntimeWarning, match="coroutine 'read_file' was never awaited"):
            fs.read_file(folder / "text")

    run(main())


def test_an_operation_is_a_coroutine_to_asyncio(run, folder):
    async def main():
        task = asyncio.create_task(fs.read_file(folder / "text"))
        assert "read_file" in repr(task)
        assert await task == b"hello world"
        assert await asyncio.wait_for(fs.exists(folder), 5)
        assert await asyncio.wait_for(fs.read_file(folder / "text"), 5) == b"hello world"
        results = await asyncio.gather(fs.stat(folder), fs.stat("/nowhere"), return_exceptions=True)
        assert results[0] == os.stat(folder) and type(results[1]) is FileNotFoundError

    run(main())


def test_a_loop_closes_over_operations_in_flight(folder, open_fds):
    before = open_fds()
    for _ in range(20):
        loop = bide.new_event_loop()
        buffer = bytearray(11)
        reader, writer = os.pipe()
        file = os.open(folder / "text", os.O_RDONLY)

        async def begin():
            return [
                asyncio.ensure_future(operation)
                for operation in (
                    fs.open(folder / "text", os.O_RDONLY),
                    fs.read_file(folder / "text"),
                    fs.write_file(folder / "new", b"x" * 100),
                    fs.preadinto(file, buffer, 0),
                    fs.read(reader, 1),
                    fs.stat(folder),
                )
            ]

        tasks = loop.run_until_complete(begin())
        for task in tasks:
            task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
        if tasks[0].done():
            os.close(tasks[0].result())
        loop.close()
        del tasks, task
        gc.collect()
        buffer.extend(b"not pinned any more")
        for fd in (reader, writer, file):
            os.close(fd)
    assert open_fds() <= before


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_operations_leave_no_reference_behind(run, folder):
    async def main():
        path = str(folder / "text")
        fd = os.open(path, os.O_RDONLY)
        buffer = bytearray(11)

        async def some():
            for _ in range(50):
                await fs.read_file(path)
                await fs.stat(path)
                await fs.preadinto(fd, buffer, 0)
                await fs.pread(fd, 5, 0)
                await error_in(lambda: fs.stat("/nowhere"))

        await some()
        gc.collect()
        before = sys.getrefcount(path), sys.getrefcount(buffer), len(gc.get_objects())
        await some()
        gc.collect()
        after = sys.getrefcount(path), sys.getrefcount(buffer), len(gc.get_objects())
        assert after[:2] == before[:2] and after[2] <= before[2] + 5
        os.close(fd)

    run(main())


def test_a_large_file_is_read_in_turns(run, folder):
    """Else whoever serves others waits while the kernel copies all of it."""
    data = os.urandom(1 << 20) * 16
    (folder / "large").write_bytes(data)

    async def main():
        reading = asyncio.ensure_future(fs.read_file(folder / "large"))
        turns = 0
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        assert await reading == data
        assert turns >= 16

    run(main())
