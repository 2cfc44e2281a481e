"""The programs of docs/python-files.md and the example run and say what they should: users
copy them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import bide
import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "python-files.md"
PACKAGE = Path(bide.__file__).resolve().parents[1]

OUTPUTS = [
    "one\ntwo\n8 8\n",
    "nobody writes\nlate\n",
    "4950\ncopy 0\ncopy/raw 100\n",
]

needs_groups = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.TaskGroup")


def output_of(folder, *command):
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def programs():
    return re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_guide_has_the_programs_that_are_tried():
    assert len(programs()) == len(OUTPUTS)


@pytest.mark.parametrize("number", range(len(OUTPUTS)))
def test_programs_of_the_guide_print_what_they_should(tmp_path, number):
    program = programs()[number]
    assert output_of(tmp_path, "-c", program) == OUTPUTS[number]


@needs_groups
def test_the_example_reads_a_tree(tmp_path):
    for number in range(200):
        folder = tmp_path / "tree" / str(number % 7)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_text("word " * number)
    program = ROOT / "examples" / "python" / "read_many_files.py"
    lines = output_of(tmp_path, str(program), "tree").splitlines()
    assert lines[0] == "19900 words in 200 files"
    assert lines[1:] == [f"     {n} tree/{n % 7}/{n}" for n in (199, 198, 197)]
