"""Compares a suite's runs and writes docs/results: a page and a JSON file a suite, and
the index of them all."""

import datetime
import fnmatch
import glob
import json
import os
import platform
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DIRECTORY = os.path.join(ROOT, "docs", "results")
RUNTIMES = {"io_uring": "bide, io_uring", "epoll": "bide, epoll", "auto": "bide, auto"}


class RunResult:
    """The outcomes of one run and what they are beside asyncio's."""

    def __init__(self, name, outcomes):
        self.name = name
        self.outcomes = outcomes
        self.flaky = {}  # test: at which try it passed
        self.explained = {}  # test: why it may fail
        self.new = {}  # test: what it failed with
        self.lost = []  # passed on asyncio, skipped or not found here
        self._tries = {}

    def count(self, outcome):
        return sum(found == outcome for found, _ in self.outcomes.values())

    def worse_than(self, other):
        """The tests that failed here and did not fail there."""
        self.lost = sorted(
            test for test, (outcome, _) in other.outcomes.items()
            if outcome == "passed" and self.outcomes.get(test, ("absent",))[0]
            not in ("passed", "failed")
        )
        return sorted(
            test for test, (outcome, _) in self.outcomes.items()
            if outcome == "failed" and other.outcomes.get(test, ("absent",))[0] != "failed"
        )

    def retried(self, tests, outcomes):
        """One more run of some tests: the first pass makes a test flaky."""
        for test in tests:
            self._tries[test] = self._tries.get(test, 0) + 1
            if outcomes.get(test) == "passed":
                self.flaky[test] = f"passed when run alone, at try {self._tries[test]}"

    def judge(self, failures, expected):
        """Splits what never passed into explained and new."""
        for test in failures:
            reasons = [
                reason for pattern, reason in expected.items()
                if test == pattern or fnmatch.fnmatchcase(test, pattern)
            ]
            if reasons:
                self.explained[test] = reasons[0]
            else:
                self.new[test] = self.outcomes[test][1]

    def counts(self):
        return {
            "passed": self.count("passed"),
            "failed": self.count("failed"),
            "skipped": self.count("skipped"),
            "new": len(self.new),
            "explained": len(self.explained),
            "flaky": len(self.flaky),
            "lost": len(self.lost),
        }

    def summary(self):
        counts = self.counts()
        text = "{passed} passed, {failed} failed, {skipped} skipped".format(**counts)
        if self.name in RUNTIMES:
            text += "; {new} new, {explained} explained, {flaky} flaky".format(**counts)
        return text

    def saved(self):
        return {
            **self.counts(),
            "new failures": self.new,
            "explained failures": self.explained,
            "flaky tests": self.flaky,
            "not run though asyncio passes": {
                test: self.outcomes.get(test, ("", "not found"))[1] for test in self.lost
            },
            "all failures": sorted(
                test for test, (outcome, _) in self.outcomes.items() if outcome == "failed"
            ),
            "why skipped": skip_reasons(self.outcomes),
        }


def skip_reasons(outcomes):
    reasons = {}
    for outcome, reason in outcomes.values():
        if outcome == "skipped":
            reasons[reason] = reasons.get(reason, 0) + 1
    return dict(sorted(reasons.items()))


SOURCES = ("core", "bindings/python", "python")


def bide_commit():
    """The last commit that changed bide, with a mark if its files differ from it."""
    def git(*arguments):
        return subprocess.run(
            ["git", *arguments, "--", *SOURCES], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()

    commit = git("log", "-1", "--format=%h", "--abbrev=10") or "unknown"
    return commit + ("+" if git("status", "--porcelain") else "")


class Page:
    """A suite's results. They replace those of the run before."""

    def __init__(self, suite):
        self.suite = suite
        now = datetime.datetime.now(datetime.timezone.utc)
        self.saved = {
            "suite": suite.name,
            "purpose": suite.purpose,
            "date": now.strftime("%Y-%m-%d %H:%M UTC"),
            "kernel": platform.release(),
            "bide": bide_commit(),
            "pythons": {},
        }

    def add(self, environment, measured):
        packages = environment.packages()
        self.saved["pythons"][environment.version] = {
            "version": environment.python_version(),
            "packages": packages,
            "runs": {name: result.saved() for name, result in measured.items()},
        }

    def unexplained(self):
        """How many new failures bide has; another loop's are its own affair."""
        return sum(
            run["new"] for python in self.saved["pythons"].values()
            for name, run in python["runs"].items() if name in RUNTIMES
        )

    def write(self):
        os.makedirs(DIRECTORY, exist_ok=True)
        stem = os.path.join(DIRECTORY, self.suite.name)
        with open(stem + ".json", "w", encoding="utf-8") as file:
            json.dump(self.saved, file, indent=1, ensure_ascii=False)
            file.write("\n")
        with open(stem + ".md", "w", encoding="utf-8") as file:
            file.write("\n".join(page_lines(self.saved)) + "\n")


def page_lines(saved):
    yield f"# {saved['suite']}"
    yield ""
    yield saved["purpose"]
    yield ""
    yield f"Run on {saved['date']}, kernel {saved['kernel']}, bide of commit {saved['bide']}."
    for version, python in saved["pythons"].items():
        yield ""
        yield f"## CPython {python['version']}"
        yield ""
        yield from table_lines(python["runs"])
        for title, key in (
            ("New failures", "new failures"),
            ("Failures that are explained", "explained failures"),
            ("Flaky", "flaky tests"),
            ("Passed on asyncio, not run on bide", "not run though asyncio passes"),
        ):
            yield from list_lines(title, key, python["runs"])
        yield from failure_lines(python["runs"].get("asyncio"))
        yield from skip_lines(python["runs"])
        yield ""
        yield "Packages: " + ", ".join(
            f"{name} {number}" for name, number in sorted(python["packages"].items())
        ) + "."


def row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def count_cells(name, run):
    """Only bide's runs are judged."""
    judged = [run["new"], run["explained"], run["flaky"]]
    return [
        run["passed"], run["failed"], run["skipped"],
        *(judged if name in RUNTIMES else [""] * len(judged)),
    ]


def table_lines(runs):
    yield "| loop | passed | failed | skipped | new failures | explained | flaky |"
    yield "|---|---|---|---|---|---|---|"
    for name, run in runs.items():
        yield row([RUNTIMES.get(name, name), *count_cells(name, run)])


def code(text):
    """As Markdown's code, whatever the text holds."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def list_lines(title, key, runs):
    """Each test once, with the loops that it concerns."""
    tests = {}
    for name, run in runs.items():
        for test, reason in run[key].items():
            tests.setdefault((test, reason), []).append(name)
    if not tests:
        return
    yield ""
    yield f"{title}:"
    yield ""
    for (test, reason), names in sorted(tests.items()):
        yield f"- {code(test)} ({', '.join(names)}): {reason}"


def failure_lines(asyncio_run):
    if asyncio_run and asyncio_run["all failures"]:
        yield ""
        yield "Failed on asyncio itself: " + ", ".join(
            code(test) for test in asyncio_run["all failures"]
        ) + "."


def skip_lines(runs):
    """The reasons are much the same on all loops: the last run's are told."""
    if runs:
        reasons = list(runs.values())[-1]["why skipped"]
        if reasons:
            yield ""
            yield "Skipped, with the suite's own reasons:"
            yield ""
            for reason, count in reasons.items():
                yield f"- {count}: {reason or 'no reason given'}"


def write_index():
    """docs/results/README.md: the newest results of every suite."""
    lines = [
        "# Results beside real programs",
        "",
        "Written by `make compat`. Each suite runs on asyncio and on bide; a new failure is a",
        "test that fails on bide, failed again alone three times, and does not fail on asyncio.",
        "An explained one has its reason on the suite's page, a flaky one passed when it was",
        "run again alone.",
        "",
        "| suite | date | bide | CPython | loop | passed | failed | skipped | new | explained"
        " | flaky |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(glob.glob(os.path.join(DIRECTORY, "*.json"))):
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        for python in saved["pythons"].values():
            for name, run in python["runs"].items():
                lines.append(row([
                    f"[{saved['suite']}]({saved['suite']}.md)", saved["date"][:10],
                    saved["bide"], python["version"], RUNTIMES.get(name, name),
                    *count_cells(name, run),
                ]))
    with open(os.path.join(DIRECTORY, "README.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
