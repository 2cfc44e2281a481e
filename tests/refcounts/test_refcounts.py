"""Nothing that a program does with a loop keeps a reference, memory or a descriptor.

If these fail, a server that runs for weeks grows until it is killed. scenarios.py says how
it counts; here it runs on CPython's debug build, against which bide is compiled for this,
with the assertions of the interpreter's own; without one the allocator's blocks count.
"""

import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.path.join(HERE, "scenarios.py")
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import debian_python


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory):
    """(a Python, its environment) that has bide in it."""
    debug = debian_python.debug_interpreter()
    if not os.path.exists(debug):
        return sys.executable, {}
    directory = str(tmp_path_factory.mktemp("debug"))
    python = os.path.join(directory, "venv", "bin", "python")
    package = os.path.join(directory, "lib")
    for command in (
        [debug, "-m", "venv", os.path.join(directory, "venv")],
        [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--target",
         package, ROOT],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return python, {"PYTHONPATH": package}


def test_scenarios_leave_nothing_behind(interpreter):
    python, variables = interpreter
    done = subprocess.run(
        [python, PROGRAM], env={**os.environ, **variables}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout


def test_a_leak_of_one_reference_is_seen(interpreter, tmp_path):
    """The check can fail."""
    leaky = tmp_path / "leaky.py"
    leaky.write_text(
        "import scenarios\n"
        "kept = []\n"
        "async def leaks():\n"
        "    kept.append(object())\n"
        "scenarios.SCENARIOS = (leaks,)\n"
        "scenarios.main()\n"
    )
    python, variables = interpreter
    path = os.pathsep.join([HERE, variables.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))])
    done = subprocess.run(
        [python, str(leaky)], env={**os.environ, "PYTHONPATH": path}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    assert done.returncode == 1 and "leaks: GROWS" in done.stdout, done.stdout
