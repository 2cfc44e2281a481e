"""The servers, once a run, and a loop that is checked when it goes."""

import asyncio
import gc
import os
import shutil
import tempfile

import pytest
import servers
import trustme


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority):
    return authority.issue_cert("localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def server_directory():
    """Readable for the user that the servers run as, and short: the path of a Unix
    socket holds 107 bytes."""
    directory = tempfile.mkdtemp(prefix="bide-")
    os.chmod(directory, 0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_of_the_run(server_directory, certificate):
    server = servers.Postgres(os.path.join(server_directory, "pg"), certificate)
    yield server
    server.stop()


@pytest.fixture
def postgres(postgres_of_the_run):
    """Running, whatever the test before has done."""
    postgres_of_the_run.start()
    return postgres_of_the_run


@pytest.fixture(scope="session")
def redis_of_the_run(server_directory, certificate):
    server = servers.Redis(os.path.join(server_directory, "redis"), certificate)
    yield server
    server.stop()


@pytest.fixture
def redis_server(redis_of_the_run):
    """Running, whatever the test before has done."""
    redis_of_the_run.start()
    return redis_of_the_run


@pytest.fixture
def run():
    """Runs a coroutine on a new loop of the policy that the suite has set. Whatever
    reaches the loop's exception handler fails the test, and so does an fd left open."""
    before = set(os.listdir("/proc/self/fd"))
    reported = []

    def run(coroutine, timeout=45):
        async def main():
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: reported.append(context)
            )
            return await asyncio.wait_for(coroutine, timeout)

        return asyncio.run(main())

    yield run
    gc.collect()
    assert reported == []
    left = set(os.listdir("/proc/self/fd")) - before
    assert len(left) == 0, [os.readlink(f"/proc/self/fd/{fd}") for fd in left]
