"""Servers under test: each is a process on its own core, listening before it starts."""

import os
import signal
import socket
import subprocess

from lib import machine

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
BACKLOG = 1024
STOP_LIMIT_S = 10


def listening_socket():
    """We bind it and the server inherits it: it can be connected to at once, and its
    connections take over its congestion control."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    if machine.congestion() not in machine.PLAIN:
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_CONGESTION, machine.PLAIN[0].encode()
        )
    listener.set_inheritable(True)
    return listener


class Server:
    """command(fd) is what to run; the context manager ends it."""

    def __init__(self, command, environment=None):
        server_core, self.load_core = machine.cores()
        with listening_socket() as listener:
            self.port = listener.getsockname()[1]
            self.process = subprocess.Popen(
                command(listener.fileno()),
                env={**os.environ, **(environment or {})},
                pass_fds=[listener.fileno()],
                stdout=subprocess.DEVNULL,
                preexec_fn=machine.pin_to(server_core),
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu_s(self):
        """User and system time of all its threads so far."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args[0]} ended: {self.process.returncode}")
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def load(self, command):
        """Runs a load generator on the other core. Returns its output, and the server's
        CPU seconds meanwhile."""
        before = self.cpu_s()
        done = subprocess.run(
            command, capture_output=True, text=True, check=True,
            preexec_fn=machine.pin_to(self.load_core),
        )
        return done.stdout, self.cpu_s() - before
