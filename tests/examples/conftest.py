"""The server that the examples fetch from, and how a program in each language is run."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BIDE_BUILD", ROOT / "build"))
EXAMPLES = ROOT / "examples"
PROGRAM_LIMIT_S = 60

sys.path.insert(0, str(ROOT / "scripts"))
import ring_probe  # noqa: E402

BACKENDS = ("io_uring", "epoll", "auto")


def pytest_generate_tests(metafunc):
    """One backend where the environment names it, as the test runner does; else all. A ring
    that the kernel refuses cannot be tried."""
    if "backend" not in metafunc.fixturenames:
        return
    named = os.environ.get("BIDE_BACKEND")
    refusal = ring_probe.refusal()
    # Containers often refuse a ring, which no example can help: `auto` tries epoll there.
    refused = pytest.mark.skipif(refusal is not None, reason=f"no io_uring here: {refusal}")
    metafunc.parametrize(
        "backend",
        [
            pytest.param(name, marks=refused if name == "io_uring" else ())
            for name in ([named] if named else BACKENDS)
        ],
        scope="session",
    )


class Server:
    def __init__(self, process):
        line = process.stdout.readline()
        self.host, self.port = line.rsplit(maxsplit=1)[-1].rsplit(":", 1)

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.host}:{self.port}{path}") as reply:
            return json.load(reply)

    def stats(self):
        """What the server saw since the last call."""
        return self.get("/stats")


@pytest.fixture(scope="session")
def server_process():
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / "server.py", "127.0.0.1", "0"],
        stdout=subprocess.PIPE, text=True,
    )
    yield Server(process)
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
def server(server_process):
    server_process.stats()
    return server_process


def c_program(name, folder="examples"):
    program = BUILD / folder / name
    assert program.exists(), f"{program} is not there; run: make libbide"
    return [program]


def python_program(name):
    return [sys.executable, EXAMPLES / "python" / f"{name}.py"]


def node_program(name):
    node = shutil.which("node")
    assert node, "node is missing: the examples for Node cannot run"
    return [node, EXAMPLES / "node" / f"{name}.mjs"]


COMMANDS = {"c": c_program, "python": python_program, "node": node_program}


@pytest.fixture(params=COMMANDS)
def language(request):
    return request.param


@pytest.fixture
def run_example(language, backend, server, tmp_path):
    """run_example(name) runs the example in the test's language to its end, and returns
    what it printed. It must succeed and say nothing on stderr."""

    def run(name):
        environment = {
            **os.environ,
            "BIDE_BACKEND": backend,
            "EXAMPLES_HOST": server.host,
            "EXAMPLES_PORT": server.port,
            "TMPDIR": str(tmp_path),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            COMMANDS[language](name), env=environment, capture_output=True, text=True,
            timeout=PROGRAM_LIMIT_S,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run
