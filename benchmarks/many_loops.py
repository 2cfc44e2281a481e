"""Many loops on one port by reuse_port=True: examples/python/many_loops.py with one loop and
with one for each of two cores, in threads where Python has no GIL and else in processes.

    python benchmarks/many_loops.py

The servers' cores are the load's too, so that the work of a request is made long beside what
it costs to ask for it. What is to be seen is that two loops answer nearly twice as much, for
the same CPU time a request.
"""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from lib import machine, report, rounds

PROGRAM = machine.ROOT / "examples" / "python" / "many_loops.py"
COUNTS = (2, 1)
CONNECTIONS = 32  # one of two loops is left without any once in 2 ** 31 servers
REQUEST = b"50000\n"  # some milliseconds of Python
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def family(pid):
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def cpu_s(pid):
    """The time of a process and of its children that live."""
    def ticks(member):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    return sum(map(ticks, family(pid))) * TICK_S


class Server:
    def __init__(self, count):
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, str(count)], stdout=subprocess.PIPE, text=True
        )
        *said, address = self.process.stdout.readline().split()
        self.kind = said[3]
        host, port = address.split(":")
        self.connections = [
            socket.create_connection((host, int(port))) for _ in range(CONNECTIONS)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for connection in self.connections:
            connection.close()
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stdout.close()

    def load(self, seconds):
        """Keeps one request of each connection in flight. Returns how many were answered,
        and the loops that did."""
        answered, loops = 0, set()
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for connection in self.connections:
                selector.register(connection, selectors.EVENT_READ)
                connection.send(REQUEST)
            while selector.get_map():
                for key, _ in selector.select():
                    loops.add(key.fileobj.recv(64).split()[1])
                    answered += 1
                    if time.monotonic() < end:
                        key.fileobj.send(REQUEST)
                    else:
                        selector.unregister(key.fileobj)
        return answered, loops

    def measure(self, seconds):
        began_s, cpu_began_s = time.monotonic(), cpu_s(self.process.pid)
        answered, loops = self.load(seconds)
        took_s = time.monotonic() - began_s
        used_s = cpu_s(self.process.pid) - cpu_began_s
        return {
            "rate": answered / took_s,
            "cpu": used_s / answered * 1e6,
            "cores": used_s / took_s,
            "loops": len(loops),
        }


def run(round_count, seconds):
    with contextlib.ExitStack() as stack:
        servers = {count: stack.enter_context(Server(count)) for count in COUNTS}
        names = {count: f"{count} loops" if count > 1 else "1 loop" for count in COUNTS}
        contenders = {
            names[count]: lambda server=server: server.measure(seconds)
            for count, server in servers.items()
        }
        samples = rounds.interleave(contenders, round_count, "many_loops")
        kind = servers[COUNTS[0]].kind
    one = names[1]
    rows = [
        report.Row("requests/s", "1/s", samples["rate"], rival=one, more=True),
        report.Row("CPU a request", "us", samples["cpu"], rival=one),
        report.Row("cores in use", "", samples["cores"], digits=2),
        report.Row("loops that answered", "", samples["loops"]),
    ]
    report.write("many_loops", {}, rows)
    report.table(
        f"Loops in {kind} on one port, {CONNECTIONS} connections, "
        f"medians of {round_count} rounds of {seconds} s", rows,
    )


if __name__ == "__main__":
    run(*((3, 1) if machine.QUICK else (7, 3)))
