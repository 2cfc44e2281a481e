"""pytest's plugins run tests on bide: pytest-asyncio by its hook and by its older
fixture, anyio by its backend's options; and anyio.run does. blockbuster lets bide be."""

import asyncio
import os

import pytest

RECIPES = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 3, "docs", "python-recipes.md"
)

ASKS = """
    import asyncio

    async def test_loop():
        await asyncio.sleep(0.001)
        assert type(asyncio.get_running_loop()).__module__ == "bide._loop"
"""

CALLS_THAT_BLOCK = """
    import asyncio
    import socket
    import time

    import bide
    import pytest
    from blockbuster import BlockingError

    async def serve_once(path):
        server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
        reader, writer = await asyncio.open_unix_connection(path)
        await reader.read()
        writer.close()
        server.close()
        await server.wait_closed()

    async def use_all(directory, file):
        loop = asyncio.get_running_loop()
        for options in ({}, {"cwd": "/"}):
            process = await asyncio.create_subprocess_exec("true", **options)
            assert await process.wait() == 0
        await serve_once(str(directory / "socket"))
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            await loop.sock_sendfile(here, file)
        await asyncio.to_thread(time.sleep, 0)

    def test_bide(tmp_path):
        (tmp_path / "file").write_bytes(b"x" * 100)
        with open(tmp_path / "file", "rb") as file:
            bide.run(use_all(tmp_path, file))

    async def block():
        time.sleep(0)

    def test_other_calls():
        with pytest.raises(BlockingError):
            bide.run(block())
"""
AUTO = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")


def check(pytester, *arguments):
    result = pytester.runpytest_subprocess("-W", "error", *arguments)
    result.assert_outcomes(passed=1)


def test_pytest_asyncio_takes_loop_factories(pytester):
    pytester.makeconftest(
        """
        import bide

        def pytest_asyncio_loop_factories(config, item):
            return {"bide": bide.new_event_loop}
        """
    )
    pytester.makepyfile(ASKS)
    check(pytester, *AUTO)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pytest_asyncio_takes_the_older_fixture(pytester):
    pytester.makeconftest(
        """
        import bide
        import pytest

        @pytest.fixture(scope="session")
        def event_loop_policy():
            return bide.EventLoopPolicy()
        """
    )
    pytester.makepyfile(ASKS)
    result = pytester.runpytest_subprocess(*AUTO)
    result.assert_outcomes(passed=1)


def test_anyio_plugin_takes_the_factory(pytester):
    pytester.makeconftest(
        """
        import bide
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio", {"loop_factory": bide.new_event_loop}
        """
    )
    pytester.makepyfile("import pytest\npytestmark = pytest.mark.anyio\n" + ASKS.replace(
        "\n    ", "\n"
    ))
    check(pytester, "-p", "no:asyncio")


def test_anyio_run_takes_the_factory():
    import anyio
    import bide

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0.001)
        return asyncio.get_running_loop()

    loop = anyio.run(main, backend_options={"loop_factory": bide.new_event_loop})
    assert isinstance(loop, bide.EventLoop)


def test_blockbuster_lets_bide_do_what_asyncio_does(pytester):
    with open(RECIPES, encoding="utf-8") as file:
        recipe = file.read().partition("## blockbuster")[2]
    pytester.makeconftest(recipe.partition("```python\n")[2].partition("```")[0])
    pytester.makepyfile(blocking_calls=CALLS_THAT_BLOCK)
    result = pytester.runpytest_subprocess("blocking_calls.py")
    result.assert_outcomes(passed=2)
