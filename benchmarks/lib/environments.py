"""The virtual environments that the Python loops are measured in, one an interpreter."""

import json
import os
import re
import subprocess
import sys

from lib import loops, machine

sys.path.insert(0, str(machine.ROOT / "scripts"))
import debian_python  # noqa: E402
import pythons  # noqa: E402
import venvs  # noqa: E402

REQUIREMENTS = machine.ROOT / "benchmarks" / "requirements.txt"
PIP = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet")
VERSIONS_OF = (
    "import importlib.metadata, json, platform, sys; "
    "found = {d.name: d.version for d in importlib.metadata.distributions()}; "
    "print(json.dumps({'python': platform.python_version(), **found}))"
)


def interpreter(version):
    """Debian's own build where it was fetched: it is optimised by profile, unlike one
    that pyenv builds, and its libc is new enough for every rival's wheel."""
    fetched = pythons.probe(debian_python.interpreter(version))
    found = fetched or pythons.find_one(version)
    return found and found[1]


def wanted():
    """(lines of the loops by name, lines of all else)"""
    rivals, others = {}, []
    for line in REQUIREMENTS.read_text().splitlines():
        name = re.match(r"\w[\w-]*|", line)[0]
        if name in loops.RIVALS:
            rivals[name] = line
        elif name:
            others.append(line)
    return rivals, others


class Environment:
    """`python` runs it; `refused` says of each loop that could not be installed why."""

    def __init__(self, version):
        self.base = interpreter(version)
        self.folder = machine.ROOT / ".deps" / f"bench-{version}"
        self.python = str(self.folder / "bin" / "python")

    def stamp(self, kind):
        return str(self.folder / venvs.stamp_name(kind))

    def pip(self, *arguments):
        return subprocess.run(
            [self.python, *PIP, "-c", str(machine.ROOT / "tests/python/requirements.txt"),
             *arguments],
            capture_output=True, text=True, cwd=machine.ROOT,
        )

    def make(self):
        name = self.folder.name
        venvs.once(
            self.stamp("venv"), self.base, f"making {name}",
            [self.base, "-m", "venv", "--clear", str(self.folder)],
        )
        packages = venvs.digest(["benchmarks/requirements.txt", venvs.REQUIREMENTS])
        if venvs.once(self.stamp("packages"), packages, f"installing packages into {name}"):
            self.install_packages()
        venvs.once(
            self.stamp("bide"), venvs.digest(venvs.SOURCES), f"building bide into {name}",
            [self.python, *PIP, "--no-build-isolation", "--no-deps", "--force-reinstall", "."],
        )
        self.refused = json.loads((self.folder / "refused.json").read_text())
        return self

    def install_packages(self):
        rivals, others = wanted()
        done = self.pip(*others)
        if done.returncode:
            os.remove(self.stamp("packages"))
            sys.exit(f"{done.stderr}\nbench: the packages could not be installed")
        refused = {}
        for name, line in rivals.items():
            done = self.pip("--only-binary", ":all:", line)
            if done.returncode:
                refused[name] = done.stderr.strip().splitlines()[-1]
        (self.folder / "refused.json").write_text(json.dumps(refused))

    def versions(self):
        done = subprocess.run(
            [self.python, "-P", "-c", VERSIONS_OF], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    def loops(self):
        """The contenders, bide's backends first."""
        there = self.versions()
        backends = ["epoll"] if machine.ring_refusal() else ["io_uring", "epoll"]
        rivals = [name for name in loops.RIVALS if name == "asyncio" or name in there]
        return [*(f"bide {backend}" for backend in backends), *rivals]


def make(version):
    """None where there is no such interpreter."""
    environment = Environment(version)
    return environment.make() if environment.base else None
