"""Programs that tests run in a process of their own."""

import os
import subprocess
import sys
import textwrap

ISOLATED = ["-P"] if sys.version_info >= (3, 11) else []


def run_program(program, *wrapper, **environment):
    """What the program printed; it must end well. `wrapper` is a command that runs it."""
    done = subprocess.run(
        [*wrapper, sys.executable, *ISOLATED, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, timeout=60, env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
