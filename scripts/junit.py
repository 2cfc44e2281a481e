"""Counts what a JUnit report says; ctest, pytest and node's runner all write one."""

import xml.etree.ElementTree as ElementTree


class Counts:
    def __init__(self):
        self.passed = 0
        self.skipped = 0
        self.failures = []  # the names of the tests that failed

    @property
    def total(self):
        return self.passed + self.skipped + len(self.failures)


def read(path):
    """The counts of a report. A report that is not there or is cut off counts as
    nothing: the caller knows the runner's exit code and makes it a failure."""
    counts = Counts()
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return counts
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            where = case.get("classname", "")
            name = case.get("name", "?")
            counts.failures.append(f"{where}::{name}" if where not in ("", name) else name)
        elif case.find("skipped") is not None:
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts
