"""What somebody reads whose machine cannot build bide.

If these fail, a missing tool or a foreign system ends in a wall of errors instead of one
line that says what to do.
"""

import os
import shutil
import sys

from tools import ROOT, fails

DEPS = os.path.join(ROOT, "scripts", "deps.py")
NOBODY = 65534


def path_with(directory, *tools):
    """A PATH that holds these tools and nothing else."""
    directory.mkdir()
    for tool in tools:
        os.symlink(shutil.which(tool), directory / tool)
    return {"PATH": str(directory), "PYTHON": sys.executable}


def test_other_systems_are_refused_by_make_in_one_line():
    output = fails("make", "build", "UNAME=Darwin")
    assert "bide is for Linux" in output
    assert len(output.splitlines()) == 1


def test_missing_tools_are_named_where_there_is_no_apt(tmp_path):
    output = fails(sys.executable, DEPS, "build", env=path_with(tmp_path / "bin", "gcc"))
    assert output.startswith("deps: missing, by their names in Debian: ")
    assert " cmake " in output and " gcc " not in output
    assert len(output.splitlines()) == 1


def test_user_who_is_not_root_is_told_the_line_to_run(tmp_path):
    # Its own copy: nobody else may read the tree, which is root's.
    scripts = shutil.copytree(os.path.join(ROOT, "scripts"), tmp_path / "scripts")
    environment = path_with(tmp_path / "bin", "apt-get", "gcc")
    options = {}
    if os.geteuid() == 0:
        for directory in (tmp_path, *tmp_path.parents[:2]):
            os.chmod(directory, 0o755)
        environment["PYTHON"] = "/usr/bin/python3"
        options["user"] = NOBODY
    output = fails(
        "/usr/bin/python3", str(scripts / "deps.py"), "build", env=environment, **options
    )
    assert "Run: sudo apt-get install -y" in output and "cmake" in output
    assert len(output.splitlines()) == 1


def test_missing_node_is_one_line_that_says_which(tmp_path):
    # Everything but Node is there: what apt-get brings lies in /usr/bin.
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in ("gcc", "g++", "cmake", "ninja", "pkg-config"):
        os.symlink(shutil.which(tool), directory / tool)
    environment = {"PATH": str(directory), "PYTHON": sys.executable}
    output = fails(sys.executable, DEPS, "build", env=environment)
    assert output.startswith("deps: node is missing: install Node 20 or newer, with npm")
    assert len(output.splitlines()) == 1


def test_missing_python_is_one_line(tmp_path):
    environment = path_with(tmp_path / "bin", "bash", "uname")
    output = fails(shutil.which("make"), "build", env=environment)
    assert "python3 is missing: install Python 3.10 or newer" in output
    assert len(output.splitlines()) == 1


def test_python_without_headers_or_venv_is_named(tmp_path):
    environment = {**os.environ, "PYTHON": "python-that-is-not-there"}
    output = fails(sys.executable, os.path.join(ROOT, "scripts", "pythons.py"), env=environment)
    assert "PYTHON=python-that-is-not-there is no CPython 3.10 or newer" in output
