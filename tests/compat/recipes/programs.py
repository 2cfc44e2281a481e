"""Real programs, started as a user starts them and asked over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ANSWER_LIMIT_S = 30
BIDE = "bide._loop.EventLoop"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def ask(port):
    """What the application answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
        return json.load(response)


class Program:
    """A server that runs while the `with` does; its output is shown when it fails."""

    def __init__(self, *arguments, port, directory=HERE):
        self.port = port
        self._process = subprocess.Popen(
            [sys.executable, *arguments], cwd=directory, text=True,
            env={**os.environ, "PYTHONPATH": directory, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.output = None

    def wait_for(self, wanted):
        """The first answer for which `wanted(answer)` is true."""
        deadline = time.monotonic() + ANSWER_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                answer = ask(self.port)
                if wanted(answer):
                    return answer
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)  # the program does not say when it listens
        self._kill()
        raise AssertionError(f"no such answer; the program said:\n{self.output}")

    def answer(self):
        return self.wait_for(lambda _: True)

    def _kill(self):
        """Its workers too: they hold its output open."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.output, _ = self._process.communicate()

    def stop(self):
        """Ends it; returns its exit code."""
        if self.output is None:
            self._process.terminate()
            try:
                self.output, _ = self._process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                self._kill()
                raise AssertionError(f"it did not end; it said:\n{self.output}") from None
        return self._process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
