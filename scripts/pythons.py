"""Finds the CPython interpreters that bide is built and tested for.

`python3 scripts/pythons.py` prints one line an interpreter, its version and its path:
the machine's own, the newest first, and then those that debian_python.py has fetched.
An interpreter counts only if it runs, has venv and pip's bootstrap, and has its C
headers. PYTHON=... (a name or a path) is taken alone. The newest without a GIL comes
last: no test asks for one, but some are for it.
"""

import glob
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import debian_python

VERSIONS = ("3.14", "3.13", "3.12", "3.11", "3.10")
FREE_THREADED = ("3.14t", "3.13t")
SYSTEM = ("/usr/local/bin", "/usr/bin")

PROBE = """
import os, sys, sysconfig, venv, ensurepip
assert sys.implementation.name == "cpython"
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print("%d.%d" % sys.version_info[:2] + free, os.path.realpath(sys.executable))
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
    release = version.rstrip("t") + ".*" + "t" * version.endswith("t")
    yield from sorted(glob.glob(f"{root}/versions/{release}/bin/{name}"), reverse=True)
    yield from (os.path.join(directory, name) for directory in SYSTEM)
    yield debian_python.interpreter(version)


def find_one(version):
    """(version, path) of the machine's own interpreter of that version, or else of the
    fetched one, or None."""
    for command in candidates(version):
        answer = probe(command)
        if answer and answer[0] == version:
            return answer
    return None


def find_free_threaded():
    """The newest without a GIL as (version, path), or None, also where PYTHON chooses."""
    if os.environ.get("PYTHON"):
        return None
    return next(filter(None, map(find_one, FREE_THREADED)), None)


def find():
    """The interpreters with a GIL as (version, path), the machine's own first."""
    chosen = os.environ.get("PYTHON")
    if chosen:
        found = probe(chosen)
        return [found] if found else []
    found = [answer for answer in map(find_one, VERSIONS) if answer]
    return sorted(found, key=lambda answer: debian_python.is_fetched(answer[1]))


def has_own():
    """Whether the machine has an interpreter that will do, and every one that its own
    release's python3 could be."""
    found = [path for _, path in find() if not debian_python.is_fetched(path)]
    answer = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True, text=True,
    ) if os.path.exists("/usr/bin/python3") else None
    return bool(found) and (answer is None or answer.stdout.strip() not in missing())


def missing():
    """Which of the versions that bide promises to run on are not here."""
    if os.environ.get("PYTHON"):
        return []
    there = {version for version, _ in find()}
    return [version for version in VERSIONS if version not in there]


def main():
    found = find()
    if not found:
        chosen = os.environ.get("PYTHON")
        what = f"PYTHON={chosen} is" if chosen else "There is"
        sys.exit(
            f"pythons: {what} no CPython {VERSIONS[-1]} or newer with venv and headers; "
            "install python3, python3-venv and python3-dev"
        )
    without_gil = find_free_threaded()
    for version, path in [*found, without_gil] if without_gil else found:
        print(version, path)


if __name__ == "__main__":
    main()
