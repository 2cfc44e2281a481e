"""Debug mode: users lose the reports that lead them to their mistakes."""

import asyncio
import threading
import time

import pytest
from protocols import close_all


@pytest.fixture(autouse=True)
def debug(loop):
    loop.set_debug(True)


def test_slow_callbacks_are_logged(loop, caplog):
    loop.slow_callback_duration = 0.01
    loop.call_soon(time.sleep, 0.02)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert "Executing <Handle" in caplog.text and "took 0.0" in caplog.text


def test_a_slow_task_is_logged_by_its_name(loop, caplog):
    loop.slow_callback_duration = 0.01

    async def lazy():
        time.sleep(0.02)

    loop.run_until_complete(lazy())
    assert "Executing <Task" in caplog.text and "lazy" in caplog.text


def test_a_slow_protocol_is_logged(loop, run, caplog):
    loop.slow_callback_duration = 0.01

    class Lazy(asyncio.Protocol):
        def connection_made(self, transport):
            time.sleep(0.02)
            transport.close()

    async def main():
        server = await loop.create_server(Lazy, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.read()
        writer.close()
        await close_all(server)

    run(main())
    assert "Executing <Transport" in caplog.text


def test_handles_remember_where_they_were_made(loop):
    handle = loop.call_later(10, print)
    assert handle._source_traceback[-1].filename == __file__
    assert f"created at {__file__}" in repr(handle)
    handle.cancel()
    assert "cancelled" in repr(handle)


def test_calls_from_another_thread_are_refused(loop):
    errors = []

    def use():
        for call in (loop.call_soon, loop.call_later):
            try:
                call(*([print] if call is loop.call_soon else [1, print]))
            except RuntimeError as error:
                errors.append(str(error))
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=use)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert len(errors) == 2
    assert all("Non-thread-safe operation" in error for error in errors)


def test_what_is_no_callback_is_refused(loop):
    async def coroutine():
        pass

    with pytest.raises(TypeError, match=r"coroutines cannot be used with call_soon\(\)"):
        loop.call_soon(coroutine)
    with pytest.raises(
        TypeError, match=r"a callable object was expected by call_at\(\), got 5"
    ):
        loop.call_later(1, 5)
    with pytest.raises(TypeError, match=r"coroutines cannot be used with run_in_executor\(\)"):
        loop.run_in_executor(None, coroutine)


def test_a_report_says_which_handle_ran(loop, caplog):
    loop.set_debug(True)
    loop.set_exception_handler(None)

    def report():
        assert loop._current_handle is handle
        loop.call_exception_handler({"message": "from inside"})

    handle = loop.call_soon(report)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert loop._current_handle is None
    assert "handle_traceback: Handle created at (most recent call last):" in caplog.text
    assert "test_a_report_says_which_handle_ran" in caplog.text


def test_debug_follows_the_environment(monkeypatch):
    import bide

    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    loop = bide.new_event_loop()
    assert loop.get_debug()
    loop.close()
