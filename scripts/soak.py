"""Runs what takes long and writes docs/results/soak.md: `make soak`.

The fd-reuse hammer on each backend: 200,000 connections, or CONNECTIONS=... of them.
"""

import datetime
import json
import os
import platform
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "docs", "results", "soak.md")
BACKENDS = ("io_uring", "epoll", "auto")
HAMMER = [sys.executable, "-P", "tests/soak/fd_reuse.py", "--connections"]


def hammer(backend, connections):
    """The hammer's report, and whether it found nothing wrong."""
    print(f"soak: {connections} connections on {backend} ...", flush=True)
    done = subprocess.run(
        [*HAMMER, str(connections)], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        env={**os.environ, "BIDE_BACKEND": backend},
    )
    lines = done.stdout.splitlines()
    if not lines:
        sys.exit(f"soak: the hammer on {backend} ended with {done.returncode}, see above")
    print(lines[-1], flush=True)
    return json.loads(lines[-1]), done.returncode == 0


def row(backend, report, clean):
    return (
        f"| {backend} | {report['connections']} | {report['bytes']} | "
        f"{report['wrong'] + report['server']['wrong']} | {report['stale']} | "
        f"{report['reported']} | {report['fds'][0]} / {report['fds'][1]} | "
        f"{report['seconds']} | {'clean' if clean else 'FAILED'} |"
    )


def main():
    connections = int(os.environ.get("CONNECTIONS", "200000"))
    reports = [(backend, *hammer(backend, connections)) for backend in BACKENDS]
    text = "\n".join([
        "# Soak: file descriptors closed under the loop and reused",
        "",
        f"{datetime.date.today()}, Linux {platform.release()}, "
        f"CPython {platform.python_version()}; `make soak` runs it again.",
        "",
        "Connections over 127.0.0.0/8, opened, cancelled, closed under the loop and reused in",
        "nine ways (tests/soak/fd_reuse.py), each byte tagged with the connection that it",
        "belongs to. Wrong: bytes that came to another connection, at either end. Stale:",
        "callbacks for a socket that was closed. Reported: exceptions that nobody awaited.",
        "",
        "| backend | connections | bytes | wrong | stale | reported | fds before / after | s | |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(*report) for report in reports),
        "",
    ])
    os.makedirs(os.path.dirname(RESULTS), exist_ok=True)
    with open(RESULTS, "w") as file:
        file.write(text)
    print(text)
    sys.exit(0 if all(clean for _, _, clean in reports) else 1)


if __name__ == "__main__":
    main()
