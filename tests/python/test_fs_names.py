"""Directories, names and copies of bide.fs: users lose files, or miss some."""

import asyncio
import os
import shutil
import threading

import pytest
from bide import fs


def test_names_are_made_moved_and_removed(run, tmp_path):
    async def main():
        await fs.makedirs(tmp_path / "a" / "b")
        await fs.makedirs(tmp_path / "a" / "b", exist_ok=True)
        await fs.write_file(tmp_path / "a" / "file", b"content")
        await fs.rename(tmp_path / "a" / "file", tmp_path / "file")
        await fs.link(tmp_path / "file", tmp_path / "second")
        assert (await fs.stat(tmp_path / "file")).st_nlink == 2
        await fs.replace(tmp_path / "second", tmp_path / "a" / "second")
        await fs.symlink("file", tmp_path / "soft")
        assert await fs.readlink(tmp_path / "soft") == "file"
        assert await fs.readlink(os.fsencode(tmp_path / "soft")) == b"file"
        await fs.truncate(tmp_path / "soft", 4)
        assert await fs.read_file(tmp_path / "file") == b"cont"
        await fs.chmod(tmp_path / "file", 0o640)
        assert (await fs.stat(tmp_path / "file")).st_mode & 0o777 == 0o640
        assert sorted(await fs.listdir(tmp_path)) == ["a", "file", "soft"]
        assert await fs.exists(tmp_path / "soft") and await fs.isfile(tmp_path / "soft")
        await fs.unlink(tmp_path / "file")
        assert not await fs.exists(tmp_path / "soft")
        assert await fs.isdir(tmp_path / "a") and not await fs.isfile(tmp_path / "a")
        await fs.remove(tmp_path / "a" / "second")
        await fs.rmdir(tmp_path / "a" / "b")
        assert await fs.listdir(os.fsencode(tmp_path / "a")) == []
        assert not await fs.exists("null\0byte")

    run(main())


def test_scandir_gives_the_entries_of_os(run, tmp_path):
    for number in range(600):
        (tmp_path / str(number)).touch()

    async def main():
        found = [entry async for entry in fs.scandir(tmp_path)]
        assert sorted(entry.name for entry in found) == sorted(os.listdir(tmp_path))
        assert all(entry.is_file() for entry in found)
        async with fs.scandir(tmp_path) as entries:
            async for entry in entries:
                break
        assert [entry async for entry in entries] == []
        with pytest.raises(FileNotFoundError):
            await fs.scandir(tmp_path / "missing").__anext__()

    run(main())


class SlowScan:
    """A directory that is read when the test says so, and notes who closes it meanwhile."""

    def __init__(self, scan):
        self.scan = scan
        self.entered, self.opened = threading.Event(), threading.Event()
        self.reading = self.closed = self.closed_while_read = False

    def __iter__(self):
        return self

    def __next__(self):
        self.reading = True
        self.entered.set()
        assert self.opened.wait(30)
        self.reading = False
        return next(self.scan)

    def close(self):
        self.closed = True
        self.closed_while_read |= self.reading
        self.scan.close()


@pytest.fixture
def slow_scan(monkeypatch, folder):
    slow = SlowScan(os.scandir(folder))
    monkeypatch.setattr(os, "scandir", lambda path: slow)
    yield slow
    slow.opened.set()
    slow.scan.close()


async def cancel_while_read(entries, slow_scan):
    task = asyncio.ensure_future(entries.__anext__())
    while not slow_scan.entered.is_set():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_step_of_scandir_loses_no_entry(run, folder, slow_scan):
    async def main():
        entries = fs.scandir(folder)
        await cancel_while_read(entries, slow_scan)
        slow_scan.opened.set()
        found = [entry.name async for entry in entries]
        assert sorted(found) == sorted(os.listdir(folder))

    run(main())


def test_a_directory_is_not_closed_under_the_thread_that_reads_it(run, folder, slow_scan):
    async def main():
        async with fs.scandir(folder) as entries:
            await cancel_while_read(entries, slow_scan)
        assert not slow_scan.closed
        slow_scan.opened.set()
        while not slow_scan.closed:
            await asyncio.sleep(0)
        assert not slow_scan.closed_while_read

    run(main())


def test_walk_goes_where_os_walk_goes(run, folder):
    async def main():
        for options in ({}, {"topdown": False}, {"followlinks": True}):
            ours = [found async for found in fs.walk(folder, **options)]
            assert ours == list(os.walk(folder, **options))
        seen = []
        async for directory, directories, _ in fs.walk(folder):
            seen.append(directory)
            directories.clear()
        assert seen == [str(folder)] or seen == [folder]
        errors = []
        assert [found async for found in fs.walk("/nowhere", onerror=errors.append)] == []
        assert [error.filename for error in errors] == ["/nowhere"]

    run(main())


def test_copies_have_the_content_and_the_mode(run, folder):
    async def main():
        data = os.urandom(3_000_000)
        (folder / "big").write_bytes(data)
        (folder / "big").chmod(0o750)
        assert await fs.copy(folder / "big", folder / "copy") == folder / "copy"
        assert (folder / "copy").read_bytes() == data
        assert (folder / "copy").stat().st_mode & 0o777 == 0o750
        assert await fs.copy(folder / "text", folder / "dir") == str(folder / "dir" / "text")
        assert (folder / "dir" / "text").read_bytes() == b"hello world"
        await fs.copy("/proc/self/mounts", folder / "mounts")
        assert (folder / "mounts").stat().st_size > 0
        await fs.copy(folder / "link", folder / "link2", follow_symlinks=False)
        assert os.readlink(folder / "link2") == "text"
        with pytest.raises(shutil.SameFileError):
            await fs.copy(folder / "text", folder / "link")
        with pytest.raises(FileNotFoundError):
            await fs.copy(folder / "missing", folder / "copy")
        os.mkfifo(folder / "fifo")
        with pytest.raises(shutil.SpecialFileError):
            await fs.copy(folder / "fifo", folder / "copy")

    run(main())


def test_a_directory_is_no_file_to_copy_and_empties_none(run, folder, tmp_path):
    async def main():
        (tmp_path / "victim").write_bytes(b"precious")
        with pytest.raises(IsADirectoryError) as caught:
            await fs.copy(folder, tmp_path / "victim")
        assert caught.value.filename == folder
        assert (tmp_path / "victim").read_bytes() == b"precious"

    run(main())


def test_trees_are_copied_whole(run, folder, tmp_path_factory):
    async def main():
        target = tmp_path_factory.mktemp("copies") / "tree"
        (folder / "broken").unlink()
        assert await fs.copytree(folder, target) == target
        names = lambda top: [(d, sorted(f)) for _, d, f in os.walk(top)]  # noqa: E731
        assert names(target) == names(folder)
        assert (target / "dir" / "one").read_bytes() == b"1"
        with pytest.raises(FileExistsError):
            await fs.copytree(folder, target)
        await fs.copytree(folder, target, dirs_exist_ok=True)

    run(main())
