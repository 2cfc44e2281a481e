"""One port and a loop for each core. What a user loses if it fails: loops that share the
port's connections, and a server that Ctrl-C ends."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from conftest import EXAMPLES, PROGRAM_LIMIT_S

LOOPS = 2
CONNECTIONS = 32  # all dealt to one of the two loops once in 2 ** 31 runs


@pytest.fixture
def server(backend):
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / "python" / "many_loops.py", str(LOOPS)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "BIDE_BACKEND": backend},
    )
    yield process
    process.kill()
    process.communicate()


def ask(port):
    """The sum and the number of the loop that a new connection is answered with."""
    with socket.create_connection(("127.0.0.1", port), PROGRAM_LIMIT_S) as connection:
        connection.sendall(b"1000\n")
        with connection.makefile("rb") as answer:
            total, number = answer.readline().split()
    return int(total), int(number)


def test_each_loop_answers_on_the_one_port(server):
    said = server.stdout.readline().split()
    assert said[:3] == [str(LOOPS), "loops", "in"]
    assert said[3] in ("threads", "processes")
    port = int(said[-1].rpartition(":")[2])
    answers = [ask(port) for _ in range(CONNECTIONS)]
    assert {total for total, _ in answers} == {sum(n * n for n in range(1000))}
    assert {number for _, number in answers} == set(range(LOOPS))
    server.send_signal(signal.SIGINT)
    assert server.communicate(timeout=PROGRAM_LIMIT_S) == ("", "")
    assert server.returncode == 0
