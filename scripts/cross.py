"""Builds the core and its tests for other systems by zig's C compiler, and runs what this machine
can run: the static ones for musl, on each backend.

    python3 scripts/cross.py [TARGET ...]

zig comes from PyPI (ziglang) into .deps, with the C libraries of all its targets, which it compiles
when it first meets them. What was built for another processor is linked and not run.
"""

import os
import platform
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "build", "cross")
ZIG_VERSION = "0.17.1"
ZIG = os.path.join(ROOT, ".deps", f"zig-{ZIG_VERSION}")
TARGETS = ("x86_64-linux-musl", "aarch64-linux-musl")
BACKENDS = ("io_uring", "epoll")


def zig():
    """The command of zig, fetched once."""
    python = os.path.join(ZIG, "bin", "python")
    made = os.path.join(ZIG, "made")
    if not os.path.exists(made):
        subprocess.run([sys.executable, "-m", "venv", "--clear", ZIG], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"ziglang=={ZIG_VERSION}"],
                       check=True)
        open(made, "w").close()
    return f"{python} -m ziglang"


def write_tool(target, name, command):
    """CMake wants programs, where zig's tools are arguments of zig."""
    path = os.path.join(OUT, target + ".tools", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {command} "$@"\n')
    os.chmod(path, 0o755)
    return path


def build(target):
    """Returns the directory of what was built."""
    directory = os.path.join(OUT, target)
    command = zig()
    tools = {
        "CMAKE_C_COMPILER": write_tool(target, "cc", f"{command} cc -target {target}"),
        "CMAKE_AR": write_tool(target, "ar", f"{command} ar"),
        "CMAKE_RANLIB": write_tool(target, "ranlib", f"{command} ranlib"),
    }
    configure = [
        "cmake", "-S", ROOT, "-B", directory, "-DBIDE_TESTS=ON", "-DBIDE_WERROR=ON",
        "-DBIDE_TEST_VARIANT=musl", "-DCMAKE_EXE_LINKER_FLAGS=-static",
        "-DCMAKE_SYSTEM_NAME=Linux",
        f"-DCMAKE_SYSTEM_PROCESSOR={target.split('-')[0]}",
        *(f"-D{name}={path}" for name, path in tools.items()),
    ]
    jobs = str(os.cpu_count() or 1)
    for step in (configure, ["cmake", "--build", directory, "-j", jobs]):
        subprocess.run(step, check=True, stdout=subprocess.DEVNULL)
    return directory


def run(directory, backend):
    subprocess.run(
        ["ctest", "--test-dir", directory, "-L", f"^{backend}$", "--output-on-failure",
         "--no-tests=error", "-j", str(os.cpu_count() or 1)],
        check=True,
    )


def main():
    for target in sys.argv[1:] or TARGETS:
        directory = build(target)
        print(f"{target}: built", flush=True)
        if not target.startswith(platform.machine()):
            continue
        for backend in BACKENDS:
            run(directory, backend)


if __name__ == "__main__":
    main()
