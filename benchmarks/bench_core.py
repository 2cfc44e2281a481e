"""What the core's tasks, timers and loops cost, beside libuv, libev, Tokio and Go.

    python benchmarks/bench_core.py

Each contender is a program of its own that prints its rows as JSON; they run in turn, each on
one processor but for the rows that take two loops. The peers are built from
benchmarks/peers into build/peers: libuv and libev from the system's packages, Tokio by cargo,
Go by its own tools. One that cannot be built is left out and named.
"""

import json
import os
import subprocess
import sys

from lib import machine, report, rounds

PEERS = machine.ROOT / "benchmarks" / "peers"
BUILT = machine.BUILD / "peers"

# Row, what it is, unit, the rival and how many times better than it the mark is, or the
# mark itself.
ROWS = (
    ("await_resume", "an await, woken by another task", "ns", ("tokio", 5), 5),
    ("ready_await", "an await of what is ready", "ns", None, 2),
    ("random_resume", "a resume in random order over 1,000,000 tasks", "ns", None, 70),
    ("spawn_await", "a spawn and the await of its end", "ns", ("tokio", 8), 12),
    ("sleeping_bytes", "a sleeping task, of 1,000,000", "bytes", None, 110),
    ("channel_hop", "a hop over a channel, task to task", "ns", None, None),
    ("turn", "a turn of the loop with one ready call", "ns", None, 20),
    ("timer_insert", "a timer started, of 1,000,000", "ns", ("libuv", 20), None),
    ("timer_cancel", "a timer stopped, of 1,000,000", "ns", ("libuv", 15), None),
    ("timer_expire", "a timer fired, of 1,000,000", "ns", ("libuv", 6), None),
    ("spread_one", "a task of 20 us spawned anywhere, one loop", "ns", None, None),
    ("spread_two", "the same on two loops", "ns", None, None),
)


class MarkedRow(report.Row):
    """A row whose marks are a figure and a multiple of a rival."""

    def __init__(self, name, unit, samples, rival, limit):
        super().__init__(name, unit, samples, digits=1)
        self.times = rival if rival and rival[0] in self.values else None
        self.limit = limit

    @property
    def mark(self):
        marks = []
        if self.limit is not None:
            marks.append(f"<= {self.limit} {self.unit}")
        if self.times is not None:
            marks.append(f"{self.times[1]} x {self.times[0]}")
        return ", ".join(marks) or None

    @property
    def met(self):
        if self.mark is None:
            return None
        ours = self.values["bide"]
        close = self.limit is None or ours <= self.limit * (1 + report.NOISE)
        if self.times is not None:
            close = close and self.values[self.times[0]] / ours >= self.times[1]
        return close

    def cells(self, contenders):
        cells = super().cells(contenders)
        ratios = [
            f"{self.values[name] / self.values['bide']:.1f} x {name}"
            for name in contenders if name in self.values and name != "bide"
        ]
        state = "met" if self.met else "MISSED"
        verdict = "" if self.met is None else f"mark {self.mark}: {state}"
        cells[-1] = "  ".join(filter(None, [verdict, ", ".join(ratios)]))
        return cells


def build_c(name, library):
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", library], capture_output=True, text=True,
    ).stdout.split() or [f"-l{library.removeprefix('lib')}"]
    target = BUILT / name
    subprocess.run(
        ["gcc", "-O2", "-DNDEBUG", PEERS / f"{name}.c", "-o", target, *flags],
        check=True, capture_output=True,
    )
    return target


def build_tokio():
    subprocess.run(
        ["cargo", "build", "--release", "--quiet", "--locked"], cwd=PEERS / "tokio",
        env={**os.environ, "CARGO_TARGET_DIR": str(BUILT / "tokio")},
        check=True, capture_output=True,
    )
    return BUILT / "tokio" / "release" / "tokio_marks"


def build_go():
    target = BUILT / "go_marks"
    subprocess.run(
        ["go", "build", "-o", target, PEERS / "go_marks.go"], check=True, capture_output=True,
    )
    return target


BUILDERS = {
    "libuv": lambda: build_c("libuv_marks", "libuv"),
    "libev": lambda: build_c("libev_marks", "libev"),
    "tokio": build_tokio,
    "go": build_go,
}


def programs():
    """The contenders' programs, bide's first."""
    BUILT.mkdir(parents=True, exist_ok=True)
    found = {"bide": [machine.program("core_marks"), *(["quick"] if machine.QUICK else [])]}
    for name, build in BUILDERS.items():
        try:
            found[name] = [str(build())]
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", b"") or str(error).encode()
            print(f"{name} is left out: {reason.decode().strip().splitlines()[-1]}",
                  file=sys.stderr)
    return found


def measure(command, versions, name):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    versions[name] = figures.pop("version", None) or figures.pop("backend")
    return figures


def run(round_count):
    versions = {}
    samples = rounds.interleave(
        {name: lambda command=command, name=name: measure(command, versions, name)
         for name, command in programs().items()},
        round_count, "core",
    )
    versions["bide"] = machine.bide_version()
    rows = [MarkedRow(text, unit, samples[key], rival, limit)
            for key, text, unit, rival, limit in ROWS]
    one, two = (row.values["bide"] for row in rows[-2:])
    report.write("core", versions, rows)
    report.table(
        f"The core in C, medians of {round_count} rounds", rows,
        f"Two loops do {one / two:.2f} times the work of one (mark 1.8).",
    )


if __name__ == "__main__":
    run(1 if machine.QUICK else 5)
