"""The processes that rows are measured in: one of each kind for each contender, kept over
all rounds."""

import contextlib
import json
import os
import select
import subprocess
import tempfile
from pathlib import Path

from lib import machine, memory
from lib.python_rows import Both, Case, Load
from lib.servers import LoadError, Server, raise_file_limit

SERVERS = machine.ROOT / "benchmarks" / "servers"
KINDS = {
    "echoes": ("protocol", "buffered", "two_writes", "streams", "lines", "sock", "tls",
               "unix", "udp", "sendfile"),
    "web": ("uvicorn", "aiohttp"),
}
ANSWER_LIMIT_S = 60
FLOOR = "floor"
ALONE = ("timer_among_1000000",)  # a case that would burden the others


class Cases:
    """A process of servers/cases.py."""

    def __init__(self, command, environment):
        core, _ = machine.cores()
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            env=environment, preexec_fn=machine.pin_to(core),
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def last_words(self):
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        said = self.errors.read().strip().splitlines()
        return said[-1] if said else f"it ended with {self.process.returncode}"

    def ask(self, name):
        """ns of one unit, by figure; raises LoadError."""
        try:
            self.process.stdin.write(f"{name}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise LoadError(self.last_words()) from None
        answered, _, _ = select.select([self.process.stdout], [], [], ANSWER_LIMIT_S)
        if not answered:
            self.process.kill()
            raise LoadError("it did not end")
        line = self.process.stdout.readline()
        if not line:
            raise LoadError(self.last_words())
        found = json.loads(line)
        if "reason" in found:
            raise LoadError(found["reason"])
        return found


class Subjects:
    """Starts what is asked for when it is first asked for, and ends all at the end."""

    def __init__(self, environment, slice_s):
        self.python = environment.python
        self.slice_s = slice_s
        self.stack = contextlib.ExitStack()
        self.started = {}

    def __enter__(self):
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        (self.folder / "4k").write_bytes(b"x" * 4096)
        (self.folder / "1m").write_bytes(b"x" * (1 << 20))
        certificate = self.folder / "certificate.pem"
        subprocess.run([self.python, "-c", CERTIFY, certificate], check=True)
        self.environment = {
            **os.environ, "BENCH_CERTIFICATE": str(certificate),
            "BENCH_SLICE_S": str(self.slice_s / 4), "PYTHONHASHSEED": "0",
        }
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)

    def kept(self, key, make):
        if key not in self.started:
            self.started[key] = self.stack.enter_context(make())
        return self.started[key]

    def server(self, contender, program, kind="tcp"):
        if contender == FLOOR:
            _, *options = program.replace(
                "CERTIFICATE", self.environment["BENCH_CERTIFICATE"]).split()
            return self.kept((program, kind), lambda: Server(
                lambda fds: [machine.program("echo_epoll"), "--fd", str(fds[kind]), *options],
                (kind,),
            ))
        return self.kept((contender, program), lambda: self.new_server(
            contender, program, KINDS[program]))

    def new_server(self, contender, program, kinds):
        return Server(
            lambda fds: [self.python, str(SERVERS / f"{program}.py"), contender,
                         *(f"{kind}={fd}" for kind, fd in fds.items())],
            kinds, self.environment, ready=True,
        )

    def new_peer(self):
        """What the clients among the cases connect to, on the core of the load."""
        _, core = machine.cores()
        return Server(
            lambda fds: [machine.program("echo_epoll"), "--fd", str(fds["tcp"]),
                         "--http", "1024"],
            core=core,
        )

    def cases(self, contender, name):
        loop = "asyncio" if contender == FLOOR else contender
        peer = self.kept("peer", self.new_peer).where["tcp"]
        key = (contender, name if name in ALONE else "cases")
        return self.kept(key, lambda: Cases(
            [self.python, str(SERVERS / "cases.py"), loop, peer, str(self.folder)],
            self.environment,
        ))

    def measure(self, contender, source):
        """{figure: its value}, in us of one unit where it is a time."""
        if isinstance(source, Case):
            found = self.cases(contender, source.name).ask(source.name)
            return {figure: found[figure] / 1000 for figure in ("cpu", "wall")}
        if isinstance(source, Load):
            return self.measure_load(contender, source, self.slice_s)
        if isinstance(source, Both):
            found = self.measure(contender, source.load)
            return {**found, "cpu": found["cpu"] + self.measure(contender, source.case)["cpu"]}
        return {"bytes": self.measure_memory(contender, source)}

    def measure_load(self, contender, source, seconds, *options):
        server = self.server(contender, source.program, source.kind)
        found = server.load(
            source.kind, source.connections, seconds, *source.options, *options
        )
        count = found["requests"]
        figures = {
            "cpu": found["server_cpu_s"] / count * 1e6,
            "wall": found["seconds"] / count * 1e6,
            "p99": found["p99_us"],
            "load_cpu": found["load_cpu_s"] / count * 1e6,
        }
        if "calls" in found:
            figures["calls"] = found["calls"] / count
        return figures

    def measure_memory(self, contender, source):
        count = source.quick_count if machine.QUICK else source.count
        if source.of == "task":
            return self.measure_tasks(contender, count)
        with self.new_server(contender, "echoes", ("protocol",)) as server:
            # The first take what memory the start has left free.
            with holding(server, count // 2):
                before = memory.resident_bytes(server.process.pid)
                with holding(server, count):
                    return (memory.resident_bytes(server.process.pid) - before) / count

    def measure_tasks(self, contender, count):
        done = subprocess.run(
            [self.python, str(SERVERS / "memory.py"), contender, str(count)],
            capture_output=True, text=True, timeout=ANSWER_LIMIT_S, env=self.environment,
        )
        if done.returncode:
            raise LoadError(done.stderr.strip().splitlines()[-1])
        return float(done.stdout)


@contextlib.contextmanager
def holding(server, count):
    """So many idle connections to its protocol echo."""
    with subprocess.Popen(
        server.load_command("protocol", count, 0, "--hold"), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, preexec_fn=raise_file_limit,
    ) as load:
        if not load.stdout.readline():
            raise LoadError(f"{count} connections could not be opened")
        # Once one more is served, all have been accepted.
        server.load("protocol", 1, 0.05)
        yield
        load.stdin.close()


CERTIFY = """
import pathlib, sys, trustme
issued = trustme.CA().issue_cert("localhost")
pathlib.Path(sys.argv[1]).write_bytes(issued.private_key_and_cert_chain_pem.bytes())
"""

