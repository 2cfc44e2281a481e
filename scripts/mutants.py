"""Plants the faults of tests/mutants one by one, and sees whether the core's tests notice.

    python3 scripts/mutants.py [NAME ...]

Each patch says in its head what it breaks and which test program should catch it. The tree is
copied to build/mutants, patched, built, and that program run on epoll and on io_uring; a fault is
caught when it fails, or does not end, on either. A patch that no longer applies counts as missed:
it must follow the code.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATCHES = os.path.join(ROOT, "tests", "mutants")
OUT = os.path.join(ROOT, "build", "mutants")
TREE = os.path.join(OUT, "tree")
BUILD = os.path.join(OUT, "build")
COPIED = ("CMakeLists.txt", "LICENSE", "cmake", "core", "tests/core")
TEST_LIMIT_S = 30


def copy_tree():
    shutil.rmtree(TREE, ignore_errors=True)
    for name in COPIED:
        source, target = os.path.join(ROOT, name), os.path.join(TREE, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)


def configure():
    command = ["cmake", "-S", TREE, "-B", BUILD, "-DBIDE_TESTS=ON",
               "-DCMAKE_BUILD_TYPE=Debug", "-DBIDE_ONE_UNIT=OFF"]
    if shutil.which("ninja"):
        command += ["-G", "Ninja"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def patch(path, *options):
    done = subprocess.run(
        ["patch", "-p1", "--silent", "--no-backup-if-mismatch", *options, "-i", path],
        cwd=TREE, capture_output=True,
    )
    return done.returncode == 0


def passes(test, backend):
    """Whether the program does; one that hangs does not."""
    try:
        done = subprocess.run(
            [os.path.join(BUILD, test)], cwd=TREE, timeout=TEST_LIMIT_S,
            env={**os.environ, "BIDE_BACKEND": backend},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def build(test):
    done = subprocess.run(
        ["cmake", "--build", BUILD, "--target", test], capture_output=True, text=True,
    )
    return done.returncode == 0


def outcome(path):
    """"caught", or why not."""
    with open(path, encoding="utf-8") as file:
        test = re.search(r"^Caught by: (\w+)$", file.read(), re.MULTILINE).group(1)
    if not patch(path):
        return "does not apply"
    try:
        if not build(test):
            return "does not build"
        return "missed" if all(passes(test, name) for name in ("epoll", "io_uring")) else "caught"
    finally:
        patch(path, "--reverse")


def main():
    names = sys.argv[1:] or sorted(
        os.path.basename(path)[:-len(".patch")] for path in glob.glob(f"{PATCHES}/*.patch"))
    copy_tree()
    configure()
    caught = 0
    for name in names:
        result = outcome(os.path.join(PATCHES, name + ".patch"))
        caught += result == "caught"
        print(f"{name:32} {result}", flush=True)
    print(f"{caught} of {len(names)} caught")
    sys.exit(caught != len(names))


if __name__ == "__main__":
    main()
