"""Runs tests/soak/node_ends.js on each backend and writes docs/results/soak-node.md:
`make soak-node`. OPENS and WORKERS say how many; NODE names the program.
"""

import datetime
import json
import os
import platform
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "docs", "results", "soak-node.md")
BACKENDS = ("io_uring", "epoll", "auto")


def soak(backend):
    """The program's report, and its exit code."""
    counts = [os.environ.get("OPENS", "100000"), os.environ.get("WORKERS", "1000")]
    node = os.environ.get("NODE", "node")
    print(f"soak-node: {' opens, '.join(counts)} workers on {backend} ...", flush=True)
    done = subprocess.run(
        [node, "--expose-gc", "tests/soak/node_ends.js", *counts],
        cwd=ROOT, text=True, stdout=subprocess.PIPE,
        env={**os.environ, "BIDE_BACKEND": backend},
    )
    if not done.stdout:
        sys.exit(f"soak-node: on {backend} it ended with {done.returncode}, see above")
    print(done.stdout, end="", flush=True)
    return json.loads(done.stdout.splitlines()[-1]), done.returncode


def row(backend, report, code):
    opens, workers = report["opens"], report["workers"]
    return (
        f"| {backend} ({report['backend']}) | {opens['count']} | {opens.get('ABORT_ERR', 0)} | "
        f"{opens.get('opened', 0)} | {opens.get('ENOENT', 0)} | {slashed(opens['mb'])} | "
        f"{opens['seconds']} | {workers['count']} | {slashed(workers['mb'])} | "
        f"{workers['seconds']} | {slashed(report['fds'])} | {code} |"
    )


def slashed(numbers):
    return " / ".join(map(str, numbers))


def main():
    reports = [(backend, *soak(backend)) for backend in BACKENDS]
    text = "\n".join([
        "# Soak: opens cancelled and workers ended in Node",
        "",
        f"{datetime.date.today()}, Linux {platform.release()}, Node {reports[0][1]['node']}; "
        "`make soak-node` runs it again.",
        "",
        "Opens of a cached file, of one that is made, of one that is missing and, with io_uring,",
        "of a pipe that nobody writes to, 500 at a time under one signal that aborts at six",
        "moments; then worker threads with files, lists of stats and a native job under way, ended",
        "by `terminate()`, by `process.exit()` and by an uncaught error. Opened: those that the",
        "abort came too late for, closed by the program. MB: the process's memory before, after",
        "half and after all of it, each after a collection. The program: tests/soak/node_ends.js.",
        "",
        "| backend | opens | aborted | opened | missing | MB | s | workers ended | MB | s | "
        "fds before / after | exit code |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(row(*report) for report in reports),
        "",
    ])
    with open(RESULTS, "w") as file:
        file.write(text)
    print(text)
    sys.exit(0 if all(code == 0 for _, _, code in reports) else 1)


if __name__ == "__main__":
    main()
