"""What a suite is given to run with, and the journal that it writes.

The journal is a file of JSON lines, each flushed as it happens: one when a test starts,
one when it has ended. So a crash or a hang costs one test, which is known by name, and
the runner starts the suite again for what is left.
"""

import json

LOOPS = ("asyncio", "bide", "uvloop")


class Journal:
    """Where a run tells what becomes of each test."""

    def __init__(self, path):
        self._file = open(path, "a", encoding="utf-8")

    def _write(self, **line):
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def started(self, test):
        self._write(started=test)

    def ended(self, test, outcome, reason=""):
        """`outcome` is passed, failed or skipped; `reason` says why in one line."""
        assert outcome in ("passed", "failed", "skipped"), outcome
        self._write(test=test, outcome=outcome, reason=reason)

    def complete(self):
        """Every test that was to run has ended."""
        self._write(complete=True)

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Context:
    """`loop` is one of LOOPS, `sources` maps a package to its unpacked sdist, `work` is
    an empty directory with a short path. A test runs when `wants` says so."""

    def __init__(self, loop, sources, work, journal, only=None, done=()):
        self.loop = loop
        self.sources = sources
        self.work = work
        self.journal = journal
        self._only = only
        self._done = frozenset(done)

    def wants(self, test):
        if test in self._done:
            return False
        return self._only is None or test in self._only


def read(path):
    """What a journal says: ({test: (outcome, reason)}, test that never ended or None,
    whether the run was complete). A line cut off by a crash is left out."""
    outcomes, running, complete = {}, None, False
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.readlines()
    except FileNotFoundError:
        return outcomes, running, complete
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if "started" in said:
            running = said["started"]
        elif "test" in said:
            outcomes[said["test"]] = (said["outcome"], said["reason"])
            if running == said["test"]:
                running = None
        else:
            complete = True
    return outcomes, running, complete
