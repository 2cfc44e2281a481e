"""Runs bide's test suites and says how each went.

    python3 scripts/suites.py [--quick | --matrix] [--list] [--jobs N] [SUITE ...]

SUITE is the beginning of a suite's name: `core-asan` runs it on each backend,
`core-asan.epoll` on one. Of the pairs of an interpreter and a backend only so many run
that each meets several of the others; --matrix, or a suite's name with or without its
backend, runs the rest too. `make test` has built everything before. Two suites run at a
time, since most of a test's time is waiting; --jobs says how many. Each suite's output
lies in build/test/NAME.log; that of a suite that failed is printed too. The last line
is `N passed, N failed, N skipped`; the exit code is 0 only if nothing failed. A matrix
of all suites is written to docs/results/matrix.md too.
"""

import argparse
import collections
import concurrent.futures
import datetime
import glob
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import junit
import ring_probe
import venvs

BACKENDS = ("io_uring", "epoll", "auto")
QUICK_BACKEND = "auto"
LOGS = os.path.join(ROOT, "build", "test")
MATRIX = os.path.join(ROOT, "docs", "results", "matrix.md")
LOG_TAIL_LINES = 120
JOBS = min(2, os.cpu_count() or 1)
SUITE_LIMIT_S = 900
REPEATS_LIMIT_S = 3600  # five times the tests of each file, with every allocation traced
TEST_LIMIT_S = 120  # of one Python test; of one that builds and installs:
INSTALL_LIMIT_S = 400
MODULE_LIMIT_S = 300  # of one module of CPython's tests

# The core's builds: CMake's options, and what the tests' environment needs.
VARIANTS = {
    "apart": {"options": ["-DBIDE_ONE_UNIT=OFF"]},
    "one": {"options": []},
    "asan": {
        "options": [
            "-DBIDE_SANITIZE=address,undefined", "-DCMAKE_BUILD_TYPE=Debug",
            "-DBIDE_ONE_UNIT=OFF",
        ],
        "fixed_addresses": True,
    },
    "tsan": {
        "options": ["-DBIDE_SANITIZE=thread"],
        "fixed_addresses": True,
    },
    "valgrind": {
        "options": ["-DCMAKE_BUILD_TYPE=Debug"],
        "wrapper": [
            "valgrind", "--quiet", "--error-exitcode=97", "--leak-check=full",
            "--errors-for-leak-kinds=definite", "--fair-sched=yes",
        ],
        "backends": ("io_uring", "epoll"),
    },
}
# On a ring valgrind does not see what the kernel writes, so that every byte received
# would count as uninitialised: epoll looks for those, io_uring for bad addresses and
# leaks. It also holds all threads while one waits in io_uring_enter: a test in which
# another thread ends that wait would hang, so that only those without threads run.
VALGRIND_RING_ENVIRONMENT = {"VALGRIND_OPTS": "--undef-value-errors=no"}
VALGRIND_RING_TESTS = (
    "test_(cancel|future|interval|ops|recv_multi|recv_ready|scope|task|task_cancel|token|trace"
    "|wheel)[.]"
)
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "die_after_fork=0",
}


class Result:
    """How one suite went. `note` says what the counts cannot."""

    def __init__(self, name, counts=None, note="", seconds=0.0):
        self.name = name
        self.counts = counts or junit.Counts()
        self.note = note
        self.seconds = seconds


class Suite:
    """A command that writes a JUnit report. `prepare` are commands that must succeed
    before, one suite's of that kind at a time, since the backends share what is built;
    `backend` is None for a suite that depends on none."""

    preparing = collections.defaultdict(threading.Lock)

    def __init__(self, name, command, backend=None, prepare=(), environment=None,
                 quick=False, sampled=True, limit_s=None):
        self.kind = name
        self.name = f"{name}.{backend}" if backend else name
        self.command = command
        self.backend = backend
        self.prepare = prepare
        self.environment = environment or {}
        self.quick = quick
        self.sampled = sampled  # whether it runs without being asked for by name
        self.limit_s = limit_s

    @property
    def log(self):
        return os.path.join(LOGS, self.name + ".log")

    @property
    def report(self):
        return os.path.join(LOGS, self.name + ".xml")

    def run(self, refusal):
        if self.backend == "io_uring" and refusal:
            result = Result(self.name, note=f"not run: {refusal}")
            result.counts.skipped = 1
            return result
        began = time.monotonic()
        if os.path.exists(self.report):
            os.remove(self.report)
        environment = {**os.environ, **self.environment}
        environment.pop("BIDE_BACKEND", None)
        if self.backend:
            environment["BIDE_BACKEND"] = self.backend
        command = [part.replace("{report}", self.report) for part in self.command]
        with open(self.log, "w") as log:
            with self.preparing[self.kind]:
                note = self.prepared(environment, log)
            note = note or run_logged(command, environment, log, self.limit_s)
        counts = junit.read(self.report)
        if note and not counts.failures:
            counts.failures.append(f"the run itself: {note}")
        elif not note and counts.total == 0:
            counts.failures.append("the run itself: it ran no test")
        return Result(self.name, counts, seconds=time.monotonic() - began)

    def prepared(self, environment, log):
        """Runs what must come before. Returns "" or what went wrong."""
        notes = (run_logged(command, environment, log) for command in self.prepare)
        return next((note for note in notes if note), "")


def heed_interrupts():
    """A shell starts what it runs in the background with SIGINT ignored, nohup with
    SIGHUP, and children inherit that; the tests need both as a terminal gives them."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def run_logged(command, environment, log, limit_s=None):
    """Runs a command with its output in the log. Returns "" or what went wrong."""
    print("$ " + " ".join(command), file=log, flush=True)
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    limit_s = limit_s or SUITE_LIMIT_S
    try:
        code = process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"{os.path.basename(command[0])} did not end in {limit_s} s"
    if code == 0:
        return ""
    return f"{os.path.basename(command[0])} exited with {code}"


def fixed_addresses_wrapper():
    """A sanitizer's shadow does not fit an address space that is randomised over more
    than 28 bits, as newer kernels do; setarch turns that off where it may."""
    with open("/proc/sys/vm/mmap_rnd_bits") as file:
        if int(file.read()) <= 28:
            return []
    command = ["setarch", "-R"]
    works = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if works else []


def core_suites():
    jobs = str(os.cpu_count() or 1)
    for variant, how in VARIANTS.items():
        directory = os.path.join("build", "check", variant)
        wrapper = list(how.get("wrapper", []))
        if how.get("fixed_addresses"):
            wrapper += fixed_addresses_wrapper()
        configure = [
            "cmake", "-S", ".", "-B", directory, "-DBIDE_TESTS=ON", "-DBIDE_WERROR=ON",
            f"-DBIDE_TEST_VARIANT={variant}",
            "-DBIDE_TEST_WRAPPER=" + ";".join(wrapper),
            *how["options"],
        ]
        if shutil.which("ninja") and not os.path.exists(f"{ROOT}/{directory}/CMakeCache.txt"):
            configure += ["-G", "Ninja"]
        build = ["cmake", "--build", directory, "--target", "bide_tests", "-j", jobs]
        for backend in how.get("backends", BACKENDS):
            command = [
                "ctest", "--test-dir", directory, "-L", f"^{backend}$", "-j", jobs,
                "--output-on-failure", "--no-tests=error", "--output-junit", "{report}",
            ]
            environment = SANITIZER_ENVIRONMENT
            if (variant, backend) == ("valgrind", "io_uring"):
                command += ["-R", VALGRIND_RING_TESTS]
                environment = VALGRIND_RING_ENVIRONMENT
            yield Suite(
                f"core-{variant}", command, backend, prepare=(configure, build),
                environment=environment,
                quick=variant == "one" and backend == QUICK_BACKEND,
            )


def pytest_command(python, path, limit_s=TEST_LIMIT_S):
    return [
        os.path.join(os.path.dirname(python), "pytest"), "-q", "-p", "no:cacheprovider",
        f"--timeout={limit_s}", "--junitxml={report}", path,
    ]


def sampled_backends(index):
    """The backends on which the index-th interpreter runs: the first on all, two more on
    two, the rest on one, so that each backend meets three interpreters of five."""
    if index == 0:
        return BACKENDS
    following = (*BACKENDS, *BACKENDS)[(index - 1) % 3:]
    return following[:2 if index < 3 else 1]


def glue_asan(python, backend):
    """The Python tests on bide's glue compiled with sanitizers. The interpreter is not, so
    that the sanitizer must be loaded before it, and the allocator must be malloc for each
    object to have bounds of its own."""
    directory = os.path.join("build", "check", "glue-asan")
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True
    ).stdout.strip()
    build = [
        "env", "CFLAGS=-fsanitize=address,undefined -fno-sanitize-recover=undefined "
        "-fno-omit-frame-pointer -g -O1",
        python, "setup.py", "-q", "build", "--build-lib", directory,
        "--build-temp", directory + "-temp",
    ]
    run = [
        "env", f"LD_PRELOAD={library}", "PYTHONMALLOC=malloc", f"PYTHONPATH={directory}",
        "ASAN_OPTIONS=detect_leaks=0", *pytest_command(python, "tests/python"),
        # The sanitizer keeps freed memory for a while.
        "--deselect=tests/python/test_tls_flow.py::test_a_hundred_megabytes_cost_no_memory_twice",
    ]
    return Suite("glue-asan", run, backend, prepare=(build,))


def python_suites():
    environments = list(venvs.pythons_made())
    if not environments:
        sys.exit("suites: bide is in no Python environment yet; run: make build")
    newest = environments[0][1]  # of the machine's own
    yield Suite("tree", pytest_command(newest, "tests/tree"), quick=True)
    yield Suite("install", pytest_command(newest, "tests/install", INSTALL_LIMIT_S))
    for backend in BACKENDS:
        yield Suite("readme", pytest_command(newest, "tests/readme"), backend)
    for backend in BACKENDS:
        yield Suite("examples", pytest_command(newest, "tests/examples"), backend)
    for index, (version, python) in enumerate(environments):
        for backend in BACKENDS:
            yield Suite(
                f"python{version}", pytest_command(python, "tests/python"), backend,
                quick=python == newest and backend == QUICK_BACKEND,
                sampled=backend in sampled_backends(index) or len(environments) < 3,
            )
    for version, python in venvs.free_threaded_made():
        for backend in ("io_uring", "epoll"):
            yield Suite(
                f"python{version}", pytest_command(python, "tests/python"), backend,
                environment={"PYTHON_GIL": "0"},
            )
    for index, (version, python) in enumerate(environments):
        for backend in BACKENDS:
            yield Suite(
                f"cpython{version}",
                pytest_command(python, "tests/compat/cpython", MODULE_LIMIT_S), backend,
                sampled=backend == BACKENDS[index % 3],
            )
    for backend in ("io_uring", "epoll"):
        yield Suite(
            "repeats", pytest_command(newest, "tests/repeats", REPEATS_LIMIT_S), backend,
            sampled=False, limit_s=REPEATS_LIMIT_S,
        )
        yield Suite("refcounts", pytest_command(newest, "tests/refcounts"), backend)
        yield glue_asan(newest, backend)
    ordered = sorted(environments, key=lambda made: int(made[0].rstrip("t").split(".")[1]))
    for version, python in dict((ordered[0], ordered[-1])).items():
        yield Suite(f"typing{version}", pytest_command(python, "tests/typing"))


def node_command(*files):
    return [
        "node", "--test", "--test-reporter=junit", "--test-reporter-destination={report}",
        "--test-reporter=spec", "--test-reporter-destination=stdout", *files,
    ]


def node_suites():
    files = sorted(
        os.path.relpath(path, ROOT)
        for extension in ("js", "mjs", "cjs")
        for path in glob.glob(os.path.join(ROOT, "tests", "node", f"test_*.{extension}"))
    )
    for backend in BACKENDS:
        yield Suite("node", node_command(*files), backend, quick=backend == QUICK_BACKEND)
    installed = ("test_install.js", "test_types.js")
    paths = [os.path.join("tests", "node", "install", name) for name in installed]
    yield Suite("install-node", node_command(*paths))


def all_suites():
    yield from core_suites()
    yield from python_suites()
    yield from node_suites()


def select(arguments):
    suites = list(all_suites())
    for wanted in arguments.suites:
        if not any(suite.name.startswith(wanted) for suite in suites):
            names = " ".join(suite.name for suite in suites)
            sys.exit(f"suites: no suite's name begins with {wanted!r}; there are: {names}")
    return [
        suite for suite in suites
        if (suite.quick if arguments.quick else
            suite.sampled or arguments.matrix
            or not {suite.name, suite.kind}.isdisjoint(arguments.suites))
        and (not arguments.suites or suite.name.startswith(tuple(arguments.suites)))
    ]


def print_failure(suite, result):
    with open(suite.log, errors="replace") as log:
        lines = log.read().splitlines()
    print(f"---- {suite.name}: the end of {os.path.relpath(suite.log, ROOT)} ----")
    print("\n".join(lines[-LOG_TAIL_LINES:]))
    for name in result.counts.failures:
        print(f"---- {suite.name} failed: {name}")


def print_summary(results):
    width = max(len(result.name) for result in results)
    print()
    print(f"{'suite':{width}}  passed  failed  skipped  seconds")
    for result in results:
        counts = result.counts
        print(
            f"{result.name:{width}}  {counts.passed:6}  {len(counts.failures):6}  "
            f"{counts.skipped:7}  {result.seconds:7.1f}  {result.note}".rstrip()
        )
    print(total(results), flush=True)
    return sum(len(result.counts.failures) for result in results)


def total(results):
    passed = sum(result.counts.passed for result in results)
    failed = sum(len(result.counts.failures) for result in results)
    skipped = sum(result.counts.skipped for result in results)
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def versions():
    found = " ".join(version for version, _ in venvs.pythons_made())
    return f"Linux {platform.release()}, {os.cpu_count()} processors, CPython {found}"


def write_matrix(results):
    """The page of a run of everything."""
    lines = [
        "# Every interpreter on every backend", "",
        "Written by `make matrix`, which runs each suite on each interpreter and backend.", "",
        f"{datetime.date.today()}, {versions()}.", "",
        "| suite | passed | failed | skipped | seconds | |", "|---|---|---|---|---|---|",
    ]
    for result in results:
        counts = result.counts
        note = "; ".join([result.note, *counts.failures]).strip("; ")
        lines.append(
            f"| {result.name} | {counts.passed} | {len(counts.failures)} | {counts.skipped} "
            f"| {result.seconds:.0f} | {note} |".replace("|  |", "| |")
        )
    lines += ["", total(results), ""]
    with open(MATRIX, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def run_all(suites, jobs):
    """Their results, in the suites' order; each is told as it comes."""
    refusal = ring_probe.refusal()
    results = {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(suite.run, refusal): suite for suite in suites}
        for index, done in enumerate(concurrent.futures.as_completed(running), 1):
            suite, result = running[done], done.result()
            results[suite] = result
            counts = result.counts
            note = result.note or (
                f"{counts.passed} passed, {len(counts.failures)} failed, "
                f"{counts.skipped} skipped in {result.seconds:.1f} s"
            )
            print(f"[{index}/{len(suites)}] {suite.name}: {note}", flush=True)
            if counts.failures:
                print_failure(suite, result)
    return [results[suite] for suite in suites]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one backend, no sanitizers")
    parser.add_argument("--matrix", action="store_true", help="every pair, not a sample")
    parser.add_argument("--list", action="store_true", help="only name the suites")
    parser.add_argument("--jobs", type=int, default=JOBS, help="suites at a time")
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    arguments = parser.parse_args()
    suites = select(arguments)
    if arguments.list:
        print("\n".join(suite.name for suite in suites))
        return
    if not suites:
        sys.exit("suites: nothing to run")
    os.makedirs(LOGS, exist_ok=True)
    results = run_all(suites, arguments.jobs)
    if arguments.matrix and not arguments.suites:
        write_matrix(results)
    sys.exit(1 if print_summary(results) else 0)


if __name__ == "__main__":
    main()
