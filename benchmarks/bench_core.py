"""What the core's tasks, timers and loops cost, beside libuv, libev, Tokio and Go.

    python benchmarks/bench_core.py [--publish]

--publish writes the table and its chart into the README.

Each contender is a program of its own that prints its rows as JSON; they run in turn, each on
one processor but for the rows that take two loops. The peers are built from
benchmarks/peers into build/peers: libuv from Debian sid, libev from the system's packages, Tokio
by cargo, Go by its own tools. One that cannot be built is left out and named. bide and Tokio are
compiled with their programs as a whole (-flto). The rows "by hand" are no contender's: they are
the least that does the same, and say what is left to be gained.
"""

import json
import os
import re
import subprocess
import sys

from lib import bars, machine, python_report, report, rounds, sid

PEERS = machine.ROOT / "benchmarks" / "peers"
BUILT = machine.BUILD / "peers"
README = machine.ROOT / "README.md"
CHART = machine.ROOT / "docs" / "core.svg"

# Row, what it is, unit, the rival and how many times better than it the mark is, or the
# mark itself. CPU time where the unit is ns, wall time where several threads take part: us.
ROWS = (
    ("syscall", "a system call that does nothing", "ns", None, None),
    ("await_resume", "an await, woken by another task", "ns", ("tokio", 5), 5),
    ("await_floor", "the same by hand: a ring of functions and a flag", "ns", None, None),
    ("ready_await", "an await of what is ready", "ns", None, 2),
    ("random_resume", "a resume in random order over 1,000,000 tasks", "ns", None, 70),
    ("spawn_await", "a spawn and the await of its end", "ns", ("tokio", 8), 12),
    ("spawn_floor", "the same by hand: a frame, a ring and a flag", "ns", None, None),
    ("sleeping_bytes", "a sleeping task, of 1,000,000", "bytes", None, 110),
    ("sleeping_bytes_ten", "a sleeping task, of 10,000,000", "bytes", None, 100),
    ("channel_hop", "a hop over a channel, task to task", "ns", None, None),
    ("mutex_hand_over", "a mutex handed over, task to task", "ns", None, None),
    ("select", "a select of 8, which another task decides", "ns", None, None),
    ("turn", "a turn of the loop with one ready call", "ns", None, 20),
    ("timer_insert", "a timer started, of 1,000,000", "ns", ("libuv", 20), None),
    ("timer_insert_floor", "the same by hand: one list, no wheel", "ns", None, None),
    ("timer_cancel", "a timer stopped, of 1,000,000", "ns", ("libuv", 15), None),
    ("timer_cancel_floor", "the same by hand: one list, no wheel", "ns", None, None),
    ("timer_expire", "a timer fired, of 1,000,000", "ns", ("libuv", 6), None),
    ("thread_post", "a call that a thread posts to a sleeping loop", "us", None, None),
    ("offload_1", "a job on 4 threads, 1 in flight", "us", ("libuv", 1.5), None),
    ("offload_64", "a job on 4 threads, 64 in flight", "us", ("libuv", 2), None),
    ("offload_1024", "a job on 4 threads, 1,024 in flight", "us", ("libuv", 5), None),
    ("offload_floor", "the same by hand: a spinning thread and two rings", "us", None, None),
    ("echo_parked", "a round trip on one connection, the loop asleep", "us", None, None),
    ("echo_spinning", "the same, the loop spinning for 200 us", "us", None, None),
    ("spread_one", "a task of 20 us spawned anywhere, one loop", "us", None, None),
    ("spread_two", "the same on two loops", "us", None, None),
    ("spread_cpu", "the same in CPU time", "us", None, None),
    ("spread_share", "of which the second loop took over", "%", None, None),
)
# What the programs print in nanoseconds and the table shows in microseconds.
LONG = 1000


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


def build_c(name, *flags):
    target = BUILT / name
    subprocess.run(
        ["gcc", "-O2", "-DNDEBUG", PEERS / f"{name}.c", "-o", target, *flags],
        check=True, capture_output=True,
    )
    return target


def build_tokio():
    lock = (PEERS / "tokio" / "Cargo.lock").read_text()
    version = re.search('name = "tokio"\nversion = "(.+)"', lock)[1]
    subprocess.run(
        ["cargo", "build", "--release", "--quiet", "--locked"], cwd=PEERS / "tokio",
        env={**os.environ, "CARGO_TARGET_DIR": str(BUILT / "tokio"),
             "TOKIO_VERSION": version},
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
    "libuv": lambda: build_c("libuv_marks", *sid.libuv_flags()),
    "libev": lambda: build_c("libev_marks", "-lev"),
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


def row_of(key, text, unit, rival, limit, series):
    if unit == "us":
        series = {name: [value / LONG for value in values] for name, values in series.items()}
    return MarkedRow(text, unit, series, rival, limit)


def two_loops(samples):
    """How the rows of one loop and of two read together."""
    one, two = (rounds.medians(samples[key])["bide"] for key in ("spread_one", "spread_two"))
    cpu, share = (rounds.medians(samples[key])["bide"] for key in ("spread_cpu", "spread_share"))
    return (
        f"Two loops do {one / two:.2f} times the work of one (mark 1.8). Each has its share "
        f"({share:.0f} % were taken over) and a task takes {cpu / LONG:.1f} us of CPU, so that "
        f"two free processors give {LONG * 20 / cpu * 2:.2f}."
    )


def run(round_count):
    versions = {}
    described = machine.describe()
    samples = rounds.interleave(
        {name: lambda command=command, name=name: measure(command, versions, name)
         for name, command in programs().items()},
        round_count, "core",
    )
    versions = {**versions, "bide": machine.bide_version()}
    rows = [row_of(*row, samples[row[0]]) for row in ROWS if row[0] in samples]
    report.write("core", versions, rows)
    note = two_loops(samples)
    report.table(f"The core in C, medians of {round_count} rounds", rows, note)
    if "--publish" in sys.argv[1:]:
        publish(described, versions, rows, note, round_count)


def publish(described, versions, rows, note, round_count):
    """Puts the table into the README, and the chart beside it."""
    contenders = list(versions)
    lines = [
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}; "
        f"{described['cpu']}, {described['cores']} cores, Linux {described['kernel']}, load "
        f"{described['load_average']:.1f} before; medians of {round_count} rounds; less is "
        "better. bide and tokio are compiled with their programs as a whole.",
        "", "![How many times bide's cost the others take](docs/core.svg)", "",
        "| | " + " | ".join([*contenders, "unit", ""]) + " |",
        "|---|" + "---:|" * len(contenders) + "---|---|",
        *("| " + " | ".join(row.cells(contenders)) + " |" for row in rows), "", note,
    ]
    README.write_text(
        python_report.replaced(README.read_text(), "bench-core", "\n".join(lines)))
    CHART.write_text(bars.draw("Times bide's cost; right is dearer", rows))


if __name__ == "__main__":
    run(1 if machine.QUICK else 5)
