"""How many instructions and system calls a step of bide's takes, counted by callgrind and
strace: figures that no other work on the machine can change.

    python benchmarks/baseline.py            prints them beside those that are kept
    python benchmarks/baseline.py --write    keeps them in baseline.json

They hold for one build of the interpreter and one compiler, which `key()` names. Run it by
the interpreter whose bide is to be counted.
"""

import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from lib import machine

FILE = machine.ROOT / "benchmarks" / "baseline.json"
PROGRAM = machine.ROOT / "benchmarks" / "servers" / "steps.py"
KINDS = ("call_soon", "sleep(0)", "protocol echo", "stream echo", "sock_* echo")
STEPS = 1000
GROWTH = 1.03
# A loop that runs long without waiting looks at the kernel by the clock, so that a slow
# machine sees a few calls more.
SLACK = {"instructions": 0, "system calls": 0.1}
RIVAL = "asyncio"

# Counting begins when the interpreter has started, which is most of what it executes.
LIBRARY = """
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; }
"""


def key():
    """What the counts depend on beside bide."""
    compiler = sysconfig.get_config_var("CC").split()[0]
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimised = ", optimised" if "--enable-optimizations" in arguments else ""
    return (
        f"CPython {platform.python_version()} ({platform.python_compiler()}{optimised}), "
        f"bide by {machine.first_line(compiler, '--version')}, {platform.machine()}"
    )


def backends():
    return ["bide epoll"] if machine.ring_refusal() else ["bide io_uring", "bide epoll"]


def run(command, names, library="-"):
    """Addresses and hashes are fixed: they decide collisions, and so instructions."""
    subprocess.run(
        ["setarch", "-R", *command, sys.executable, str(PROGRAM), str(STEPS), library, *names],
        check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    )


def by_kind(names, counts):
    """{loop: {kind: count of one step}}"""
    order = [(name, kind) for name in names for kind in KINDS]
    if len(counts) != len(order):
        raise RuntimeError(f"{len(counts)} counts for {len(order)} kinds of steps")
    found = {name: {} for name in names}
    for (name, kind), count in zip(order, counts):
        found[name][kind] = round(count / STEPS, 2)
    return found


def instructions(names):
    """callgrind writes a file at each mark: every other holds the steps of a kind, the first
    what came before them."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "begin.c"), Path(folder, "begin.so")
        source.write_text(LIBRARY)
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        output = Path(folder, "callgrind")
        run(["valgrind", "--tool=callgrind", "--instr-atstart=no", "--dump-before=getppid",
             f"--callgrind-out-file={output}"], names, str(library))
        totals = []
        while (dump := Path(f"{output}.{len(totals) + 1}")).exists():
            totals.append(int(re.search(r"^totals: (\d+)", dump.read_text(), re.M)[1]))
    return by_kind(names, totals[1::2])


def system_calls(names):
    with tempfile.NamedTemporaryFile("r") as file:
        run(["strace", "-f", "-o", file.name], names)
        calls = re.findall(r"^\d+ +(\w+)\(", file.read(), re.M)
    between = [[]]
    for call in calls:
        if call == "getppid":
            between.append([])
        else:
            between[-1].append(call)
    return by_kind(names, [len(made) for made in between[1::2]])


def measure(names):
    return {"instructions": instructions(names), "system calls": system_calls(names)}


def kept():
    """{key: what measure() gave}"""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def grown(found, before):
    """What takes more than it took, in words."""
    return [
        f"{name}, {kind}: {count:,.2f} {what} a step, {then:,.2f} before"
        for what, loops in found.items()
        for name, kinds in loops.items()
        for kind, count in kinds.items()
        if count > (then := before[what][name][kind]) * GROWTH + SLACK[what]
    ]


def main(arguments):
    found = measure(backends())
    before = kept().get(key())
    print(key())
    for what, loops in found.items():
        for name, kinds in loops.items():
            for kind, count in kinds.items():
                then = before and before[what][name].get(kind)
                beside = f", kept: {then:,.2f}" if then is not None else ""
                print(f"  {name}, {kind}: {count:,.2f} {what}{beside}")
    if arguments == ["--write"]:
        FILE.write_text(json.dumps({**kept(), key(): found}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
