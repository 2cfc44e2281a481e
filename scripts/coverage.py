"""How much of the core its own tests run, branch by branch, on each backend.

    python3 scripts/coverage.py [BACKEND ...]

Builds the core with gcc's coverage, runs every program of tests/core on the backend, and prints
for each file the share of branches that were taken, and what was not. Branches of asserts are
left out: a test that took them would have failed. So is the other backend's own file. The
figures are written to build/coverage/BACKEND.txt.
"""

import collections
import glob
import gzip
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "build", "coverage")
SOURCES = os.path.join(ROOT, "core", "src") + os.sep
TEST_LIMIT_S = 300
# What a backend's run has no business in.
OTHERS = {
    "io_uring": ("backend/epoll.c", "backend/fds.c", "backend/direct.c",
                 "backend/file_jobs.c"),
    "epoll": ("backend/uring.c", "backend/ring.c", "backend/sqe.c", "backend/tellers.c",
              "backend/tellers.h"),
}


def build():
    directory = os.path.join(OUT, "build")
    configure = [
        "cmake", "-S", ROOT, "-B", directory, "-DBIDE_TESTS=ON", "-DBIDE_ONE_UNIT=OFF",
        "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_C_FLAGS=--coverage -fprofile-update=atomic -DBIDE_COVERAGE",
        # What a debug build asserts is a branch of a release.
        "-DBIDE_TEST_VARIANT=coverage", "-DBIDE_TEST_ASSERTS=OFF",
    ]
    if shutil.which("ninja"):
        configure += ["-G", "Ninja"]
    jobs = str(os.cpu_count() or 1)
    for command in (configure, ["cmake", "--build", directory, "--target", "bide_tests",
                                "-j", jobs]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return directory


def run_tests(directory, backend):
    """Returns the programs that failed. What ran before is forgotten."""
    for path in glob.glob(os.path.join(directory, "**", "*.gcda"), recursive=True):
        os.remove(path)
    failed = []
    for program in sorted(glob.glob(os.path.join(directory, "test_*"))):
        if not os.access(program, os.X_OK) or os.path.isdir(program):
            continue
        done = subprocess.run(
            [program], cwd=ROOT, env={**os.environ, "BIDE_BACKEND": backend},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TEST_LIMIT_S,
        )
        if done.returncode not in (0, 77):
            failed.append(os.path.basename(program))
    return failed


def measured(directory):
    """{(file, line): [taken or not for each branch]}, joined over all objects."""
    branches = collections.defaultdict(dict)
    for notes in glob.glob(os.path.join(directory, "**", "*.gcda"), recursive=True):
        done = subprocess.run(
            ["gcov", "--json-format", "--branch-probabilities", "--stdout", notes],
            cwd=directory, capture_output=True, check=True,
        )
        text = done.stdout
        for document in (gzip.decompress(text) if text[:2] == b"\x1f\x8b" else text).splitlines():
            for file in json.loads(document)["files"]:
                add(branches, file)
    return branches


def add(branches, file):
    path = os.path.normpath(os.path.join(ROOT, file["file"]))
    if not path.startswith(SOURCES):
        return
    for line in file["lines"]:
        for index, branch in enumerate(line["branches"]):
            key = (path[len(SOURCES):], line["line_number"])
            taken = branches[key].get(index, 0) + branch["count"]
            branches[key][index] = taken


def without_asserts(branches):
    texts = {}
    for (path, line), taken in branches.items():
        if path not in texts:
            with open(SOURCES + path, encoding="utf-8") as file:
                texts[path] = file.read().splitlines()
        if "assert(" not in texts[path][line - 1]:
            yield path, line, taken


def report(branches, backend):
    """Prints a line a file; returns the share of all."""
    totals = collections.Counter()
    taken_of = collections.Counter()
    missed = collections.defaultdict(list)
    for path, line, taken in without_asserts(branches):
        if path in OTHERS.get(backend, ()):
            continue
        totals[path] += len(taken)
        taken_of[path] += sum(count > 0 for count in taken.values())
        if not all(taken.values()):
            missed[path].append(line)
    share = 100 * sum(taken_of.values()) / sum(totals.values())
    lines = [f"{backend}: {share:.1f} % of {sum(totals.values())} branches"]
    for path in sorted(totals):
        lines.append(
            f"  {path:28} {100 * taken_of[path] / totals[path]:5.1f} %  not all of lines: "
            f"{' '.join(map(str, sorted(missed[path]))) or '-'}"
        )
    text = "\n".join(lines)
    print(text, flush=True)
    with open(os.path.join(OUT, backend + ".txt"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return share


def main():
    os.makedirs(OUT, exist_ok=True)
    directory = build()
    failed = []
    for backend in sys.argv[1:] or ("io_uring", "epoll"):
        failed += run_tests(directory, backend)
        report(measured(directory), backend)
    if failed:
        sys.exit(f"coverage: failed: {' '.join(failed)}")


if __name__ == "__main__":
    main()
