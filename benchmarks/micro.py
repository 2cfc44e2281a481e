"""Small costs of the Python loops: scheduling, and echoes by protocol and by streams.

    python benchmarks/micro.py
"""

import contextlib
import json
import subprocess
import sys

from lib import loops, machine, report, rounds
from lib.servers import Server

PROGRAM = machine.ROOT / "benchmarks" / "servers" / "micro.py"
CONNECTIONS, BYTES = 64, 1024
KINDS = ("protocol", "streams")
TEXTS = {
    "call_soon": "call_soon and its callback",
    "sleep_zero": "await sleep(0)",
    "create_task_and_await": "create_task and await",
    "future_wake": "a future resolved and awaited",
    "timer_set_and_cancel": "call_later and cancel",
    "protocol": "protocol echo 1 KiB, server CPU",
    "streams": "streams echo 1 KiB, server CPU",
}


def scheduling(loop):
    """ns a case, of a fresh process."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), loop], capture_output=True, text=True, check=True,
        preexec_fn=machine.pin_to(machine.cores()[0]),
    )
    return json.loads(done.stdout)


def echo_cpu_ns(server, seconds):
    output, cpu_s = server.load([
        machine.program("echo_load"), "127.0.0.1", str(server.port), str(CONNECTIONS),
        str(BYTES), str(seconds),
    ])
    return cpu_s / json.loads(output)["requests"] * 1e9


def slice_of(loop, servers, seconds):
    def measure():
        found = scheduling(loop)
        for kind, server in servers.items():
            found[kind] = echo_cpu_ns(server, seconds)
        return found

    return measure


def run(round_count, seconds):
    with contextlib.ExitStack() as stack, machine.plain_congestion_control():
        contenders = {}
        for loop in loops.NAMES:
            servers = {
                kind: stack.enter_context(Server(
                    lambda fd, loop=loop, kind=kind:
                        [sys.executable, str(PROGRAM), loop, kind, str(fd)]
                ))
                for kind in KINDS
            }
            contenders[loop] = slice_of(loop, servers, seconds)
        samples = rounds.interleave(contenders, round_count, "python")
        rows = [
            report.Row(text, "ns", samples[case], rival="uvloop")
            for case, text in TEXTS.items()
        ]
        report.write("python", machine.package_versions("uvloop"), rows)
    report.table(f"Python loops, ns of CPU, medians of {round_count} rounds", rows)


if __name__ == "__main__":
    run(*((3, 0.5) if machine.QUICK else (9, 3)))
