"""Uses every public name of bide with the types that a user would write down. It runs,
too, but for what needs a window."""

import asyncio
import os
import tempfile
from concurrent.futures import Future
from typing import TYPE_CHECKING

import bide
from bide import fs, guest

if TYPE_CHECKING:
    import tkinter


def double(number: int) -> int:
    return 2 * number


async def files(directory: str) -> None:
    path = os.path.join(directory, "data.bin")
    async with bide.open(path, "wb") as file:
        binary: bide.BinaryFile = file
        written: int = await binary.write(b"one\ntwo\n")
        assert written == 8
    async with bide.open(path, "rb", buffering=0) as raw:
        unbuffered: bide.RawFile = raw
        assert await unbuffered.readall() == b"one\ntwo\n"
    async with bide.open(path, encoding="utf-8") as text:
        reader: bide.TextFile = text
        lines: list[str] = [line async for line in reader]
        assert lines == ["one\n", "two\n"]


async def descriptors(directory: str) -> None:
    path = os.path.join(directory, "fd.bin")
    fd: int = await fs.open(path, os.O_RDWR | os.O_CREAT)
    count: int = await fs.write(fd, b"abc")
    count += await fs.pwrite(fd, b"def", 3)
    assert count == 6
    buffer = bytearray(3)
    assert await fs.preadinto(fd, buffer, 3) == 3 and buffer == b"def"
    content: bytes = await fs.pread(fd, 2, 0) + await fs.read(fd, 10)
    assert content == b"abdef"
    assert await fs.readinto(fd, buffer) == 0
    await fs.fsync(fd)
    await fs.fdatasync(fd)
    status: os.stat_result = await fs.fstat(fd)
    assert status.st_size == 6
    await fs.close(fd)


async def tree(directory: str) -> None:
    def inside(*names: str) -> str:
        return os.path.join(directory, *names)

    await fs.write_file(inside("a"), b"a")
    whole: bytes = await fs.read_file(inside("a"))
    assert whole == b"a"
    await fs.mkdir(inside("d"))
    await fs.makedirs(inside("d", "e"), exist_ok=True)
    await fs.copy(inside("a"), inside("b"))
    await fs.copytree(inside("d"), inside("f"))
    await fs.link(inside("a"), inside("hard"))
    await fs.symlink("a", inside("soft"))
    target: str = await fs.readlink(inside("soft"))
    assert target == "a"
    await fs.chmod(inside("a"), 0o600)
    await fs.truncate(inside("a"), 0)
    assert (await fs.stat(inside("a"))).st_size == 0
    assert (await fs.lstat(inside("soft"))).st_size == 1
    there: bool = await fs.exists(inside("a"))
    assert there and await fs.isfile(inside("a")) and await fs.isdir(inside("d"))
    names: list[str] = await fs.listdir(directory)
    async with fs.scandir(directory) as entries:
        assert len([entry.name async for entry in entries]) == len(names)
    async for top, directories, plain in fs.walk(inside("d")):
        assert (top, directories, plain) in ((inside("d"), ["e"], []), (inside("d", "e"), [], []))
    await fs.rename(inside("hard"), inside("renamed"))
    await fs.replace(inside("renamed"), inside("b"))
    await fs.remove(inside("b"))
    await fs.unlink(inside("soft"))
    await fs.rmdir(inside("d", "e"))


async def work() -> None:
    assert await bide.offload(double, 4) == 8
    async with bide.Pool("typed", 2, queue_max=10) as pool:
        answer: int = await bide.offload(double, 5, pool=pool)
        future: Future[int] = pool.submit(double, 6)
        assert (answer, await asyncio.wrap_future(future)) == (10, 12)
        assert list(pool.map(double, [1, 2])) == [2, 4]
        assert (pool.name, pool.size, pool.queue_max, pool.queued) == ("typed", 2, 10, 0)


class Upper(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())
        self.transport.close()


async def network(loop: bide.EventLoop) -> None:
    server: bide.Server = await loop.create_server(Upper, "127.0.0.1", 0)
    assert server.is_serving()
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello")
    assert await reader.read() == b"HELLO"
    writer.close()
    connection: tuple[asyncio.Transport, Upper] = await loop.create_connection(
        Upper, *server.sockets[0].getsockname()
    )
    connection[0].abort()
    endpoint, protocol = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, ("127.0.0.1", 0)
    )
    datagrams: tuple[asyncio.DatagramTransport, asyncio.DatagramProtocol] = endpoint, protocol
    datagrams[0].close()
    server.close()
    await server.wait_closed()


async def main() -> str:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, bide.EventLoop)
    with tempfile.TemporaryDirectory() as directory:
        await files(directory)
        await descriptors(directory)
        await tree(directory)
    await work()
    await network(loop)
    reason: str | None = loop.backend_reason
    return loop.backend + (f", since {reason}" if reason else "")


def in_a_window(root: "tkinter.Tk", app: object) -> tuple[str | None, str | None]:
    return guest.tk(root, main()), guest.qt(app, main(), debug=True)


def as_a_guest(loop: bide.EventLoop) -> int:
    outer: guest.Guest = guest.Guest(loop)
    fd: int = outer.fileno()
    outer.step()
    outer.close()
    return fd


def install_for_good() -> type[asyncio.AbstractEventLoopPolicy]:
    bide.install()
    return bide.EventLoopPolicy


if __name__ == "__main__":
    version: str = bide.__version__
    backend: str = bide.run(main(), debug=False)
    loop: bide.EventLoop = bide.new_event_loop()
    try:
        as_a_guest(loop)
    finally:
        loop.close()
    print(version, backend)
