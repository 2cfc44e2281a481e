"""All three doors where the kernel refuses a ring, as many a container does.

strace makes io_uring_setup fail. If these fail, bide does not start in such a container,
or runs there on epoll and cannot say why.
"""

import errno
import os
import shutil
import sys

import pytest
from tools import HERE, ROOT, fails, run

C_FLAGS = ["-Icore/include", os.path.join(ROOT, "build", "libbide.a"), "-pthread"]
PYTHON_PROGRAM = """
import bide
async def main():
    import asyncio
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.001)
    print(loop.backend)
    print(loop.backend_reason)
bide.run(main())
"""
NODE_PROGRAM = """
const bide = require('./');
bide.fs.readFile('LICENSE').then(() => {
  console.log(bide.backend);
  console.log(bide.backendReason);
});
"""


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    """The three programs, each printing its backend and the reason."""
    program = str(tmp_path_factory.mktemp("c") / "program")
    run("gcc", os.path.join(HERE, "program.c"), "-o", program, *C_FLAGS)
    return {
        "c": [program],
        "python": [sys.executable, "-P", "-c", PYTHON_PROGRAM],
        "node": ["node", "-e", NODE_PROGRAM],
    }


def refusing(name):
    """The front of a command under which io_uring_setup fails."""
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_setup",
            "-e", f"inject=io_uring_setup:error={name}"]


def without_backend():
    return {key: value for key, value in os.environ.items() if key != "BIDE_BACKEND"}


@pytest.mark.parametrize("refusal", ["EPERM", "ENOSYS", "ENOMEM"])
@pytest.mark.parametrize("door", ["c", "python", "node"])
def test_runs_on_epoll_and_says_why(doors, door, refusal):
    assert shutil.which("strace")
    output = run(*refusing(refusal), *doors[door], env={"BIDE_BACKEND": "auto"})
    assert "epoll" in output
    assert refusal in output and hasattr(errno, refusal)


@pytest.mark.parametrize("door", ["c", "python", "node"])
def test_demanded_ring_that_is_refused_is_an_error(doors, door):
    environment = {**without_backend(), "BIDE_BACKEND": "io_uring"}
    output = fails(*refusing("EPERM"), *doors[door], env=environment)
    assert "EPERM" in output or "not permitted" in output
