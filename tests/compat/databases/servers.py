"""A PostgreSQL and a Redis of the tests' own: on 127.0.0.1 and on a Unix socket, on
ports that were free, with their data under a directory that goes with them."""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

START_LIMIT_S = 40
UNPRIVILEGED = ("postgres", "nobody")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def answers(address):
    """Whether a Redis answers there: while it loads its data it only accepts."""
    with socket.socket() as sock:
        sock.settimeout(5)
        try:
            sock.connect(address)
            sock.sendall(b"PING\r\n")
            return sock.recv(100).startswith(b"+PONG")
        except OSError:
            return False


def other_user():
    """What makes a process run as somebody else when root runs the tests: PostgreSQL
    refuses to serve as root."""
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
    raise RuntimeError(f"none of the users {UNPRIVILEGED} is on this machine")


class Server:
    """A server process. `kill` ends it as a crash does, `start` starts it again on the
    same data, port and socket."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self.user = other_user()
        self._process = None
        for path, mode in ((directory, 0o711), (os.path.join(directory, "data"), 0o700)):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, mode)
            if self.user:
                os.chown(path, self.user["user"], self.user["group"])

    def command(self):
        raise NotImplementedError

    def ready(self):
        raise NotImplementedError

    def own(self, name, content):
        """A file that the server may read and nobody else."""
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o600)
        if self.user:
            os.chown(path, self.user["user"], self.user["group"])
        return path

    def start(self):
        """Starts the server until it answers; what a killed one has left may make it
        refuse at first."""
        deadline = time.monotonic() + START_LIMIT_S
        log = os.path.join(self.directory, "log")
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                with open(log, "ab") as output:
                    self._process = subprocess.Popen(
                        self.command(), cwd=self.directory, stdout=output, stderr=output,
                        stdin=subprocess.DEVNULL, start_new_session=True, **self.user,
                    )
            if self.ready():
                return
            time.sleep(0.05)  # it says nowhere that we could wait on when it is ready
        with open(log, errors="replace") as output:
            raise RuntimeError(f"{self.command()[0]} does not answer:\n{output.read()[-2000:]}")

    def kill(self):
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self):
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class Postgres(Server):
    """PostgreSQL, with TLS by the certificate given."""

    def __init__(self, directory, certificate):
        super().__init__(directory)
        self.programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.data = os.path.join(directory, "data")
        self.key = self.own("key.pem", certificate.private_key_pem.bytes())
        self.certificate = self.own("cert.pem", certificate.cert_chain_pems[0].bytes())
        subprocess.run(
            [f"{self.programs}/initdb", "-D", self.data, "-U", "bide", "-A", "trust",
             "-E", "UTF8", "--no-sync", "--no-instructions"],
            check=True, stdout=subprocess.DEVNULL, cwd=directory, **self.user,
        )

    def command(self):
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.directory, "max_connections": 60,
            "shared_buffers": "16MB", "fsync": "off", "ssl": "on",
            "ssl_key_file": self.key, "ssl_cert_file": self.certificate,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [f"{self.programs}/postgres", "-D", self.data, *options]

    def ready(self):
        answer = subprocess.run(
            [f"{self.programs}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            cwd=self.directory,
        )
        return answer.returncode == 0


class Redis(Server):
    """Redis; the certificate is for its second port, which speaks TLS."""

    def __init__(self, directory, certificate):
        super().__init__(directory)
        self.tls_port = free_port()
        self.socket = os.path.join(directory, "redis.sock")
        self.key = self.own("key.pem", certificate.private_key_pem.bytes())
        self.certificate = self.own("cert.pem", certificate.cert_chain_pems[0].bytes())

    def command(self):
        return [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port),
            "--unixsocket", self.socket, "--unixsocketperm", "777",
            "--dir", os.path.join(self.directory, "data"), "--save", "",
            "--appendonly", "yes", "--appendfsync", "no",
            "--tls-port", str(self.tls_port), "--tls-cert-file", self.certificate,
            "--tls-key-file", self.key, "--tls-ca-cert-file", self.certificate,
            "--tls-auth-clients", "no",
        ]

    def ready(self):
        """It listens everywhere before it answers anywhere."""
        return answers(("127.0.0.1", self.port))
