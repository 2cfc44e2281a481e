"""Running, stopping, exceptions: users lose control of their program."""

import asyncio
import errno
import gc
import sys
import threading
import weakref

import bide
import pytest
from protocols import close_all, connected_pair


def test_run_returns_the_result_and_closes_the_loop():
    async def main():
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    loop = bide.run(main())
    assert isinstance(loop, bide.EventLoop) and isinstance(loop, asyncio.AbstractEventLoop)
    assert loop.is_closed()


def test_run_waits_for_everything_on_a_ring_of_its_own_thread(tmp_path):
    """What the kernel defers to the loop's waits comes: bytes, connections, files, posts of
    other threads, children and timers."""
    (tmp_path / "file").write_bytes(b"file")

    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def ask(port, size):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(20):
            writer.write(b"x" * size)
            assert await reader.readexactly(size) == b"x" * size
        writer.close()
        assert await reader.read() == b""

    async def read():
        async with bide.open(tmp_path / "file", "rb") as file:
            return await file.read()

    async def spawn():
        child = await asyncio.create_subprocess_exec("true")
        return await child.wait()

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        asked = [ask(port, size) for size in (1, 1024, 300_000) for _ in range(20)]
        done = await asyncio.wait_for(
            asyncio.gather(
                read(), spawn(), asyncio.to_thread(len, "four"), asyncio.sleep(0.01, "slept"),
                *asked,
            ),
            20,
        )
        assert done[:4] == [b"file", 0, 4, "slept"]
        server.close()
        return asyncio.get_running_loop().backend

    assert bide.run(main()) in ("io_uring", "epoll")


def test_a_ring_of_its_own_thread_is_no_guest():
    async def main():
        loop = asyncio.get_running_loop()
        if loop.backend == "io_uring":
            with pytest.raises(OSError) as refused:
                bide.guest.Guest(loop)
            assert refused.value.errno == errno.EOPNOTSUPP

    bide.run(main())


def test_a_loop_that_owns_its_thread_is_refused_to_others():
    loop = bide.EventLoop(owns_thread=True)
    refused = []

    def elsewhere():
        for method in (loop.run_forever, loop.close):
            with pytest.raises(RuntimeError, match="belongs to the thread that made it"):
                method()
            refused.append(method)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(refused) == 2 and not loop.is_closed()
    assert loop.run_until_complete(asyncio.sleep(0, "here")) == "here"
    loop.close()


def test_run_cancels_what_is_left():
    ended = []

    async def forever():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    async def main():
        asyncio.create_task(forever())
        await asyncio.sleep(0)

    bide.run(main())
    assert ended == [True]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_install_makes_asyncio_use_bide():
    try:
        bide.install()

        async def main():
            return type(asyncio.get_running_loop())

        assert asyncio.run(main()) is bide.EventLoop
    finally:
        asyncio.set_event_loop_policy(None)


def test_nested_runs_are_refused_with_asyncios_words(loop):
    other = bide.new_event_loop()

    async def main():
        with pytest.raises(RuntimeError, match="^This event loop is already running$"):
            loop.run_forever()
        with pytest.raises(
            RuntimeError, match="^Cannot run the event loop while another loop is running$"
        ):
            other.run_forever()
        with pytest.raises(RuntimeError, match="^Cannot close a running event loop$"):
            loop.close()

    loop.run_until_complete(main())
    other.close()


def test_a_closed_loop_says_so():
    loop = bide.new_event_loop()
    timer = loop.call_later(100, print)
    loop.close()
    loop.close()
    for call in (
        lambda: loop.call_soon(print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        lambda: loop.add_reader(0, print),
        lambda: loop.run_forever(),
        lambda: loop.run_in_executor(None, print),
        lambda: loop.backend,
    ):
        with pytest.raises(RuntimeError, match="^Event loop is closed$"):
            call()
    assert loop.is_closed() and not loop.remove_reader(0)
    timer.cancel()


def test_run_until_complete_tells_of_a_loop_that_stopped(loop):
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match="Event loop stopped before Future completed."):
        loop.run_until_complete(future)


def test_an_exception_reaches_the_handler_with_its_handle(loop):
    contexts = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))

    def fail():
        raise ZeroDivisionError("here")

    handle = loop.call_soon(fail)
    loop.call_soon(loop.stop)
    loop.run_forever()
    (context,) = contexts
    assert context["message"].startswith("Exception in callback ")
    assert "fail" in context["message"]
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["handle"] is handle


def test_an_exception_is_being_handled_while_its_handler_runs(loop, caplog):
    # What logging.exception() in the handler shows, and the context of what that raises.
    handled = []

    def handler(_, context):
        handled.append(sys.exc_info()[1] is context["exception"])
        raise ValueError("in the handler")

    loop.set_exception_handler(handler)
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(lambda: handled.append(sys.exc_info()))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert handled == [True, (None, None, None)]
    assert isinstance(caplog.records[-1].exc_info[1].__context__, ZeroDivisionError)


def test_the_default_handler_logs(loop, caplog):
    loop.set_exception_handler(None)
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert "Exception in callback" in caplog.text and "ZeroDivisionError" in caplog.text


def test_a_broken_handler_is_logged_and_survived(loop, caplog):
    def broken(_, context):
        raise LookupError("the handler's own")

    loop.set_exception_handler(broken)
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert "Unhandled error in exception handler" in caplog.text
    assert "the handler's own" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_ends_the_run_at_once_and_keeps_the_rest(loop, error):
    seen = []

    def interrupt():
        raise error("now")

    loop.call_soon(seen.append, 1)
    loop.call_soon(interrupt)
    loop.call_soon(seen.append, 2)
    with pytest.raises(error, match="now"):
        loop.run_forever()
    assert seen == [1] and not loop.is_running()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [1, 2]


def test_an_interrupt_in_a_task_leaves_run_until_complete(loop):
    async def main():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(main())
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_a_loop_moves_between_threads_with_operations_in_flight():
    """Made in one thread, run in a second and a third, closed in the first."""
    loop = bide.new_event_loop()

    async def connect():
        return await connected_pair()

    async def ping(pair):
        pair[0].transport.write(b"ping")
        await pair[1].until(lambda: pair[1].data == b"ping")

    async def pong(pair):
        pair[1].transport.write(b"pong")
        await pair[0].until(lambda: pair[0].data == b"pong")
        await close_all(*pair)

    pairs = []
    in_thread(lambda: pairs.append(loop.run_until_complete(connect())))
    in_thread(loop.run_until_complete, ping(pairs[0]))
    assert pairs[0][1].data == b"ping"
    loop.run_until_complete(pong(pairs[0]))
    loop.close()


def test_an_unclosed_loop_warns_and_frees_itself():
    loop = bide.new_event_loop()
    loop.call_soon(print, loop)
    loop.call_later(10, print, loop)
    watch = weakref.ref(loop)
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        del loop
        gc.collect()
    assert watch() is None


def test_asyncgens_are_closed(loop):
    closed = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def main():
        async for number in numbers():
            return number

    kept = numbers()

    async def start():
        return await kept.__anext__()

    assert loop.run_until_complete(main()) == 1
    assert loop.run_until_complete(start()) == 1
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert closed == [True, True]


def test_a_task_factory_is_a_callable_or_none(loop):
    factory = asyncio.Task
    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    with pytest.raises(TypeError, match="task factory must be a callable or None"):
        loop.set_task_factory(1)
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.12 brought eager tasks")
def test_eager_tasks_run_at_once(loop):
    loop.set_task_factory(asyncio.eager_task_factory)

    async def main():
        seen = []

        async def note():
            seen.append(1)

        task = asyncio.create_task(note())
        assert seen == [1] and task.done()

    loop.run_until_complete(main())


def test_create_future_is_asyncios(loop):
    future = loop.create_future()
    assert type(future) is asyncio.Future and future.get_loop() is loop


def test_every_method_of_asyncios_is_there():
    """Whatever AbstractEventLoop declares is bide's own; what it would inherit raises
    NotImplementedError."""
    left = [
        name
        for name, value in vars(asyncio.AbstractEventLoop).items()
        if callable(value) and not name.startswith("__")
        if getattr(bide.EventLoop, name) is value
    ]
    assert [name for name in left if name != "_timer_handle_cancelled"] == []


def test_a_run_that_was_interrupted_on_its_way_out_stops_no_other(loop):
    """The callback that ends the run is still on the future when that is done later."""
    class Kept(asyncio.Future):
        def remove_done_callback(self, callback):
            return 0

    kept = Kept(loop=loop)
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match="Event loop stopped before Future completed."):
        loop.run_until_complete(kept)
    loop.call_soon(kept.set_result, None)
    assert loop.run_until_complete(asyncio.sleep(0.002, "whole")) == "whole"


@pytest.mark.parametrize("custom", [False, True])
def test_a_broken_default_handler_is_told_by_asyncios_words(loop, caplog, custom):
    def broken(*unused):
        raise LookupError

    loop.default_exception_handler = broken
    loop.set_exception_handler(broken if custom else None)
    loop.call_exception_handler({"message": "lost"})
    (record,) = caplog.records
    words = "Exception in default exception handler"
    if custom:
        words += " while handling an unexpected error in custom exception handler"
    assert record.getMessage() == words and record.exc_info[0] is LookupError
    del loop.default_exception_handler
