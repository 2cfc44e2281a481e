"""A Starlette application on uvicorn: bide's loop beside uvloop and asyncio.

    python benchmarks/web.py
"""

import contextlib
import sys

from lib import loops, machine, report, rounds
from lib.servers import Server

CONNECTIONS = 64
ROUTES = ("json", "plaintext")
SERVER = machine.ROOT / "benchmarks" / "servers" / "web.py"
WARM_S = 1  # imports, caches, the interpreter's own


def slice_of(server, seconds):
    """A function that loads each route once and returns its figures."""

    def measure():
        found = {}
        for route in ROUTES:
            seen = server.load("starlette", CONNECTIONS, seconds, "--http", f"/{route}")
            found[route, "requests"] = seen["requests"] / seen["seconds"]
            found[route, "p99"] = seen["p99_us"] / 1000
            found[route, "cpu"] = seen["server_cpu_s"] / seen["requests"] * 1e6
        return found

    return measure


def run(round_count, seconds):
    with contextlib.ExitStack() as stack, machine.plain_congestion_control():
        contenders = {}
        for name in loops.NAMES:
            command = [sys.executable, str(SERVER), name]
            server = stack.enter_context(Server(
                lambda fds, command=command: [*command, f"starlette={fds['starlette']}"],
                ("starlette",), ready=True,
            ))
            contenders[name] = slice_of(server, seconds)
            slice_of(server, WARM_S)()
        samples = rounds.interleave(contenders, round_count, "web")
        rows = []
        for route in ROUTES:
            rows += [
                report.Row(f"{route}: requests/s", "1/s", samples[route, "requests"],
                           rival="uvloop", more=True),
                report.Row(f"{route}: p99", "ms", samples[route, "p99"], digits=2,
                           rival="uvloop"),
                report.Row(f"{route}: server CPU per request", "us", samples[route, "cpu"],
                           digits=1, rival="uvloop"),
            ]
        versions = machine.package_versions("uvicorn", "httptools", "starlette", "uvloop")
        report.write("web", versions, rows)
    report.table(
        f"Starlette on uvicorn (httptools), {CONNECTIONS} connections, "
        f"medians of {round_count} rounds of {seconds} s",
        rows,
    )


if __name__ == "__main__":
    run(*((3, 2) if machine.QUICK else (7, 5)))
