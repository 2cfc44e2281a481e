"""Servers under test: each is a process on its own core that serves the sockets it
inherits, so that they can be connected to at once, and have the congestion control that
we give them."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import tempfile

from lib import machine

BACKLOG = 1024
STOP_LIMIT_S = 10
LOAD_LIMIT_S = 60


class LoadError(Exception):
    """The load could not be done, and the message says why."""


def tcp_socket():
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    if machine.congestion() not in machine.PLAIN:
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_CONGESTION, machine.PLAIN[0].encode()
        )
    return listener


def udp_socket():
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    bound.setblocking(False)
    return bound


def unix_socket():
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(tempfile.mktemp(prefix="bide-bench-"))
    listener.listen(BACKLOG)
    return listener


SOCKETS = {"udp": udp_socket, "unix": unix_socket}


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """command(fds) is what to run, fds being {kind: number of a socket}; a kind is of TCP
    unless SOCKETS says otherwise. It runs on the servers' core unless another is named. The
    context manager ends it."""

    def __init__(self, command, kinds=("tcp",), environment=None, ready=False, core=None):
        server_core, self.load_core = machine.cores()
        pin = machine.pin_to(server_core if core is None else core)
        with contextlib.ExitStack() as stack:
            made = {
                kind: stack.enter_context(SOCKETS.get(kind, tcp_socket)()) for kind in kinds
            }
            addresses = {kind: sock.getsockname() for kind, sock in made.items()}
            self.where = {
                kind: str(address if isinstance(address, str) else address[1])
                for kind, address in addresses.items()
            }
            self.process = subprocess.Popen(
                command({kind: sock.fileno() for kind, sock in made.items()}),
                env={**os.environ, **(environment or {})},
                pass_fds=[sock.fileno() for sock in made.values()],
                stdout=subprocess.PIPE if ready else subprocess.DEVNULL,
                preexec_fn=lambda: (pin(), raise_file_limit()),
            )
        # What the server says of each kind: why it cannot serve it, or None.
        self.refusals = dict.fromkeys(kinds)
        if ready:
            line = self.process.stdout.readline()
            self.refusals = json.loads(line) if line else dict.fromkeys(kinds, "it ended")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        for path in self.where.values():
            if path.startswith("/"):
                os.unlink(path)

    def load_command(self, kind, connections, seconds, *options):
        return [
            machine.program("load"), *options, "--pid", str(self.process.pid),
            self.where[kind], str(connections), str(seconds),
        ]

    def load(self, kind, connections, seconds, *options):
        """Loads it from the other core. Returns what the load has found."""
        if self.refusals[kind]:
            raise LoadError(self.refusals[kind])
        if self.process.poll() is not None:
            raise LoadError(f"the server ended with {self.process.returncode}")
        pin = machine.pin_to(self.load_core)
        try:
            done = subprocess.run(
                self.load_command(kind, connections, seconds, *options),
                capture_output=True, text=True, timeout=LOAD_LIMIT_S,
                preexec_fn=lambda: (pin(), raise_file_limit()),
            )
        except subprocess.TimeoutExpired:
            raise LoadError("the load did not end") from None
        if done.returncode:
            raise LoadError(done.stderr.strip())
        return json.loads(done.stdout)
