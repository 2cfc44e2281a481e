"""Compares a suite's runs and writes docs/results: a page and a JSON file a suite, and
the index of them all."""

import datetime
import fnmatch
import glob
import json
import os
import platform
import re
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DIRECTORY = os.path.join(ROOT, "docs", "results")
RUNTIMES = {"io_uring": "bide, io_uring", "epoll": "bide, epoll", "auto": "bide, auto"}


def matching(pattern, tests):
    """Those that a name in expected.json means; one with brackets may be meant as it is."""
    return [test for test in tests if test == pattern or fnmatch.fnmatchcase(test, pattern)]


def without_places(text):
    """A failure's message without where this copy of bide and its runs lie, which a long
    path in it may be cut off from."""
    text = re.sub(re.escape(tempfile.gettempdir()) + r"/bc\w+", "WORK", text)
    text = text.replace(ROOT + "/", "")
    for length in range(len(ROOT), 1, -1):
        text = text.replace(ROOT[:length] + "...", "...")
    return text


class RunResult:
    """The outcomes of one run and what they are beside the reference's."""

    def __init__(self, name, outcomes):
        self.name = name
        self.outcomes = {
            test: (outcome, without_places(reason))
            for test, (outcome, reason) in outcomes.items()
        }
        self.flaky = {}  # test: at which try it passed
        self.explained = {}  # test: why it may fail
        self.new = {}  # test: what it failed with
        self.lost = []  # passed on the reference, skipped or not found here

    def failures(self):
        """{test: what it failed with} of those that failed."""
        return {
            test: reason for test, (outcome, reason) in sorted(self.outcomes.items())
            if outcome == "failed"
        }

    def count(self, outcome):
        return sum(found == outcome for found, _ in self.outcomes.values())

    def worse_than(self, other):
        """The tests that failed here and did not fail there."""
        self.lost = sorted(
            test for test, (outcome, _) in other.outcomes.items()
            if outcome == "passed" and self.outcomes.get(test, ("absent",))[0]
            not in ("passed", "failed")
        )
        excused = other.failures().keys() - other.flaky.keys()
        return [test for test in self.failures() if test not in excused]

    def judge(self, failures, expected):
        """Splits failures into explained and new ones."""
        for test in failures:
            reasons = [
                reason for pattern, reason in expected.items() if matching(pattern, [test])
            ]
            if reasons:
                self.explained[test] = reasons[0]
            else:
                self.new[test] = self.outcomes[test][1]

    def retried(self, attempt, outcomes):
        """Failures were run once more: one that passes now is flaky."""
        for test, told in self.failures().items():
            if outcomes.get(test) == "passed":
                self.new.pop(test, None)
                self.flaky[test] = f"passed when run alone, at try {attempt}; before: {told}"

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
            "not run": {  # though the reference passes
                test: self.outcomes.get(test, ("", "not found"))[1] for test in self.lost
            },
            "failures": {
                test: reason for test, reason in self.failures().items()
                if test not in self.flaky
            },
            "why skipped": skip_reasons(self.outcomes),
        }


def skip_reasons(outcomes):
    """{reason: how many tests have it}; a test that gives none is named."""
    reasons = {}
    for test, (outcome, reason) in outcomes.items():
        if outcome == "skipped":
            told = reason.removeprefix("Skipped: ")
            if told in ("", "Skipped"):
                told = f"{code(test)} gives no reason"
            reasons[told] = reasons.get(told, 0) + 1
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
            "reference": suite.settings["REFERENCE"],
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

    def without_use(self, expected):
        """The names in expected.json that explained no failure in these runs."""
        explained = [
            test for python in self.saved["pythons"].values()
            for run in python["runs"].values() for test in run["explained failures"]
        ]
        return [pattern for pattern in expected if not matching(pattern, explained)]

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
        judged = {name: run for name, run in python["runs"].items() if name in RUNTIMES}
        for title, key in (
            ("New failures", "new failures"),
            ("Failures that are explained", "explained failures"),
            (f"Passed on {saved['reference']}, not run on bide", "not run"),
        ):
            yield from list_lines(title, key, judged)
        for name, run in python["runs"].items():
            if name not in RUNTIMES:
                yield from list_lines(f"Failed on {name} itself", "failures", {name: run})
        yield from list_lines("Flaky", "flaky tests", python["runs"])
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
        yield f"- {code(test)} ({', '.join(names)}): {reason or 'without a message'}"


def skip_lines(runs):
    """Each reason with the loops on which as many tests have it."""
    reasons = {}
    for name, run in runs.items():
        for reason, count in run["why skipped"].items():
            reasons.setdefault((reason, count), []).append(name)
    if not reasons:
        return
    yield ""
    yield "Skipped, with the suite's own reasons:"
    yield ""
    for (reason, count), names in sorted(reasons.items()):
        yield f"- {count} ({', '.join(names)}): {reason}"


def write_index():
    """docs/results/README.md: the newest results of every suite."""
    lines = [
        "# Results beside real programs",
        "",
        "Written by `make compat`. Each suite runs on asyncio and on bide; a new failure is a",
        "test that fails on bide, failed again alone three times, and does not fail on asyncio.",
        "An explained one has its reason on the suite's page, a flaky one passed when it was",
        "run again alone. The commit is the last that changed bide itself.",
        "",
        "| suite | date | bide | CPython | loop | passed | failed | skipped | new | explained"
        " | flaky |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(glob.glob(os.path.join(DIRECTORY, "*.json"))):
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        if "suite" not in saved:
            continue  # not a page of ours
        for python in saved["pythons"].values():
            for name, run in python["runs"].items():
                lines.append(row([
                    f"[{saved['suite']}]({saved['suite']}.md)", saved["date"][:10],
                    saved["bide"], python["version"], RUNTIMES.get(name, name),
                    *count_cells(name, run),
                ]))
    with open(os.path.join(DIRECTORY, "README.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
