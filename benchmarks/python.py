"""The Python loops: bide on both backends beside asyncio, uvloop, rloop, rsloop and, on
CPython 3.14, zuvloop: `make bench-python`.

    python3 benchmarks/python.py [--only TEXT] [--pythons 3.13,3.14] [--publish]

--only measures the rows whose key holds the text. --publish writes the table and the chart
into README.md and docs/performance.md too. Prints a table for each interpreter and writes
build/bench/python.json, python.md and python.svg; docs/performance.md says how to read
them. Needs nothing but the standard library; makes its environments itself.
"""

import argparse
import signal
import sys
import time

from lib import chart, environments, machine, python_report, python_rows, subjects
from lib.python_rows import Both, Load, Memory
from lib.rounds import turning
from lib.servers import LoadError

PYTHONS = ("3.13", "3.14")
ROUNDS, SLICE_S, CALLS_S = (3, 0.03, 0.02) if machine.QUICK else (5, 0.04, 0.02)


class Run:
    """The measurements on one interpreter: samples[row key][contender] is a list of
    {figure: value}, reasons[row key][contender] says why there are none or no more."""

    def __init__(self, version, environment, rows):
        self.version = version
        self.environment = environment
        self.rows = rows
        self.contenders = environment.loops()
        self.samples = {row.key: {} for row in rows}
        self.reasons = {row.key: {} for row in rows}
        self.calls = {row.key: {} for row in rows}

    def sources(self, row):
        """{contender: what is measured of it}, the floor last."""
        found = dict.fromkeys(self.contenders, row.source)
        if row.floor:
            found[subjects.FLOOR] = row.floor
        return found

    def attempt(self, row, contender, measure):
        """Measures unless that has failed before: a failure is the contender's result."""
        if contender in self.reasons[row.key]:
            return None
        try:
            return measure()
        except LoadError as error:
            self.reasons[row.key][contender] = str(error)
            return None

    def round(self, tested, number):
        for row in self.rows:
            # What a task or a connection takes repeats to the byte: one round tells it.
            if isinstance(row.source, Memory) and number > 0:
                continue
            for contender, source in turning(self.sources(row).items(), number):
                found = self.attempt(
                    row, contender, lambda: tested.measure(contender, source))
                if found:
                    self.samples[row.key].setdefault(contender, []).append(found)

    def count_calls(self, tested):
        """In slices of their own, which counting makes slower."""
        for row in self.rows:
            if not isinstance(row.source, Load) or row.source.connections == 512:
                continue
            for contender, source in self.sources(row).items():
                load = source.load if isinstance(source, Both) else source
                found = self.attempt(row, contender, lambda: tested.measure_load(
                    contender, load, CALLS_S, "--calls"))
                if found:
                    self.calls[row.key][contender] = found["calls"]

    def measure(self):
        with subjects.Subjects(self.environment, SLICE_S) as tested:
            for number in range(ROUNDS):
                started = time.monotonic()
                self.round(tested, number)
                print(f"  CPython {self.version}: round {number + 1} of {ROUNDS}, "
                      f"{time.monotonic() - started:.0f} s", flush=True)
            if machine.may_count_calls():
                self.count_calls(tested)


def rows_for(version, wanted):
    return [
        row for row in python_rows.ROWS
        if wanted in row.key
        and (row.headline or version == PYTHONS[0] and not machine.QUICK)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--pythons", default=PYTHONS[0] if machine.QUICK else ",".join(PYTHONS))
    parser.add_argument("--publish", action="store_true")
    arguments = parser.parse_args()
    made = {version: environments.make(version) for version in arguments.pythons.split(",")}
    for version, environment in made.items():
        if environment is None:
            print(f"  no CPython {version} here; scripts/debian_python.py fetches it")
    runs = [
        Run(version, environment, rows_for(version, arguments.only))
        for version, environment in made.items() if environment
    ]
    if not any(run.rows for run in runs):
        sys.exit("bench: nothing to measure")
    # To be ended is to end what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))
    described = machine.describe()
    started = time.monotonic()
    with machine.plain_congestion_control():
        for run in runs:
            run.measure()
    python_report.write(runs, described, ROUNDS, SLICE_S, time.monotonic() - started)
    if arguments.publish:
        python_report.publish()


if __name__ == "__main__":
    main()
