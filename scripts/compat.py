"""Runs the suites of real programs on bide and beside it on asyncio.

    python3 scripts/compat.py [--list] [--pythons 3.13,3.11] [--runs asyncio,epoll]
                              [--again] [SUITE ...]

A suite is a directory of tests/compat with a suite.py; tests/compat/README.md says what
belongs in it. Each runs once on asyncio and once on each of bide's backends, in an
environment of its own. What fails on asyncio is run alone once more: if it passes then, a
load on the machine excuses nothing. What fails on bide, is not excused by asyncio and has no
reason in the suite's expected.json is run alone three times more: what then passes is called
flaky, what never does is a new failure. Results go to docs/results/. A run that was broken
off is taken up where it stopped; --again forgets what was run before. The exit code is 0
only if there is no new failure.
"""

import argparse
import ast
import glob
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
sys.path.insert(0, os.path.join(ROOT, "tests", "compat", "lib"))
import compat_report
import compat_sources
import context
import pythons
import ring_probe
import suites
import venvs

BUILD = os.path.join(ROOT, "build", "compat")
LIBRARY = "tests/compat/lib"
RUNS = {  # of a suite: the loop and bide's backend
    "asyncio": ("asyncio", None),
    "uvloop": ("uvloop", None),
    "io_uring": ("bide", "io_uring"),
    "epoll": ("bide", "epoll"),
    "auto": ("bide", "auto"),
}
DEFAULTS = {
    "SOURCES": [], "LIMIT_S": 900, "RUNS": ["asyncio", "io_uring", "epoll", "auto"],
    "PYTHONS": None, "REFERENCE": "asyncio",
}
STALL_LIMIT_S = 180  # without a word in the journal
RESTARTS_MAX = 20
RERUNS = 3
RERUN_TESTS_MAX = 100  # more than that fail for a reason they share


class Suite:
    """What suite.py says. Its constants are read and not run: it may import packages
    that only its own environment has."""

    def __init__(self, name):
        self.name = name
        self.directory = os.path.join(ROOT, "tests", "compat", name)
        self.settings = dict(DEFAULTS)
        with open(os.path.join(self.directory, "suite.py"), encoding="utf-8") as file:
            tree = ast.parse(file.read())
        self.purpose = ast.get_docstring(tree)
        for node in tree.body:
            if isinstance(node, ast.Assign) and node.targets[0].id in DEFAULTS:
                self.settings[node.targets[0].id] = ast.literal_eval(node.value)

    @property
    def expected(self):
        """{test: why it fails on bide and may}."""
        try:
            with open(os.path.join(self.directory, "expected.json"), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return {}


def all_suites():
    found = glob.glob(os.path.join(ROOT, "tests", "compat", "*", "suite.py"))
    return [os.path.basename(os.path.dirname(path)) for path in sorted(found)]


def run_quietly(command, what, environment=None):
    done = subprocess.run(
        command, cwd=ROOT, text=True, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        sys.exit(f"compat: {what}: failed; see above")
    return done.stdout


class Environment:
    """The virtual environment of one suite for one Python, with bide in it."""

    def __init__(self, suite, version, interpreter):
        self.version = version
        self.directory = os.path.join(ROOT, ".deps", "compat", f"{suite.name}-{version}")
        self.python = os.path.join(self.directory, "bin", "python")
        self.interpreter = interpreter
        self.requirements = os.path.join(
            "tests", "compat", suite.name, "requirements.txt"
        )

    def _stamp(self, kind):
        return os.path.join(self.directory, venvs.stamp_name(kind))

    def make(self):
        name = os.path.relpath(self.directory, ROOT)
        pip = [
            self.python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"
        ]
        venvs.once(
            self._stamp("venv"), self.interpreter, f"making {name}",
            [self.interpreter, "-m", "venv", "--clear", self.directory],
        )
        if os.path.exists(os.path.join(ROOT, self.requirements)):
            venvs.once(
                self._stamp("packages"), venvs.digest([self.requirements]),
                f"installing {self.requirements} into {name}",
                [*pip, "-r", self.requirements],
            )
        digest = venvs.digest(venvs.SOURCES)
        venvs.once(
            self._stamp("bide"), digest, f"installing bide into {name}",
            [*pip, "--no-deps", "--force-reinstall",
             wheel(self.python, self.interpreter, digest)],
        )

    def packages(self):
        """{package: version} of what is installed."""
        text = run_quietly(
            [self.python, "-m", "pip", "--disable-pip-version-check", "list",
             "--format=json"],
            "pip list",
        )
        return {entry["name"]: entry["version"] for entry in json.loads(text)}

    def python_version(self):
        return run_quietly(
            [self.python, "-c", "import platform; print(platform.python_version())"],
            "the version",
        ).strip()


def wheel(python, interpreter, digest):
    """bide built once for an interpreter, for all suites, by the pip of one environment:
    the interpreter may have none."""
    tag = hashlib.sha256(interpreter.encode()).hexdigest()[:8]
    directory = os.path.join(BUILD, "wheels", f"{digest[:16]}-{tag}")
    made = glob.glob(os.path.join(directory, "*.whl"))
    if not made:
        run_quietly(
            [python, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet",
             "--no-deps", "--wheel-dir", directory, "."],
            "building bide",
        )
        made = glob.glob(os.path.join(directory, "*.whl"))
    return made[0]


class Run:
    """One suite on one loop in one environment; its journal outlives this process."""

    def __init__(self, suite, environment, name, sources):
        self.suite = suite
        self.environment = environment
        self.name = name
        self.loop, self.backend = RUNS[name]
        self.sources = sources
        self.stem = os.path.join(BUILD, "runs", f"{suite.name}-{environment.version}-{name}")

    def _key(self):
        """What the journal is about: another bide or another suite starts it anew."""
        directory = f"tests/compat/{self.suite.name}"
        paths = [LIBRARY] + [
            os.path.join(directory, name) for name in sorted(os.listdir(self.suite.directory))
            if name not in ("expected.json", "__pycache__")
        ]
        if self.loop == "bide":
            paths += venvs.SOURCES
        return f"{venvs.digest(paths)} {self.environment.python}\n"

    def journal(self, again):
        """Runs what the journal does not have; returns its path."""
        path, key_path = self.stem + ".jsonl", self.stem + ".key"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(key_path, encoding="utf-8") as file:
                known = file.read()
        except FileNotFoundError:
            known = None
        if again or known != self._key():
            for stale in glob.glob(glob.escape(self.stem) + ".*"):
                os.remove(stale)
            with open(key_path, "w", encoding="utf-8") as file:
                file.write(self._key())
        self._until_complete(path, only=None)
        return path

    def rerun(self, tests, attempt):
        """{test: outcome} of running some tests alone once more."""
        path = f"{self.stem}.again{attempt}.jsonl"
        if os.path.exists(path):
            os.remove(path)
        self._until_complete(path, only=sorted(tests))
        return {test: outcome for test, (outcome, _) in context.read(path)[0].items()}

    def _until_complete(self, path, only):
        """A test in which the run crashed or hung has failed; the others go on."""
        deadline = time.monotonic() + self.suite.settings["LIMIT_S"]
        for _ in range(RESTARTS_MAX):
            outcomes, _, complete = context.read(path)
            if complete:
                return
            known = len(outcomes)
            why = self._child(path, only, sorted(outcomes), deadline)
            outcomes, running, complete = context.read(path)
            if complete:
                return
            with context.Journal(path) as journal:
                lost = running or f"the run itself, after {len(outcomes)} tests"
                journal.ended(lost, "failed", why)
            fruitless = running is None and len(outcomes) == known
            if fruitless or time.monotonic() > deadline:
                break
        with context.Journal(path) as journal:
            journal.complete()

    def _child(self, path, only, done, deadline):
        """Runs the suite once in a process of its own. Returns how that ended."""
        work = tempfile.mkdtemp(prefix="bc")
        lists = {"only": only, "done": done}
        command = [
            *hosts_wrapper(),
            self.environment.python, "-P" if self.environment.version != "3.10" else "-s",
            os.path.join(ROOT, LIBRARY, "child.py"), self.suite.directory,
            "--loop", self.loop, "--sources", json.dumps(self.sources),
            "--work", work, "--journal", path,
        ]
        for option, listed in lists.items():
            if listed is not None:
                name = os.path.join(work, option + ".json")
                with open(name, "w", encoding="utf-8") as file:
                    json.dump(listed, file)
                command += ["--" + option, name]
        with open(self.stem + ".log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(
                command, cwd=work, env=self._environment_variables(), stdout=log,
                stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=suites.heed_interrupts,
            )
            try:
                return wait_for(process, path, deadline)
            finally:
                end_group(process)
                shutil.rmtree(work, ignore_errors=True)

    def _environment_variables(self):
        variables = {
            **os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "PATH": os.path.dirname(self.environment.python) + ":" + os.environ["PATH"],
        }
        for name in ("PYTHONPATH", "BIDE_BACKEND", "CI"):
            variables.pop(name, None)
        if self.backend:
            variables["BIDE_BACKEND"] = self.backend
        return variables


def hosts_wrapper():
    """Many suites take it that localhost is 127.0.0.1 and ::1. Where /etc/hosts has only
    the one, a mount namespace gives the run a file that has both, if we may make one."""
    families = {info[0] for info in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)}
    hosts = os.path.join(BUILD, "hosts")
    with open(hosts, "w", encoding="utf-8") as file:
        file.write("127.0.0.1 localhost\n::1 localhost\n")
    mount = f'mount --bind "{hosts}" /etc/hosts && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    if len(families) == 2 or not shutil.which("unshare"):
        return []
    works = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if works else []


def end_group(process):
    """What the tests have left running goes with them."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def wait_for(process, journal, deadline):
    """How the run ended: on its own, or killed since its journal stood still."""
    size, since = -1, time.monotonic()
    while True:
        try:
            code = process.wait(timeout=1)
            return f"the process ended with {code}"
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        grown = os.path.getsize(journal) if os.path.exists(journal) else 0
        if grown != size:
            size, since = grown, now
        if now - since > STALL_LIMIT_S:
            return f"nothing was heard of it for {STALL_LIMIT_S} s"
        if now > deadline:
            return "the suite's time was over"


def rerun(run, result, tests, attempt):
    if 0 < len(tests) <= RERUN_TESTS_MAX:
        result.retried(attempt, run.rerun(tests, attempt))


def measure(suite, environment, names, sources, again):
    """{run: its outcomes, seconds, flaky and new failures}, what bide is held to first."""
    reference = suite.settings["REFERENCE"]
    measured, nothing = {}, compat_report.RunResult(reference, {})
    for name in names:
        print(f"compat: {suite.name} on CPython {environment.version}, {name} ... ",
              end="", flush=True)
        run = Run(suite, environment, name, sources)
        began = time.monotonic()
        outcomes, _, _ = context.read(run.journal(again))
        result = compat_report.RunResult(name, outcomes)
        if name == reference:
            rerun(run, result, result.failures(), 1)
        else:
            failures = result.worse_than(measured.get(reference, nothing))
            result.judge(failures, suite.expected)
            for attempt in range(1, RERUNS + 1 if run.loop == "bide" else 1):
                rerun(run, result, result.new, attempt)
        measured[name] = result
        print(f"{result.summary()} in {time.monotonic() - began:.0f} s", flush=True)
    return measured


def run_suite(suite, chosen, names, again):
    """The suite on every Python asked for; its page in docs/results is written."""
    try:
        sources = dict(map(compat_sources.fetch, suite.settings["SOURCES"]))
    except compat_sources.Unavailable as error:
        print(f"compat: {suite.name} cannot be run: {error}")
        return 1
    page = compat_report.Page(suite)
    for version, interpreter in chosen:
        if suite.settings["PYTHONS"] and version not in suite.settings["PYTHONS"]:
            continue
        environment = Environment(suite, version, interpreter)
        environment.make()
        wanted = [name for name in suite.settings["RUNS"] if name in names]
        measured = measure(suite, environment, wanted, sources, again)
        page.add(environment, measured)
        page.write()
    for pattern in page.without_use(suite.expected):
        print(f"compat: {suite.name}: expected.json has a reason for {pattern}, "
              "which explains nothing in these runs")
    return page.unexplained()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="only name the suites")
    parser.add_argument("--pythons", help="such as 3.13,3.11; all that are found by default")
    parser.add_argument("--runs", default=",".join(RUNS), help="such as asyncio,epoll")
    parser.add_argument("--again", action="store_true", help="forget earlier runs")
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    arguments = parser.parse_args()
    known = all_suites()
    if arguments.list:
        print("\n".join(known))
        return
    unknown = set(arguments.suites) - set(known)
    if unknown:
        sys.exit(f"compat: no suite {', '.join(sorted(unknown))}; there are: {' '.join(known)}")
    # What runs is ended with the runner, and its journal is left whole.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("compat: ended by SIGTERM"))
    chosen = [
        (version, path) for version, path in pythons.find()
        if not arguments.pythons or version in arguments.pythons.split(",")
    ]
    names = arguments.runs.split(",")
    refusal = ring_probe.refusal()
    if refusal:
        print(f"compat: not on io_uring: {refusal}")
        names = [name for name in names if name != "io_uring"]
    unexplained = 0
    for name in arguments.suites or known:
        unexplained += run_suite(Suite(name), chosen, names, arguments.again)
    compat_report.write_index()
    print(f"compat: {unexplained} new failures without a reason")
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
