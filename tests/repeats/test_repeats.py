"""Each test file of the Python door, run five times in one process, leaves nothing there.

If one fails, a program that does for weeks what that file does keeps more and more
memory or descriptors. repeats.py says how it counts.
"""

import glob
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(os.path.dirname(HERE), "python")
FILES = sorted(glob.glob(os.path.join(TESTS, "test_*.py")))


def repeated(file):
    return subprocess.run(
        [sys.executable, os.path.join(HERE, "repeats.py"), str(file)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )


@pytest.mark.parametrize("file", FILES, ids=os.path.basename)
def test_repeated_tests_leave_nothing_behind(file):
    done = repeated(file)
    assert done.returncode == 0, done.stdout


LEAKS = {
    "objects of test_leaky.Kept": "kept.append(Kept())",
    "bytes": "kept.append(bytes(10000))",
    "file descriptors": "os.dup(0)",
    "failed": "raise RuntimeError('failed')",
}


@pytest.mark.parametrize("seen", LEAKS)
def test_a_leak_is_seen(seen, tmp_path):
    """The check can fail."""
    leaky = tmp_path / "test_leaky.py"
    leaky.write_text(
        "import os\n"
        "kept = []\n"
        "class Kept: pass\n"
        f"def test_leaks():\n    {LEAKS[seen]}\n"
    )
    done = repeated(leaky)
    assert done.returncode == 1 and seen in done.stdout, done.stdout
