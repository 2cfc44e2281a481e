"""TCP echo servers in C: bide's on both backends beside one on plain epoll.

    python benchmarks/echo.py
"""

import contextlib

from lib import machine, report, rounds
from lib.servers import Server

SHAPES = ((64, 64), (64, 1024), (512, 1024), (64, 16384))  # connections, bytes
DEMO_SHAPES = ((64, 1024),)


def server_commands():
    """{name: (program, environment)}"""
    commands = {
        f"bide {backend}": (machine.program("echo_server"), {"BIDE_BACKEND": backend})
        for backend in ("io_uring", "epoll")
    }
    refusal = machine.ring_refusal()
    if refusal:
        print(f"  echo: without bide's io_uring, {refusal}")
        del commands["bide io_uring"]
    return {**commands, "plain epoll": (machine.program("echo_epoll"), {})}


def slice_of(server, shapes, seconds):
    """A function that loads the server in each shape and returns its figures."""

    def measure():
        found = {}
        for connections, size in shapes:
            seen = server.load("tcp", connections, seconds, "--echo", str(size))
            shape = f"{connections} x {size} B"
            found[shape, "echoes"] = seen["requests"] / seen["seconds"]
            found[shape, "p99"] = seen["p99_us"]
            found[shape, "cpu"] = seen["server_cpu_s"] / seen["requests"] * 1e6
        return found

    return measure


def rows_of(samples, shapes):
    rows = []
    for connections, size in shapes:
        shape = f"{connections} x {size} B"
        rows += [
            report.Row(f"{shape}: echoes/s", "1/s", samples[shape, "echoes"],
                       rival="plain epoll", more=True),
            report.Row(f"{shape}: p99", "us", samples[shape, "p99"], rival="plain epoll"),
            report.Row(f"{shape}: server CPU per echo", "us", samples[shape, "cpu"],
                       digits=2, rival="plain epoll"),
        ]
    return rows


def run(round_count, seconds, shapes=SHAPES):
    with contextlib.ExitStack() as stack, machine.plain_congestion_control():
        contenders = {}
        for name, (program, environment) in server_commands().items():
            server = stack.enter_context(Server(
                lambda fds, program=program: [program, "--fd", str(fds["tcp"])],
                environment=environment,
            ))
            contenders[name] = slice_of(server, shapes, seconds)
        samples = rounds.interleave(contenders, round_count, "echo")
        rows = rows_of(samples, shapes)
        report.write("echo", {"bide": machine.bide_version()}, rows)
    report.table(
        f"TCP echo in C, medians of {round_count} rounds of {seconds} s", rows
    )


if __name__ == "__main__":
    run(*((3, 1) if machine.QUICK else (7, 3)))
