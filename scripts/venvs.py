"""Makes the virtual environments and installs bide and the tests' packages into them.

    python3 scripts/venvs.py          .venv, of the newest interpreter the machine has
    python3 scripts/venvs.py --all    also .deps/venv-X.Y, of every other one

Nothing is done twice: an environment is made anew when its interpreter has changed, its
packages are installed when requirements.txt has, bide when one of its sources has.
"""

import hashlib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import pythons

REQUIREMENTS = "tests/python/requirements.txt"
SOURCES = (
    "core", "bindings/python", "python", "setup.py", "pyproject.toml", "MANIFEST.in",
    "README.md",
)
SKIPPED = ("__pycache__",)


def environments():
    """(version, interpreter, directory) of each, the one for .venv first."""
    for index, (version, interpreter) in enumerate(pythons.find()):
        directory = ".venv" if index == 0 else f".deps/venv-{version}"
        yield version, interpreter, os.path.join(ROOT, directory)


def pythons_made():
    """(version, its Python) of every environment that was made, .venv first."""
    for version, _, directory in environments():
        python = os.path.join(directory, "bin", "python")
        if os.path.exists(os.path.join(directory, stamp_name("bide"))):
            yield version, python


def stamp_name(kind):
    return f"bide-{kind}.stamp"


def source_files(path):
    if os.path.isfile(path):
        yield path
    for directory, directories, files in os.walk(path):
        directories[:] = sorted(
            name for name in directories
            if name not in SKIPPED and not name.endswith(".egg-info")
        )
        for name in sorted(files):
            if not name.endswith((".so", ".pyc")):
                yield os.path.join(directory, name)


def digest(paths):
    """A hash of the names and contents of files, so that a checkout that only touches
    them builds nothing."""
    total = hashlib.sha256()
    for path in paths:
        for file in source_files(os.path.join(ROOT, path)):
            total.update(os.path.relpath(file, ROOT).encode())
            with open(file, "rb") as content:
                total.update(hashlib.sha256(content.read()).digest())
    return total.hexdigest()


def once(stamp, wanted, what, *commands):
    """Runs the commands unless the stamp file holds `wanted` already."""
    if os.path.exists(stamp):
        with open(stamp) as file:
            if file.read() == wanted:
                return False
        os.remove(stamp)
    print(f"venvs: {what}", flush=True)
    for command in commands:
        done = subprocess.run(
            command, cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            sys.stderr.write(done.stdout)
            sys.exit(f"venvs: {what}: failed; see above")
    os.makedirs(os.path.dirname(stamp), exist_ok=True)
    with open(stamp, "w") as file:
        file.write(wanted)
    return True


def make(version, interpreter, directory):
    python = os.path.join(directory, "bin", "python")
    name = os.path.relpath(directory, ROOT)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]

    def stamp(kind):
        return os.path.join(directory, stamp_name(kind))

    once(
        stamp("venv"), interpreter, f"making {name} of CPython {version}",
        [interpreter, "-m", "venv", "--clear", directory],
    )
    once(
        stamp("packages"), digest([REQUIREMENTS]), f"installing {REQUIREMENTS} into {name}",
        [*pip, "-r", REQUIREMENTS],
    )
    once(
        stamp("bide"), digest(SOURCES), f"building bide into {name}",
        [*pip, "--no-build-isolation", "--no-deps", "--force-reinstall", "."],
    )


def main():
    arguments = sys.argv[1:]
    if arguments not in ([], ["--all"]):
        sys.exit("usage: venvs.py [--all]")
    found = list(environments())
    if not found:
        sys.exit(f"venvs: no CPython {pythons.VERSIONS[-1]} or newer; run: make deps")
    for environment in found if arguments else found[:1]:
        make(*environment)


if __name__ == "__main__":
    main()
