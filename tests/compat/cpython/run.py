"""Runs modules of CPython's own asyncio tests with a loop, and says what failed.

    run.py [--loop asyncio|bide|uvloop] [--log DIR] [MODULE ...]

MODULE is a name such as test_streams; without one all of classes.py run. Each module
runs in a process of its own. When a test hangs, or takes the process down, that test has
failed, and another process goes on with those behind it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import classes

STALL_LIMIT_S = 30  # of one test; stock asyncio's slowest takes about 10 s
WATCH_INTERVAL_S = 0.1


class Module:
    """The tests of one module. `journal` hears when each starts and how it ended;
    `wants` says whether a test is to run."""

    def __init__(self, name, loop, journal, wants, directory):
        self.name = name
        self.loop = loop
        self.journal = journal
        self.wants = wants
        self.stem = os.path.join(directory, name)

    def run(self):
        _, _, tests = self._process([])
        wanted = [test for test in tests if self.wants(test)]
        while wanted:
            code, running, ended = self._process(wanted)
            wanted = [test for test in wanted if test not in ended]
            if code == 0:
                return
            lost = running or f"{self.name}: the process itself"
            self.journal.ended(lost, "failed", how_it_ended(code))
            if lost not in wanted:
                return
            wanted.remove(lost)

    def _process(self, wanted):
        """Runs tests, or lists the module's if there are none. Returns the process's exit
        code (None if it was killed), the test that it was in, and those that ended."""
        selection, report = self.stem + ".json", self.stem + ".jsonl"
        with open(selection, "w") as file:
            json.dump(wanted, file)
        command = [sys.executable, os.path.join(HERE, "child.py"), self.loop, self.name]
        with open(report, "w+") as lines, open(self.stem + ".log", "a") as log:
            process = subprocess.Popen(
                [*command, selection, report], cwd=os.path.dirname(self.stem),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
            try:
                return self._follow(process, lines)
            finally:
                end_group(process)

    def _follow(self, process, lines):
        running, ended, since = None, [], time.monotonic()
        begun = ""  # a line that the process is still writing
        while True:
            code = process.poll()
            *said, begun = (begun + lines.read()).split("\n")
            for line in map(json.loads, said):
                running = line["test"] if "outcome" not in line else None
                if running:
                    self.journal.started(running)
                    continue
                ended.append(line["test"])
                if line["outcome"]:
                    self.journal.ended(line["test"], line["outcome"], line["reason"])
            if code is not None:
                return code, running, ended
            if said:
                since = time.monotonic()
            elif time.monotonic() - since > STALL_LIMIT_S:
                return None, running, ended
            else:
                time.sleep(WATCH_INTERVAL_S)


def end_group(process):
    """What the tests have left running goes with them."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def how_it_ended(code):
    if code is None:
        return f"did not end in {STALL_LIMIT_S} s"
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process exited with {code}"


def run_modules(loop, journal, wants, directory, chosen=()):
    for name, short in classes.modules():
        if not chosen or short in chosen:
            Module(name, loop, journal, wants, directory).run()


class Quiet:
    """A journal that keeps what it is told."""

    def __init__(self):
        self.outcomes = {}
        self.reasons = {}  # of those that failed

    def started(self, test):
        pass

    def ended(self, test, outcome, reason=""):
        self.outcomes[test] = outcome
        if outcome == "failed":
            self.reasons[test] = reason

    def count(self, outcome):
        return list(self.outcomes.values()).count(outcome)


class Printer(Quiet):
    """Prints what failed, too."""

    def ended(self, test, outcome, reason=""):
        super().ended(test, outcome, reason)
        if outcome == "failed":
            print(f"{test}: {reason}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loop", choices=("asyncio", "bide", "uvloop"), default="bide")
    parser.add_argument("--log", help="where to leave the modules' output")
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    arguments = parser.parse_args()
    printer = Printer()
    with tempfile.TemporaryDirectory() as temporary:
        directory = os.path.abspath(arguments.log or temporary)
        os.makedirs(directory, exist_ok=True)
        run_modules(arguments.loop, printer, lambda test: True, directory, arguments.modules)
    print(", ".join(f"{printer.count(o)} {o}" for o in ("passed", "failed", "skipped")))
    sys.exit(1 if printer.count("failed") else 0)


if __name__ == "__main__":
    main()
