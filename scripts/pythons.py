"""Finds the CPython interpreters that bide is built and tested for.

`python3 scripts/pythons.py` prints one line an interpreter, the newest first: its
version and its path. An interpreter counts only if it runs, has venv and pip's
bootstrap, and has its C headers. PYTHON=... (a name or a path) is taken alone.
"""

import glob
import os
import shutil
import subprocess
import sys

VERSIONS = ("3.13", "3.11")

PROBE = """
import os, sys, sysconfig, venv, ensurepip
assert sys.implementation.name == "cpython"
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
print("%d.%d" % sys.version_info[:2], os.path.realpath(sys.executable))
"""


def probe(command):
    """(version, path) of an interpreter that can build and hold bide, or None."""
    try:
        answer = subprocess.run(
            [command, "-c", PROBE], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    version, path = answer.stdout.strip().split(" ", 1)
    return version, path


def candidates(version):
    """Where an interpreter of that version may lie. A pyenv shim on the PATH may be
    there and still not run, so pyenv's own versions are looked at too."""
    name = "python" + version
    on_path = shutil.which(name)
    if on_path:
        yield on_path
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    yield from sorted(glob.glob(f"{root}/versions/{version}.*/bin/{name}"), reverse=True)
    yield from (f"/usr/local/bin/{name}", f"/usr/bin/{name}")


def find():
    """The interpreters as (version, path), newest first."""
    chosen = os.environ.get("PYTHON")
    if chosen:
        found = probe(chosen)
        return [found] if found else []
    found = []
    for version in VERSIONS:
        for command in candidates(version):
            answer = probe(command)
            if answer and answer[0] == version:
                found.append(answer)
                break
    if found:
        return found
    other = probe("python3")
    if other and tuple(map(int, other[0].split("."))) >= (3, 11):
        return [other]
    return []


def main():
    found = find()
    if not found:
        chosen = os.environ.get("PYTHON")
        what = f"PYTHON={chosen} is" if chosen else "There is"
        sys.exit(
            f"pythons: {what} no CPython 3.11 or newer with venv and headers; "
            "install python3, python3-venv and python3-dev"
        )
    for version, path in found:
        print(version, path)


if __name__ == "__main__":
    main()
