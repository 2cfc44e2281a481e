"""A Starlette application on uvicorn under wrk: bide's loop beside uvloop and asyncio.

    python benchmarks/web.py
"""

import contextlib
import json
import sys

from lib import loops, machine, report, rounds
from lib.servers import Server

CONNECTIONS = 64
ROUTES = ("json", "plaintext")
SERVER = machine.ROOT / "benchmarks" / "servers" / "web.py"
WRK_REPORT = machine.ROOT / "benchmarks" / "lib" / "wrk.lua"


def slice_of(server, wrk, seconds):
    """A function that loads each route once and returns its figures."""

    def measure():
        found = {}
        for route in ROUTES:
            output, cpu_s = server.load([
                wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(WRK_REPORT),
                f"http://127.0.0.1:{server.port}/{route}",
            ])
            seen = json.loads(output.splitlines()[-1])
            if seen["failed"] or not seen["requests"]:
                raise RuntimeError(f"wrk on /{route}: {output}")
            found[route, "requests"] = seen["requests"] / seen["seconds"]
            found[route, "p99"] = seen["p99_us"] / 1000
            found[route, "cpu"] = cpu_s / seen["requests"] * 1e6
        return found

    return measure


def versions(wrk):
    found = machine.package_versions("uvicorn", "httptools", "starlette", "uvloop")
    return {**found, "wrk": machine.first_line(wrk, "-v")}


def run(round_count, seconds):
    wrk = machine.tool("wrk", "wrk")
    with contextlib.ExitStack() as stack, machine.plain_congestion_control():
        contenders = {}
        for name in loops.NAMES:
            command = [sys.executable, str(SERVER), name]
            server = stack.enter_context(
                Server(lambda fd, command=command: [*command, str(fd)])
            )
            contenders[name] = slice_of(server, wrk, seconds)
            slice_of(server, wrk, 1)()  # warm: imports, caches, the interpreter's own
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
        report.write("web", versions(wrk), rows)
    report.table(
        f"Starlette on uvicorn (httptools), {CONNECTIONS} connections, "
        f"medians of {round_count} rounds of {seconds} s",
        rows,
    )


if __name__ == "__main__":
    run(*((3, 2) if machine.QUICK else (7, 5)))
