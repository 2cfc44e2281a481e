"""What reaches beyond one loop: refused rings, leaks."""

import asyncio
import gc
import os
import shutil
import sys

import bide
import pytest
from processes import run_program
from protocols import Echo, close_all, connected_pair, listen

def test_backend_is_told(loop):
    asked = os.environ.get("BIDE_BACKEND", "auto")
    assert loop.backend in ("io_uring", "epoll")
    assert loop.backend_reason
    if asked != "auto":
        assert loop.backend == asked


def test_a_backend_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("BIDE_BACKEND", "kqueue")
    with pytest.raises(ValueError, match="auto, io_uring or epoll, not 'kqueue'"):
        bide.new_event_loop()


TELL = """
    import bide

    async def main():
        import asyncio
        loop = asyncio.get_running_loop()
        print(loop.backend, loop.backend_reason)

    bide.run(main())
"""


@pytest.mark.parametrize("errno", ["EPERM", "ENOSYS", "ENOMEM"])
def test_a_refused_ring_falls_back_to_epoll_and_says_why(errno, tmp_path):
    strace = shutil.which("strace")
    assert strace, "strace is missing; install it: apt-get install strace"
    told = run_program(
        TELL, strace, "-f", "-o", str(tmp_path / "trace"), "-e", "trace=io_uring_setup",
        "-e", f"inject=io_uring_setup:error={errno}", BIDE_BACKEND="auto",
    )
    assert told.startswith("epoll ") and errno in told


def test_auto_waits_on_epoll_and_gives_files_to_the_ring():
    """Else a read of a file wakes a thread, or each byte of a socket costs the ring's turn."""
    program = """
        import asyncio, bide, bide.fs, pathlib

        async def main():
            loop = asyncio.get_running_loop()
            await bide.fs.read_file(bide.__file__)
            print(loop.backend, loop.backend_reason)
            for task in pathlib.Path("/proc/self/task").iterdir():
                print((task / "comm").read_text().strip())

        bide.run(main())
    """
    told = run_program(program, BIDE_BACKEND="auto")
    assert told.startswith("epoll ")
    if "grants io_uring" not in told:
        pytest.skip(f"without a ring auto is epoll with a pool for files: {told}")
    assert "bide-file" not in told


def test_a_demanded_ring_that_is_refused_is_an_error(tmp_path):
    program = """
        import bide
        try:
            bide.new_event_loop()
        except PermissionError as error:
            print(error)
    """
    told = run_program(
        program, shutil.which("strace"), "-f", "-o", str(tmp_path / "trace"),
        "-e", "trace=io_uring_setup", "-e", "inject=io_uring_setup:error=EPERM",
        BIDE_BACKEND="io_uring",
    )
    assert "Operation not permitted" in told


def test_closing_with_operations_in_flight_calls_no_protocol():
    loop = bide.new_event_loop()
    pair = loop.run_until_complete(connected_pair())
    here, there, server = pair
    there.transport.pause_reading()
    here.transport.write(b"x" * 10_000_000)
    loop.call_later(1000, print)
    loop.close()
    assert here.events == ["made", "pause"] and there.events == ["made"]
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        here.transport.write(b"x")
    here.transport.close()
    there.transport.abort()
    server.close()
    assert here.transport.get_extra_info("socket") is None or (
        here.transport.get_extra_info("socket").fileno() == -1
    )
    assert "lost" not in here.events + there.events


async def mixed_work():
    """A bit of everything that makes objects."""
    loop = asyncio.get_running_loop()
    server, address = await listen(Echo)

    async def visit(number):
        reader, writer = await asyncio.open_connection(*address)
        writer.get_extra_info("socket")
        writer.write(b"x" * number)
        await reader.readexactly(number)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(visit(1 + 10_000 * number) for number in range(8)))
    here, there, second = await connected_pair()
    there.transport.abort()
    await here.lost
    handles = [loop.call_later(1000, print, number) for number in range(100)]
    for handle in handles:
        handle.cancel()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(loop.create_future(), 0.001)
    await loop.run_in_executor(None, int)
    await close_all(second, server)


def count_after(rounds, function):
    for _ in range(rounds):
        function()
    gc.collect()
    return len(gc.get_objects()), set(os.listdir("/proc/self/fd"))


def test_objects_and_descriptors_do_not_grow_in_one_loop(loop, run):
    count_after(3, lambda: run(mixed_work()))
    before = count_after(3, lambda: run(mixed_work()))
    after = count_after(10, lambda: run(mixed_work()))
    assert after[0] - before[0] < 50 and after[1] == before[1]


def test_objects_and_descriptors_do_not_grow_over_loops():
    count_after(3, lambda: bide.run(mixed_work()))
    before = count_after(3, lambda: bide.run(mixed_work()))
    after = count_after(10, lambda: bide.run(mixed_work()))
    assert after[0] - before[0] < 50 and after[1] == before[1]


def test_memory_does_not_grow_with_callbacks(loop):
    """Blocks of the allocator, which sees what the garbage collector does not."""

    def spin(left):
        if left:
            loop.call_soon(spin, left - 1)
            loop.call_later(10, spin, 1, 2, 3, 4, 5).cancel()
        else:
            loop.stop()

    def turn():
        loop.call_soon(spin, 2000)
        loop.run_forever()

    for _ in range(3):
        turn()
    before = sys.getallocatedblocks()
    for _ in range(20):
        turn()
    assert sys.getallocatedblocks() - before < 200


def test_the_module_can_be_unloaded_and_loaded_anew():
    program = """
        import gc, sys
        for _ in range(3):
            import bide
            bide.run(__import__("asyncio").sleep(0))
            for name in [name for name in sys.modules if name.startswith("bide")]:
                del sys.modules[name]
            del bide
            gc.collect()
        print("done")
    """
    assert run_program(program).strip() == "done"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_loop_dropped_with_its_connections_gives_all_back(open_fds):
    """As asyncio's does: a program that makes loops and forgets to close them does not
    run out of descriptors."""
    gc.collect()
    before = open_fds()

    def forget():
        loop = bide.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        loop.run_until_complete(connected_pair())

    forget()
    gc.collect()
    gc.collect()
    assert open_fds() == before
