"""What the core's parts cost: timers, the offload pool, small files, on both backends.

    python benchmarks/core.py
"""

import json
import os
import subprocess
import tempfile

from lib import machine, report, rounds

PLAIN = "plain calls"
ROWS = (
    ("timer_start", "a timer started, of a million: CPU"),
    ("timer_stop", "a timer stopped, of a million: CPU"),
    ("timer_expire", "a timer fired, of a million: CPU"),
    ("offload_1", "an offloaded job, 1 in flight"),
    ("offload_64", "an offloaded job, 64 in flight"),
    ("file_1", "a file of 4 KiB, 1 in flight"),
    ("file_8", "a file of 4 KiB, 8 in flight"),
    ("file_64", "a file of 4 KiB, 64 in flight"),
)


def measure(backend, folder):
    done = subprocess.run(
        [machine.program("core_costs"), folder], env={**os.environ, "BIDE_BACKEND": backend},
        capture_output=True, text=True, check=True,
    )
    return json.loads(done.stdout)


def run(round_count):
    backends = ["epoll"] if machine.ring_refusal() else ["io_uring", "epoll"]
    with tempfile.TemporaryDirectory() as folder:
        samples = rounds.interleave(
            {f"bide {backend}": lambda backend=backend: measure(backend, folder)
             for backend in backends},
            round_count, "core",
        )
    # Each run has read the file by plain calls as well: one contender for all file rows.
    plain = [value for series in samples["file_plain"].values() for value in series]
    for key, series in samples.items():
        if key.startswith("file_") and key != "file_plain":
            series[PLAIN] = plain
    rows = [report.Row(text, "ns", samples[key], rival=PLAIN) for key, text in ROWS]
    report.write("parts", {"bide": machine.bide_version()}, rows)
    report.table(f"The core in C, medians of {round_count} rounds", rows)


if __name__ == "__main__":
    run(3 if machine.QUICK else 9)
