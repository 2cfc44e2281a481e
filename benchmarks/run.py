"""Every benchmark, one after the other: `make bench`.

QUICK=1 keeps each under a minute. Names as arguments run some: `run.py echo tasks`.
"""

import subprocess
import sys
import time

from lib import machine

BENCHMARKS = ("web", "many_loops", "files", "echo", "core", "tasks")


def main(names):
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(sorted(unknown))}; "
                 f"there are: {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        print(f"{name}:", flush=True)
        started = time.monotonic()
        program = machine.ROOT / "benchmarks" / f"{name}.py"
        if subprocess.run([sys.executable, str(program)]).returncode:
            sys.exit(f"{name} failed")
        print(f"{name}: {time.monotonic() - started:.0f} s")
    print(f"as JSON in {machine.BUILD / 'bench'}")


if __name__ == "__main__":
    main(sys.argv[1:])
