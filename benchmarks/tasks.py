"""What tasks cost in C, as benchmarks/c/task_costs.c measures it.

    python benchmarks/tasks.py
"""

import json
import subprocess

from lib import machine, report, rounds

ROWS = (
    ("await_ns", "an await, woken by another task", "ns"),
    ("ready_await_ns", "an await of what is ready", "ns"),
    ("yield_ns", "a yield", "ns"),
    ("spawn_await_ns", "a spawn and the await of its end", "ns"),
    ("mass_resume_ns", "one of a million woken at once", "ns"),
    ("bytes_a_task", "memory of a task, of a million alive", "bytes"),
)


def measure():
    done = subprocess.run(
        [machine.program("task_costs"), "--json"], capture_output=True, text=True,
        check=True, preexec_fn=machine.pin_to(machine.cores()[0]),
    )
    return json.loads(done.stdout)


def run(round_count):
    samples = rounds.interleave({"bide": measure}, round_count, "tasks")
    rows = [report.Row(text, unit, samples[key], digits=1) for key, text, unit in ROWS]
    report.write("tasks", {"bide": machine.bide_version()}, rows)
    report.table(f"Tasks in C, CPU time, medians of {round_count} rounds", rows)


if __name__ == "__main__":
    run(3 if machine.QUICK else 9)
