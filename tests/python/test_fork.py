"""Forks, processes and interpreters beside a running loop.

What a user loses if these fail: the parent's connections to what its child does, a child
that hangs for want of a clear error, or multiprocessing.
"""

import asyncio
import concurrent.futures
import multiprocessing
import signal
import sys
import warnings

import bide
import pytest
from processes import run_program

FORK = """
    import asyncio, os, warnings
    import bide

    warnings.simplefilter("ignore", DeprecationWarning)

    def child(loop):
        try:
            loop.run_until_complete(asyncio.sleep(0))
        except RuntimeError as error:
            print("child:", error, flush=True)
        loop.close()
        print("own:", bide.run(asyncio.sleep(0, "works")), flush=True)

    async def main():
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        return server, writer

    loop = bide.new_event_loop()
    kept = loop.run_until_complete(main())
    pid = os.fork()
    if pid == 0:
        child(loop)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print("parent:", loop.run_until_complete(asyncio.sleep(0.01, "goes on")))
    kept[1].close()
    kept[0].close()
    loop.run_until_complete(kept[1].wait_closed())
    loop.close()
"""


def test_a_forked_child_gets_one_clear_error_and_may_have_its_own_loop():
    told = run_program(FORK).splitlines()
    assert told[0].startswith("child: the loop belongs to the parent process")
    assert told[1:] == ["own: works", "parent: goes on"]


FORK_INSIDE = """
    import asyncio, os, warnings
    import bide

    warnings.simplefilter("ignore", DeprecationWarning)
    children = []

    async def main():
        pid = os.fork()
        if pid:
            children.append(pid)
        await asyncio.sleep(0.01)
        return "slept"

    try:
        told = bide.run(main())
        os.waitpid(children[0], 0)
        print(told, flush=True)
    except RuntimeError as error:
        print("child:", str(error).split(";")[0], flush=True)
        os._exit(0)
"""


def test_a_fork_inside_a_task_ends_the_childs_run():
    told = run_program(FORK_INSIDE).splitlines()
    assert sorted(told) == ["child: the loop belongs to the parent process", "slept"]


def test_every_use_of_the_parents_loop_is_refused_in_a_child():
    program = """
        import asyncio, os, socket, warnings
        import bide

        warnings.simplefilter("ignore")

        def child(loop, transport):
            left, right = socket.socketpair()
            for number, use in enumerate((
                lambda: loop.call_soon(print),
                lambda: loop.call_soon_threadsafe(print),
                lambda: loop.call_later(1, print),
                lambda: loop.call_at(1, print),
                lambda: loop.add_reader(left, print),
                lambda: loop.run_in_executor(None, int),
                lambda: loop.create_task(asyncio.sleep(0)),
                lambda: loop.run_forever(),
                lambda: transport.write(b"x"),
                lambda: transport.write_eof(),
            )):
                try:
                    use()
                except RuntimeError as error:
                    if "belongs to the parent process; make a new one" in str(error):
                        continue
                os._exit(1 + number)
            os._exit(0)

        async def main():
            loop = asyncio.get_running_loop()
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            transport, _ = await loop.create_connection(asyncio.Protocol, *address)
            await loop.run_in_executor(None, int)
            pid = os.fork()
            if pid == 0:
                # A loop of its own may run by now, and the parent's may not.
                asyncio._set_running_loop(None)
                child(loop, transport)
            server.close()
            transport.close()
            return os.WEXITSTATUS(os.waitpid(pid, 0)[1])

        print(bide.run(main()))
    """
    assert run_program(program) == "0\n"


BUSY = """
    import asyncio, gc, os, warnings
    import bide

    warnings.simplefilter("ignore")

    def in_child(how, transport, server):
        if how == "closes":
            transport.close()
            server.close()
        elif how == "collects":
            gc.collect()
        elif how == "runs":
            assert bide.run(asyncio.sleep(0.01, "own")) == "own"
        elif how == "execs":
            os.execvp("true", ["true"])
        os._exit(0)

    async def echo(reader, writer):
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    async def talk(address, until):
        reader, writer = await asyncio.open_connection(*address)
        count = 0
        while not until.is_set():
            count += 1
            writer.write(b"%d," % count)
            assert await reader.readuntil(b",") == b"%d," % count
        writer.close()
        await writer.wait_closed()
        return count

    async def main():
        loop = asyncio.get_running_loop()
        ends = os.pipe()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), open(ends[0], "rb", 0))
        transport, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, open(ends[1], "wb", 0))
        sleeper = await asyncio.create_subprocess_exec("sleep", "1000")
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        until = asyncio.Event()
        talks = [asyncio.ensure_future(talk(server.sockets[0].getsockname(), until))
                 for _ in range(5)]
        await loop.run_in_executor(None, int)
        for how in ["exits", "closes", "collects", "runs", "execs"] * 4:
            pid = os.fork()
            if pid == 0:
                try:
                    in_child(how, transport, server)
                finally:
                    os._exit(1)
            status = await loop.run_in_executor(None, lambda: os.waitpid(pid, 0)[1])
            assert status == 0, (how, status)
            transport.write(how.encode())
            assert await reader.readexactly(len(how)) == how.encode()
        assert sleeper.returncode is None
        sleeper.kill()
        assert await sleeper.wait() == -9
        until.set()
        counts = await asyncio.gather(*talks)
        assert min(counts) > 0
        transport.close()
        server.close()
        return "undisturbed"

    print(bide.run(main()))
"""


def test_children_that_exit_close_collect_run_and_exec_disturb_nothing():
    assert run_program(BUSY) == "undisturbed\n"


def test_a_signal_to_a_child_is_none_of_the_parents():
    program = """
        import asyncio, gc, os, signal, time, warnings
        import bide

        warnings.simplefilter("ignore")

        def child(ready):
            signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
            gc.collect()
            os.write(ready, b"x")
            while True:
                time.sleep(1)

        async def main():
            loop = asyncio.get_running_loop()
            heard = []
            loop.add_signal_handler(signal.SIGTERM, heard.append, "parent")
            ends = os.pipe()
            pid = os.fork()
            if pid == 0:
                child(ends[1])
            os.read(ends[0], 1)
            os.kill(pid, signal.SIGTERM)
            assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 7
            # Whatever the child's signal has woken runs before what is called now.
            for _ in range(3):
                await loop.run_in_executor(None, int)
            assert heard == []
            signal.raise_signal(signal.SIGTERM)
            while not heard:
                await asyncio.sleep(0)
            return heard

        print(bide.run(main()))
    """
    assert run_program(program) == "['parent']\n"


# ---- multiprocessing ----


def square(number):
    return number * number


def square_in_a_loop(number):
    return bide.run(asyncio.sleep(0.001, number * number))


def put_square(queue, number):
    queue.put(square_in_a_loop(number))


@pytest.fixture
def quiet():
    """3.12 warns of forks beside threads, which executors have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_process_pools_of_every_start_method(run, loop, quiet, method):
    async def main():
        context = multiprocessing.get_context(method)
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.ensure_future(tick())
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            for function in (square, square_in_a_loop):
                results = await asyncio.gather(
                    *(loop.run_in_executor(pool, function, number) for number in range(10))
                )
                assert results == [number * number for number in range(10)]
        ticking.cancel()
        assert ticks > 1

    run(main(), timeout=50)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_started_inside_a_callback_has_its_own_loop(run, loop, quiet, method):
    async def main():
        context = multiprocessing.get_context(method)
        queue = context.SimpleQueue()
        process = context.Process(target=put_square, args=(queue, 7))
        process.start()
        await loop.run_in_executor(None, process.join)
        assert process.exitcode == 0 and queue.get() == 49

    run(main(), timeout=50)


# ---- interpreters ----

INTERPRETER = """
    import asyncio, os, sys, threading
    import bide

    WORK = '''if True:
        import asyncio, bide

        async def echo(reader, writer):
            while data := await reader.read(1000):
                writer.write(data)
            writer.close()

        async def main():
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for size in range(1, 200):
                writer.write(b"x" * size)
                assert await reader.readexactly(size) == b"x" * size
            writer.close()
            await writer.wait_closed()
            await asyncio.get_running_loop().run_in_executor(None, int)
            try:
                asyncio.get_running_loop().add_signal_handler(10, print)
            except RuntimeError:
                pass
            else:
                raise AssertionError("signals are the main interpreter's")
            server.close()

        for _ in range(3):
            bide.run(main())
    '''

    if sys.version_info >= (3, 14):
        from concurrent import interpreters

        def work():
            made = interpreters.create()
            made.exec(WORK)
            made.close()

    elif sys.version_info >= (3, 13):
        import _interpreters as interpreters

        def work():
            made = interpreters.create("isolated")
            failure = interpreters.exec(made, WORK)
            interpreters.destroy(made)
            assert failure is None, failure

    else:
        import _xxsubinterpreters as interpreters

        def work():
            # Before 3.12 isolated meant without threads.
            made = interpreters.create(isolated=sys.version_info >= (3, 12))
            interpreters.run_string(made, WORK)
            interpreters.destroy(made)

    for _ in range(2):
        work()
    assert bide.run(asyncio.sleep(0, "here")) == "here"
    if sys.version_info >= (3, 13):
        # Each with a lock of its own, at the same time. asyncio itself shares its running
        # loop between interpreters before 3.12, and 3.12 crashes with its stock loop.
        done = []
        threads = [threading.Thread(target=lambda: done.append(work())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == 3
    print("done", flush=True)
    os._exit(0)
"""


def test_other_interpreters_have_loops_of_their_own():
    assert run_program(INTERPRETER, PYTHONWARNINGS="ignore") == "done\n"


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="3.14 has no child watchers")
def test_a_program_that_has_a_child_watcher_may_keep_it(quiet):
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(bide.EventLoopPolicy())
    try:
        assert asyncio.get_child_watcher() is not None
        loop = asyncio.new_event_loop()
        assert isinstance(loop, bide.EventLoop)
        asyncio.set_event_loop(loop)
        watcher = asyncio.SafeChildWatcher()
        watcher.attach_loop(loop)
        asyncio.set_child_watcher(watcher)
        process = loop.run_until_complete(asyncio.create_subprocess_exec("true"))
        assert loop.run_until_complete(process.wait()) == 0
        watcher.close()
        loop.close()
    finally:
        asyncio.set_event_loop_policy(before)
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
