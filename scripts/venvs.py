"""Makes the virtual environments and installs bide and the tests' packages into them.

    python3 scripts/venvs.py          .venv, of the newest interpreter the machine has
    python3 scripts/venvs.py --all    also .deps/venv-X.Y, of every other one, and
                                      .deps/venv-X.Yt of the newest without a GIL

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
NEEDED_BY_ALL = ("pytest", "setuptools", "wheel")
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


def free_threaded_environments():
    """The same, of the interpreter without a GIL, if there is one."""
    found = pythons.find_free_threaded()
    if found:
        yield *found, os.path.join(ROOT, f".deps/venv-{found[0]}")


def made(environments):
    """(version, its Python) of those that were made, in their order."""
    for version, _, directory in environments:
        if os.path.exists(os.path.join(directory, stamp_name("bide"))):
            yield version, os.path.join(directory, "bin", "python")


def pythons_made():
    """(version, its Python) of every environment that was made, .venv first."""
    return made(environments())


def free_threaded_made():
    return made(free_threaded_environments())


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


def packages_of(version):
    """What pip is to install. Without a GIL it is what runs the tests: of the rest much has
    no wheel there, and the tests that need it are skipped."""
    if not version.endswith("t"):
        return ["-r", REQUIREMENTS]
    with open(os.path.join(ROOT, REQUIREMENTS)) as file:
        return [line.strip() for line in file if line.startswith(NEEDED_BY_ALL)]


def link_packages(version, directory):
    """The commands that let Debian's interpreter without a GIL find what pip installs: it looks
    in the folder of the one with a GIL."""
    if not version.endswith("t"):
        return []
    return [["ln", "-sfn", f"python{version}", f"{directory}/lib/python{version.rstrip('t')}"]]


def make(version, interpreter, directory):
    python = os.path.join(directory, "bin", "python")
    name = os.path.relpath(directory, ROOT)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]

    def stamp(kind):
        return os.path.join(directory, stamp_name(kind))

    once(
        stamp("venv"), interpreter, f"making {name} of CPython {version}",
        [interpreter, "-m", "venv", "--clear", directory],
        *link_packages(version, directory),
    )
    once(
        stamp("packages"), digest([REQUIREMENTS]), f"installing {REQUIREMENTS} into {name}",
        [*pip, *packages_of(version)],
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
    for environment in [*found, *free_threaded_environments()] if arguments else found[:1]:
        make(*environment)


if __name__ == "__main__":
    main()
