"""How the interpreters are found that bide is tested on, and what is said of the missing.

If these fail, a release is tested on fewer Pythons than it promises and nobody is told,
or a developer without them does not learn how to get them. The interpreters here are
shell scripts that answer the probe as Python would.
"""

import os
import sys

import pytest
from tools import ROOT

sys.path.insert(0, os.path.join(ROOT, "scripts"))
import debian_python
import deps
import pythons
import venvs


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with no interpreter, whose user is not root."""
    for name in ("PYTHON", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name in ("bin", "pyenv", "sid"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    monkeypatch.setenv("PYENV_ROOT", f"{tmp_path}/pyenv")
    monkeypatch.setattr(pythons, "SYSTEM", ())
    monkeypatch.setattr(debian_python, "FOLDER", f"{tmp_path}/sid")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return tmp_path


def add_tool(directory, name, *lines):
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / name
    script.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    script.chmod(0o755)
    return str(script)


def add_python(directory, version):
    return add_tool(directory, "python" + version, f'echo "{version} $0"')


def test_no_interpreter_says_what_to_install(machine):
    with pytest.raises(SystemExit, match="install python3, python3-venv and python3-dev"):
        pythons.main()
    assert pythons.missing() == list(pythons.VERSIONS)
    assert not pythons.has_own()


def test_no_interpreter_ends_the_making_of_environments(machine, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["venvs.py"])
    with pytest.raises(SystemExit, match="no CPython 3.10 or newer; run: make deps"):
        venvs.main()


def test_chosen_interpreter_that_does_not_run_is_named(machine, monkeypatch):
    monkeypatch.setenv("PYTHON", "/nowhere/python")
    with pytest.raises(SystemExit, match="PYTHON=/nowhere/python is no CPython 3.10 or newer"):
        pythons.main()


def test_shim_that_does_not_run_is_passed_over_for_pyenvs_own(machine):
    add_tool(machine / "bin", "python3.12", "echo 'pyenv: not installed' >&2", "exit 127")
    own = add_python(machine / "pyenv" / "versions" / "3.12.1" / "bin", "3.12")
    assert pythons.find() == [("3.12", own)]


def test_interpreter_without_headers_or_of_another_version_does_not_count(machine):
    add_tool(machine / "bin", "python3.13", "exit 1")
    add_tool(machine / "bin", "python3.12", "echo 3.11 $0")
    assert pythons.find() == []


def test_one_without_a_gil_is_found_apart_and_never_missed(machine):
    own = add_python(machine / "bin", "3.12")
    assert pythons.find_free_threaded() is None
    free = add_python(machine / "pyenv" / "versions" / "3.13.5t" / "bin", "3.13t")
    assert pythons.find_free_threaded() == ("3.13t", free)
    assert pythons.find() == [("3.12", own)] and not {"3.13t", "3.14t"} & {*pythons.missing()}


def test_fetched_interpreter_comes_after_the_machines_own(machine):
    fetched = add_python(machine / "sid" / "usr" / "bin", "3.14")
    own = add_python(machine / "bin", "3.11")
    assert pythons.find() == [("3.11", own), ("3.14", fetched)]


def test_user_without_root_is_told_where_the_missing_come_from(machine, capsys):
    for version in ("3.12", "3.11"):
        add_python(machine / "bin", version)
    deps.get_pythons()
    said = capsys.readouterr().out
    assert said.startswith("deps: no CPython 3.14, 3.13, 3.10 with venv and headers; ")
    assert f"on Debian run: sudo {debian_python.COMMAND}" in said
    assert "with pyenv run: pyenv install 3.10" in said
    assert said.endswith("The tests run on 3.12 3.11.\n") and said.count("\n") == 1


@pytest.mark.parametrize("lost", pythons.VERSIONS)
def test_ci_fails_when_one_of_the_five_is_missing(machine, monkeypatch, lost):
    monkeypatch.setenv("CI", "true")
    for version in pythons.VERSIONS:
        if version != lost:
            add_python(machine / "bin", version)
    with pytest.raises(SystemExit, match=f"no CPython {lost} with venv and headers"):
        deps.get_pythons()


def test_ci_is_content_with_all_five(machine, monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    for version in pythons.VERSIONS:
        add_python(machine / "bin", version)
    deps.get_pythons()
    assert capsys.readouterr().out == ""


def test_root_fetches_only_what_debian_has(machine, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for tool in debian_python.TOOLS:
        add_tool(machine / "bin", tool)

    def make():
        for version in debian_python.VERSIONS:
            add_python(machine / "sid" / "usr" / "bin", version)

    monkeypatch.setattr(debian_python, "make", make)
    deps.get_pythons()
    said = capsys.readouterr().out
    assert said.startswith("deps: fetching CPython 3.14 and 3.13 from Debian\n")
    assert "no CPython 3.12, 3.11, 3.10 with" in said and "on Debian run" not in said


def test_mirror_that_fails_leaves_nothing_and_shows_why(machine, monkeypatch, capsys):
    (machine / "sid").rmdir()
    add_tool(machine / "bin", "debootstrap", "echo 'E: Invalid Release file'", "exit 1")
    with pytest.raises(SystemExit, match="debian_python: debootstrap failed; see above"):
        debian_python.make()
    assert "E: Invalid Release file" in capsys.readouterr().err
    assert sorted(os.listdir(machine)) == ["bin", "pyenv"]
