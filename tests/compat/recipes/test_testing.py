"""pytest's plugins run tests on bide: pytest-asyncio by its hook and by its older
fixture, anyio by its backend's options; and anyio.run does."""

import pytest

ASKS = """
    import asyncio

    async def test_loop():
        await asyncio.sleep(0.001)
        assert type(asyncio.get_running_loop()).__module__ == "bide._loop"
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
    import asyncio

    import anyio
    import bide

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0.001)
        return asyncio.get_running_loop()

    loop = anyio.run(main, backend_options={"loop_factory": bide.new_event_loop})
    assert isinstance(loop, bide.EventLoop)
