"""What the install tests share: running commands, and where things are."""

import os
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 600


def run(*command, env=None, cwd=ROOT, limit_s=LIMIT_S):
    """Runs a command and returns its output; one that fails fails the test with it."""
    done = subprocess.run(
        command, cwd=cwd, env=None if env is None else {**os.environ, **env},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=limit_s,
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def fails(*command, env=None, **options):
    """Runs a command that must fail and returns its output."""
    done = subprocess.run(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, **options,
    )
    assert done.returncode != 0, f"{' '.join(command)} did not fail:\n{done.stdout}"
    return done.stdout


def tracked_copy(target):
    """A copy of the source tree as a release has it: nothing that was built."""
    ignore = shutil.ignore_patterns(
        ".git", ".venv", ".deps", "build", "dist", "node_modules", "__pycache__",
        "*.egg-info", "*.so", "*.node",
    )
    shutil.copytree(ROOT, target, ignore=ignore)
    return target
