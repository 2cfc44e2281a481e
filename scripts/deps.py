"""Makes sure that the tools a make target needs are there.

    python3 scripts/deps.py build|test|demo|compat

On Debian and Ubuntu, root installs what is missing by apt-get; anyone else is told the
one line to run. Node is not installed: Debian 12's own is too old for bide, and which
other source to trust is the user's choice.
"""

import glob
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import debian_python
import pythons

NODE_MAJOR_MIN = 20

# Tool or header -> the Debian package that brings it.
BUILD = {
    "gcc": "gcc",
    "g++": "g++",
    "cmake": "cmake",
    "ninja": "ninja-build",
    "pkg-config": "pkg-config",
    "/usr/include/stdio.h": "libc6-dev",
    "/usr/include/linux/io_uring.h": "linux-libc-dev",
}
# PySide6 brings Qt, and leaves these to the system.
QT = (
    "libdbus-1-3", "libegl1", "libfontconfig1", "libgl1", "libxcb-cursor0", "libxcb-icccm4",
    "libxcb-image0", "libxcb-keysyms1", "libxcb-randr0", "libxcb-render-util0",
    "libxcb-shape0", "libxcb-xkb1", "libxkbcommon-x11-0",
)
TEST = {
    **BUILD,
    "clang": "clang",
    "valgrind": "valgrind",
    "Xvfb": "xvfb",
    **{f"/usr/share/doc/{package}": package for package in QT},
    "strace": "strace",
    "/usr/include/liburing.h": "liburing-dev",
}
# TLS for the load generator.
DEMO = {**BUILD, "/usr/include/openssl/ssl.h": "libssl-dev"}
POSTGRES = "/usr/lib/postgresql/*/bin/postgres"
COMPAT = {**BUILD, POSTGRES: "postgresql", "redis-server": "redis-server"}
PURPOSES = {"build": BUILD, "test": {**TEST, **DEMO}, "demo": DEMO, "compat": COMPAT}


def missing_packages(tools):
    packages = set()
    for tool, package in tools.items():
        there = glob.glob(tool) if tool.startswith("/") else shutil.which(tool)
        if not there:
            packages.add(package)
    if not os.environ.get("PYTHON") and not pythons.has_own():
        packages.update(("python3", "python3-venv", "python3-dev"))
    return sorted(packages)


def node_complaint():
    """Why the installed Node will not do, or None."""
    wanted = f"install Node {NODE_MAJOR_MIN} or newer, with npm, and run make again"
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            return f"{tool} is missing: {wanted}"
    version = subprocess.run(
        ["node", "--version"], capture_output=True, text=True
    ).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < NODE_MAJOR_MIN:
        return f"Node {version} is too old: {wanted}"
    return None


def install(packages):
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    line = " ".join(command)
    if not shutil.which("apt-get"):
        sys.exit(
            "deps: missing, by their names in Debian: " + " ".join(packages)
            + "; install them by your package manager and run make again"
        )
    if os.geteuid() != 0:
        sys.exit(f"deps: missing: {' '.join(packages)}. Run: sudo {line}")
    print(f"deps: {line}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update", "-q"], command):
        done = subprocess.run(
            step, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            sys.stderr.write(done.stdout)
            sys.exit(f"deps: {' '.join(step[:2])} failed; see above")


def get_pythons():
    """Has debian_python.py fetch the interpreters that are missing and that Debian has.
    The tests run without the others, but for CI, which vouches for every one."""
    fetchable = [v for v in pythons.missing() if v in debian_python.VERSIONS]
    if fetchable and os.geteuid() == 0:
        print(f"deps: fetching CPython {' and '.join(fetchable)} from Debian", flush=True)
        tools = [p for t, p in debian_python.TOOLS.items() if not shutil.which(t)]
        if tools:
            install(tools)
        debian_python.make()
    missing = pythons.missing()
    if not missing:
        return
    complaint = f"deps: no CPython {', '.join(missing)} with venv and headers"
    if any(version in debian_python.VERSIONS for version in missing):
        complaint += f"; on Debian run: sudo {debian_python.COMMAND}"
    others = [v for v in missing if v not in debian_python.VERSIONS]
    if others:
        complaint += f"; with pyenv run: pyenv install {' '.join(others)}"
    if os.environ.get("CI"):
        sys.exit(complaint)
    print(f"{complaint}. The tests run on {' '.join(v for v, _ in pythons.find())}.")


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in PURPOSES:
        sys.exit("usage: deps.py build|test|demo|compat")
    if sys.platform != "linux":
        sys.exit(f"bide is for Linux: it cannot be built on {sys.platform}.")
    packages = missing_packages(PURPOSES[sys.argv[1]])
    if packages:
        install(packages)
        still = missing_packages(PURPOSES[sys.argv[1]])
        if still:
            sys.exit(f"deps: still missing after the install: {' '.join(still)}")
    if sys.argv[1] in ("test", "compat"):
        get_pythons()
    complaint = node_complaint()
    if complaint and sys.argv[1] != "compat":
        sys.exit(f"deps: {complaint}")


if __name__ == "__main__":
    main()
